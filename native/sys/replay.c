/* replay.c - does to what stands for a file of the target what happened to that file, so that the kernel tells those who
 * watch it (inotify(7)). Each makes one event and no other, which is why these are not Deno's own functions.
 */
#include "sys.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* IN_CREATE. */
SYS int32_t replay_make(const char *path)
{
	return (int32_t)result(mknod(path, S_IFREG | 0644, 0));
}

/* IN_MODIFY. */
SYS int32_t replay_modify(const char *path)
{
	return (int32_t)result(truncate(path, 0));
}

/* IN_ACCESS. */
SYS int32_t replay_access(const char *path)
{
	struct timespec times[] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_OMIT } };
	return (int32_t)result(utimensat(AT_FDCWD, path, times, 0));
}
