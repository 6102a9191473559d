/* rows.c - one small behaviour for each word in argv[1]; prints what it saw. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

int open64(const char *path, int flags, ...);
int openat64(int dirfd, const char *path, int flags, ...);

static const char *said(long result)
{
	return result < 0 ? strerrorname_np(errno) : "ok";
}

static void show_mode(const char *what, const char *path)
{
	struct stat st;
	if (stat(path, &st) == 0)
		printf("%s %o\n", what, st.st_mode & 07777);
	else
		printf("%s %s\n", what, strerrorname_np(errno));
}

/* modes DIRECTORY: what is created in it keeps its mode. */
static void modes(const char *directory)
{
	static const mode_t wanted[] = { 0640, 0604, 0431, 0755 };
	umask(0);
	for (size_t at = 0; at < sizeof wanted / sizeof *wanted; at++) {
		char path[4][PATH_MAX];
		static const char *const by[] = { "open", "openat", "open64", "openat64" };
		for (int way = 0; way < 4; way++)
			snprintf(path[way], sizeof path[way], "%s/%s-%o", directory, by[way], wanted[at]);
		close(open(path[0], O_CREAT | O_WRONLY | O_EXCL, wanted[at]));
		close(openat(AT_FDCWD, path[1], O_CREAT | O_RDWR, wanted[at]));
		close(open64(path[2], O_CREAT | O_WRONLY | O_TRUNC, wanted[at]));
		close(openat64(AT_FDCWD, path[3], O_CREAT | O_RDONLY, wanted[at]));
		for (int way = 0; way < 4; way++)
			show_mode(by[way], path[way]);
		char made[PATH_MAX];
		snprintf(made, sizeof made, "%s/mkdir-%o", directory, wanted[at]);
		mkdir(made, wanted[at]);
		show_mode("mkdir", made);
	}
}

/* write FILE LOCAL: 37 bytes by pwrite to one, stdio to the other. */
static void write_both(const char *path, const char *local)
{
	static const char text[] = "Mary had a little lamb, dear as snow\n";
	int fd = open(path, O_WRONLY | O_CREAT, 0644);
	printf("open %s\n", said(fd));
	printf("pwrite %zd\n", pwrite(fd, text, sizeof text - 1, 0));
	printf("close %s\n", said(close(fd)));
	FILE *stream = fopen(local, "w");
	printf("fwrite %zu\n", stream ? fwrite("local text\n", 1, 11, stream) : 0);
	printf("fclose %s\n", said(stream ? fclose(stream) : -1));
}

static void print_file(int fd)
{
	char bytes[256];
	ssize_t count = read(fd, bytes, sizeof bytes);
	printf("%.*s", count > 0 ? (int)count : 0, bytes);
}

static void forked(const char *path)
{
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		int fd = open(path, O_RDONLY);
		print_file(fd);
		printf("close %s\n", said(close(fd)));
		exit(0);
	}
	int status;
	waitpid(child, &status, 0);
	printf("child %d\n", WEXITSTATUS(status));
}

static void directory(const char *path)
{
	DIR *stream = opendir(path);
	printf("opendir %s\n", stream ? "ok" : strerrorname_np(errno));
	if (!stream)
		return;
	struct dirent *first = readdir(stream);
	printf("%s\n", first ? first->d_name : "none");
	struct dirent64 *entry;
	while ((entry = readdir64(stream)))
		printf("%s\n", entry->d_name);
	closedir(stream);
}

static void show_statx(const char *what, int dirfd, const char *path, int flags)
{
	struct statx stx;
	if (statx(dirfd, path, flags, STATX_BASIC_STATS, &stx) < 0)
		printf("%s %s\n", what, strerrorname_np(errno));
	else
		printf("%s size %llu mode %o\n", what, (unsigned long long)stx.stx_size, stx.stx_mode);
}

static void statx_three_ways(const char *relative, const char *absolute)
{
	show_statx("relative", AT_FDCWD, relative, 0);
	show_statx("absolute", AT_FDCWD, absolute, 0);
	show_statx("descriptor", open(absolute, O_RDONLY), "", AT_EMPTY_PATH);
	show_statx("null", 0, NULL, 0);
}

static void tree(const char *first, const char *second)
{
	printf("mkdir %s\n", said(mkdir(first, 0777)));
	printf("again %s\n", said(mkdir(first, 0777)));
	printf("mkdirat %s\n", said(mkdirat(AT_FDCWD, second, 0777)));
	struct stat st;
	printf("stat %s\n", said(stat(second, &st)));
	printf("rmdir %s\n", said(rmdir(second)));
	printf("rmdir %s\n", said(rmdir(first)));
	printf("stat %s\n", said(stat(first, &st)));
}

static void link_text(const char *path)
{
	char text[PATH_MAX];
	memset(text, '#', sizeof text);
	ssize_t length = readlink(path, text, sizeof text);
	printf("%zd %.*s%c\n", length, length > 0 ? (int)length : 0, text, text[length > 0 ? length : 0]);
}

static void file_systems(const char *path)
{
	struct statfs by_path, by_fd;
	int fd = open(path, O_RDONLY);
	long one = statfs(path, &by_path), two = fstatfs(fd, &by_fd);
	printf("statfs %s, fstatfs %s\n", said(one), said(two));
	printf("type %lx bsize %ld blocks %lu files %lu namelen %ld frsize %ld\n", (long)by_path.f_type,
	       (long)by_path.f_bsize, (unsigned long)by_path.f_blocks, (unsigned long)by_path.f_files,
	       (long)by_path.f_namelen, (long)by_path.f_frsize);
	printf("same %d\n", by_path.f_type == by_fd.f_type && by_path.f_blocks == by_fd.f_blocks);
	printf("close %s\n", said(close(fd)));
}

static void resolve(const char *relative, const char *local, const char *remote, const char *missing)
{
	char buffer[PATH_MAX];
	char *found = realpath(relative, NULL);
	printf("relative %s\n", found ? found : strerrorname_np(errno));
	found = realpath(local, NULL);
	printf("local %s\n", found ? found : strerrorname_np(errno));
	found = realpath(remote, buffer);
	printf("buffer %s %d\n", found ? found : strerrorname_np(errno), found == buffer);
	found = realpath(remote, NULL);
	printf("memory %s\n", found ? found : strerrorname_np(errno));
	free(found);
	found = realpath(missing, NULL);
	printf("missing %s\n", found ? found : strerrorname_np(errno));
}

static void at_descriptor(const char *directory, const char *name)
{
	int dirfd = open(directory, O_RDONLY | O_DIRECTORY);
	int fd = openat(dirfd, name, O_RDONLY);
	FILE *stream = fdopen(fd, "r");
	char line[256], byte = '?';
	ssize_t count = pread(fd, &byte, 1, 2);
	printf("fgets %s", stream && fgets(line, sizeof line, stream) ? line : "none\n");
	printf("pread %zd %c\n", count, byte);
	printf("write %s\n", said(write(fd, "x", 1)));
	printf("missing %s\n", said(openat(dirfd, "missing", O_RDONLY)));
	printf("not a directory %s\n", said(open(directory, O_WRONLY)));
}

static void host(void)
{
	char name[256];
	printf("gethostname %s\n", said(gethostname(name, sizeof name)));
	struct hostent *found = gethostbyname(name);
	printf("[%s] %s\n", name, found ? "found" : hstrerror(h_errno));
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	const char *a = argc > 2 ? argv[2] : "", *b = argc > 3 ? argv[3] : "";
	if (strcmp(what, "modes") == 0)
		modes(a);
	else if (strcmp(what, "write") == 0)
		write_both(a, b);
	else if (strcmp(what, "fork") == 0)
		forked(a);
	else if (strcmp(what, "directory") == 0)
		directory(a);
	else if (strcmp(what, "statx") == 0)
		statx_three_ways(a, b);
	else if (strcmp(what, "tree") == 0)
		tree(a, b);
	else if (strcmp(what, "readlink") == 0)
		link_text(a);
	else if (strcmp(what, "statfs") == 0)
		file_systems(a);
	else if (strcmp(what, "realpath") == 0 && argc > 5)
		resolve(a, b, argv[4], argv[5]);
	else if (strcmp(what, "at") == 0)
		at_descriptor(a, b);
	else if (strcmp(what, "host") == 0)
		host();
	else if (strcmp(what, "cat") == 0)
		print_file(open(a, O_RDONLY));
	else
		return 2;
	return 0;
}
