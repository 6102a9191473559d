/* reals.c - the functions behind the hooks, as a supervisor has them. See reals.h.
 *
 * A hook that bypasses calls the real function. Here that means: the process's own call goes on in the kernel. But those
 * that look at what the kernel says of a descriptor, and say something else, get what it says of ours, which is the same
 * open file.
 */
#include "reals.h"
#include "processes.h"
#include "../real.h"
#include "../tree.h"

#include <fcntl.h>
#include <sys/socket.h>

struct real real;
_Thread_local bool reals_passed;
_Thread_local pid_t reals_caller;
_Thread_local int reals_listener;
_Thread_local uint64_t reals_notice;

static long pass(void)
{
	reals_passed = true;
	errno = ENOSYS;
	return -1;
}

void *real_named(const char *name)
{
	(void)name;
	return NULL;
}

uint32_t umask_of_program(void)
{
	return process_umask(reals_caller);
}

static int statx_of_descriptor(int fd, const char *path, int flags, unsigned mask, struct statx *into)
{
	return (flags & AT_EMPTY_PATH) && !*path ? edge(kernel(SYS_statx, fd, path, flags, mask, into)) : (int)pass();
}

void reals_start(void)
{
	void **member = (void **)&real;
	for (size_t at = 0; at < sizeof real / sizeof *member; at++)
		member[at] = (void *)pass;
	real.statx = statx_of_descriptor;
	real.uname = uname;
	real.fsync = fsync;
	real.fdatasync = fdatasync;
	real.listen = listen;
	real.accept = accept;
	real.accept4 = accept4;
	real.getsockname = getsockname;
	real.getpeername = getpeername;
	real.getsockopt = getsockopt;
	real.sendto = sendto;
	real.sendmsg = sendmsg;
	real.recvfrom = recvfrom;
	real.recvmsg = recvmsg;
}
