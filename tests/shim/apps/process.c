/* process.c - starts programs in every way there is, forks, uses threads, closes what is not its own. */
#include "calls.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *self;

/* One line of the remote file, or errno. */
static const char *remote(const char *path)
{
	static __thread char bytes[64];
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return strerrorname_np(errno);
	ssize_t count = read(fd, bytes, sizeof bytes - 1);
	bytes[count > 0 ? count : 0] = '\0';
	close(fd);
	return bytes;
}

static int run_show(const char *symbol, char **a)
{
	(void)symbol, (void)a;
	const char *keep = getenv("KEEP"), *preload = getenv("LD_PRELOAD"), *session = getenv("MIRRORD_SESSION_DIR");
	printf("keep %s, preload %s, session %s, file %s\n", keep ? keep : "none", preload ? preload : "none",
	       session && *session ? "there" : "none", remote("/data/file"));
	return 0;
}

static char *const own_environment[] = { "KEEP=kept", "LD_PRELOAD=libm.so.6", NULL };

static int collect(pid_t pid)
{
	int status;
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		printf("child ended with %x\n", status);
	return 0;
}

/* The forms that take an environment get one of the program's own; the others find `environ` replaced by it. */
static int run_exec(const char *symbol, char **a)
{
	(void)a;
	char *const argv[] = { "shown", "show", NULL };
	void *it = function(symbol);
	environ = (char **)own_environment;
	if (!strcmp(symbol, "execve"))
		((int (*)(const char *, char *const[], char *const[]))it)(self, argv, own_environment);
	else if (!strcmp(symbol, "execv") || !strcmp(symbol, "execvp"))
		((int (*)(const char *, char *const[]))it)(self, argv);
	else if (!strcmp(symbol, "execvpe"))
		((int (*)(const char *, char *const[], char *const[]))it)(self, argv, own_environment);
	else if (!strcmp(symbol, "fexecve"))
		((int (*)(int, char *const[], char *const[]))it)(open(self, O_RDONLY), argv, own_environment);
	else if (!strcmp(symbol, "execveat"))
		((int (*)(int, const char *, char *const[], char *const[], int))it)(AT_FDCWD, self, argv, own_environment, 0);
	else if (!strcmp(symbol, "execl") || !strcmp(symbol, "execlp"))
		((int (*)(const char *, const char *, ...))it)(self, "shown", "show", NULL);
	else
		((int (*)(const char *, const char *, ...))it)(self, "shown", "show", NULL, own_environment);
	return fail();
}

static int run_spawn(const char *symbol, char **a)
{
	(void)a;
	int (*spawn)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const[],
		     char *const[]) = function(symbol);
	char *const argv[] = { "shown", "show", NULL };
	pid_t pid;
	int error = spawn(&pid, self, NULL, NULL, argv, own_environment);
	return error ? printf("%s\n", strerrorname_np(error)) < 0 : collect(pid);
}

static int run_system(const char *symbol, char **a)
{
	(void)a;
	int (*system_it)(const char *) = function(symbol);
	char command[512];
	snprintf(command, sizeof command, "%s show", self);
	clearenv();
	return system_it(command);
}

static int run_popen(const char *symbol, char **a)
{
	(void)a;
	FILE *(*popen_it)(const char *, const char *) = function(symbol);
	char command[512];
	snprintf(command, sizeof command, "%s show", self);
	clearenv();
	FILE *stream = popen_it(command, "r");
	while (stream && fgets(command, sizeof command, stream))
		fputs(command, stdout);
	return stream ? pclose(stream) : fail();
}

static int run_vfork(const char *symbol, char **a)
{
	(void)symbol, (void)a;
	char *const argv[] = { "shown", "show", NULL };
	printf("before %s\n", remote("/data/before"));
	pid_t pid = vfork();
	if (pid == 0) {
		access("/data/in-vfork", R_OK);
		execve(self, argv, own_environment);
		_exit(1);
	}
	collect(pid);
	printf("after %s\n", remote("/data/after"));
	return 0;
}

static int run_fork(const char *symbol, char **a)
{
	(void)a;
	printf("before %s\n", remote("/data/before"));
	pid_t pid = strcmp(symbol, "raw-fork") ? fork() : (pid_t)syscall(SYS_fork);
	if (pid == 0) {
		printf("child %s\n", remote("/data/child"));
		_exit(0);
	}
	collect(pid);
	printf("after %s\n", remote("/data/after"));
	return 0;
}

/* A descriptor and a DIR of the target's are the child's too, and survive exec. */
static int run_inherit(const char *symbol, char **a)
{
	(void)symbol;
	struct stat st;
	if (a[0]) {
		int result = fstat(atoi(a[0]), &st);
		printf("inherited %d ino %lu\n", result, result ? 0 : st.st_ino);
		return 0;
	}
	char number[16];
	snprintf(number, sizeof number, "%d", open("/data/file", O_RDONLY));
	return execl(self, self, "inherit", number, NULL);
}

static void *in_thread(void *argument)
{
	char path[64];
	snprintf(path, sizeof path, "/data/thread-%ld", (long)argument);
	printf("%s %s\n", path, remote(path));
	return NULL;
}

static int run_threads(const char *symbol, char **a)
{
	(void)symbol;
	int count = atoi(a[0]);
	pthread_t threads[64];
	for (long at = 0; at < count; at++)
		pthread_create(&threads[at], NULL, in_thread, (void *)at);
	for (int at = 0; at < count; at++)
		pthread_join(threads[at], NULL);
	return 0;
}

/* ---- descriptors that are not its own ---- */

static long by_instruction(long number, long a, long b)
{
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(0) : "rcx", "r11", "memory");
	return result;
}

enum { MOST = 1200 };

static int run_close(const char *symbol, char **a)
{
	printf("before %s\n", remote("/data/before"));
	int own = open("/dev/null", O_RDONLY);
	if (!strcmp(symbol, "close"))
		for (int fd = 3; fd < MOST; fd++)
			((int (*)(int))function(symbol))(fd);
	else if (!strcmp(symbol, "close_range"))
		printf("result %d\n", ((int (*)(unsigned, unsigned, int))function(symbol))(3, ~0u, 0));
	else if (!strcmp(symbol, "closefrom"))
		((void (*)(int))function(symbol))(3);
	else if (!strcmp(symbol, "raw-close"))
		for (int fd = 3; fd < MOST; fd++)
			by_instruction(SYS_close, fd, 0);
	printf("own %s, after %s\n", fcntl(own, F_GETFD) < 0 ? "closed" : "open", remote("/data/after"));
	(void)a;
	return 0;
}

/* Wants every number there is for /dev/null, and looks whether it got them all. */
static int run_dup(const char *symbol, char **a)
{
	(void)a;
	printf("before %s\n", remote("/data/before"));
	struct rlimit limit = { 2048, 2048 };
	setrlimit(RLIMIT_NOFILE, &limit);
	struct stat wanted, st;
	int from = open("/dev/null", O_RDONLY), wrong = 0;
	fstat(from, &wanted);
	for (int fd = 10; fd < MOST; fd++) {
		int result = fd;
		if (!strcmp(symbol, "dup2"))
			result = ((int (*)(int, int))function(symbol))(from, fd);
		else if (!strcmp(symbol, "dup3"))
			result = ((int (*)(int, int, int))function(symbol))(from, fd, O_CLOEXEC);
		else
			by_instruction(SYS_dup2, from, fd);
		wrong += result != fd || fstat(fd, &st) < 0 || st.st_rdev != wanted.st_rdev;
	}
	const char *after = remote("/data/after");
	for (int fd = 10; fd < MOST; fd++)
		wrong += fstat(fd, &st) < 0 || st.st_rdev != wanted.st_rdev;
	printf("wrong %d, after %s\n", wrong, after);
	return 0;
}

/* Our descriptors as the app sees them: which numbers are open. */
static int run_descriptors(const char *symbol, char **a)
{
	(void)symbol, (void)a;
	printf("file %s, open:", remote("/data/file"));
	for (int fd = 0; fd < MOST; fd++) {
		int flags = fcntl(fd, F_GETFD);
		if (flags >= 0 && fd > 2)
			printf(" %s%s", fd < 500 ? "low" : "high", flags & FD_CLOEXEC ? "" : " kept over exec");
	}
	printf(", errno kept %s\n", (errno = 7, access("/tmp", F_OK), errno == 7) ? "yes" : "no");
	return 0;
}

static void on_signal(int number)
{
	(void)number;
	remote("/data/handler");
}

static int run_handler(const char *symbol, char **a)
{
	(void)symbol, (void)a;
	signal(SIGUSR1, on_signal);
	printf("main %s\n", remote("/data/main"));
	printf("again %s\n", remote("/data/again"));
	return 0;
}

/* Several calls in a row: what becomes of the later ones when the first is answered badly. */
static int run_several(const char *symbol, char **a)
{
	(void)symbol;
	for (; *a; a++)
		printf("%s %s\n", *a, remote(*a));
	return 0;
}

/* Gives up root as servers do, then forks workers. */
static int run_other_user(const char *symbol, char **a)
{
	(void)symbol, (void)a;
	printf("before %s\n", remote("/data/before"));
	fflush(stdout);
	if (setgid(65534) < 0 || setuid(65534) < 0)
		return fail();
	pid_t child = fork();
	if (child == 0) {
		printf("child %s\n", remote("/data/child"));
		exit(0);
	}
	waitpid(child, NULL, 0);
	printf("after %s\n", remote("/data/after"));
	return 0;
}

/* A forked child has no connection of its own yet, and here no descriptor left for one. */
static int run_no_descriptors(const char *symbol, char **a)
{
	(void)symbol, (void)a;
	printf("before %s\n", remote("/data/before"));
	fflush(stdout);
	struct rlimit few = { 64, 64 };
	setrlimit(RLIMIT_NOFILE, &few);
	while (dup(0) >= 0)
		;
	pid_t child = fork();
	if (child == 0) {
		printf("child %s\n", open("/data/child", O_RDONLY) < 0 ? strerrorname_np(errno) : "open");
		exit(0);
	}
	waitpid(child, NULL, 0);
	return 0;
}

static int run_exec_path(const char *symbol, char **a)
{
	(void)symbol;
	execv(a[0], a);
	return fail();
}

static const struct command commands[] = {
	{ "show", run_show }, { "execve", run_exec }, { "execv", run_exec }, { "execvp", run_exec },
	{ "execvpe", run_exec }, { "fexecve", run_exec }, { "execveat", run_exec }, { "execl", run_exec },
	{ "execlp", run_exec }, { "execle", run_exec }, { "posix_spawn", run_spawn }, { "posix_spawnp", run_spawn },
	{ "system", run_system }, { "popen", run_popen }, { "vfork", run_vfork }, { "fork", run_fork },
	{ "raw-fork", run_fork }, { "inherit", run_inherit }, { "threads", run_threads },
	{ "close", run_close }, { "close_range", run_close }, { "closefrom", run_close }, { "raw-close", run_close },
	{ "dup2", run_dup }, { "dup3", run_dup }, { "raw-dup2", run_dup }, { "descriptors", run_descriptors },
	{ "handler", run_handler }, { "several", run_several }, { "exec-path", run_exec_path },
	{ "other-user", run_other_user },
	{ "no-descriptors", run_no_descriptors },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	static char path[512];
	ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
	path[length > 0 ? length : 0] = '\0';
	self = path;
	return run(commands, argc, argv);
}
