/* stress.c - many threads in the shim at once: THREADS threads go ROUNDS times round all that a file can be asked, while others fork,
 * spawn, dup over and close descriptors. Prints how many answers were wrong.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static int rounds;
static atomic_int wrong;

static void expect(int is_right, const char *what)
{
	if (is_right)
		return;
	wrong++;
	dprintf(1, "%s: %s\n", what, strerrorname_np(errno));
}

static void read_whole(const char *path, const char *text)
{
	char bytes[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	expect(fd >= 0 && read(fd, bytes, sizeof bytes - 1) >= 0 && strcmp(bytes, text) == 0, path);
	close(fd);
}

static void list(const char *path)
{
	DIR *stream = opendir(path);
	int count = 0;
	while (stream && readdir(stream))
		count++;
	expect(count == 4, path);
	if (stream)
		closedir(stream);
}

static void *ask(void *unused)
{
	struct stat st;
	char text[64];
	for (int at = 0; at < rounds; at++) {
		read_whole("/data/a", "bytes of a");
		read_whole("/data/b", "bytes of b");
		list("/data");
		expect(stat("/data/a", &st) == 0 && st.st_size == 10, "stat");
		expect(access("/data/none", R_OK) < 0 && errno == ENOENT, "access");
		expect(readlink("/data/link", text, sizeof text) == 1, "readlink");
		expect(stat("/usr", &st) == 0, "stat of a local path");
	}
	return unused;
}

static void *fork_and_spawn(void *unused)
{
	for (int at = 0; at < rounds; at++) {
		pid_t child = fork();
		if (child == 0) {
			read_whole("/data/a", "bytes of a");
			_exit(wrong > 0);
		}
		int status = -1;
		expect(waitpid(child, &status, 0) == child && status == 0, "child");
		char *argv[] = { "true", NULL };
		expect(posix_spawnp(&child, "true", NULL, NULL, argv, environ) == 0, "spawn");
		expect(waitpid(child, &status, 0) == child && status == 0, "spawned child");
	}
	return unused;
}

static void *move_descriptors(void *unused)
{
	for (int at = 0; at < rounds; at++) {
		int fd = open("/data/b", O_RDONLY | O_CLOEXEC);
		int copy = fcntl(fd, F_DUPFD_CLOEXEC, 100);
		char byte = 0;
		expect(copy >= 100 && pread(copy, &byte, 1, 9) == 1 && byte == 'b', "copy");
		close(copy);
		close(fd);
		/* As daemons do, but for the others' sake only where nobody of this program has any. */
		expect(close_range(5000, ~0u, 0) == 0, "close_range");
	}
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t threads[64];
	int count = argc > 1 ? atoi(argv[1]) : 8;
	rounds = argc > 2 ? atoi(argv[2]) : 20;
	void *(*const work[])(void *) = { ask, ask, fork_and_spawn, ask, move_descriptors };
	for (int at = 0; at < count && at < 64; at++)
		pthread_create(&threads[at], NULL, work[at % 5], NULL);
	for (int at = 0; at < count && at < 64; at++)
		pthread_join(threads[at], NULL);
	printf("%d wrong\n", wrong);
	return 0;
}
