/* links.c - what links of /proc tell of an open file, and functions that name files in other ways than by a path. */
#include "calls.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* `readlink PATH REST`: opens PATH, then says what the link to it tells, and what is at REST behind it. */
static int run_open(const char *symbol, char **a)
{
	char link[64], behind[PATH_MAX], text[PATH_MAX] = "";
	struct stat st;
	(void)symbol;
	int fd = open(a[0], O_RDONLY);
	if (fd < 0)
		return fail();
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	snprintf(behind, sizeof behind, "%s/%s", link, a[1]);
	if (readlink(link, text, sizeof text - 1) < 0)
		return fail();
	printf("%s %s\n", text, realpath(link, text) ? text : strerrorname_np(errno));
	printf("%ld\n", stat(link, &st) == 0 ? (long)st.st_ino : -1L);
	return say(stat(behind, &st) == 0 ? (long)st.st_ino : -1L);
}

static int run_ftok(const char *symbol, char **a)
{
	int (*call)(const char *, int) = function(symbol);
	int key = call(a[0], 'm');
	if (key == -1)
		return fail();
	printf("%x\n", (unsigned)key);
	return 0;
}

static int run_handle(const char *symbol, char **a)
{
	struct {
		struct file_handle head;
		char bytes[128];
	} handle = { .head.handle_bytes = 128 };
	int mount;
	int (*call)(int, const char *, void *, int *, int) = function(symbol);
	return say(call(AT_FDCWD, a[0], &handle, &mount, 0));
}

/* `openat2 DIRECTORY PATH RESOLVE` */
static int run_openat2(const char *symbol, char **a)
{
	char bytes[64] = "";
	struct open_how how = { .flags = O_RDONLY, .resolve = strtoul(a[2], NULL, 16) };
	(void)symbol;
	int directory = open(a[0], O_RDONLY | O_DIRECTORY);
	int fd = (int)syscall(SYS_openat2, directory, a[1], &how, sizeof how);
	if (fd < 0)
		return fail();
	printf("%.*s\n", (int)read(fd, bytes, sizeof bytes), bytes);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct command commands[] = {
		{ "open", run_open },	    { "ftok", run_ftok }, { "name_to_handle_at", run_handle },
		{ "openat2", run_openat2 }, { NULL, NULL },
	};
	return run(commands, argc, argv);
}
