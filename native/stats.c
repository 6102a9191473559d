/* stats.c - hooks of the stat family: of remote paths, and of the memfds that stand for remote files. */
#include "fds.h"
#include "fifo.h"
#include "fresh.h"
#include "real.h"
#include "tree.h"
#include "writing.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

static void show(const struct wire_stat *from, struct stat *st)
{
	*st = (struct stat){
		.st_dev = from->dev,
		.st_ino = from->ino,
		.st_mode = from->mode,
		.st_nlink = from->nlink,
		.st_uid = from->uid,
		.st_gid = from->gid,
		.st_rdev = from->rdev,
		.st_size = from->size,
		.st_blksize = from->blksize,
		.st_blocks = (blkcnt_t)from->blocks,
		.st_atim = { from->atime_sec, from->atime_nsec },
		.st_mtim = { from->mtime_sec, from->mtime_nsec },
		.st_ctim = { from->ctime_sec, from->ctime_nsec },
	};
}

/* What the kernel does not know of is an error, as it is there. */
enum {
	STAT_FLAGS = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH,
	STATX_FLAGS = STAT_FLAGS | AT_STATX_SYNC_TYPE,
};

/* File systems fill in all but the time of birth, asked or not. */
static void show_extended(const struct wire_stat *from, unsigned mask, struct statx *stx)
{
	bool has_birth = (mask & STATX_BTIME) && from->btime_sec != 0;
	*stx = (struct statx){
		.stx_mask = STATX_BASIC_STATS | (has_birth ? STATX_BTIME : 0),
		.stx_blksize = from->blksize,
		.stx_nlink = from->nlink,
		.stx_uid = from->uid,
		.stx_gid = from->gid,
		.stx_mode = (uint16_t)from->mode,
		.stx_ino = from->ino,
		.stx_size = (uint64_t)from->size,
		.stx_blocks = from->blocks,
		.stx_atime = { .tv_sec = from->atime_sec, .tv_nsec = from->atime_nsec },
		.stx_btime = { .tv_sec = has_birth ? from->btime_sec : 0, .tv_nsec = has_birth ? from->btime_nsec : 0 },
		.stx_ctime = { .tv_sec = from->ctime_sec, .tv_nsec = from->ctime_nsec },
		.stx_mtime = { .tv_sec = from->mtime_sec, .tv_nsec = from->mtime_nsec },
		.stx_rdev_major = major(from->rdev),
		.stx_rdev_minor = minor(from->rdev),
		.stx_dev_major = major(from->dev),
		.stx_dev_minor = minor(from->dev),
	};
}

/* After a stat of a descriptor: when it is one of ours, what it stands for. */
static int shown(int result, int fd, struct stat *st)
{
	struct wire_stat remote;
	if (result == 0 && fds_is_ours(st->st_mode, st->st_nlink) && fds_stat(fd, &remote) == 0) {
		fresh_stat(fd, st->st_ino, &remote);
		show(&remote, st);
	} else if (result == 0 && fds_is_written(st->st_mode, st->st_nlink) && writing_stat(fd, &remote) == 0) {
		show(&remote, st);
	} else if (result == 0 && fifo_may_be_ours(st->st_mode) && fifo_stat(fd, &remote) == 0) {
		show(&remote, st);
	}
	return result;
}

static inline bool stands_for_another(uint32_t mode, uint64_t links)
{
	return fds_is_ours(mode, links) || fds_is_written(mode, links) || fifo_may_be_ours(mode);
}

/* After a stat of a path that is local, when it leads to memory of ours: as /proc/self/fd/3 and /dev/stdin may. */
__attribute__((noinline, cold)) static void show_linked(int dirfd, const char *path, struct stat *st)
{
	int fd = (int)kernel(SYS_openat, dirfd, path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return;
	shown(0, fd, st);
	kernel(SYS_close, fd);
}

static int shown_of(int result, int dirfd, const char *path, struct stat *st)
{
	if (unlikely(result == 0 && stands_for_another(st->st_mode, st->st_nlink)))
		show_linked(dirfd, path, st);
	return result;
}

/* BYPASS, or the result of a stat of a path. */
static long stat_at(int dirfd, const char *path, struct stat *st, int flags)
{
	struct wire_stat remote;
	if (unlikely(flags & ~STAT_FLAGS))
		return BYPASS;
	long result = try_stat(dirfd, path, flags, &remote);
	if (unlikely(result == 0 && !may_be_address(st)))
		return -EFAULT;
	if (result == 0)
		show(&remote, st);
	return result;
}

long stat_by_kernel(int dirfd, const char *path, struct stat *st, int flags)
{
	long result = is_of_descriptor(path, flags) ? BYPASS : stat_at(dirfd, path, st, flags);
	if (result == BYPASS)
		result = kernel(SYS_newfstatat, dirfd, path, st, flags);
	else
		return result;
	return is_of_descriptor(path, flags) ? shown((int)result, dirfd, st) : shown_of((int)result, dirfd, path, st);
}

int hook_stat(const char *path, struct stat *st)
{
	long result = stat_at(AT_FDCWD, path, st, 0);
	return result == BYPASS ? shown_of(real.stat(path, st), AT_FDCWD, path, st) : edge(result);
}

int hook_lstat(const char *path, struct stat *st)
{
	long result = stat_at(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
	return result == BYPASS ? real.lstat(path, st) : edge(result);
}

int hook_fstat(int fd, struct stat *st)
{
	return shown(real.fstat(fd, st), fd, st);
}

int hook_fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	if (is_of_descriptor(path, flags))
		return shown(real.fstatat(dirfd, path, st, flags), dirfd, st);
	long result = stat_at(dirfd, path, st, flags);
	return result == BYPASS ? shown_of(real.fstatat(dirfd, path, st, flags), dirfd, path, st) : edge(result);
}

/* The names that programs linked before glibc 2.33 call. */
int hook___xstat(int version, const char *path, struct stat *st)
{
	long result = stat_at(AT_FDCWD, path, st, 0);
	return result == BYPASS ? shown_of(real.__xstat(version, path, st), AT_FDCWD, path, st) : edge(result);
}

int hook___lxstat(int version, const char *path, struct stat *st)
{
	long result = stat_at(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
	return result == BYPASS ? real.__lxstat(version, path, st) : edge(result);
}

int hook___fxstat(int version, int fd, struct stat *st)
{
	return shown(real.__fxstat(version, fd, st), fd, st);
}

int hook___fxstatat(int version, int dirfd, const char *path, struct stat *st, int flags)
{
	if (is_of_descriptor(path, flags))
		return shown(real.__fxstatat(version, dirfd, path, st, flags), dirfd, st);
	long result = stat_at(dirfd, path, st, flags);
	return result == BYPASS ? shown_of(real.__fxstatat(version, dirfd, path, st, flags), dirfd, path, st) : edge(result);
}

/* After statx(2) of a descriptor. */
static int shown_extended(int result, int fd, unsigned mask, struct statx *stx)
{
	struct wire_stat remote;
	if (result == 0 && fds_is_ours(stx->stx_mode, stx->stx_nlink) && fds_stat(fd, &remote) == 0) {
		fresh_stat(fd, stx->stx_ino, &remote);
		show_extended(&remote, mask, stx);
	} else if (result == 0 && fds_is_written(stx->stx_mode, stx->stx_nlink) && writing_stat(fd, &remote) == 0) {
		show_extended(&remote, mask, stx);
	} else if (result == 0 && fifo_may_be_ours(stx->stx_mode) && fifo_stat(fd, &remote) == 0) {
		show_extended(&remote, mask, stx);
	}
	return result;
}

/* As show_linked(). */
__attribute__((noinline, cold)) static void show_extended_link(int dirfd, const char *path, unsigned mask, struct statx *stx)
{
	int fd = (int)kernel(SYS_openat, dirfd, path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return;
	shown_extended(0, fd, mask, stx);
	kernel(SYS_close, fd);
}

int hook_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx)
{
	struct wire_stat remote;
	if (is_of_descriptor(path, flags))
		return shown_extended(real.statx(dirfd, path, flags, mask, stx), dirfd, mask, stx);
	int sync = flags & AT_STATX_SYNC_TYPE;
	bool is_wrong = (flags & ~STATX_FLAGS) || sync == AT_STATX_SYNC_TYPE || (mask & STATX__RESERVED);
	long result = is_wrong ? BYPASS : try_stat(dirfd, path, flags, &remote);
	if (result == BYPASS) {
		int local = real.statx(dirfd, path, flags, mask, stx);
		if (unlikely(local == 0 && stands_for_another(stx->stx_mode, stx->stx_nlink)))
			show_extended_link(dirfd, path, mask, stx);
		return local;
	}
	if (unlikely(result == 0 && !may_be_address(stx)))
		result = -EFAULT;
	if (result == 0)
		show_extended(&remote, mask, stx);
	return edge(result);
}

/* As glibc makes it: of the file's numbers and the project's. */
key_t hook_ftok(const char *path, int project)
{
	struct wire_stat remote;
	long result = try_stat(AT_FDCWD, path, 0, &remote);
	if (result == BYPASS)
		return real.ftok(path, project);
	if (edge(result) < 0)
		return -1;
	return (key_t)((remote.ino & 0xffff) | (remote.dev & 0xff) << 16 | ((uint32_t)project & 0xff) << 24);
}
