/* walks.c - walks a tree by one of libc's functions and prints what each step gets. */
#include "calls.h"

#include <fts.h>
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

/* By one name of the family or the other. */
static int run_fts(const char *symbol, char **a)
{
	int is_64 = strstr(symbol, "64") != NULL;
	FTS *(*begin)(char *const *, int, void *) = function(is_64 ? "fts64_open" : "fts_open");
	FTSENT *(*next)(FTS *) = function(is_64 ? "fts64_read" : "fts_read");
	FTSENT *(*children)(FTS *, int) = function(is_64 ? "fts64_children" : "fts_children");
	int (*set)(FTS *, FTSENT *, int) = function(is_64 ? "fts64_set" : "fts_set");
	int (*end)(FTS *) = function(is_64 ? "fts64_close" : "fts_close");
	char *roots[] = { a[0], NULL };
	FTS *walk = begin(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (!walk)
		return fail();
	for (FTSENT *it; (it = next(walk));) {
		if (it->fts_info == FTS_NS)
			return errno = it->fts_errno, fail();
		printf("%s:%d:%d ", it->fts_path, it->fts_info, it->fts_level);
		if (strcmp(it->fts_name, "sub") == 0 && it->fts_info == FTS_D && children(walk, FTS_NAMEONLY))
			set(walk, it, FTS_SKIP);
	}
	return say(end(walk));
}

int main(int argc, char **argv)
{
	static const struct command commands[] = {
		{ "ftw", run_ftw },   { "ftw64", run_ftw }, { "nftw", run_nftw }, { "nftw64", run_nftw }, { "fts", run_fts },   { "fts64", run_fts }, { NULL, NULL },
	};
	return run(commands, argc, argv);
}
