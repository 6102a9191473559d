/* filesystems.c - hooks of calls that ask what file system a path or an open file lies on. */
#include "real.h"
#include "tree.h"

#include <fcntl.h>
#include <linux/magic.h>

/* BYPASS, or 0 and the words, or -errno. */
static long try_stat_fs(const char *path, uint64_t words[FS_WORDS])
{
	struct place place;
	switch (locate_followed(AT_FDCWD, path, false, &place)) {
	case LOCAL:
		return BYPASS;
	case ABSENT:
		return -ENOENT;
	default:
		return remote_stat_fs(place.path, words);
	}
}

static long try_stat_fs_of(int fd, uint64_t words[FS_WORDS])
{
	struct place place;
	struct subject subject;
	long result = path_of(fd, &place, &subject);
	return result ? result : remote_stat_fs(subject.path, words);
}

static void show(const uint64_t words[FS_WORDS], struct statfs *fs)
{
	*fs = (struct statfs){
		.f_type = (__fsword_t)words[FS_TYPE],
		.f_bsize = (__fsword_t)words[FS_BSIZE],
		.f_blocks = words[FS_BLOCKS],
		.f_bfree = words[FS_BFREE],
		.f_bavail = words[FS_BAVAIL],
		.f_files = words[FS_FILES],
		.f_ffree = words[FS_FFREE],
		.f_namelen = (__fsword_t)words[FS_NAMELEN],
		.f_frsize = (__fsword_t)words[FS_FRSIZE],
		.f_flags = (__fsword_t)words[FS_FLAGS],
	};
	memcpy(&fs->f_fsid, &words[FS_ID], sizeof fs->f_fsid);
}

static void show_as_posix(const uint64_t words[FS_WORDS], struct statvfs *fs)
{
	enum { ST_VALID = 0x20 }; /* the kernel's own mark, not for programs */
	*fs = (struct statvfs){
		.f_bsize = words[FS_BSIZE],
		.f_frsize = words[FS_FRSIZE] ? words[FS_FRSIZE] : words[FS_BSIZE],
		.f_blocks = words[FS_BLOCKS],
		.f_bfree = words[FS_BFREE],
		.f_bavail = words[FS_BAVAIL],
		.f_files = words[FS_FILES],
		.f_ffree = words[FS_FFREE],
		.f_favail = words[FS_FFREE],
		.f_fsid = words[FS_ID],
		.f_flag = words[FS_FLAGS] & ~(unsigned long)ST_VALID,
		.f_namemax = words[FS_NAMELEN],
	};
}

int hook_statfs(const char *path, struct statfs *fs)
{
	uint64_t words[FS_WORDS];
	long result = try_stat_fs(path, words);
	if (result == BYPASS)
		return real.statfs(path, fs);
	if (result == 0)
		show(words, fs);
	return edge(result);
}

int hook_fstatfs(int fd, struct statfs *fs)
{
	uint64_t words[FS_WORDS];
	long result = try_stat_fs_of(fd, words);
	if (result == BYPASS)
		return real.fstatfs(fd, fs);
	if (result == 0)
		show(words, fs);
	return edge(result);
}

int hook_statvfs(const char *path, struct statvfs *fs)
{
	uint64_t words[FS_WORDS];
	long result = try_stat_fs(path, words);
	if (result == BYPASS)
		return real.statvfs(path, fs);
	if (result == 0)
		show_as_posix(words, fs);
	return edge(result);
}

int hook_fstatvfs(int fd, struct statvfs *fs)
{
	uint64_t words[FS_WORDS];
	long result = try_stat_fs_of(fd, words);
	if (result == BYPASS)
		return real.fstatvfs(fd, fs);
	if (result == 0)
		show_as_posix(words, fs);
	return edge(result);
}

/* By the numbers of linux/magic.h, as libc knows them (fpathconf(3)); what it does not know is 127 to it. */
static long most_links(uint64_t type)
{
	switch (type) {
	case EXT4_SUPER_MAGIC:
		return 65000;
	case F2FS_SUPER_MAGIC:
		return 32000;
	case XFS_SUPER_MAGIC:
		return 2147483647;
	case REISERFS_SUPER_MAGIC:
		return 64535;
	default:
		return 127;
	}
}

/* What the target's file system says; the other limits are those of this machine's root. */
static long limit_there(const uint64_t words[FS_WORDS], int name)
{
	if (name == _PC_NAME_MAX)
		return (long)words[FS_NAMELEN];
	return name == _PC_LINK_MAX ? most_links(words[FS_TYPE]) : real.pathconf("/", name);
}

/* libc knows these without looking. */
static bool is_same_everywhere(int name)
{
	return name == _PC_MAX_CANON || name == _PC_MAX_INPUT || (name >= _PC_PATH_MAX && name <= _PC_VDISABLE && name != _PC_CHOWN_RESTRICTED);
}

/* glibc: files and block devices know asynchronous I/O. */
static long knows_asynchronous(const char *path)
{
	struct stat st;
	long result = stat_by_kernel(AT_FDCWD, path, &st, 0);
	return result < 0 ? edge(result) : S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) ? 1 : -1;
}

long hook_pathconf(const char *path, int name)
{
	uint64_t words[FS_WORDS];
	struct place place;
	bool is_simple = (is_same_everywhere(name) || name == _PC_ASYNC_IO) && path && *path;
	if (is_simple && locate_followed(AT_FDCWD, path, false, &place) == REMOTE)
		return name == _PC_ASYNC_IO ? knows_asynchronous(path) : real.pathconf("/", name);
	long result = try_stat_fs(path, words);
	if (result == BYPASS)
		return real.pathconf(path, name);
	if (result < 0)
		return edge(result);
	return limit_there(words, name);
}

long hook_fpathconf(int fd, int name)
{
	uint64_t words[FS_WORDS];
	struct stat st;
	if (name == _PC_ASYNC_IO && hook_fstat(fd, &st) == 0)
		return S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) ? 1 : -1;
	long result = try_stat_fs_of(fd, words);
	if (result == BYPASS)
		return real.fpathconf(fd, name);
	if (result < 0)
		return edge(result);
	return limit_there(words, name);
}
