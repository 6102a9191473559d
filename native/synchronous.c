/* synchronous.c - hooks of writing: to files that were opened with O_SYNC or O_DSYNC, or whose target has little room; and of giving
 * files room.
 *
 * What is no file of the target costs its writes a load and a branch.
 */
#include "attempts.h"
#include "netlink.h"
#include "big.h"
#include "real.h"
#include "remote.h"
#include "writing.h"

#include <fcntl.h>
#include <sys/uio.h>

static ssize_t synchronized(ssize_t result, int fd, int flags)
{
	if (likely(result <= 0 || (!writing_is_synchronous() && !flags)))
		return result;
	uint64_t file = writing_file_of(fd);
	long modes = file ? kernel(SYS_fcntl, fd, F_GETFL) | flags : 0;
	if (!(modes & O_DSYNC))
		return result;
	int error = writing_sync(file, (modes & O_SYNC) == O_SYNC ? WRITING_SYNC_ALL : WRITING_SYNC_DATA);
	return error ? edge(error) : result;
}

/* What the target could not take is taken back: as much as it has counts, as write(2) has it on a full disk. */
__attribute__((noinline)) static ssize_t taken_back(ssize_t result, int fd, int64_t offset, uint64_t size, int error)
{
	int64_t from = offset >= 0 ? offset : kernel(SYS_lseek, fd, 0, SEEK_CUR) - result;
	int64_t taken = size < (uint64_t)(from + result) ? (int64_t)size - from : 0;
	if (taken < 0)
		taken = 0;
	if (offset < 0)
		kernel(SYS_lseek, fd, from + taken, SEEK_SET);
	return taken > 0 ? (ssize_t)taken : edge(error);
}

ssize_t writing_done(ssize_t result, int fd, int64_t offset)
{
	uint64_t size = UINT64_MAX;
	if (result <= 0)
		return result;
	int error = writing_check(fd, result, &size);
	return likely(!error) ? result : taken_back(result, fd, offset, size, error);
}

static ssize_t written(ssize_t result, int fd, int64_t offset, int flags)
{
	if (likely(big_mark_of(fd) != WRITTEN_MARK))
		return result;
	return synchronized(writing_done(result, fd, offset), fd, flags);
}

ssize_t hook_write(int fd, const void *from, size_t length)
{
	if (netlink_may_be(fd))
		return edge(netlink_send(fd, &(struct iovec){ (void *)from, length }, 1));
	return written(attempts_judged(fd, real.write(fd, from, length)), fd, -1, 0);
}

ssize_t hook_pwrite(int fd, const void *from, size_t length, off_t offset)
{
	return written(real.pwrite(fd, from, length, offset), fd, offset, 0);
}

ssize_t hook_writev(int fd, const struct iovec *parts, int count)
{
	return written(attempts_judged(fd, real.writev(fd, parts, count)), fd, -1, 0);
}

ssize_t hook_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
	return written(real.pwritev(fd, parts, count, offset), fd, offset, 0);
}

ssize_t hook_pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
	int modes = flags & RWF_SYNC ? O_SYNC : flags & RWF_DSYNC ? O_DSYNC : 0;
	return written(real.pwritev2(fd, parts, count, offset, flags), fd, offset, modes);
}

/* A file that is cut gives its room back: where there is little, that has to happen before more is written. */
int hook_ftruncate(int fd, off_t length)
{
	struct stat st;
	int result = real.ftruncate(fd, length);
	if (likely(result < 0 || big_mark_of(fd) != WRITTEN_MARK))
		return result;
	if (kernel(SYS_fstat, fd, &st) < 0 || !fds_is_asking(st.st_mode, st.st_nlink))
		return result;
	return edge(writing_sync(writing_file_of(fd), WRITING_SYNC));
}

/* At the target, whose room it is. Ours only gets the size: memory comes when it is written. */
static long try_allocate(int fd, int mode, off_t offset, off_t length)
{
	struct stat st;
	uint64_t file = writing_file_of(fd);
	if (likely(!file) || (mode & ~FALLOC_FL_KEEP_SIZE) || offset < 0 || length <= 0)
		return BYPASS; /* holes are made in ours, and get to the target as zeros */
	long flags = kernel(SYS_fcntl, fd, F_GETFL);
	if ((flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	int error = writing_allocate(file, mode, offset, length);
	bool grows = !error && !mode && !(flags & O_APPEND) && kernel(SYS_fstat, fd, &st) == 0;
	if (grows && st.st_size < offset + length)
		return kernel(SYS_ftruncate, fd, offset + length);
	return error;
}

int hook_fallocate(int fd, int mode, off_t offset, off_t length)
{
	long result = try_allocate(fd, mode, offset, length);
	return result == BYPASS ? real.fallocate(fd, mode, offset, length) : edge(result);
}

/* "returns zero on success, or an error number on failure"; errno is not set. */
int hook_posix_fallocate(int fd, off_t offset, off_t length)
{
	long result = try_allocate(fd, 0, offset, length);
	/* File systems that cannot are helped by writing zeros, which libc does. */
	if (result == BYPASS || result == -EOPNOTSUPP)
		return real.posix_fallocate(fd, offset, length);
	return result < 0 ? (int)-result : 0;
}
