/* What libc's own functions tell of the target's tree: those that Python does not call. One line for each act. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static void say(const char *what, const char *path, long result)
{
	printf("%s %s: %ld %s\n", what, path, result, result < 0 ? strerrorname_np(errno) : "");
}

static const char *paths[] = { "/data/small.txt", "/data/sub", "/data/dirlink", "/data/dirlink/", "/data/chain", "/data/dangling",
	"/data/loop1", "/data/nothing", "/data/small.txt/", "/data/small.txt/x", "/data/empty", "/data/fifo", "/data/null", "/data/sparse",
	"/data", "/data/unreadable", "/data/closed/file", "/data/here/here", "/data/../data/sub/..", NULL };

static void show_statx(const char *path)
{
	static const int flags[] = { 0, AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, AT_EMPTY_PATH, 0x40000 };
	static const unsigned masks[] = { STATX_BASIC_STATS, STATX_ALL, STATX_BASIC_STATS | STATX_BTIME, 0x80000000 };
	for (size_t f = 0; f < 5; f++) {
		for (size_t m = 0; m < 4; m++) {
			struct statx x = { 0 };
			say("statx", path, statx(AT_FDCWD, path, flags[f], masks[m], &x));
			printf(" %x %u %u %u %u %o %llu %llu %llu %u:%u %u:%u\n", x.stx_mask & 0xfff, x.stx_blksize, x.stx_nlink, x.stx_uid, x.stx_gid, x.stx_mode,
			       (unsigned long long)x.stx_ino, (unsigned long long)x.stx_size, (unsigned long long)x.stx_blocks,
			       x.stx_rdev_major, x.stx_rdev_minor, x.stx_dev_major,
			       x.stx_dev_minor);
			struct statx_timestamp *t[] = { &x.stx_atime, &x.stx_btime, &x.stx_ctime, &x.stx_mtime };
			for (size_t at = 0; at < 4; at++)
				printf(" %lld.%09u", (long long)t[at]->tv_sec, t[at]->tv_nsec);
			printf("\n");
		}
	}
}

static void show_descriptor(const char *path)
{
	struct statx x = { 0 };
	struct stat st = { 0 };
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	say("statx of descriptor", path, fd < 0 ? -1 : statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &x));
	printf(" %x %u %llu\n", x.stx_mask & 0xfff, x.stx_mode, (unsigned long long)x.stx_size);
	say("fstatat of descriptor", path, fstatat(fd, "", &st, AT_EMPTY_PATH));
	if (fd >= 0)
		close(fd);
}

static void show_path(const char *path)
{
	char into[PATH_MAX] = "";
	char small[4] = "";
	struct statfs fs = { 0 };
	struct statvfs vfs = { 0 };
	show_statx(path);
	int is_special = !strcmp(path, "/data/fifo") || !strcmp(path, "/data/null");
	if (!is_special)
		show_descriptor(path);
	for (size_t room = 0; room <= 4; room += 2)
		say("readlink short", path, readlink(path, small, room));
	printf(" %.4s\n", small);
	say("readlinkat", path, readlinkat(AT_FDCWD, path, into, sizeof into));
	char *real = realpath(path, into);
	say("realpath", path, real ? 0 : -1);
	printf(" %s\n", real ? real : "");
	char *canonical = canonicalize_file_name(path);
	printf("canonicalize %s: %s\n", path, canonical ? canonical : strerrorname_np(errno));
	free(canonical);
	say("statfs", path, statfs(path, &fs));
	printf(" %lx %ld %ld %ld %lx\n", fs.f_type, fs.f_bsize, fs.f_blocks, fs.f_namelen, fs.f_flags);
	say("statvfs", path, statvfs(path, &vfs));
	printf(" %lu %lu %lx\n", vfs.f_bsize, vfs.f_frsize, vfs.f_flag);
	say("pathconf name", path, pathconf(path, _PC_NAME_MAX));
	say("pathconf link", path, pathconf(path, _PC_LINK_MAX));
	for (int mode = 0; mode < 6; mode += mode ? 3 : 1)
		for (int flags = 0; flags < 4; flags++)
			say("faccessat", path, faccessat(AT_FDCWD, path, mode, (flags & 1 ? AT_EACCESS : 0) | (flags & 2 ? AT_SYMLINK_NOFOLLOW : 0)));
	say("euidaccess", path, euidaccess(path, R_OK));
	say("access bad mode", path, access(path, 64));
	say("fstatat bad flags", path, fstatat(AT_FDCWD, path, &(struct stat){ 0 }, 0x40000000));
	say("raw stat", path, syscall(SYS_stat, path, &(struct stat){ 0 }));
	if (is_special)
		return;
	say("raw open", path, close((int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0)));
	static const char *modes[] = { "r", "rb", "re", "rce", "r,ccs=UTF-8", "x", "", NULL };
	for (int at = 0; modes[at]; at++) {
		char line[64] = "";
		FILE *stream = fopen(path, modes[at]);
		say("fopen", modes[at], stream ? 0 : -1);
		if (!stream)
			continue;
		char *got = fgets(line, 8, stream);
		say("fgets", path, got ? 0 : ferror(stream) ? -1 : 1);
		printf(" %s|%ld|%d\n", line, ftell(stream), fcntl(fileno(stream), F_GETFD));
		fclose(stream);
	}
}

static int no_dots(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void show_directory(const char *path)
{
	DIR *dir = opendir(path);
	say("opendir", path, dir ? 0 : -1);
	struct dirent **list = NULL;
	int count = scandir(path, &list, no_dots, alphasort);
	say("scandir", path, count);
	for (int at = 0; at < count; at++) {
		if (at < 40)
			printf(" %s %d %lu %d\n", list[at]->d_name, list[at]->d_type, (unsigned long)list[at]->d_ino, list[at]->d_reclen > 0);
		free(list[at]);
	}
	free(list);
	if (!dir)
		return;
	long places[8] = { 0 };
	for (int at = 0; at < 8; at++) {
		places[at] = telldir(dir);
		struct dirent *entry = readdir(dir);
		printf(" %d %s %d\n", at, entry ? entry->d_name : "-", entry ? entry->d_type : 0);
	}
	seekdir(dir, places[2]);
	struct dirent *entry = readdir(dir);
	printf(" after seekdir %s\n", entry ? entry->d_name : "-");
	rewinddir(dir);
	entry = readdir(dir);
	printf(" after rewinddir %s\n", entry ? entry->d_name : "-");
	struct stat st;
	say("fstat of dirfd", path, fstat(dirfd(dir), &st));
	say("flags of dirfd", path, fcntl(dirfd(dir), F_GETFD));
	say("faccessat below", path, faccessat(dirfd(dir), "file", F_OK, 0));
	errno = 0;
	while (readdir(dir))
		;
	say("end", path, errno);
	say("closedir", path, closedir(dir));
	int fd = open(path, O_RDONLY | O_DIRECTORY);
	dir = fdopendir(fd);
	entry = readdir(dir);
	printf(" fdopendir %s %d\n", entry->d_name, dirfd(dir) == fd);
	closedir(dir);
	fd = open(path, O_RDONLY);
	char buffer[64];
	say("getdents64 short", path, getdents64(fd, buffer, 8));
	say("getdents64", path, getdents64(fd, buffer, 64) > 0);
	say("lseek", path, lseek(fd, 0, SEEK_SET) < 0);
	say("close", path, close(fd));
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int at = 0; paths[at]; at++)
		show_path(paths[at]);
	static const char *directories[] = { "/data/sub", "/data/sub/", "/data/many", "/data/emptydir", "/data/names", "/data/dirlink",
		"/data/small.txt", "/data/nothing", "/data/closed", "/data/listable", "/data/loop1", NULL };
	for (int at = 0; directories[at]; at++)
		show_directory(directories[at]);
	static const char *patterns[] = { "/data/*", "/data/s*/d*", "/data/nothing*", "/data/{small,empty}*", "/data/dirlink/*", "/data/closed/*", NULL };
	for (int at = 0; patterns[at]; at++) {
		glob_t found = { 0 };
		say("glob", patterns[at], glob(patterns[at], GLOB_BRACE | GLOB_MARK | GLOB_ERR, NULL, &found));
		for (size_t each = 0; each < found.gl_pathc; each++)
			printf(" %s\n", found.gl_pathv[each]);
		globfree(&found);
	}
	FILE *stream = fopen("/data/empty", "r");
	stream = freopen("/data/small.txt", "r", stream);
	say("freopen", "/data/small.txt", stream ? fgetc(stream) : -1);
	stream = freopen("/data/nothing", "r", stream);
	say("freopen", "/data/nothing", stream ? 0 : -1);
	say("open NULL", "", syscall(SYS_openat, AT_FDCWD, NULL, O_RDONLY));
	say("stat NULL", "", syscall(SYS_stat, NULL, NULL));
	say("O_DIRECTORY|O_CREAT", "", open("/data/sub", O_RDONLY | O_DIRECTORY | 0x10000000));
	return 0;
}
