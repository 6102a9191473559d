/* files.c - calls one function of the file family by its symbol and prints what came of it. */
#include "calls.h"

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <wordexp.h>

static int show_bytes(int fd)
{
	char bytes[256];
	if (fd < 0)
		return fail();
	ssize_t count = read(fd, bytes, sizeof bytes);
	printf("%.*s\n", (int)(count > 0 ? count : 0), bytes);
	return close(fd);
}

static int run_open(const char *symbol, char **a)
{
	int (*open_it)(const char *, int, ...) = function(symbol);
	return show_bytes(open_it(a[0], a[1] ? (int)strtol(a[1], NULL, 0) : O_RDONLY, 0640));
}

static int run_openat(const char *symbol, char **a)
{
	int (*open_it)(int, const char *, int, ...) = function(symbol);
	int dirfd = a[1] ? open(a[1], O_RDONLY | O_DIRECTORY) : AT_FDCWD;
	return show_bytes(open_it(dirfd, a[0], O_RDONLY, 0));
}

static int run_fopen(const char *symbol, char **a)
{
	FILE *(*open_it)(const char *, const char *) = function(symbol);
	char line[256];
	FILE *stream = open_it(a[0], a[1] ? a[1] : "re");
	if (!stream)
		return fail();
	printf("%s\n", fgets(line, sizeof line, stream) ? line : "nothing");
	return fclose(stream);
}

static int run_freopen(const char *symbol, char **a)
{
	FILE *(*open_it)(const char *, const char *, FILE *) = function(symbol);
	char line[256];
	FILE *stream = open_it(a[0], "r", stdin);
	if (!stream)
		return fail();
	printf("%s fd %d\n", fgets(line, sizeof line, stream) ? line : "nothing", fileno(stream));
	return 0;
}

static int run_access(const char *symbol, char **a)
{
	int (*access_it)(const char *, int) = function(symbol);
	return say(access_it(a[0], a[1] ? atoi(a[1]) : R_OK));
}

/* Every path on the command line: who is asked is seen on the other side. */
static int run_access_all(const char *symbol, char **a)
{
	(void)symbol;
	for (; *a; a++)
		printf("%s %s\n", access(*a, R_OK) == 0 ? "ok" : strerrorname_np(errno), *a);
	return 0;
}

/* access PATH before and after going to DIRECTORY */
static int run_chdir(const char *symbol, char **a)
{
	void *go = function(symbol);
	printf("%s ", access(a[1], F_OK) == 0 ? "ok" : strerrorname_np(errno));
	if (!strcmp(symbol, "chdir"))
		((int (*)(const char *))go)(a[0]);
	else
		((int (*)(int))go)(open(a[0], O_RDONLY | O_DIRECTORY));
	printf("%s\n", access(a[1], F_OK) == 0 ? "ok" : strerrorname_np(errno));
	return 0;
}

static int run_faccessat(const char *symbol, char **a)
{
	int (*access_it)(int, const char *, int, int) = function(symbol);
	return say(access_it(AT_FDCWD, a[0], R_OK, 0));
}

static int show_text(const char *text, ssize_t length)
{
	if (length < 0)
		return fail();
	printf("%.*s\n", (int)length, text);
	return 0;
}

static int run_readlink(const char *symbol, char **a)
{
	char text[PATH_MAX];
	ssize_t (*read_it)(const char *, char *, size_t) = function(symbol);
	return show_text(text, read_it(a[0], text, a[1] ? (size_t)atoi(a[1]) : sizeof text));
}

static int run_readlinkat(const char *symbol, char **a)
{
	char text[PATH_MAX];
	ssize_t (*read_it)(int, const char *, char *, size_t) = function(symbol);
	return show_text(text, read_it(AT_FDCWD, a[0], text, sizeof text));
}

static int run_readlink_chk(const char *symbol, char **a)
{
	char text[PATH_MAX];
	ssize_t (*read_it)(const char *, char *, size_t, size_t) = function(symbol);
	return show_text(text, read_it(a[0], text, sizeof text, sizeof text));
}

static int run_readlinkat_chk(const char *symbol, char **a)
{
	char text[PATH_MAX];
	ssize_t (*read_it)(int, const char *, char *, size_t, size_t) = function(symbol);
	return show_text(text, read_it(AT_FDCWD, a[0], text, sizeof text, sizeof text));
}

static int show_path(char *path)
{
	return path ? printf("%s\n", path) < 0 : fail();
}

static int run_realpath(const char *symbol, char **a)
{
	char *(*resolve)(const char *, char *) = function(symbol);
	char room[PATH_MAX];
	char *made = resolve(a[0], NULL);
	show_path(made);
	free(made);
	return show_path(resolve(a[0], room));
}

static int run_realpath_chk(const char *symbol, char **a)
{
	char *(*resolve)(const char *, char *, size_t) = function(symbol);
	char room[PATH_MAX];
	return show_path(resolve(a[0], room, sizeof room));
}

static int run_canonicalize(const char *symbol, char **a)
{
	char *(*resolve)(const char *) = function(symbol);
	char *made = resolve(a[0]);
	show_path(made);
	free(made);
	return 0;
}

/* ---- stat ---- */

static int show_stat(int result, const struct stat *st)
{
	if (result < 0)
		return fail();
	printf("mode %o size %ld ino %lu links %lu uid %u gid %u dev %lu blocks %ld mtime %ld.%09ld\n", st->st_mode,
	       st->st_size, st->st_ino, st->st_nlink, st->st_uid, st->st_gid, st->st_dev, st->st_blocks, st->st_mtime,
	       st->st_mtim.tv_nsec);
	return 0;
}

static int run_stat(const char *symbol, char **a)
{
	struct stat st;
	int (*stat_it)(const char *, struct stat *) = function(symbol);
	return show_stat(stat_it(a[0], &st), &st);
}

static int run_fstat(const char *symbol, char **a)
{
	struct stat st;
	int (*stat_it)(int, struct stat *) = function(symbol);
	return show_stat(stat_it(open(a[0], O_RDONLY), &st), &st);
}

static int run_fstatat(const char *symbol, char **a)
{
	struct stat st;
	int (*stat_it)(int, const char *, struct stat *, int) = function(symbol);
	show_stat(stat_it(AT_FDCWD, a[0], &st, 0), &st);
	return show_stat(stat_it(open(a[0], O_RDONLY), "", &st, AT_EMPTY_PATH), &st);
}

static int run_xstat(const char *symbol, char **a)
{
	struct stat st;
	int (*stat_it)(int, const char *, struct stat *) = function(symbol);
	return show_stat(stat_it(1, a[0], &st), &st);
}

static int run_fxstat(const char *symbol, char **a)
{
	struct stat st;
	int (*stat_it)(int, int, struct stat *) = function(symbol);
	return show_stat(stat_it(1, open(a[0], O_RDONLY), &st), &st);
}

static int run_fxstatat(const char *symbol, char **a)
{
	struct stat st;
	int (*stat_it)(int, int, const char *, struct stat *, int) = function(symbol);
	return show_stat(stat_it(1, AT_FDCWD, a[0], &st, 0), &st);
}

static int show_statx(int result, const struct statx *stx)
{
	if (result < 0)
		return fail();
	printf("mode %o size %llu ino %llu mtime %lld.%09u btime %lld mask %x\n", stx->stx_mode, stx->stx_size,
	       stx->stx_ino, stx->stx_mtime.tv_sec, stx->stx_mtime.tv_nsec, stx->stx_btime.tv_sec,
	       stx->stx_mask & STATX_BASIC_STATS);
	return 0;
}

static int run_statx(const char *symbol, char **a)
{
	struct statx stx;
	int (*stat_it)(int, const char *, int, unsigned, struct statx *) = function(symbol);
	show_statx(stat_it(AT_FDCWD, a[0], 0, STATX_BASIC_STATS | STATX_BTIME, &stx), &stx);
	return show_statx(stat_it(open(a[0], O_RDONLY), "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &stx), &stx);
}

static int run_statfs(const char *symbol, char **a)
{
	struct statfs fs;
	int (*stat_it)(const char *, struct statfs *) = function(symbol);
	if (stat_it(a[0], &fs) < 0)
		return fail();
	printf("type %lx files %lu names %ld\n", (unsigned long)fs.f_type, fs.f_files, (long)fs.f_namelen);
	return 0;
}

static int run_statvfs(const char *symbol, char **a)
{
	struct statvfs fs;
	int (*stat_it)(const char *, struct statvfs *) = function(symbol);
	if (stat_it(a[0], &fs) < 0)
		return fail();
	printf("fragments %lu files %lu names %lu\n", fs.f_frsize, fs.f_files, fs.f_namemax);
	return 0;
}

static int run_pathconf(const char *symbol, char **a)
{
	long (*ask)(const char *, int) = function(symbol);
	long limit = ask(a[0], _PC_NAME_MAX);
	if (limit < 0)
		return fail();
	printf("names %ld\n", limit);
	return 0;
}

/* ---- directories ---- */

static int show_entries(DIR *dir, struct dirent *(*next)(DIR *))
{
	if (!dir)
		return fail();
	for (struct dirent *entry; (entry = next(dir));)
		printf("%s/%lu/%d ", entry->d_name, entry->d_ino, entry->d_type);
	printf("\n");
	return closedir(dir);
}

static int run_opendir(const char *symbol, char **a)
{
	DIR *(*open_it)(const char *) = function(symbol);
	return show_entries(open_it(a[0]), readdir);
}

static int run_fdopendir(const char *symbol, char **a)
{
	DIR *(*open_it)(int) = function(symbol);
	return show_entries(open_it(open(a[0], O_RDONLY)), readdir);
}

static int run_readdir(const char *symbol, char **a)
{
	return show_entries(opendir(a[0]), function(symbol));
}

static int run_readdir_r(const char *symbol, char **a)
{
	int (*next)(DIR *, struct dirent *, struct dirent **) = function(symbol);
	DIR *dir = opendir(a[0]);
	struct dirent entry, *result;
	while (dir && next(dir, &entry, &result) == 0 && result)
		printf("%s/%lu/%d ", result->d_name, result->d_ino, result->d_type);
	printf("\n");
	return 0;
}

static int run_closedir(const char *symbol, char **a)
{
	int (*close_it)(DIR *) = function(symbol);
	DIR *dir = opendir(a[0]);
	int fd = dirfd(dir);
	int result = close_it(dir);
	printf("%d then %s\n", result, fcntl(fd, F_GETFD) < 0 ? "closed" : "open");
	return 0;
}

static int run_rewinddir(const char *symbol, char **a)
{
	void (*rewind_it)(DIR *) = function(symbol);
	DIR *dir = opendir(a[0]);
	while (readdir(dir))
		;
	rewind_it(dir);
	return show_entries(dir, readdir);
}

/* telldir and seekdir: over one entry, on to the end, back, and on again. */
static int run_position(const char *symbol, char **a)
{
	(void)symbol;
	long (*tell)(DIR *) = function("telldir");
	void (*seek)(DIR *, long) = function("seekdir");
	DIR *dir = opendir(a[0]);
	readdir(dir);
	long position = tell(dir);
	while (readdir(dir))
		;
	seek(dir, position);
	return show_entries(dir, readdir);
}

static int run_dirfd(const char *symbol, char **a)
{
	int (*of)(DIR *) = function(symbol);
	struct stat st;
	return show_stat(fstat(of(opendir(a[0])), &st), &st);
}

static int show_list(int count, struct dirent **list)
{
	if (count < 0)
		return fail();
	for (int at = 0; at < count; at++) {
		printf("%s ", list[at]->d_name);
		free(list[at]);
	}
	printf("\n");
	free(list);
	return 0;
}

static int has_name(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int run_scandir(const char *symbol, char **a)
{
	int (*scan)(const char *, struct dirent ***, int (*)(const struct dirent *),
		    int (*)(const struct dirent **, const struct dirent **)) = function(symbol);
	struct dirent **list;
	int count = scan(a[0], &list, has_name, alphasort);
	return show_list(count, list);
}

static int run_scandirat(const char *symbol, char **a)
{
	int (*scan)(int, const char *, struct dirent ***, int (*)(const struct dirent *),
		    int (*)(const struct dirent **, const struct dirent **)) = function(symbol);
	struct dirent **list;
	int count = scan(AT_FDCWD, a[0], &list, has_name, alphasort);
	return show_list(count, list);
}

/* With so little room that it takes several calls. */
static int run_getdents64(const char *symbol, char **a)
{
	ssize_t (*get)(int, void *, size_t) = function(symbol);
	char room[64];
	int fd = open(a[0], O_RDONLY | O_DIRECTORY);
	ssize_t count;
	while ((count = get(fd, room, sizeof room)) > 0)
		for (ssize_t at = 0; at < count; at += ((struct dirent64 *)(room + at))->d_reclen)
			printf("%s ", ((struct dirent64 *)(room + at))->d_name);
	if (count < 0)
		return fail();
	printf("\n");
	return 0;
}

static int run_wordexp(const char *symbol, char **a)
{
	int (*it)(const char *, wordexp_t *, int) = function(symbol);
	wordexp_t words;
	int result = it(a[0], &words, 0);
	for (size_t at = 0; result == 0 && at < words.we_wordc; at++)
		printf("%s%s", at ? " " : "", words.we_wordv[at]);
	printf("%s\n", result ? "failed" : "");
	return 0;
}

static int run_glob(const char *symbol, char **a)
{
	int (*find)(const char *, int, int (*)(const char *, int), glob_t *) = function(symbol);
	glob_t found = { 0 };
	int result = find(a[0], 0, NULL, &found);
	if (result)
		return printf("result %d\n", result) < 0;
	for (size_t at = 0; at < found.gl_pathc; at++)
		printf("%s ", found.gl_pathv[at]);
	printf("\n");
	globfree(&found);
	return 0;
}

/* ---- what kernel objects do with a remote file ---- */

static int run_object(const char *symbol, char **a)
{
	(void)symbol;
	int fd = open(a[0], O_RDONLY);
	struct stat st;
	fstat(fd, &st);
	char *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	printf("mmap %.5s, ", map == MAP_FAILED ? "none" : map);
	printf("write %s, ", write(fd, "x", 1) < 0 ? strerrorname_np(errno) : "ok");
	char part[4] = "";
	pread(fd, part, 3, 2);
	printf("pread %s, ", part);
	int copy = dup(fd);
	close(fd);
	struct stat copied;
	fstat(copy, &copied);
	printf("dup %s, ", copied.st_ino == st.st_ino ? "same" : "other");
	int flags = fcntl(copy, F_GETFL);
	printf("flags %o, fd %d\n", flags & O_ACCMODE, fd);
	return 0;
}

static int run_relative(const char *symbol, char **a)
{
	(void)symbol;
	int dir = open(a[0], O_RDONLY | O_DIRECTORY);
	show_bytes(openat(dir, a[1], O_RDONLY));
	struct stat st;
	show_stat(fstatat(dir, a[1], &st, 0), &st);
	char byte;
	ssize_t count = read(dir, &byte, 1);
	printf("read %zd %s\n", count, strerrorname_np(errno));
	return 0;
}

static int run_raw(const char *symbol, char **a)
{
	(void)symbol;
	struct stat st;
	struct statx stx;
	char text[PATH_MAX];
	show_bytes((int)syscall(SYS_open, a[0], O_RDONLY));
	show_bytes((int)syscall(SYS_openat, AT_FDCWD, a[0], O_RDONLY));
	unsigned long how[3] = { O_RDONLY };
	show_bytes((int)syscall(SYS_openat2, AT_FDCWD, a[0], how, sizeof how));
	show_stat((int)syscall(SYS_stat, a[0], &st), &st);
	show_stat((int)syscall(SYS_lstat, a[0], &st), &st);
	show_stat((int)syscall(SYS_newfstatat, AT_FDCWD, a[0], &st, 0), &st);
	show_stat((int)syscall(SYS_fstat, open(a[0], O_RDONLY), &st), &st);
	show_statx((int)syscall(SYS_statx, AT_FDCWD, a[0], 0, STATX_BASIC_STATS | STATX_BTIME, &stx), &stx);
	say(syscall(SYS_access, a[0], R_OK));
	say(syscall(SYS_faccessat, AT_FDCWD, a[0], R_OK));
	say(syscall(SYS_faccessat2, AT_FDCWD, a[0], R_OK, 0));
	show_text(text, syscall(SYS_readlink, a[0], text, sizeof text));
	show_text(text, syscall(SYS_readlinkat, AT_FDCWD, a[0], text, sizeof text));
	return 0;
}

/* The number of bytes and a sum: big files. */
static int run_sum(const char *symbol, char **a)
{
	(void)symbol;
	static unsigned char room[65536];
	int fd = open(a[0], O_RDONLY);
	if (fd < 0)
		return fail();
	unsigned long sum = 0, bytes = 0;
	for (ssize_t count; (count = read(fd, room, sizeof room)) > 0; bytes += (unsigned long)count)
		for (ssize_t at = 0; at < count; at++)
			sum = sum * 31 + room[at];
	printf("%lu bytes, sum %lx\n", bytes, sum);
	return 0;
}

static const struct command commands[] = {
	{ "open", run_open }, { "open64", run_open }, { "__open_2", run_open }, { "__open64_2", run_open },
	{ "openat", run_openat }, { "openat64", run_openat }, { "__openat_2", run_openat }, { "__openat64_2", run_openat },
	{ "fopen", run_fopen }, { "fopen64", run_fopen }, { "freopen", run_freopen }, { "freopen64", run_freopen },
	{ "access", run_access }, { "euidaccess", run_access }, { "eaccess", run_access }, { "faccessat", run_faccessat },
	{ "access-all", run_access_all }, { "chdir", run_chdir }, { "fchdir", run_chdir },
	{ "readlink", run_readlink }, { "readlinkat", run_readlinkat },
	{ "__readlink_chk", run_readlink_chk }, { "__readlinkat_chk", run_readlinkat_chk },
	{ "realpath", run_realpath }, { "__realpath_chk", run_realpath_chk },
	{ "canonicalize_file_name", run_canonicalize },
	{ "stat", run_stat }, { "stat64", run_stat }, { "lstat", run_stat }, { "lstat64", run_stat },
	{ "fstat", run_fstat }, { "fstat64", run_fstat }, { "fstatat", run_fstatat }, { "fstatat64", run_fstatat },
	{ "__xstat", run_xstat }, { "__xstat64", run_xstat }, { "__lxstat", run_xstat }, { "__lxstat64", run_xstat },
	{ "__fxstat", run_fxstat }, { "__fxstat64", run_fxstat },
	{ "__fxstatat", run_fxstatat }, { "__fxstatat64", run_fxstatat }, { "statx", run_statx },
	{ "statfs", run_statfs }, { "statfs64", run_statfs }, { "statvfs", run_statvfs }, { "statvfs64", run_statvfs },
	{ "pathconf", run_pathconf },
	{ "opendir", run_opendir }, { "fdopendir", run_fdopendir }, { "readdir", run_readdir }, { "readdir64", run_readdir },
	{ "readdir_r", run_readdir_r }, { "readdir64_r", run_readdir_r }, { "closedir", run_closedir },
	{ "rewinddir", run_rewinddir }, { "telldir", run_position }, { "seekdir", run_position }, { "dirfd", run_dirfd },
	{ "scandir", run_scandir }, { "scandir64", run_scandir },
	{ "scandirat", run_scandirat }, { "scandirat64", run_scandirat },
	{ "getdents64", run_getdents64 }, { "glob", run_glob }, { "glob64", run_glob },
	{ "wordexp", run_wordexp }, { "object", run_object }, { "relative", run_relative }, { "syscall", run_raw }, { "sum", run_sum },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run(commands, argc, argv);
}
