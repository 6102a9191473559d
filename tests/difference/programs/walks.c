/* walks.c - libc's walks over a tree, with every flag: what each callback gets, in which order, and where it stands. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const TYPES[] = { "F", "D", "DNR", "NS", "SL", "DP", "SLN" };
static int flags, calls;

static void told(const char *what, int result)
{
	printf("%s: %d %s after %d\n", what, result, result < 0 ? strerrorname_np(errno) : "", calls);
	calls = 0;
}

static int simple(const char *path, const struct stat *st, int type)
{
	calls++;
	printf(" %s %s %lu\n", path, TYPES[type], type == FTW_NS ? 0 : (unsigned long)st->st_ino);
	return 0;
}

static int full(const char *path, const struct stat *st, int type, struct FTW *where)
{
	char directory[4096] = "";
	struct stat here;
	calls++;
	printf(" %s %s %lu base %d level %d", path, TYPES[type], type == FTW_NS ? 0 : (unsigned long)st->st_ino, where->base,
	       where->level);
	if (flags & FTW_CHDIR)
		printf(" in %s, %s", getcwd(directory, sizeof directory) ? directory : strerrorname_np(errno),
		       lstat(path + where->base, &here) == 0 ? "found" : strerrorname_np(errno));
	printf("\n");
	if ((flags & FTW_ACTIONRETVAL) && strstr(path, "deep"))
		return FTW_SKIP_SUBTREE;
	if ((flags & FTW_ACTIONRETVAL) && strstr(path, "many"))
		return FTW_SKIP_SIBLINGS;
	return !(flags & FTW_ACTIONRETVAL) && strstr(path, "entry-0007") ? 77 : 0;
}

int main(void)
{
	static const char *const roots[] = { "/data/sub",      "/data/sub/",   "/data/names",	  "/data/closed",  "/data/listable",
					     "/data/passable", "/data/dirlink", "/data/dangling", "/data/loop1",   "/data/small.txt",
					     "/data/nothing",  "",		"/data/emptydir", "/data/dirlink/" };
	static const int all[] = { 0, FTW_PHYS, FTW_DEPTH, FTW_CHDIR, FTW_MOUNT | FTW_PHYS, FTW_CHDIR | FTW_DEPTH | FTW_PHYS,
				   FTW_ACTIONRETVAL, FTW_ACTIONRETVAL | FTW_CHDIR, 1024 };
	char here[4096], after[4096];
	setvbuf(stdout, NULL, _IOLBF, 0);
	getcwd(here, sizeof here);
	for (size_t root = 0; root < sizeof roots / sizeof *roots; root++) {
		told(roots[root], ftw(roots[root], simple, 10));
		for (size_t at = 0; at < sizeof all / sizeof *all; at++) {
			flags = all[at];
			printf("nftw %s %d\n", roots[root], flags);
			told(roots[root], nftw(roots[root], full, 1 + at, flags));
			printf("back: %d\n", strcmp(getcwd(after, sizeof after), here));
		}
	}
	for (size_t at = 0; at < sizeof all / sizeof *all; at++) {
		flags = all[at];
		told("all", nftw("/data", full, 2, flags));
	}
	printf("%d\n", chdir("/data"));
	flags = FTW_CHDIR;
	told("relative", nftw("sub", full, 2, flags));
	told("dot", nftw(".", full, 2, flags));
	told("dot", ftw(".", simple, 2));
	told("up", nftw("sub/..", full, 2, flags));
	return 0;
}
