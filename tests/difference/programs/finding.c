/* finding.c - fts(3) with every flag, and the names that wordexp(3) finds. */
#define _GNU_SOURCE
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wordexp.h>

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void show(const FTSENT *e, int flags)
{
	char here[4096];
	printf(" %d %s %s accpath %s level %d lengths %d %d errno %d number %ld size %ld", e->fts_info, e->fts_path, e->fts_name,
	       e->fts_accpath, e->fts_level, e->fts_pathlen, e->fts_namelen, e->fts_errno, e->fts_number,
	       !(flags & FTS_NOSTAT) && e->fts_info != FTS_NS ? (long)e->fts_statp->st_size : -1);
	if (e->fts_info == FTS_D)
		printf(" %lu %lu", (unsigned long)e->fts_ino, (unsigned long)e->fts_nlink);
	if (e->fts_info == FTS_DC)
		printf(" cycle %s", e->fts_cycle->fts_name);
	printf(" in %s\n", getcwd(here, sizeof here) ? here : strerrorname_np(errno));
}

static void walk(char *const roots[], int flags)
{
	FTS *fts = fts_open(roots, flags, flags & FTS_SEEDOT ? NULL : by_name);
	printf("fts %s %x: %s\n", roots[0], flags, fts ? "" : strerrorname_np(errno));
	if (!fts)
		return;
	for (FTSENT *child = fts_children(fts, 0); child; child = child->fts_link)
		printf(" first %s %d\n", child->fts_name, child->fts_info);
	for (FTSENT *e; (e = fts_read(fts));) {
		show(e, flags);
		int is_new = !e->fts_number++;
		if (e->fts_info == FTS_D && !strcmp(e->fts_name, "many"))
			fts_set(fts, e, FTS_SKIP);
		if (e->fts_info == FTS_SL && !strcmp(e->fts_name, "dirlink"))
			fts_set(fts, e, FTS_FOLLOW);
		if (e->fts_info == FTS_F && !strcmp(e->fts_name, "small.txt") && is_new)
			fts_set(fts, e, FTS_AGAIN);
		if (e->fts_info != FTS_D || strcmp(e->fts_name, "deep"))
			continue;
		for (FTSENT *child = fts_children(fts, flags & FTS_NOCHDIR ? FTS_NAMEONLY : 0); child; child = child->fts_link)
			printf("  child %s %d\n", child->fts_name, child->fts_info);
	}
	printf("end %s\n", strerrorname_np(errno));
	printf("wrong %d", fts_children(fts, 7) != NULL);
	printf(" %s\n", strerrorname_np(errno));
	printf("close %d\n", fts_close(fts));
}

static void expand(const char *words, int flags)
{
	wordexp_t found = { 0 };
	int result = wordexp(words, &found, flags);
	printf("wordexp %s %d: %d", words, flags, result);
	for (size_t at = 0; result == 0 && at < found.we_wordc; at++)
		printf(" [%s]", found.we_wordv[at]);
	printf(" end %d\n", result == 0 && found.we_wordv[found.we_wordc] == NULL);
	if (result == 0)
		wordfree(&found);
}

int main(void)
{
	static const int flags[] = { FTS_PHYSICAL, FTS_LOGICAL, FTS_PHYSICAL | FTS_NOCHDIR, FTS_PHYSICAL | FTS_SEEDOT, FTS_PHYSICAL | FTS_NOSTAT,
				     FTS_PHYSICAL | FTS_COMFOLLOW, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, 0, FTS_PHYSICAL | 0x10000 };
	static char *const roots[][4] = { { "/data/sub" }, { "/data/small.txt", "/data/sub/", "/data/nothing" }, { "/data/closed", "/data/listable", "/data/passable" },
					  { "/data/dirlink" }, { "/data/loop1" }, { "/data/dangling" }, { "" }, { "/data/here/sub" } };
	static char *const relative[] = { "sub", ".", "dirlink/..", NULL };
	static char *const all[] = { "/data", NULL };
	static const char *const words[] = { "/data/s*", "/data/{a,b}*", "$HOME ~ /data/n*", "$(echo a b)", "`ls /data/sub`", "$(cat /data/small.txt)", "a|b",
		"\"/data/s*\" /data/s*", "$((1*2))", "/data/[a-c]*", "${NOPE:-*}", "$(cd /data && echo s*)", "'x", "/data/nothing*", "~root/x", "$NOPE",
		"'/data/*' /data/e*", "/data/\\*", "$PATTERN", "\"$PATTERN\"", "/data/?mall.txt x*y", "/data/sub/*/*" };
	char here[4096];
	setvbuf(stdout, NULL, _IOLBF, 0);
	getcwd(here, sizeof here);
	setenv("PATTERN", "/data/sm*", 1);
	for (size_t r = 0; r < sizeof roots / sizeof *roots; r++)
		for (size_t f = 0; f < sizeof flags / sizeof *flags; f++)
			walk(roots[r], flags[f]);
	walk(all, FTS_PHYSICAL);
	for (size_t at = 0; at < sizeof words / sizeof *words; at++)
		for (int flag = 0; flag < 3; flag++)
			expand(words[at], (const int[]){ 0, WRDE_NOCMD, WRDE_UNDEF }[flag]);
	wordexp_t kept = { .we_offs = 2 };
	wordexp("/data/s* x", &kept, WRDE_DOOFFS);
	wordexp("/data/e*", &kept, WRDE_DOOFFS | WRDE_APPEND);
	for (size_t at = 0; at <= kept.we_offs + kept.we_wordc; at++)
		printf("[%s]", kept.we_wordv[at] ? kept.we_wordv[at] : "-");
	printf("\n");
	chdir("/data");
	for (size_t f = 0; f < 4; f++)
		walk(relative, flags[f]);
	expand("s* sub/*", 0);
	chdir(here);
	return 0;
}
