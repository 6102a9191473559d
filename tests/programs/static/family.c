/* family.c - how a program without a loader begins processes, beside signals and threads; what it prints is the same everywhere. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static char **own;
static _Atomic long alarms, value;

static void on_alarm(int signal)
{
	(void)signal;
	alarms++;
}

static void on_queued(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	value = info->si_value.sival_int;
}

/* The first byte of a file that only the target has; '!' when it cannot be read. */
static int first_byte(void)
{
	char byte = '!';
	int fd = open("/app/tree/a.txt", O_RDONLY);
	if (fd < 0 || read(fd, &byte, 1) != 1)
		return '!';
	close(fd);
	return byte;
}

static int code_of(pid_t pid)
{
	int status;
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void alarms_every(long microseconds)
{
	struct itimerval every = { { 0, microseconds }, { 0, microseconds } };
	setitimer(ITIMER_REAL, &every, NULL);
}

static void forks(void)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	int right = 0;
	sigaction(SIGALRM, &action, NULL);
	alarms_every(700);
	for (int at = 0; at < 100; at++) {
		pid_t pid = fork();
		if (pid == 0) {
			sigset_t mask;
			sigprocmask(SIG_BLOCK, NULL, &mask);
			_exit(sigisemptyset(&mask) ? first_byte() : 1);
		}
		int code = code_of(pid);
		if (code != 'a')
			fprintf(stderr, "forked: %d\n", code);
		right += code == 'a';
	}
	alarms_every(0);
	printf("forks: %d, alarms: %d\n", right, alarms > 0);
}

/* Of a family: a child of a child whose parent has ended. */
static void orphans(void)
{
	int ends[2];
	char byte = '?';
	if (pipe(ends) < 0)
		return;
	if (fork() == 0) {
		if (fork() == 0) {
			while (getppid() != 1 && kill(getppid(), 0) == 0 && access("/app/none", F_OK) == 0)
				;
			byte = (char)first_byte();
			_exit(write(ends[1], &byte, 1) != 1);
		}
		_exit(0);
	}
	wait(NULL);
	close(ends[1]);
	ssize_t count = read(ends[0], &byte, 1);
	printf("orphan: %zd %c\n", count, byte);
}

static void others(void)
{
	char *argv[] = { own[0], "byte", NULL };
	pid_t pid = vfork();
	if (pid == 0) {
		execve(own[0], argv, environ);
		_exit(1);
	}
	printf("vfork: %d\n", code_of(pid));
	int error = posix_spawn(&pid, own[0], NULL, NULL, argv, environ);
	printf("spawn: %d %d\n", error, error ? 0 : code_of(pid));
	error = posix_spawn(&pid, "/nowhere", NULL, NULL, argv, environ);
	printf("spawn: %d\n", error);
	int pidfd = -1;
	struct clone_args how = { .flags = CLONE_PIDFD, .pidfd = (unsigned long)&pidfd, .exit_signal = SIGCHLD };
	pid = (pid_t)syscall(SYS_clone3, &how, sizeof how);
	if (pid == 0)
		_exit(first_byte());
	printf("clone3: %d %d\n", code_of(pid), pidfd >= 0);
	how.flags = CLONE_THREAD;
	printf("refused: %ld", syscall(SYS_clone3, &how, sizeof how));
	printf(" %d", errno);
	printf(" %ld", syscall(SYS_clone, (long)(CLONE_FS | CLONE_NEWNS), 0, 0, 0, 0));
	printf(" %d\n", errno);
	pid = (pid_t)syscall(SYS_clone, (long)(CLONE_UNTRACED | SIGCHLD), 0, 0, 0, 0);
	if (pid == 0)
		_exit(first_byte());
	printf("untraced: %d\n", code_of(pid));
	printf("named: %d\n", prctl(PR_SET_PTRACER, getppid(), 0, 0, 0) == 0 || errno == EINVAL);
	printf("after: %d\n", first_byte());
}

/* A signal that waits keeps what it carries. */
static void queued(void)
{
	struct sigaction action = { .sa_sigaction = on_queued, .sa_flags = SA_SIGINFO };
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigaction(SIGUSR1, &action, NULL);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 4711 });
	pid_t pid = fork();
	if (pid == 0) {
		sigset_t there;
		sigprocmask(SIG_BLOCK, NULL, &there);
		_exit(sigismember(&there, SIGUSR1) && !sigismember(&there, SIGUSR2) ? 7 : 8);
	}
	printf("masked: %d %ld", code_of(pid), value);
	sigprocmask(SIG_UNBLOCK, &mask, NULL);
	printf(" %ld\n", value);
}

static void stopped(void)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		for (int at = 0; at < 50; at++)
			if (code_of(fork() ?: (_exit(0), 0)) != 0)
				_exit(1);
		_exit(first_byte());
	}
	for (int at = 0; at < 20; at++) {
		kill(pid, SIGSTOP);
		if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
			break;
		kill(pid, SIGCONT);
		usleep(500);
	}
	printf("stopped: %d\n", WIFSTOPPED(status) ? code_of(pid) : WEXITSTATUS(status));
}

static void *execute(void *path)
{
	char *argv[] = { own[0], "byte", NULL };
	char *none[] = { NULL };
	execve(path, argv, none);
	printf("thread: %d\n", errno);
	return NULL;
}

static int from_thread(const char *path)
{
	pthread_t thread;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		pthread_create(&thread, NULL, execute, (void *)path);
		pthread_join(thread, NULL);
		fflush(stdout);
		_exit(first_byte());
	}
	return code_of(pid);
}

static void *fork_often(void *unused)
{
	long right = 0;
	(void)unused;
	for (int at = 0; at < 40; at++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(first_byte());
		right += code_of(pid) == 'a';
	}
	return (void *)right;
}

static void threads(void)
{
	enum { COUNT = 8 };
	pthread_t list[COUNT];
	long right = 0;
	for (int at = 0; at < COUNT; at++)
		pthread_create(&list[at], NULL, fork_often, NULL);
	for (int at = 0; at < COUNT; at++) {
		void *result;
		pthread_join(list[at], &result);
		right += (long)result;
	}
	printf("threads: %ld\n", right);
}

int main(int argc, char **argv)
{
	own = argv;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && strcmp(argv[1], "byte") == 0) {
		sigset_t mask;
		sigprocmask(SIG_BLOCK, NULL, &mask);
		pid_t pid = fork(); /* whoever was executed begins processes too */
		if (pid == 0)
			_exit(sigisemptyset(&mask) ? first_byte() : 1);
		int code = code_of(pid);
		return code == first_byte() ? code : 2;
	}
	forks();
	orphans();
	others();
	queued();
	stopped();
	printf("executed: %d\n", from_thread(own[0]));
	printf("not executed: %d\n", from_thread("/nowhere"));
	threads();
	return 0;
}
