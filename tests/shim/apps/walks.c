/* walks.c - walks a tree by one of libc's functions and prints what each step gets. */
#include "calls.h"

#include <ftw.h>
#include <sys/stat.h>

static int simple(const char *path, const struct stat *st, int type)
{
	(void)st;
	printf("%s:%d ", path, type);
	return 0;
}

static int full(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	printf("%s:%d:%d ", path, type, where->level);
	return 0;
}

static int run_ftw(const char *symbol, char **a)
{
	int (*walk)(const char *, __typeof__(simple) *, int) = function(symbol);
	return say(walk(a[0], simple, 4));
}

static int run_nftw(const char *symbol, char **a)
{
	int (*walk)(const char *, __typeof__(full) *, int, int) = function(symbol);
	return say(walk(a[0], full, 4, FTW_PHYS));
}

int main(int argc, char **argv)
{
	static const struct command commands[] = {
		{ "ftw", run_ftw },   { "ftw64", run_ftw }, { "nftw", run_nftw }, { "nftw64", run_nftw }, { NULL, NULL },
	};
	return run(commands, argc, argv);
}
