/* reading.c - takes a stretch of a file by one function, and prints how many bytes came and a sum of them. */
#include "calls.h"

#include <aio.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char room[4 << 20];
static int fd;
static long offset, length;

static int show(long count)
{
	unsigned long sum = 0;
	if (count < 0)
		return fail();
	for (long at = 0; at < count; at++)
		sum = sum * 31 + (unsigned char)room[at];
	printf("%ld bytes, sum %lx, position %ld\n", count, sum, lseek(fd, 0, SEEK_CUR));
	return 0;
}

/* The kernel's own pread: what it sees is what is in the memory of the file. */
static long raw_pread(int from, void *into, long count, long at)
{
	register long r10 __asm__("r10") = at;
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(SYS_pread64), "D"((long)from), "S"(into), "d"(count), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}

static void open_it(char **a)
{
	fd = open(a[0], O_RDONLY);
	offset = atol(a[1]);
	length = atol(a[2]);
	if (fd < 0)
		exit(fail());
}

static int run_read(const char *symbol, char **a)
{
	ssize_t (*it)(int, void *, size_t, size_t) = function(symbol);
	open_it(a);
	lseek(fd, offset, SEEK_SET);
	return show(it(fd, room, (size_t)length, sizeof room));
}

static int run_pread(const char *symbol, char **a)
{
	ssize_t (*it)(int, void *, size_t, off_t, size_t) = function(symbol);
	open_it(a);
	return show(it(fd, room, (size_t)length, offset, sizeof room));
}

static int run_vector(const char *symbol, char **a)
{
	ssize_t (*it)(int, const struct iovec *, int, off_t, int) = function(symbol);
	open_it(a);
	if (!strcmp(symbol, "readv"))
		lseek(fd, offset, SEEK_SET);
	struct iovec parts[] = { { room, 10 }, { room + 10, (size_t)length - 10 } };
	return show(it(fd, parts, 2, offset, 0));
}

static int run_lseek(const char *symbol, char **a)
{
	off_t (*it)(int, off_t, int) = function(symbol);
	open_it(a);
	printf("%ld %ld %ld\n", it(fd, offset, SEEK_DATA), it(fd, offset, SEEK_HOLE), it(fd, -5, SEEK_END));
	return say(it(fd, 1L << 40, SEEK_DATA));
}

static int run_mmap(const char *symbol, char **a)
{
	void *(*it)(void *, size_t, int, int, int, off_t) = function(symbol);
	open_it(a);
	long skipped = offset % 4096;
	char *map = it(NULL, (size_t)(length + skipped), PROT_READ, MAP_PRIVATE, fd, offset - skipped);
	if (map == MAP_FAILED)
		return fail();
	memcpy(room, map + skipped, (size_t)length);
	return show(length);
}

static int run_mremap(const char *symbol, char **a)
{
	void *(*it)(void *, size_t, size_t, int, ...) = function(symbol);
	open_it(a);
	char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, offset & ~4095L);
	map = it(map, 4096, 8192, MREMAP_MAYMOVE);
	if (map == MAP_FAILED)
		return fail();
	memcpy(room, map, 8192);
	return show(8192);
}

static int run_sendfile(const char *symbol, char **a)
{
	ssize_t (*it)(int, int, off_t *, size_t) = function(symbol);
	open_it(a);
	int to = memfd_create("to", 0);
	lseek(fd, offset, SEEK_SET);
	long done = 0;
	for (long count = 1; count > 0 && done < length; done += count)
		count = it(to, fd, NULL, (size_t)(length - done));
	return show(pread(to, room, (size_t)length, 0));
}

static int run_copy_file_range(const char *symbol, char **a)
{
	ssize_t (*it)(int, off_t *, int, off_t *, size_t, unsigned) = function(symbol);
	open_it(a);
	int to = memfd_create("to", 0);
	long done = 0;
	for (long count = 1; count > 0 && done < length; done += count)
		if ((count = it(fd, &offset, to, NULL, (size_t)(length - done), 0)) < 0)
			return fail();
	return show(pread(to, room, (size_t)length, 0));
}

static int run_splice(const char *symbol, char **a)
{
	ssize_t (*it)(int, off_t *, int, off_t *, size_t, unsigned) = function(symbol);
	int ends[2];
	open_it(a);
	if (pipe(ends) < 0)
		return fail();
	long done = 0;
	for (long count = 1; count > 0 && done < length; done += count) {
		count = it(fd, &offset, ends[1], NULL, (size_t)(length - done), 0);
		if (count > 0 && read(ends[0], room + done, (size_t)count) != count)
			return fail();
	}
	return show(done);
}

static int run_fdopen(const char *symbol, char **a)
{
	FILE *(*it)(int, const char *) = function(symbol);
	open_it(a);
	FILE *stream = it(fd, "r");
	if (!stream)
		return fail();
	fseek(stream, offset, SEEK_SET);
	return show((long)fread(room, 1, (size_t)length, stream));
}

static int run_fopen(const char *symbol, char **a)
{
	FILE *(*it)(const char *, const char *) = function(symbol);
	FILE *stream = it(a[0], "r");
	if (!stream)
		return fail();
	fd = fileno(stream);
	fseek(stream, atol(a[1]), SEEK_SET);
	return show((long)fread(room, 1, (size_t)atol(a[2]), stream));
}

static int run_freopen(const char *symbol, char **a)
{
	FILE *(*it)(const char *, const char *, FILE *) = function(symbol);
	if (!it(a[0], "r", stdin))
		return fail();
	fd = fileno(stdin);
	fseek(stdin, atol(a[1]), SEEK_SET);
	return show((long)fread(room, 1, (size_t)atol(a[2]), stdin));
}

static int run_aio(const char *symbol, char **a)
{
	open_it(a);
	struct aiocb request = { .aio_fildes = fd, .aio_buf = room, .aio_nbytes = (size_t)length, .aio_offset = offset };
	const struct aiocb *one[] = { &request };
	struct aiocb *list[] = { &request };
	request.aio_lio_opcode = LIO_READ;
	int (*read_it)(struct aiocb *) = function(symbol);
	int (*list_it)(int, struct aiocb *[], int, void *) = function(symbol);
	int result = strncmp(symbol, "lio", 3) ? read_it(&request) : list_it(LIO_WAIT, list, 1, NULL);
	if (result < 0)
		return fail();
	while (aio_error(&request) == EINPROGRESS)
		aio_suspend(one, 1, NULL);
	return show(aio_return(&request));
}

static int run_dup(const char *symbol, char **a)
{
	int (*it)(int, int, int) = function(symbol);
	open_it(a);
	bool is_fcntl = !strncmp(symbol, "fcntl", 5);
	int to = it(fd, is_fcntl ? F_DUPFD_CLOEXEC : 40, is_fcntl ? 50 : 0);
	if (to < 0)
		return fail();
	bool is_numbered = !is_fcntl && strcmp(symbol, "dup");
	return show((is_numbered ? raw_pread : (long (*)(int, void *, long, long))pread)(to, room, length, offset));
}

static int run_chroot(const char *symbol, char **a)
{
	int (*it)(const char *) = function(symbol);
	open_it(a);
	if (it("/") < 0)
		return fail();
	return show(raw_pread(fd, room, length, offset));
}

static int run_sendmsg(const char *symbol, char **a)
{
	ssize_t (*it)(int, const struct msghdr *, int) = function(symbol);
	int ends[2];
	char byte = 0;
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr head;
	} control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	open_it(a);
	socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
	struct iovec part = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control,
	};
	if (it(ends[0], &message, 0) < 0)
		return fail();
	return show(raw_pread(fd, room, length, offset));
}

static int run_stdin(const char *symbol, char **a)
{
	(void)symbol;
	close(0);
	open_it(a);
	return show(raw_pread(0, room, length, offset));
}

static int run_name(const char *symbol, char **a)
{
	char name[64];
	open_it(a);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	FILE *stream = !strcmp(symbol, "name-fopen") ? fopen(name, "r") : NULL;
	if (stream)
		return fseek(stream, offset, SEEK_SET), show((long)fread(room, 1, (size_t)length, stream));
	return show(pread(open(name, O_RDONLY), room, (size_t)length, offset));
}

static int run_watch(const char *symbol, char **a)
{
	int (*it)(int, const char *, uint32_t) = function(symbol);
	return say(it(inotify_init(), a[0], IN_MODIFY));
}

/* With no right to write anything: by setrlimit(2), and as somebody who cannot lift that. */
static int run_limit(const char *symbol, char **a)
{
	bool is_nobody = !strcmp(symbol, "limit-nobody");
	struct rlimit none = { 0, is_nobody ? 0 : RLIM_INFINITY };
	setrlimit(RLIMIT_FSIZE, &none);
	if (is_nobody && setuid(65534) < 0)
		return fail();
	open_it(a);
	struct rlimit after;
	getrlimit(RLIMIT_FSIZE, &after);
	if (after.rlim_cur != none.rlim_cur || after.rlim_max != none.rlim_max)
		return say((long)after.rlim_cur);
	return show(pread(fd, room, (size_t)length, offset));
}

static int run_directory(const char *symbol, char **a)
{
	(void)symbol;
	int ends[2];
	struct iovec part = { room, 100 };
	off_t at = 0;
	fd = open(a[0], O_RDONLY);
	if (pipe(ends) < 0)
		return fail();
	say(read(fd, room, 100));
	say(pread(fd, room, 100, 0));
	say(readv(fd, &part, 1));
	say(preadv(fd, &part, 1, 0));
	say(preadv2(fd, &part, 1, 0, 0));
	say(sendfile(ends[1], fd, &at, 100));
	say(splice(fd, NULL, ends[1], NULL, 100, 0));
	say(copy_file_range(fd, NULL, memfd_create("to", 0), NULL, 100, 0));
	return say((long)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0));
}

static int run_bad(const char *symbol, char **a)
{
	(void)symbol;
	open_it(a);
	void *volatile nowhere = (void *)8;
	say(pread(fd, nowhere, 4096, 2 << 20));
	say(pread(fd, room, 4096, -1));
	say(pread(fd, room, 4096, 1L << 40));
	return say(write(fd, room, 1));
}

static const struct command commands[] = {
	{ "read", run_read }, { "__read", run_read }, { "__read_chk", run_read },
	{ "pread", run_pread }, { "pread64", run_pread }, { "__pread64", run_pread },
	{ "__pread_chk", run_pread }, { "__pread64_chk", run_pread },
	{ "readv", run_vector }, { "preadv", run_vector }, { "preadv64", run_vector },
	{ "preadv2", run_vector }, { "preadv64v2", run_vector },
	{ "lseek", run_lseek }, { "lseek64", run_lseek }, { "__lseek", run_lseek },
	{ "mmap", run_mmap }, { "mmap64", run_mmap }, { "mremap", run_mremap },
	{ "sendfile", run_sendfile }, { "sendfile64", run_sendfile },
	{ "copy_file_range", run_copy_file_range }, { "splice", run_splice },
	{ "fdopen", run_fdopen }, { "fopen", run_fopen }, { "fopen64", run_fopen },
	{ "freopen", run_freopen }, { "freopen64", run_freopen },
	{ "aio_read", run_aio }, { "aio_read64", run_aio }, { "lio_listio", run_aio }, { "lio_listio64", run_aio },
	{ "dup", run_dup }, { "dup2", run_dup }, { "dup3", run_dup }, { "fcntl", run_dup }, { "fcntl64", run_dup },
	{ "chroot", run_chroot }, { "sendmsg", run_sendmsg }, { "stdin", run_stdin },
	{ "name-open", run_name }, { "name-fopen", run_name }, { "bad", run_bad },
	{ "limit", run_limit }, { "limit-nobody", run_limit }, { "directory", run_directory },
	{ "inotify_add_watch", run_watch },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run(commands, argc, argv);
}
