/* supervisor.c - runs programs that the shim cannot enter, because no loader starts them (static, Go) or not ours (musl).
 *
 *	mirrord-supervisor PATH ARGV0 [ARGUMENTS…]
 *
 * becomes the program at PATH. Before, it starts a process beside it that is nobody's child, and has the kernel tell that one
 * of the system calls which the table of calls names (seccomp_unotify(2)); it answers them with what the shim's hooks do,
 * which are in here too. What is this machine's goes on in the kernel as if nobody had looked.
 *
 *	the program			the supervisor
 *	fork twice			in a session of its own, at /, with our descriptors alone; say who it is
 *	name it as who may look into us	may it? say so
 *	install the filter, tell it	have the listener by pidfd_getfd(2), start threads, say so
 *	execve				answer until nobody is left who has the filter
 *
 * When the supervisor dies, the calls that it would have been told of fail (ENOSYS): nothing becomes this machine's silently.
 * Under a supervisor already (a program of ours has started it), it just becomes the program. Where the kernel
 * or a container's policy does not allow it, it says so and the program runs as it would without a session.
 */
#include "../shim.h"
#include "../hooks.h"
#include "../wire.h"
#include "answer.h"
#include "filter.h"
#include "permission.h"
#include "reals.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND (1UL << 1)
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

/* Since Linux 6.6: who asks and who answers take turns on one processor. */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
enum { SYNC_WAKE_UP = 1 };

enum { STACK_BYTES = 512 * 1024, FIRST_THREADS = 4, MOST_THREADS = 512, FILES_OF_CALL = 5, NOT_STARTED = 126 };

static int listener;
static _Atomic int idle, threads;
/* Each call needs a few descriptors for as long as it is answered: who comes when there is none to be had, waits. */
static int most_threads = MOST_THREADS;

static void *serve(void *unused);

static void start_thread(void)
{
	pthread_t thread;
	pthread_attr_t attributes;
	if (atomic_fetch_add(&threads, 1) >= most_threads) {
		atomic_fetch_sub(&threads, 1);
		return;
	}
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	atomic_fetch_add(&idle, 1);
	if (pthread_create(&thread, &attributes, serve, NULL) != 0) {
		atomic_fetch_sub(&idle, 1);
		atomic_fetch_sub(&threads, 1);
	}
	pthread_attr_destroy(&attributes);
}

/* ---- answering ---- */

static void send_result(uint64_t id, long result)
{
	struct seccomp_notif_resp response = { .id = id };
	if (result == GO_ON)
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else if (result < 0)
		response.error = (int)result;
	else
		response.val = result;
	kernel(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

/* The descriptor and the answer in one step; where the kernel cannot (before 5.14), in two. */
static void send_descriptor(uint64_t id, int fd)
{
	struct seccomp_notif_addfd add = { .id = id, .flags = SECCOMP_ADDFD_FLAG_SEND, .srcfd = (unsigned)fd };
	if (kernel(SYS_fcntl, fd, F_GETFD) & FD_CLOEXEC)
		add.newfd_flags = O_CLOEXEC;
	long result = kernel(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
	if (result == -EINVAL) {
		add.flags = 0;
		result = kernel(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
		send_result(id, result);
	} else if (result < 0) {
		send_result(id, result);
	}
	kernel(SYS_close, fd);
}

/* "Are you there?", asked by a call that means nothing to the kernel. */
enum { QUESTION = -0x6d697272, ANSWER = 0x64726f72 };

static bool is_question(const struct seccomp_data *data)
{
	return data->nr == SYS_execveat && (int)data->args[0] == QUESTION && data->args[1] == 0;
}

/* What begins a process, executes a program, or names who may look into the process: that is us. */
static void treat_family(const struct seccomp_notif *notice)
{
	if (notice->data.nr == SYS_prctl)
		send_result(notice->id, 0);
	else if (!permission_is_needed() || !permission_hand_on(listener, notice))
		send_result(notice->id, GO_ON);
}

/* We cannot keep account of who asks. What gives something up goes on all the same. */
static long unanswered(const struct call *call, long error)
{
	bool ends = call->number == SYS_close || call->number == SYS_dup2 || call->number == SYS_dup3 || call->number == SYS_exit_group;
	return ends || error == -ESRCH ? GO_ON : error;
}

/* A call as programs of 32 bits make it. In one of 64 we could not tell what it means. */
static void treat_narrow(const struct seccomp_notif *notice)
{
	enum { EXECVE = 11, EXECVEAT = 358 };
	pid_t tid = (pid_t)notice->pid;
	long error = 0;
	struct process *process = process_of(tid, &error);
	bool goes_on = process && process_is_narrow(process, tid);
	/* Before it does: what is looked at next is another program. */
	if (notice->data.nr == EXECVE || notice->data.nr == EXECVEAT)
		process_executes(tid);
	send_result(notice->id, goes_on ? GO_ON : -ENOSYS);
	if (process)
		process_let_go(process);
}

static void treat(const struct seccomp_notif *notice, char *room)
{
	pid_t tid = (pid_t)notice->pid;
	long error = 0;
	if (notice->data.arch != AUDIT_ARCH_X86_64)
		return treat_narrow(notice);
	if (is_question(&notice->data))
		return send_result(notice->id, ANSWER);
	const struct call *call = call_of(notice->data.nr);
	if (call && call->concern == OF_PROCESSES)
		process_executes(tid);
	if (call && call->concern & (OF_PROCESSES | OF_CHILDREN))
		return treat_family(notice);
	struct process *process = call ? process_of(tid, &error) : NULL;
	long result = process || !call ? GO_ON : unanswered(call, error);
	if (process && process_is_ours(process, tid))
		result = answer(notice, listener, call, process, room);
	if (result >= 0 && call->gives_descriptor)
		send_descriptor(notice->id, (int)result);
	else if (result != ANSWERED)
		send_result(notice->id, result);
	if (process)
		process_let_go(process);
}

/* Nobody is left whose calls could come. */
static bool is_over(int timeout)
{
	struct pollfd wait = { .fd = listener };
	return poll(&wait, 1, timeout) > 0 && wait.revents & (POLLHUP | POLLERR | POLLNVAL);
}

static void *serve(void *unused)
{
	char *room = mmap(NULL, ROOM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	while (room != MAP_FAILED) {
		struct seccomp_notif notice = { 0 };
		long result = kernel(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_RECV, &notice);
		if (result == -EINTR)
			continue;
		/* Who asked has been killed; or all have ended, and each further try would be told so at once. */
		if (result == -ENOENT && !is_over(0))
			continue;
		if (result < 0)
			break;
		/* One is always free to hear of the next call. */
		if (atomic_fetch_sub(&idle, 1) == 1)
			start_thread();
		treat(&notice, room);
		atomic_fetch_add(&idle, 1);
	}
	return unused;
}

/* ---- beginning ---- */

static unsigned concerns_of_run(void)
{
	unsigned concerns = OF_PROCESSES;
	if (shim.fs_mode != FS_LOCAL)
		concerns |= OF_FILES;
	if (shim.fs_mode == FS_WRITE || patterns_are_any(&shim.rules))
		concerns |= OF_WRITING;
	if (shim.is_tcp_remote || shim.is_udp_remote || shim.is_incoming_remote || shim.is_ipv6_off || patterns_are_any(&shim.unix_sockets))
		concerns |= OF_SOCKETS;
	if (shim.is_hostname_remote)
		concerns |= OF_HOSTNAME;
	if (permission_is_needed())
		concerns |= OF_CHILDREN;
	return concerns;
}

/* A program with thousands of threads and files has one of us. Who may, goes beyond its own limit. */
static void raise_limit(void)
{
	enum { ENOUGH = 1 << 16 };
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return;
	struct rlimit more = { ENOUGH, files.rlim_max > ENOUGH ? files.rlim_max : ENOUGH };
	struct rlimit all = { files.rlim_max, files.rlim_max };
	if (setrlimit(RLIMIT_NOFILE, &more) != 0)
		setrlimit(RLIMIT_NOFILE, &all);
	getrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_cur / FILES_OF_CALL < MOST_THREADS)
		most_threads = files.rlim_cur / FILES_OF_CALL > FIRST_THREADS ? (int)files.rlim_cur / FILES_OF_CALL : FIRST_THREADS;
	process_limit(most_threads);
}

/* Nothing of the program's is held: its pipes end when it ends. */
static int become_nobodys(int socket)
{
	enum { OWN = 3 };
	setsid();
	if (fork() != 0)
		_exit(0);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (socket != OWN)
		dup3(socket, OWN, O_CLOEXEC);
	for (int fd = 0; fd < OWN; fd++)
		dup2(null, fd);
	hook_close_range(OWN + 1, ~0u, 0);
	if (chdir("/") != 0)
		_exit(1);
	raise_limit();
	signal(SIGPIPE, SIG_IGN);
	return OWN;
}

_Noreturn static void supervise(int socket, pid_t program)
{
	int number, own;
	char ready = 1;
	socket = become_nobodys(socket);
	own = getpid();
	if (write(socket, &own, sizeof own) != sizeof own || read(socket, &ready, 1) != 1)
		_exit(0);
	int pidfd = (int)kernel(SYS_pidfd_open, program, 0);
	/* Of a number that is none: EBADF where it is allowed. Afterwards is too late: the filter cannot be taken away. */
	if (pidfd < 0 || kernel(SYS_pidfd_getfd, pidfd, -1, 0) != -EBADF || write(socket, &ready, 1) != 1)
		_exit(0);
	if (read(socket, &number, sizeof number) != sizeof number)
		_exit(0);
	listener = (int)kernel(SYS_pidfd_getfd, pidfd, number, 0);
	if (listener < 0)
		_exit(1);
	kernel(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP);
	for (int at = 0; at < FIRST_THREADS; at++)
		start_thread();
	if (write(socket, &ready, 1) != 1)
		_exit(1);
	close(socket);
	while (!is_over(-1))
		;
	_exit(0);
}

/* Has the program's calls answered from now on. False: it is not possible here. */
static bool come_under_supervision(void)
{
	if (kernel(SYS_execveat, QUESTION, NULL, NULL, NULL, 0) == ANSWER)
		return true; /* a supervisor of this run started who started us */
	int ends[2], status;
	char ready = 1;
	pid_t program = getpid(), supervisor;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return false;
	fflush(NULL);
	pid_t middle = fork();
	if (middle == 0)
		supervise(ends[1], program);
	if (middle < 0)
		return false;
	kernel(SYS_close, ends[1]);
	while (waitpid(middle, &status, 0) < 0 && errno == EINTR)
		;
	bool is_there = kernel(SYS_read, ends[0], &supervisor, sizeof supervisor) == sizeof supervisor;
	if (is_there)
		permission_give(supervisor);
	bool is_allowed = is_there && kernel(SYS_write, ends[0], &ready, 1) == 1 && kernel(SYS_read, ends[0], &ready, 1) == 1;
	int number = is_allowed ? filter_install(concerns_of_run()) : -EPERM;
	if (number < 0) {
		kernel(SYS_close, ends[0]);
		return false;
	}
	bool is_ready = kernel(SYS_write, ends[0], &number, sizeof number) == sizeof number &&
			kernel(SYS_read, ends[0], &ready, 1) == 1;
	/* Nobody answers: our calls are to fail then, and not to wait for ever. close(2) is one of them. */
	if (!is_ready)
		kernel(SYS_close_range, number, number, 0);
	return is_ready;
}

/* A copy of what only the target has is a descriptor of ours, and not to be one of the program's. */
static void end_with_execution(const char *path)
{
	static const char MINE[] = "/proc/self/fd/";
	if (strncmp(path, MINE, sizeof MINE - 1) == 0)
		kernel(SYS_fcntl, atoi(path + sizeof MINE - 1), F_SETFD, FD_CLOEXEC);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fputs("usage: mirrord-supervisor PATH ARGV0 [ARGUMENTS...]\n", stderr);
		return NOT_STARTED;
	}
	reals_start();
	shim_begin();
	if (shim.has_session && !come_under_supervision())
		fprintf(stderr, "mirrord: cannot enter %s: this machine does not allow seccomp user notification; "
				"only its environment is the target's\n", argv[1]);
	end_with_execution(argv[1]);
	execve(argv[1], argv + 2, environ);
	int error = errno;
	fprintf(stderr, "mirrord: cannot run %s: %s\n", argv[1], strerror(error));
	return error == ENOENT ? 127 : NOT_STARTED;
}
