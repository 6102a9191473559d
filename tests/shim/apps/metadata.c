/* metadata.c - calls one function of metadata by its symbol: on a path, or on what open(2) makes of it. */
#include "calls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static int opened(char **a)
{
	int fd = open(a[0], O_RDONLY | (a[1] ? (int)strtol(a[1], NULL, 0) : 0));
	if (fd < 0)
		printf("not opened: ");
	return fd;
}

static int run_fchmod(const char *symbol, char **a)
{
	int (*it)(int, mode_t) = function(symbol);
	return say(it(opened(a), 0600));
}

static int run_fchown(const char *symbol, char **a)
{
	int (*it)(int, uid_t, gid_t) = function(symbol);
	return say(it(opened(a), geteuid(), (gid_t)-1));
}

static int run_futimens(const char *symbol, char **a)
{
	int (*it)(int, const struct timespec *) = function(symbol);
	struct timespec times[] = { { 1, 3 }, { 2, 4 } };
	return say(it(opened(a), times));
}

static int run_futimes(const char *symbol, char **a)
{
	int (*it)(int, const struct timeval *) = function(symbol);
	struct timeval times[] = { { 1, 3 }, { 2, 4 } };
	return say(it(opened(a), times));
}

/* The forms of calls on paths that mean the descriptor itself. */
static int run_empty_path(const char *symbol, char **a)
{
	(void)symbol;
	struct timespec times[] = { { 1, 3 }, { 2, 4 } };
	char text[64];
	int fd = opened(a);
	say(fchownat(fd, "", geteuid(), (gid_t)-1, AT_EMPTY_PATH));
	say(utimensat(fd, "", times, AT_EMPTY_PATH));
	say(syscall(SYS_utimensat, fd, NULL, times, 0));
	say(futimesat(fd, NULL, NULL));
	say(linkat(fd, "", AT_FDCWD, "/data/new", AT_EMPTY_PATH));
	say(linkat(fd, "", AT_FDCWD, "/tmp/new", AT_EMPTY_PATH));
	say(faccessat(fd, "", R_OK, AT_EMPTY_PATH));
	say(readlinkat(fd, "", text, sizeof text));
	return 0;
}

static int show(ssize_t count, const char *value)
{
	if (count < 0)
		return fail();
	printf("%zd %.*s\n", count, (int)(count < 20 ? count : 20), value);
	return 0;
}

static int run_getxattr(const char *symbol, char **a)
{
	char value[100000] = "";
	ssize_t (*get)(const char *, const char *, void *, size_t) = function(symbol);
	return show(get(a[0], a[1] ? a[1] : "user.it", value, a[1] && a[2] ? (size_t)atoi(a[2]) : sizeof value), value);
}

static int run_fgetxattr(const char *symbol, char **a)
{
	char value[64] = "";
	ssize_t (*get)(int, const char *, void *, size_t) = function(symbol);
	return show(get(opened(a), "user.it", value, sizeof value), value);
}

static int run_listxattr(const char *symbol, char **a)
{
	char value[64] = "";
	ssize_t (*list)(const char *, char *, size_t) = function(symbol);
	return show(list(a[0], value, sizeof value), value);
}

static int run_flistxattr(const char *symbol, char **a)
{
	char value[64] = "";
	ssize_t (*list)(int, char *, size_t) = function(symbol);
	return show(list(opened(a), value, sizeof value), value);
}

static int run_setxattr(const char *symbol, char **a)
{
	int (*set)(const char *, const char *, const void *, size_t, int) = function(symbol);
	return say(set(a[0], a[1] ? a[1] : "user.it", "value", 5, 1));
}

static int run_fsetxattr(const char *symbol, char **a)
{
	int (*set)(int, const char *, const void *, size_t, int) = function(symbol);
	return say(set(opened(a), "user.it", "value", 5, 0));
}

static int run_removexattr(const char *symbol, char **a)
{
	int (*take)(const char *, const char *) = function(symbol);
	return say(take(a[0], "user.it"));
}

static int run_fremovexattr(const char *symbol, char **a)
{
	int (*take)(int, const char *) = function(symbol);
	return say(take(opened(a), "user.it"));
}

static int run_fstatfs(const char *symbol, char **a)
{
	struct statfs fs;
	int (*it)(int, struct statfs *) = function(symbol);
	if (it(opened(a), &fs) < 0)
		return fail();
	printf("files %lu names %ld\n", fs.f_files, fs.f_namelen);
	return 0;
}

static int run_fstatvfs(const char *symbol, char **a)
{
	struct statvfs fs;
	int (*it)(int, struct statvfs *) = function(symbol);
	if (it(opened(a), &fs) < 0)
		return fail();
	printf("files %lu names %lu\n", fs.f_files, fs.f_namemax);
	return 0;
}

static int run_fpathconf(const char *symbol, char **a)
{
	long (*it)(int, int) = function(symbol);
	printf("names %ld\n", it(opened(a), _PC_NAME_MAX));
	return 0;
}

/* Every change of the tree and of metadata, as a raw system call. */
static int run_raw(const char *symbol, char **a)
{
	(void)symbol;
	struct timespec times[] = { { 1, 3 }, { 2, 4 } };
	const char *path = a[0];
	char value[8];
	syscall(SYS_rename, path, path);
	syscall(SYS_renameat, AT_FDCWD, path, AT_FDCWD, path);
	syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, path, 1);
	syscall(SYS_link, path, path);
	syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, path, 0);
	syscall(SYS_symlink, "text", path);
	syscall(SYS_symlinkat, "text", AT_FDCWD, path);
	syscall(SYS_mkdir, path, 0700);
	syscall(SYS_mkdirat, AT_FDCWD, path, 0700);
	syscall(SYS_mknod, path, S_IFIFO | 0700, 0);
	syscall(SYS_mknodat, AT_FDCWD, path, S_IFIFO | 0700, 0);
	syscall(SYS_rmdir, path);
	syscall(SYS_unlink, path);
	syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
	syscall(SYS_chmod, path, 0600);
	syscall(SYS_fchmodat, AT_FDCWD, path, 0600);
	syscall(452, AT_FDCWD, path, 0600, AT_SYMLINK_NOFOLLOW);
	syscall(SYS_chown, path, 1, 2);
	syscall(SYS_lchown, path, 1, 2);
	syscall(SYS_fchownat, AT_FDCWD, path, 1, 2, 0);
	syscall(SYS_utime, path, NULL);
	syscall(SYS_utimes, path, NULL);
	syscall(SYS_futimesat, AT_FDCWD, path, NULL);
	syscall(SYS_utimensat, AT_FDCWD, path, times, 0);
	syscall(SYS_truncate, path, 7);
	syscall(SYS_setxattr, path, "user.a", "v", 1, 0);
	syscall(SYS_lsetxattr, path, "user.a", "v", 1, 0);
	syscall(SYS_removexattr, path, "user.a");
	syscall(SYS_lremovexattr, path, "user.a");
	syscall(SYS_getxattr, path, "user.a", value, sizeof value);
	syscall(SYS_lgetxattr, path, "user.a", value, sizeof value);
	syscall(SYS_listxattr, path, value, sizeof value);
	syscall(SYS_llistxattr, path, value, sizeof value);
	printf("done\n");
	return 0;
}

static const struct command commands[] = {
	{ "fchmod", run_fchmod }, { "fchown", run_fchown }, { "futimens", run_futimens }, { "futimes", run_futimes },
	{ "empty-path", run_empty_path }, { "syscall", run_raw },
	{ "getxattr", run_getxattr }, { "lgetxattr", run_getxattr }, { "fgetxattr", run_fgetxattr },
	{ "listxattr", run_listxattr }, { "llistxattr", run_listxattr }, { "flistxattr", run_flistxattr },
	{ "setxattr", run_setxattr }, { "lsetxattr", run_setxattr }, { "fsetxattr", run_fsetxattr },
	{ "removexattr", run_removexattr }, { "lremovexattr", run_removexattr }, { "fremovexattr", run_fremovexattr },
	{ "fstatfs", run_fstatfs }, { "fstatfs64", run_fstatfs }, { "fstatvfs", run_fstatvfs },
	{ "fstatvfs64", run_fstatvfs }, { "fpathconf", run_fpathconf },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run(commands, argc, argv);
}
