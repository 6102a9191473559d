/* relay_refuse.c - a program's UDP socket hears that nobody listens at its peer.
 *
 * Only the kernel says so (ECONNREFUSED), to a socket that has sent something to where nobody listens. So the program's own
 * socket, borrowed for that moment, sends an empty datagram to its relay, which has just been closed. Borrowing takes the right
 * to trace the process; who lacks it leaves it to the program's next datagram.
 */
#include "sys.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

/* The socket `inode` that process `pid` has at `fd`. 0 or -errno; -EBADF: it has another one there. */
SYS int32_t relay_refuse(int32_t pid, int32_t fd, uint64_t inode)
{
	int process = (int)syscall(SYS_pidfd_open, pid, 0);
	if (process < 0)
		return -errno;
	int borrowed = (int)syscall(SYS_pidfd_getfd, process, fd, 0);
	int error = borrowed < 0 ? -errno : 0;
	close(process);
	if (borrowed < 0)
		return error;
	struct stat st;
	if (fstat(borrowed, &st) < 0 || !S_ISSOCK(st.st_mode) || st.st_ino != inode)
		error = -EBADF;
	else if (send(borrowed, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		error = -errno;
	close(borrowed);
	return error;
}
