/* relay_notice.c - a last word on the stderr of a program that is about to be ended. */
#include "sys.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Appends `length` bytes to what descriptor 2 of process `pid` stands for. Never waits (a full pipe loses the sentence),
 * never takes the terminal as ours. 0 or -errno; -EOPNOTSUPP for a socket, which cannot be opened anew. */
SYS int32_t relay_notice(int32_t pid, const uint8_t *text, uint32_t length)
{
	char path[40];
	struct stat status;
	snprintf(path, sizeof path, "/proc/%d/fd/2", pid);
	if (stat(path, &status) != 0)
		return -errno;
	if (S_ISSOCK(status.st_mode))
		return -EOPNOTSUPP;
	int fd = open(path, O_WRONLY | O_APPEND | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = write(fd, text, length) < 0 ? -errno : 0;
	close(fd);
	return error;
}
