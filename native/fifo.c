/* fifo.c - see fifo.h. */
#include "fifo.h"
#include "fds.h"
#include "remote.h"
#include "wire.h"
#ifdef MIRRORD_SUPERVISOR
#include "supervisor/reals.h"
#endif

#include <fcntl.h>
#include <poll.h>

/* What stands for the FIFO here. 0 and a token, or -errno. */
static int ask_for_place(struct wire_bytes path, int flags, char into[WIRE_PATH_BYTES], uint64_t *token,
			 bool *was_interrupted)
{
	struct wire_call call;
	struct wire_open_fifo message = { .path = path, .flags = (uint32_t)flags };
	size_t length = wire_put_open_fifo(call.buffer, sizeof call.buffer, WIRE_ID, message);
	int error = wire_ask_like_open(&call, length, WIRE_FIFO_PLACE);
	if (error)
		return error;
	struct wire_fifo_place reply = { 0 };
	if (wire_finish(&call, wire_get_fifo_place(&call.in, &reply)) || reply.path.length >= WIRE_PATH_BYTES)
		return -EIO;
	if (reply.error)
		return refused(reply.error);
	memcpy(into, reply.path.at, reply.path.length);
	into[reply.path.length] = '\0';
	*token = reply.token;
	*was_interrupted = call.was_interrupted;
	return 0;
}

__attribute__((noinline)) static void say_opened(uint64_t token)
{
	struct wire_call call;
	struct wire_fifo_opened message = { .token = token };
	wire_tell(&call, wire_put_fifo_opened(call.buffer, sizeof call.buffer, WIRE_ID, message));
}

#ifdef MIRRORD_SUPERVISOR

static bool has_writer(int fd)
{
	int scratch[2];
	struct pollfd it = { .fd = fd, .events = POLLIN };
	if (kernel(SYS_poll, &it, 1, 0) > 0)
		return true;
	/* One that says nothing: tee(2) of an empty FIFO is EAGAIN then, and 0 where nobody writes. */
	if (kernel(SYS_pipe2, scratch, O_CLOEXEC | O_NONBLOCK) < 0)
		return true;
	long count = kernel(SYS_tee, fd, scratch[1], 1, SPLICE_F_NONBLOCK);
	kernel(SYS_close, scratch[0]);
	kernel(SYS_close, scratch[1]);
	return count != 0;
}

/* In the place of another process, which may be killed meanwhile: not in the kernel. */
static int wait_open(const char *path, int flags)
{
	int fd = -ENXIO, error = 0;
	if ((flags & O_NONBLOCK) || (flags & O_ACCMODE) == O_RDWR)
		return (int)kernel(SYS_openat, AT_FDCWD, path, flags);
	while (!error) {
		if (fd == -ENXIO)
			fd = (int)kernel(SYS_openat, AT_FDCWD, path, flags | O_NONBLOCK);
		if (fd < 0 ? fd != -ENXIO : (flags & O_ACCMODE) == O_WRONLY || has_writer(fd))
			break;
		kernel(SYS_poll, NULL, 0, 10);
		error = reals_end_of_wait();
	}
	if (fd >= 0 && error)
		kernel(SYS_close, fd);
	else if (fd >= 0)
		kernel(SYS_fcntl, fd, F_SETFL, flags & ~O_NONBLOCK);
	return error ? error : fd;
}

#else

static int wait_open(const char *path, int flags)
{
	return (int)kernel(SYS_openat, AT_FDCWD, path, flags);
}

#endif

__attribute__((noinline, cold)) int fifo_open(struct wire_bytes path, int flags)
{
	enum { KEPT = O_ACCMODE | O_NONBLOCK | O_CLOEXEC | O_APPEND | O_DSYNC | O_SYNC | O_NOCTTY };
	char here[WIRE_PATH_BYTES];
	uint64_t token;
	bool was_interrupted;
	if ((flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	int error = ask_for_place(path, flags, here, &token, &was_interrupted);
	if (error)
		return error;
	bool is_patient = !(flags & O_NONBLOCK);
	int fd = was_interrupted && is_patient ? -EINTR : wait_open(here, flags & KEPT);
	say_opened(token);
	return fd;
}

int fifo_stat(int fd, struct wire_stat *stat)
{
	enum { DIGITS = 2 * WIRE_STAT_BYTES };
	static const char folder[] = "/fifos/";
	char link[WIRE_PATH_BYTES];
	long length = fds_link(fd, link, sizeof link);
	/* Behind a name that was removed the kernel says so. */
	const char *name = length > 0 ? memmem(link, (size_t)length, folder, sizeof folder - 1) : NULL;
	size_t left = name ? (size_t)(link + length - name) - (sizeof folder - 1) : 0;
	return left >= DIGITS && fds_read_stat(name + sizeof folder - 1, stat) ? 0 : -EBADF;
}
