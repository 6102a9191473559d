/* inject.c - what a process has to do itself, done by its own thread. See inject.h.
 *
 * The kernel lets nobody change another process's working directory. So the thread is held by ptrace(2) when it comes back
 * from the call that we have answered, and makes two others before the program goes on: fchdir to a descriptor that we have put
 * among its own, and close of that one. Its memory is left alone; signals that come meanwhile are sent again.
 *
 *	the thread			we
 *	waits for our answer		put the descriptor in; seize; interrupt; answer
 *	stops on its way back		registers: fchdir, at the same instruction
 *	enters, leaves			registers: close
 *	enters, leaves			registers as they were, with fchdir's result; let go
 *
 * Under a debugger that is refused (EPERM): a process has one tracer.
 */
#include "../kernel.h"
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

enum { INSTRUCTION = 0x050f, INSTRUCTION_BYTES = 2, MOST_SIGNALS = 16, IN_CALL = SIGTRAP | 0x80 };

struct held {
	pid_t tid;
	int signals[MOST_SIGNALS];
	int count;
};

/* Waits until the thread stops: true when for `reason`; what else comes is noted and passed over. */
static bool await(struct held *held, int reason)
{
	int status;
	while (waitpid(held->tid, &status, __WALL) == held->tid) {
		if (!WIFSTOPPED(status))
			return false;
		if (WSTOPSIG(status) == reason && (reason == IN_CALL || status >> 16 == PTRACE_EVENT_STOP))
			return true;
		bool is_signal = status >> 16 == 0 && WSTOPSIG(status) != IN_CALL;
		if (is_signal && held->count < MOST_SIGNALS)
			held->signals[held->count++] = WSTOPSIG(status);
		if (ptrace(PTRACE_SYSCALL, held->tid, 0, 0) < 0)
			return false;
	}
	return false;
}

/* Has the thread make a call: its result, or -ESRCH. */
static long call(struct held *held, const struct user_regs_struct *before, long number, long argument)
{
	struct user_regs_struct registers = *before;
	registers.rip -= INSTRUCTION_BYTES;
	registers.rax = (unsigned long)number;
	registers.orig_rax = (unsigned long)-1L;
	registers.rdi = (unsigned long)argument;
	bool is_made = ptrace(PTRACE_SETREGS, held->tid, 0, &registers) == 0 && ptrace(PTRACE_SYSCALL, held->tid, 0, 0) == 0 &&
		       await(held, IN_CALL) && ptrace(PTRACE_SYSCALL, held->tid, 0, 0) == 0 && await(held, IN_CALL) &&
		       ptrace(PTRACE_GETREGS, held->tid, 0, &registers) == 0;
	return is_made ? (long)registers.rax : -ESRCH;
}

static void change(struct held *held, int number)
{
	struct user_regs_struct registers;
	if (ptrace(PTRACE_GETREGS, held->tid, 0, &registers) < 0)
		return;
	long code = ptrace(PTRACE_PEEKTEXT, held->tid, registers.rip - INSTRUCTION_BYTES, 0);
	long result = (code & 0xffff) == INSTRUCTION ? call(held, &registers, SYS_fchdir, number) : -EIO;
	if (result != -EIO)
		call(held, &registers, SYS_close, number);
	registers.rax = (unsigned long)result;
	registers.orig_rax = (unsigned long)-1L;
	ptrace(PTRACE_SETREGS, held->tid, 0, &registers);
}

int inject_directory(int listener, uint64_t id, pid_t tid, int directory)
{
	struct held held = { .tid = tid };
	struct seccomp_notif_resp response = { .id = id };
	struct seccomp_notif_addfd add = { .id = id, .srcfd = (unsigned)directory, .newfd_flags = O_CLOEXEC };
	long number = kernel(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
	if (number < 0)
		return (int)number;
	if (ptrace(PTRACE_SEIZE, tid, 0, PTRACE_O_TRACESYSGOOD) < 0)
		return -errno;
	ptrace(PTRACE_INTERRUPT, tid, 0, 0);
	/* Who was interrupted, and is to make the call again, is let go as it is. */
	bool is_answered = kernel(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_SEND, &response) == 0;
	if (await(&held, SIGTRAP) && is_answered)
		change(&held, (int)number);
	ptrace(PTRACE_DETACH, tid, 0, 0);
	for (int at = 0; at < held.count; at++)
		kernel(SYS_tkill, tid, held.signals[at]);
	return 0;
}
