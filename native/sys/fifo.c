/* fifo.c - ends of FIFOs: the target's, for the agent, and those of a run, for the intproxy. Nothing here waits.
 *
 * A FIFO has no end before somebody has written: what read(2) tells as one until then is "nothing yet" (EAGAIN). The kernel's
 * POLLHUP knows: it needs a writer that has come and gone since this end was opened.
 */
#include "sys.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

/* The FIFO `path` of the target, if it is this inode: an O_PATH descriptor, or -errno. */
SYS int32_t fifo_find(int32_t root, const char *path, uint64_t dev, uint64_t ino, const uint32_t *rights)
{
	struct file_stat stat;
	rights_take(rights);
	int found = find_object(root, path, 0);
	int status = found < 0 ? found : stat_object(found, "", &stat);
	rights_lay_down(rights);
	if (status >= 0 && !S_ISFIFO(stat.mode))
		status = -ENXIO;
	else if (status >= 0 && (stat.dev != dev || stat.ino != ino))
		status = -ESTALE;
	if (status < 0 && found >= 0)
		close(found);
	return status < 0 ? status : found;
}

/* An end of what was found, as the target's user; -ENXIO: to write, and nobody reads. */
SYS int32_t fifo_open_found(int32_t found, uint32_t is_writing, const uint32_t *rights)
{
	char link[32];
	snprintf(link, sizeof link, "/proc/self/fd/%d", found);
	rights_take(rights);
	int64_t fd = result(open(link, (is_writing ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_CLOEXEC));
	rights_lay_down(rights);
	return (int32_t)fd;
}

/* The same of a FIFO of ours; 2: both ends in one. */
SYS int32_t fifo_open(const char *path, uint32_t mode)
{
	return (int32_t)result(open(path, (int)mode | O_NONBLOCK | O_CLOEXEC));
}

/* A new one that everybody may use: its mode is the mark by which the shim knows it (native/fds.h). */
SYS int32_t fifo_make(const char *path)
{
	if (mkfifo(path, 0600) < 0)
		return -errno;
	return (int32_t)result(chmod(path, S_ISVTX | 0666));
}

static short events_of(int fd)
{
	struct pollfd it = { .fd = fd, .events = POLLIN };
	return poll(&it, 1, 0) > 0 ? it.revents : 0;
}

/* Whether somebody writes, or has written since this end was opened. */
SYS int32_t fifo_has_writer(int32_t fd)
{
	int scratch[2];
	if (events_of(fd) & (POLLIN | POLLHUP))
		return 1;
	/* A writer that says nothing: tee(2) of an empty FIFO is EAGAIN then, and 0 where nobody writes. */
	if (pipe2(scratch, O_CLOEXEC | O_NONBLOCK) < 0)
		return 0;
	ssize_t count = tee(fd, scratch[1], 1, SPLICE_F_NONBLOCK);
	int has_writer = count > 0 || (count < 0 && errno == EAGAIN);
	close(scratch[0]);
	close(scratch[1]);
	return has_writer;
}

SYS int32_t fifo_read(int32_t fd, uint8_t *into, uint32_t room)
{
	ssize_t count;
	do
		count = read(fd, into, room);
	while (count < 0 && errno == EINTR);
	if (count == 0 && !(events_of(fd) & POLLHUP))
		return -EAGAIN;
	return count < 0 ? -errno : (int32_t)count;
}

/* SIGPIPE is ignored by the runtime. */
SYS int32_t fifo_write(int32_t fd, const uint8_t *bytes, uint32_t length)
{
	ssize_t count;
	do
		count = write(fd, bytes, length);
	while (count < 0 && errno == EINTR);
	return count < 0 ? -errno : (int32_t)count;
}

/* Readable when something that was opened in this directory has been closed by its last owner. */
SYS int32_t fifo_watch(const char *directory)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (inotify_add_watch(fd, directory, IN_CLOSE | IN_ONLYDIR) < 0) {
		int error = errno;
		close(fd);
		return -error;
	}
	return fd;
}
