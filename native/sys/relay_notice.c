/* relay_notice.c - a last word on the stderr of a program that is about to be ended. */
#include "sys.h"
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The program's own open file, at its own place in it, be it file, pipe, terminal or socket (pidfd_getfd(2), needs the
 * right to trace the process); or -errno. */
static int shared_stderr(int32_t pid)
{
	int process = (int)syscall(SYS_pidfd_open, pid, 0);
	if (process < 0)
		return -errno;
	int fd = (int)syscall(SYS_pidfd_getfd, process, 2, 0);
	int error = errno;
	close(process);
	return fd < 0 ? -error : fd;
}

/* The same file opened anew: sockets cannot be, and in a file that others write at their own place what is appended may be
 * written over. */
static int reopened_stderr(int32_t pid)
{
	char path[40];
	struct stat status;
	snprintf(path, sizeof path, "/proc/%d/fd/2", pid);
	if (stat(path, &status) != 0)
		return -errno;
	if (S_ISSOCK(status.st_mode))
		return -EOPNOTSUPP;
	int fd = open(path, O_WRONLY | O_APPEND | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Writes `length` bytes to what descriptor 2 of process `pid` stands for. Never waits (a full pipe loses the sentence),
 * never takes the terminal as ours. 0 or -errno. */
SYS int32_t relay_notice(int32_t pid, const uint8_t *text, uint32_t length)
{
	int fd = shared_stderr(pid);
	if (fd < 0)
		fd = reopened_stderr(pid);
	if (fd < 0)
		return fd;
	/* The open file is the program's: its flags stay as they are. A pipe that polls writable takes PIPE_BUF bytes. */
	struct pollfd ready = { .fd = fd, .events = POLLOUT };
	int error = poll(&ready, 1, 0) != 1 ? -EAGAIN : write(fd, text, length) < 0 ? -errno : 0;
	close(fd);
	return error;
}
