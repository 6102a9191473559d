/* writing.c - `writing SYMBOL PATH`: creates the file, writes "bytes", calls the function, and prints what came of it. */
#include "calls.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

static int call_on(const char *symbol, int fd)
{
	if (!strcmp(symbol, "fchmod"))
		return fchmod(fd, 0600);
	if (!strcmp(symbol, "fchown"))
		return fchown(fd, getuid(), getgid());
	if (!strcmp(symbol, "futimens"))
		return futimens(fd, NULL);
	if (!strcmp(symbol, "futimes"))
		return futimes(fd, NULL);
	if (!strcmp(symbol, "fsync"))
		return fsync(fd);
	if (!strcmp(symbol, "fdatasync"))
		return fdatasync(fd);
	if (!strcmp(symbol, "syncfs"))
		return syncfs(fd);
	if (!strcmp(symbol, "sync_file_range"))
		return sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	if (!strcmp(symbol, "fallocate") || !strcmp(symbol, "fallocate64"))
		return fallocate(fd, 0, 0, 5);
	if (!strncmp(symbol, "posix_fallocate", 15))
		return posix_fallocate(fd, 0, 5) ? -1 : 0;
	if (!strncmp(symbol, "ftruncate", 9)) {
		int (*cut)(int, off_t) = function(symbol);
		return cut(fd, 5);
	}
	if (!strcmp(symbol, "close"))
		return close(fd);
	if (!strcmp(symbol, "dup2"))
		return dup2(0, fd) < 0 ? -1 : 0;
	if (!strcmp(symbol, "dup3"))
		return dup3(0, fd, 0) < 0 ? -1 : 0;
	if (!strcmp(symbol, "close_range"))
		return close_range((unsigned)fd, (unsigned)fd, 0);
	printf("no such call: %s\n", symbol);
	return 1;
}

static int map(const char *symbol, int fd)
{
	void *(*map_it)(void *, size_t, int, int, int, off_t) =
		function(strcmp(symbol, "msync") ? symbol : "mmap");
	char *at = map_it(NULL, 5, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -1;
	at[0] = 'B';
	return strcmp(symbol, "msync") ? 0 : msync(at, 5, MS_SYNC);
}

/* On a descriptor with O_DSYNC. */
static long write_through(const char *symbol, int fd)
{
	struct iovec part = { (void *)"bytes", 5 };
	ssize_t (*write_it)() = function(symbol);
	if (strstr(symbol, "pwritev") && strstr(symbol, "2"))
		return write_it(fd, &part, 1, (off_t)0, 0);
	if (strstr(symbol, "pwritev"))
		return write_it(fd, &part, 1, (off_t)0);
	if (strstr(symbol, "writev"))
		return write_it(fd, &part, 1);
	return strstr(symbol, "pwrite") ? write_it(fd, "bytes", (size_t)5, (off_t)0) : write_it(fd, "bytes", (size_t)5);
}

/* Beside the file whose name is given. */
static int open_temporary(const char *symbol, const char *path)
{
	char name[4096];
	int (*open_it)() = function(symbol);
	bool has_suffix = strstr(symbol, "temps") != NULL;
	snprintf(name, sizeof name, "%s-XXXXXX%s", path, has_suffix ? ".c" : "");
	int fd = strstr(symbol, "mkostemps") ? open_it(name, 2, 0) :
		 has_suffix		     ? open_it(name, 2) :
		 strstr(symbol, "mkostemp")  ? open_it(name, 0) :
					       open_it(name);
	if (fd < 0 || strstr(name, "XXXXXX") || write(fd, "bytes", 5) != 5)
		return -1;
	if (strncmp(path, "/data/", 6))
		unlink(name);
	return 0;
}

static int end(const char *symbol)
{
	puts("0");
	fflush(stdout);
	if (!strcmp(symbol, "_exit"))
		_exit(0);
	if (!strcmp(symbol, "_Exit"))
		_Exit(0);
	if (!strcmp(symbol, "quick_exit"))
		quick_exit(0);
	exit(0);
}

static int with_stream(const char *symbol, const char *path)
{
	FILE *stream = !strcmp(symbol, "fdopen") ? fdopen(open(path, O_WRONLY | O_CREAT, 0640), "w") : fopen(path, "w");
	if (!stream || fputs("bytes", stream) < 0)
		return -1;
	if (!strncmp(symbol, "fflush", 6)) {
		int (*flush)(FILE *) = function(symbol);
		return flush(stream) || ferror(stream) ? -1 : 0;
	}
	return strcmp(symbol, "fclose") ? 0 : fclose(stream); /* the other is flushed when the program ends */
}

int main(int count, char **a)
{
	const char *symbol = a[1], *path = count > 2 ? a[2] : "";
	bool is_creat = !strncmp(symbol, "creat", 5);
	int (*create)(const char *, mode_t) = is_creat ? function(symbol) : NULL;
	if (!strcmp(symbol, "fclose") || !strcmp(symbol, "fdopen") || !strncmp(symbol, "fflush", 6))
		return with_stream(symbol, path) < 0 ? fail() : puts("0") < 0;
	if (strstr(symbol, "temp"))
		return open_temporary(symbol, path) < 0 ? fail() : puts("0") < 0;
	if (strstr(symbol, "write")) {
		int through = open(path, O_WRONLY | O_CREAT | O_DSYNC, 0640);
		return through < 0 || write_through(symbol, through) != 5 ? fail() : puts("0") < 0;
	}
	int fd = is_creat ? create(path, 0640) : open(path, O_RDWR | O_CREAT, 0640);
	if (fd < 0 || write(fd, "bytes", 5) != 5)
		return fail();
	if (strstr(symbol, "xit"))
		return end(symbol);
	bool is_mapping = !strncmp(symbol, "mmap", 4) || !strcmp(symbol, "msync");
	if ((is_creat ? 0 : is_mapping ? map(symbol, fd) : call_on(symbol, fd)) < 0)
		return fail();
	puts("0");
	return 0;
}
