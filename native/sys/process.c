/* process.c - become another program, start one that is nobody's child, ask what a file may do
 *
 * Vectors (arguments, environment) come as NUL-terminated strings end to end, with their number.
 */
#include "sys.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Points into `block`; the caller frees it. */
static char **vector_of(char *block, uint32_t count)
{
	char **vector = calloc((size_t)count + 1, sizeof *vector);
	if (!vector) return NULL;
	for (uint32_t i = 0; i < count; i++) {
		vector[i] = block;
		block += strlen(block) + 1;
	}
	return vector;
}

/* Replaces this process: same PID, same descriptors but those that close on exec. Returns only -errno.
 *
 * Should be called on the main thread. What our runtime changed is put back: the soft limit of open files, and which
 * signals are ignored (bit N-1 of `ignored`: signal N), which of the descriptors 0 to 2 are closed (bit N of `closed`).
 * Handlers go with exec; what the user blocks stays so.
 */
SYS int32_t process_become(const char *path, char *arguments, uint32_t argument_count, char *environment,
			   uint32_t variable_count, uint64_t soft_files, uint64_t hard_files, uint64_t ignored,
			   uint32_t closed)
{
	char **argv = vector_of(arguments, argument_count), **envp = vector_of(environment, variable_count);
	struct rlimit before, limit = { soft_files, hard_files };
	if (!argv || !envp) return -ENOMEM;
	getrlimit(RLIMIT_NOFILE, &before);
	if (hard_files > 0) setrlimit(RLIMIT_NOFILE, &limit);
	for (int number = 1; number < NSIG; number++) signal(number, ignored >> (number - 1) & 1 ? SIG_IGN : SIG_DFL);
	for (int fd = 0; fd < 3; fd++)
		if (closed >> fd & 1) fcntl(fd, F_SETFD, FD_CLOEXEC);
	execve(path, argv, envp);
	int error = errno;
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &before);
	free(argv);
	free(envp);
	return -error;
}

/* Runs between fork and exec of a process with threads: only what is safe in a signal handler. */
static void become_detached(char **argv, char **envp, int report)
{
	sigset_t none;
	sigemptyset(&none);
	int null = open("/dev/null", O_RDWR);
	int error = null < 0 || chdir("/") < 0 ? errno : 0;
	for (int fd = 0; fd < 3 && !error; fd++)
		if (dup2(null, fd) < 0) error = errno;
	/* All others end here, but the pipe that says whether exec worked, which ends with it. */
	if (!error && dup3(report, 3, O_CLOEXEC) < 0 && report != 3) error = errno;
	close_range(4, ~0U, 0);
	for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (!error) {
		execve(argv[0], argv, envp);
		error = errno;
	}
	if (write(3, &error, sizeof error) < 0) _exit(126);
	_exit(127);
}

/* Starts a program in a session of its own, at /, without terminal or descriptors, as a child of init (or of a subreaper):
 * wait(2) in this process, or in what it becomes, never sees it. Its PID, or -errno, also that of its execve. */
SYS int32_t process_spawn_detached(char *arguments, uint32_t argument_count, char *environment, uint32_t variable_count)
{
	char **argv = vector_of(arguments, argument_count), **envp = vector_of(environment, variable_count);
	int report[2], pids[2];
	int32_t outcome = -EIO;
	pid_t pid = 0;
	if (!argv || !envp) return -ENOMEM;
	if (pipe2(report, O_CLOEXEC) < 0) return -errno;
	if (pipe2(pids, O_CLOEXEC) < 0) return -errno;
	pid_t middle = fork();
	if (middle == 0) {
		setsid();
		pid = fork();
		if (pid == 0) become_detached(argv, envp, report[1]);
		if (write(pids[1], &pid, sizeof pid) < 0) _exit(1);
		_exit(0);
	}
	close(report[1]);
	close(pids[1]);
	if (middle < 0) outcome = -errno;
	while (middle > 0 && waitpid(middle, NULL, 0) < 0 && errno == EINTR) continue;
	if (middle > 0 && read(pids[0], &pid, sizeof pid) == sizeof pid) {
		int error = 0;
		outcome = read(report[0], &error, sizeof error) == sizeof error ? -error : pid;
	}
	close(report[0]);
	close(pids[0]);
	free(argv);
	free(envp);
	return outcome;
}

/* This process is its parent's servant: it ends with it whatever it does just then, and goes first when memory is short. `parent` is who started it; -ESRCH when that has ended already. */
SYS int32_t process_serve_parent(int32_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return -errno;
	if (getppid() != parent) return -ESRCH;
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0) return 0;
	ssize_t written = write(fd, "1000", 4);
	close(fd);
	return written == 4 ? 0 : -EIO;
}

/* The working directory as the kernel has it, which need not be text. Its length, or -errno. */
SYS int32_t process_working_directory(char *into, uint32_t room)
{
	return getcwd(into, room) ? (int32_t)strlen(into) : -errno;
}

/* May this process run the file? 0 or -errno, by its effective ids as execve(2) judges. */
SYS int32_t process_may_execute(const char *path)
{
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* Does running the file give rights this process does not have (set-id bits, file capabilities)? The loader then leaves
 * LD_PRELOAD aside. 1, 0 or -errno. */
SYS int32_t process_gains_rights(const char *path)
{
	struct stat info;
	if (stat(path, &info) < 0) return -errno;
	if ((info.st_mode & S_ISUID) && info.st_uid != geteuid()) return 1;
	if ((info.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && info.st_gid != getegid()) return 1;
	if (geteuid() == 0) return 0;
	return getxattr(path, "security.capability", NULL, 0) > 0;
}

static int may_trace_all(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { 0 };
	return syscall(SYS_capget, &header, sets) == 0 && sets[0].effective & CAP_TO_MASK(CAP_SYS_PTRACE);
}

/* May a process of ours have the system calls of another told, its memory read and its descriptors taken? 0 or -errno. */
SYS int32_t process_may_supervise(void)
{
	uint32_t action = SECCOMP_RET_USER_NOTIF;
	char scope = '0', here = 0, there = 0;
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0) return errno == EPERM ? -EPERM : -ENOSYS;
	/* Of a number that is none of a process: EBADF where it is allowed. */
	if (syscall(SYS_pidfd_getfd, -1, 0, 0) < 0 && errno != EBADF) return errno == EPERM ? -EPERM : -ENOSYS;
	struct iovec own = { &here, 1 }, other = { &there, 1 };
	if (process_vm_readv(getpid(), &own, 1, &other, 1, 0) != 1) return -EPERM;
	/* Yama. 1: whom the process names, and so it does (supervisor/permission.c); 2: who may look into all; 3: nobody. */
	int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (read(fd, &scope, 1) != 1) scope = '0';
		close(fd);
	}
	return scope < '2' || (scope == '2' && may_trace_all()) ? 0 : -EPERM;
}
