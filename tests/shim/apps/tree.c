/* tree.c - calls one function that changes the tree or metadata by its symbol, on one path or two, and prints what came
 * of it.
 */
#include "calls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

typedef int (*on_path)(const char *);
typedef int (*on_both)(const char *, const char *);
typedef int (*with_mode)(const char *, mode_t);

static int run_path(const char *symbol, char **a)
{
	return say(((on_path)function(symbol))(a[0]));
}

static int run_both(const char *symbol, char **a)
{
	return say(((on_both)function(symbol))(a[0], a[1]));
}

static int run_mode(const char *symbol, char **a)
{
	umask(027);
	return say(((with_mode)function(symbol))(a[0], 0666));
}

static int run_renameat(const char *symbol, char **a)
{
	int (*it)(int, const char *, int, const char *, unsigned) = function(symbol);
	return say(it(AT_FDCWD, a[0], AT_FDCWD, a[1], a[2] ? (unsigned)atoi(a[2]) : 0));
}

static int run_linkat(const char *symbol, char **a)
{
	int (*it)(int, const char *, int, const char *, int) = function(symbol);
	return say(it(AT_FDCWD, a[0], AT_FDCWD, a[1], a[2] ? (int)strtol(a[2], NULL, 0) : 0));
}

static int run_symlinkat(const char *symbol, char **a)
{
	int (*it)(const char *, int, const char *) = function(symbol);
	return say(it(a[0], AT_FDCWD, a[1]));
}

static int run_mode_at(const char *symbol, char **a)
{
	int (*it)(int, const char *, mode_t) = function(symbol);
	umask(027);
	return say(it(AT_FDCWD, a[0], 0666));
}

static int run_unlinkat(const char *symbol, char **a)
{
	int (*it)(int, const char *, int) = function(symbol);
	return say(it(AT_FDCWD, a[0], a[1] ? (int)strtol(a[1], NULL, 0) : 0));
}

static int run_mknod(const char *symbol, char **a)
{
	int (*it)(const char *, mode_t, dev_t) = function(symbol);
	umask(027);
	return say(it(a[0], a[1] ? (mode_t)strtol(a[1], NULL, 0) : S_IFIFO | 0666, makedev(1, 3)));
}

static int run_mknodat(const char *symbol, char **a)
{
	int (*it)(int, const char *, mode_t, dev_t) = function(symbol);
	umask(027);
	return say(it(AT_FDCWD, a[0], S_IFIFO | 0666, makedev(1, 3)));
}

static int run_xmknod(const char *symbol, char **a)
{
	int (*it)(int, const char *, mode_t, dev_t *) = function(symbol);
	dev_t device = makedev(1, 3);
	umask(027);
	return say(it(0, a[0], S_IFIFO | 0666, &device));
}

static int run_xmknodat(const char *symbol, char **a)
{
	int (*it)(int, int, const char *, mode_t, dev_t *) = function(symbol);
	dev_t device = makedev(1, 3);
	umask(027);
	return say(it(0, AT_FDCWD, a[0], S_IFIFO | 0666, &device));
}

static int run_mkdtemp(const char *symbol, char **a)
{
	char *(*it)(char *) = function(symbol);
	char *made = it(a[0]);
	if (!made)
		return fail();
	printf("%s\n", made);
	return 0;
}

static int run_fchmodat(const char *symbol, char **a)
{
	int (*it)(int, const char *, mode_t, int) = function(symbol);
	return say(it(AT_FDCWD, a[0], 0666, a[1] ? (int)strtol(a[1], NULL, 0) : 0));
}

static int run_chown(const char *symbol, char **a)
{
	int (*it)(const char *, uid_t, gid_t) = function(symbol);
	return say(it(a[0], geteuid(), (gid_t)-1));
}

static int run_fchownat(const char *symbol, char **a)
{
	int (*it)(int, const char *, uid_t, gid_t, int) = function(symbol);
	return say(it(AT_FDCWD, a[0], geteuid(), (gid_t)-1, a[1] ? (int)strtol(a[1], NULL, 0) : 0));
}

static int run_utime(const char *symbol, char **a)
{
	int (*it)(const char *, const struct utimbuf *) = function(symbol);
	struct utimbuf times = { 1, 2 };
	return say(it(a[0], a[1] ? NULL : &times));
}

static int run_utimes(const char *symbol, char **a)
{
	int (*it)(const char *, const struct timeval *) = function(symbol);
	struct timeval times[] = { { 1, 3 }, { 2, a[1] ? atoi(a[1]) : 4 } };
	return say(it(a[0], times));
}

static int run_futimesat(const char *symbol, char **a)
{
	int (*it)(int, const char *, const struct timeval *) = function(symbol);
	struct timeval times[] = { { 1, 3 }, { 2, 4 } };
	return say(it(AT_FDCWD, a[0], times));
}

static int run_utimensat(const char *symbol, char **a)
{
	int (*it)(int, const char *, const struct timespec *, int) = function(symbol);
	struct timespec times[] = { { -1, 3 }, { 2, a[1] ? strtol(a[1], NULL, 0) : 4 } };
	return say(it(AT_FDCWD, a[0], times, a[1] && a[2] ? (int)strtol(a[2], NULL, 0) : 0));
}

static int run_truncate(const char *symbol, char **a)
{
	int (*it)(const char *, off_t) = function(symbol);
	return say(it(a[0], a[1] ? atoi(a[1]) : 5));
}

static const struct command commands[] = {
	{ "rename", run_both }, { "renameat", run_renameat }, { "renameat2", run_renameat }, { "link", run_both },
	{ "linkat", run_linkat }, { "symlink", run_both }, { "symlinkat", run_symlinkat }, { "mkdir", run_mode },
	{ "mkdirat", run_mode_at }, { "rmdir", run_path }, { "unlink", run_path }, { "unlinkat", run_unlinkat },
	{ "remove", run_path }, { "mknod", run_mknod }, { "mknodat", run_mknodat }, { "__xmknod", run_xmknod },
	{ "__xmknodat", run_xmknodat }, { "mkfifo", run_mode }, { "mkfifoat", run_mode_at }, { "mkdtemp", run_mkdtemp },
	{ "chmod", run_mode }, { "lchmod", run_mode }, { "fchmodat", run_fchmodat }, { "chown", run_chown },
	{ "lchown", run_chown }, { "fchownat", run_fchownat }, { "utime", run_utime }, { "utimes", run_utimes },
	{ "lutimes", run_utimes }, { "futimesat", run_futimesat }, { "utimensat", run_utimensat },
	{ "truncate", run_truncate }, { "truncate64", run_truncate },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run(commands, argc, argv);
}
