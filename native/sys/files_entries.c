/* files_entries.c - lstat(2) of many entries of one directory in one piece
 *
 * Names are looked up in the directory itself, one component each: exactly what lstat of the path says, mount points
 * and symbolic links included, without a way out of the root. "." and ".." are no entries here: ".." of a root is one.
 */
#include "sys.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "files.h"

/* <linux/fs.h> since 5.4: names of this directory are found in upper and lower case alike. */
#ifndef FS_CASEFOLD_FL
#define FS_CASEFOLD_FL 0x40000000
#endif
/* A file system's clock ticks at 100 Hz at least: two changes within a tick may leave the same time behind. */
#define TICKS_NSEC 20000000

/* A linux_dirent64: name from byte 19, length at 16. */
enum { RECORD_LENGTH_AT = 16, RECORD_NAME_AT = 19 };

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

void entry_stat(int directory, const char *name, struct entry_record *into)
{
	struct file_stat stat = { 0 };
	into->error = -stat_object(directory, name, &stat);
	into->dev = stat.dev;
	into->ino = stat.ino;
	into->mode = (uint32_t)stat.mode;
	into->nlink = (uint32_t)stat.nlink;
	into->uid = (uint32_t)stat.uid;
	into->gid = (uint32_t)stat.gid;
	into->rdev = stat.rdev;
	into->size = stat.size;
	into->blksize = (uint32_t)stat.blksize;
	into->blocks = stat.blocks;
	into->atime_sec = stat.atime_sec;
	into->atime_nsec = (uint32_t)stat.atime_nsec;
	into->mtime_sec = stat.mtime_sec;
	into->mtime_nsec = (uint32_t)stat.mtime_nsec;
	into->ctime_sec = stat.ctime_sec;
	into->ctime_nsec = (uint32_t)stat.ctime_nsec;
	into->btime_sec = stat.btime_sec;
	into->btime_nsec = (uint32_t)stat.btime_nsec;
}

/* Stats the first `most` of these entries, as far as there is room. Bytes put into `data`. */
uint64_t entries_stat_listed(int directory, const uint8_t *entries, uint64_t size, uint32_t most, uint8_t *data,
			     uint64_t capacity)
{
	uint64_t put = 0;
	for (uint64_t at = 0; at < size && most > 0 && capacity - put >= sizeof(struct entry_record);) {
		const char *name = (const char *)entries + at + RECORD_NAME_AT;
		uint16_t length;
		memcpy(&length, entries + at + RECORD_LENGTH_AT, sizeof length);
		at += length;
		if (is_dots(name))
			continue;
		entry_stat(directory, name, (struct entry_record *)(data + put));
		put += sizeof(struct entry_record);
		most--;
	}
	return put;
}

/* Stats the entries with these NUL-terminated names. Bytes put into `data`; -EINVAL for what is no name of an entry. */
int64_t entries_stat_named(int directory, const char *names, uint64_t size, uint8_t *data, uint64_t capacity)
{
	uint64_t put = 0;
	for (uint64_t at = 0; at < size;) {
		const char *name = names + at;
		size_t length = strnlen(name, size - at);
		at += length + 1;
		if (at > size || length == 0 || memchr(name, '/', length) || is_dots(name))
			return -EINVAL;
		if (capacity - put < sizeof(struct entry_record))
			return -EINVAL;
		entry_stat(directory, name, (struct entry_record *)(data + put));
		put += sizeof(struct entry_record);
	}
	return (int64_t)put;
}

/* Does this file system find the names it lists, and no others? Network and FUSE file systems, automounts, /proc and
 * (where it was made so) XFS find more. Overlays stand on such that do not. */
static bool finds_what_it_lists(int directory)
{
	struct statfs fs;
	if (fstatfs(directory, &fs) < 0)
		return false;
	switch ((unsigned long)fs.f_type) {
	case EXT4_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case TMPFS_MAGIC:
	case OVERLAYFS_SUPER_MAGIC:
		break;
	default:
		return false;
	}
	int flags = 0;
	return ioctl(directory, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & FS_CASEFOLD_FL);
}

/*
 * After a directory was listed: is it sure that any other name in it is ENOENT? Not where the thread may list but not
 * search (EACCES), and not when it changed meanwhile: a listing may lose a name that is renamed while it is read.
 * `before` is the stat from before the listing. `is_watched`: of a change there will be news.
 */
bool entries_are_all(int directory, const struct file_stat *before, bool is_watched)
{
	struct file_stat after;
	struct timespec now;
	if (!finds_what_it_lists(directory) || stat_object(directory, "", &after) < 0)
		return false;
	if (syscall(SYS_faccessat2, directory, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0)
		return false;
	if (after.ctime_sec != before->ctime_sec || after.ctime_nsec != before->ctime_nsec)
		return false;
	if (is_watched)
		return true;
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t age = (now.tv_sec - (int64_t)after.ctime_sec) * 1000000000 + now.tv_nsec - (int64_t)after.ctime_nsec;
	return age > TICKS_NSEC;
}
