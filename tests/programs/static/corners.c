/* corners.c - calls that a supervisor cannot take for what they seem, and more threads than it has room for. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 200, ROUNDS = 20 };

static _Atomic int right, missing, refused;

/* open(2) as programs of 32 bits ask for it; its path lies where such an address can lead. */
static long narrow_open(const char *path)
{
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(5L), "b"(path), "c"(0L), "d"(0L) : "memory");
	return result;
}

static const char path[] = "/app/tree/a.txt";

static void *often(void *unused)
{
	struct stat st;
	for (int at = 0; at < ROUNDS; at++) {
		int error = stat(path, &st) < 0 ? errno : st.st_size == 6 ? 0 : ENOENT;
		*(error == 0 ? &right : error == ENOENT ? &missing : &refused) += 1;
	}
	return unused;
}

static void say(const char *call, long result)
{
	printf("%s: %ld %s\n", call, result, strerror(errno));
}

int main(int argc, char **argv)
{
	char handle[256] = { 0 };
	int mount;
	if (argc > 1 && strcmp(argv[1], "calls") == 0) {
		printf("narrow: %s\n", strerror(-(int)narrow_open(path)));
		say("x32", syscall(0x40000000 | SYS_open, path, O_RDONLY));
		say("ring", syscall(SYS_io_uring_setup, 8, handle));
		say("attributes", syscall(464, AT_FDCWD, path, 0, "user.a", handle, 16));
		say("handle", syscall(SYS_name_to_handle_at, AT_FDCWD, path, handle, &mount, 0));
		int directory = open("/app/tree", O_RDONLY | O_DIRECTORY);
		say("directory", read(directory, handle, sizeof handle));
		DIR *list = fdopendir(directory);
		int count = 0;
		while (list && readdir(list))
			count++;
		printf("entries: %d\n", count);
		return 0;
	}
	pthread_t threads[THREADS];
	for (int at = 0; at < THREADS; at++)
		if (pthread_create(&threads[at], NULL, often, NULL) != 0)
			return 1;
	for (int at = 0; at < THREADS; at++)
		pthread_join(threads[at], NULL);
	printf("right: %d, missing: %d, refused: %d\n", right, missing, refused);
	return 0;
}
