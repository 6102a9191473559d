/* spawning.c - children that posix_spawn(3) starts in directories given by descriptors. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void start(const char *directory, int flags, const char *file)
{
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	int fd = open(directory, flags);
	posix_spawn_file_actions_addfchdir_np(&actions, fd);
	posix_spawn_file_actions_addopen(&actions, 0, file, O_RDONLY, 0);
	char *argv[] = { "sh", "-c", "pwd; ls; cat", NULL };
	pid_t child;
	int status = 0;
	int error = posix_spawn(&child, "/bin/sh", &actions, NULL, argv, environ);
	if (!error)
		waitpid(child, &status, 0);
	printf("%s %o %s: %s %d\n", directory, flags, file, strerrorname_np(error), status);
	posix_spawn_file_actions_destroy(&actions);
	close(fd);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	start("/data/sub", O_RDONLY, "deep/file");
	start("/data/sub", O_PATH, "deep/file");
	start("/data/dirlink", O_PATH | O_DIRECTORY, "../small.txt");
	start("/data/small.txt", O_RDONLY, "x");
	start("/data/sub", O_RDONLY, "/data/none");
	start("/data/nothing", O_RDONLY, "/data/small.txt");
	start("/usr/share/zoneinfo/Etc", O_RDONLY, "/data/small.txt");
	return 0;
}
