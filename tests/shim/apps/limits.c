/* limits.c - calls with addresses that are none, and calls of a thread with the smallest stack there may be. */
#include "calls.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

static const char *existing;
static const char *wrong;

static void result_of(const char *call, long result)
{
	if (result >= 0 || errno != EFAULT)
		printf("%s: %ld %s\n", call, result, result < 0 ? strerrorname_np(errno) : "");
	errno = 0;
}

#define CALL(call) result_of(#call, call)

static int addresses(const char *symbol, char **arguments)
{
	static char *volatile none[] = { NULL, (char *)8, (char *)0xffff, (char *)-1, (char *)(1ul << 63) };
	struct stat st;
	struct statfs fs;
	struct statx stx;
	char text[16];
	(void)symbol;
	existing = arguments[0];
	for (size_t at = 0; at < sizeof none / sizeof *none; at++) {
		wrong = none[at];
		CALL(open(wrong, O_RDONLY));
		CALL(open(wrong, O_WRONLY | O_CREAT, 0600));
		CALL(openat(AT_FDCWD, wrong, O_RDONLY));
		CALL(stat(wrong, &st));
		CALL(lstat(wrong, &st));
		CALL(statfs(wrong, &fs));
		CALL(access(wrong, R_OK));
		CALL(readlink(wrong, text, sizeof text));
		CALL(chdir(wrong));
		CALL(mkdir(wrong, 0700));
		CALL(rmdir(wrong));
		CALL(unlink(wrong));
		CALL(chmod(wrong, 0600));
		CALL(truncate(wrong, 0));
		CALL(rename(wrong, existing));
		CALL(rename(existing, wrong));
		CALL(stat(existing, (struct stat *)(uintptr_t)wrong));
		CALL(readlink(arguments[1], (char *)(uintptr_t)wrong, 8));
	}
	/* libc's own wrappers of these look at the address themselves, or the kernel takes NULL for AT_EMPTY_PATH. */
	wrong = none[1];
	CALL(fstatat(AT_FDCWD, wrong, &st, 0));
	CALL(statx(AT_FDCWD, existing, 0, STATX_BASIC_STATS, (struct statx *)(uintptr_t)wrong));
	CALL(statx(AT_FDCWD, wrong, 0, STATX_BASIC_STATS, &stx));
	printf("done\n");
	return 0;
}

static void *with_little_stack(void *unused)
{
	struct stat st;
	char text[4] = "";
	int fd = open(existing, O_RDONLY);
	long count = read(fd, text, sizeof text - 1);
	close(fd);
	DIR *directory = opendir("/data");
	struct dirent *entry = directory ? readdir(directory) : NULL;
	printf("%ld %s %d %d %s\n", count, text, stat(existing, &st), access(existing, R_OK), entry ? entry->d_name : "?");
	return unused;
}

static int little_stack(const char *symbol, char **arguments)
{
	pthread_attr_t attributes;
	pthread_t thread;
	(void)symbol;
	existing = arguments[0];
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN);
	errno = pthread_create(&thread, &attributes, with_little_stack, NULL);
	if (errno)
		return fail();
	pthread_join(thread, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct command commands[] = {
		{ "addresses", addresses },
		{ "little_stack", little_stack },
		{ NULL, NULL },
	};
	return run(commands, argc, argv);
}
