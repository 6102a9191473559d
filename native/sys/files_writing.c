/* files_writing.c - files below the root of another process that are written, for the agent. See files.c for how paths are
 * found and whose rights are taken.
 *
 * What is no regular file is not opened: a device means the machine the program runs on, a FIFO could keep us waiting
 * (ENXIO). It is looked at by O_PATH first; then open(2) with the flags as the program gave them has the last word, and
 * O_NONBLOCK keeps it from waiting for whatever has been put in that place meanwhile.
 */
#include "sys.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "files.h"

enum { RESOLVE_TRIES = 64 };
/* What a program may ask for here; it is the rest that would make a difference to us. */
enum {
	KNOWN_FLAGS = O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_NOFOLLOW | O_TMPFILE | O_DSYNC | O_SYNC |
		      O_NOATIME,
};

static int open_as(int root, const char *path, uint32_t flags, uint32_t mode, uint32_t mask)
{
	bool may_create = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
	struct open_how how = {
		.flags = (flags & KNOWN_FLAGS) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		.mode = may_create ? mode & 07777 : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	mode_t own = may_create ? umask_take(mask) : 0;
	int fd = -1;
	for (int tries = 0; tries < RESOLVE_TRIES; tries++) {
		fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	int status = fd < 0 ? -errno : fd;
	if (may_create)
		umask(own);
	return status;
}

/* Whether open(2) would open something that we do not: 0, or -ENXIO. */
static int is_strange(int root, const char *path, uint32_t flags)
{
	struct file_stat stat;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return 0; /* whatever is there makes it EEXIST */
	if (flags & O_DIRECTORY)
		return 0; /* nothing but a directory is opened then */
	int found = find_object(root, path, flags & O_NOFOLLOW);
	if (found < 0)
		return 0;
	int status = stat_object(found, "", &stat);
	close(found);
	bool is_usual = status < 0 || S_ISREG(stat.mode) || S_ISDIR(stat.mode) || S_ISLNK(stat.mode);
	return is_usual ? 0 : -ENXIO;
}

/* What is told beside errno and stat, and remembered of the file from one use of it to the next. */
struct written {
	uint64_t done;	     /* bytes that were written */
	uint64_t free;	     /* bytes that the file system can still take */
	uint64_t is_changed; /* by others since the last use */
	uint64_t is_known;   /* the rest is how the file was left */
	uint64_t size, mtime_sec, mtime_nsec;
};

#define UNBOUNDED (~(uint64_t)0 >> 1)

static uint64_t free_bytes(int fd)
{
	struct statfs it;
	if (fstatfs(fd, &it) < 0 || it.f_blocks == 0)
		return UNBOUNDED;
	uint64_t unit = it.f_frsize > 0 ? (uint64_t)it.f_frsize : (uint64_t)it.f_bsize;
	uint64_t blocks = syscall(SYS_setfsuid, -1) == 0 ? it.f_bfree : it.f_bavail;
	return unit == 0 || blocks > UNBOUNDED / unit ? UNBOUNDED : blocks * unit;
}

static void compare(int fd, struct written *it)
{
	struct stat now;
	it->is_changed = it->is_known && fstat(fd, &now) == 0 &&
			 (it->size != (uint64_t)now.st_size || it->mtime_sec != (uint64_t)now.st_mtim.tv_sec ||
			  it->mtime_nsec != (uint64_t)now.st_mtim.tv_nsec);
}

static void remember(int fd, struct written *it)
{
	struct stat now;
	it->is_known = fstat(fd, &now) == 0;
	it->size = (uint64_t)now.st_size;
	it->mtime_sec = (uint64_t)now.st_mtim.tv_sec;
	it->mtime_nsec = (uint64_t)now.st_mtim.tv_nsec;
	it->free = free_bytes(fd);
}

static int64_t read_contents(int fd, uint8_t *data, uint32_t capacity, int32_t *rest)
{
	char link[32];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	int reading = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (reading < 0)
		return -errno;
	uint32_t count = 0;
	ssize_t got = 1;
	while (count < capacity && got != 0) {
		got = pread(reading, data + count, capacity - count, (off_t)count);
		if (got < 0 && errno != EINTR)
			break;
		count += got > 0 ? (uint32_t)got : 0;
	}
	int error = got < 0 ? -errno : 0;
	uint8_t next;
	if (error == 0 && count == capacity && pread(reading, &next, 1, (off_t)count) == 1)
		*rest = reading;
	else
		close(reading);
	return error ? error : (int64_t)count;
}

/* A descriptor that reads what `fd` writes, if the target's user may: or -errno. */
SYS int32_t files_reopen(int32_t fd, const uint32_t *rights)
{
	char link[32];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	rights_take(rights);
	int64_t status = result(open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
	rights_lay_down(rights);
	return (int32_t)status;
}

/* Opens for writing, or creates, as the target's user, with the program's umask `mask`. `fds`: the file, and when its contents are wanted
 * (`capacity` is not 0) and are more than `data` holds, a descriptor for files_read_at, else -1. Bytes put into
 * `data`, or -errno. */
SYS int32_t files_open_writing(int32_t root, const char *path, uint32_t flags, uint32_t mode, uint32_t mask,
			       const uint32_t *rights, uint8_t *data, uint32_t capacity, struct file_stat *stat, int32_t *fds,
			       struct written *news)
{
	fds[0] = fds[1] = -1;
	rights_take(rights);
	int64_t count = (flags & O_TMPFILE) == O_TMPFILE ? 0 : is_strange(root, path, flags);
	int fd = count < 0 ? (int)count : open_as(root, path, flags, mode, mask);
	if (fd < 0) {
		count = fd;
	} else {
		count = stat_object(fd, "", stat);
		if (count == 0 && !S_ISREG(stat->mode))
			count = S_ISDIR(stat->mode) ? -EISDIR : -ENXIO;
		if (count == 0 && capacity > 0 && stat->size > 0)
			count = read_contents(fd, data, capacity, &fds[1]);
		if (count < 0)
			close(fd);
		else
			remember(fds[0] = fd, news);
	}
	rights_lay_down(rights);
	return (int32_t)count;
}

static int write_all(int fd, uint64_t offset, const uint8_t *data, uint32_t length, uint64_t *written)
{
	for (uint32_t done = 0; done < length;) {
		ssize_t count = pwrite(fd, data + done, length - done, (off_t)(offset + done));
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		done += (uint32_t)count;
		*written += (uint64_t)count;
	}
	return 0;
}

/* As the wire's Patch has them: the bytes of all ranges, then where each belongs. */
static int write_ranges(int fd, uint64_t offset, const uint8_t *data, uint32_t length, uint32_t ranges, uint64_t *written)
{
	if (ranges > length / 8)
		return -EINVAL;
	const uint8_t *table = data + length - (size_t)ranges * 8;
	for (const uint8_t *at = data; ranges > 0; ranges--, table += 8) {
		uint32_t place[2];
		memcpy(place, table, sizeof place);
		if (place[1] > (size_t)(data + length - at))
			return -EINVAL;
		int status = write_all(fd, offset + place[0], at, place[1], written);
		if (status < 0)
			return status;
		at += place[1];
	}
	return 0;
}

/* The words of Write in src/proto/agent.ts. */
enum { SET_SIZE = 1, SYNC = 2, SYNC_DATA = 4, STAT = 8 };

/* In this order: sets the size, writes, synchronizes, each as `then` says, until one fails: -errno; stats in any case. */
SYS int32_t files_write(int32_t fd, uint32_t then, uint64_t size, uint64_t offset, const uint8_t *data, uint32_t length,
			uint32_t ranges, const uint32_t *rights, struct file_stat *stat, struct written *news)
{
	rights_take(rights);
	news->done = 0;
	compare(fd, news);
	int64_t status = then & SET_SIZE ? result(ftruncate(fd, (off_t)size)) : 0;
	if (status == 0)
		status = ranges ? write_ranges(fd, offset, data, length, ranges, &news->done) :
				  write_all(fd, offset, data, length, &news->done);
	if (status == 0 && then & SYNC)
		status = result(fsync(fd));
	if (status == 0 && then & SYNC_DATA)
		status = result(fdatasync(fd));
	int known = then & STAT ? stat_object(fd, "", stat) : 0;
	if (status == 0)
		status = known;
	remember(fd, news);
	rights_lay_down(rights);
	return (int32_t)status;
}

/* fallocate(2). 0 or -errno. */
SYS int32_t files_allocate(int32_t fd, uint32_t mode, uint64_t offset, uint64_t length, const uint32_t *rights)
{
	rights_take(rights);
	int64_t status = result(fallocate(fd, (int)mode, (off_t)offset, (off_t)length));
	rights_lay_down(rights);
	return (int32_t)status;
}
