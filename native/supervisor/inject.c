/* inject.c - what a process has to do itself, done by its own thread. See inject.h.
 *
 * The kernel lets nobody change another process's working directory. So the thread is held (hold.h) when it comes back from the call
 * that we have answered, and makes two others before the program goes on: fchdir to a descriptor that we have put among its own,
 * and close of that one. Its memory is left alone.
 *
 * Under a debugger that is refused (EPERM): a process has one tracer.
 */
#include "../kernel.h"
#include "hold.h"
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>

int inject_directory(int listener, const struct seccomp_notif *notice, int directory)
{
	struct held held;
	struct seccomp_notif_addfd add = { .id = notice->id, .srcfd = (unsigned)directory, .newfd_flags = O_CLOEXEC };
	int error = hold_begin(&held, notice, 0);
	if (error)
		return error;
	long number = kernel(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
	if (!hold_at_return(&held, listener, notice, number < 0 ? (int)number : 0))
		return 0;
	struct user_regs_struct registers = held.before;
	long result = -EIO;
	if (held_can_call(&held)) {
		result = held_call(held.tid, &held.before, SYS_fchdir, number, 0);
		held_call(held.tid, &held.before, SYS_close, number, 0);
	}
	registers.rax = (unsigned long)result;
	registers.orig_rax = (unsigned long)-1L;
	ptrace(PTRACE_SETREGS, held.tid, 0, &registers);
	held_let_go(held.tid, held.mask);
	return 0;
}
