/* hold.c - a thread whose call waits for our answer, held by ptrace(2). See hold.h.
 *
 *	the thread			we
 *	waits for our answer		seize; interrupt; answer
 *	stops on its way back		all signals blocked; registers: another call, at the same instruction
 *	enters, leaves			its result; registers as they were; signals as they were; let go
 *
 * Before Linux 5.19 the interruption takes the call away from us: it stops with "make it again", which is as good. Whoever stands
 * anywhere else, in the handler of a signal, is let go as it is and asks again.
 */
#include "../kernel.h"
#include "hold.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum { INSTRUCTION = 0x050f, INSTRUCTION_BYTES = 2, IN_CALL = SIGTRAP | 0x80, MADE_AGAIN = -512 /* ERESTARTSYS */ };

/* The status of its next stop; 0: it has ended. */
static int next_stop(pid_t *tid, bool may_execute)
{
	int status;
	pid_t who;
	do
		who = waitpid(may_execute ? -1 : *tid, &status, __WALL | __WNOTHREAD);
	while (who < 0 && errno == EINTR);
	if (who < 0 || !WIFSTOPPED(status))
		return 0;
	*tid = who;
	return status;
}

static bool is_at_event(int status)
{
	return status >> 16 != 0;
}

int held_go_on(pid_t *tid, bool may_execute)
{
	for (int signal = 0;;) {
		if (ptrace(PTRACE_SYSCALL, *tid, 0, signal) < 0)
			return 0;
		int status = next_stop(tid, may_execute);
		if (!status || WSTOPSIG(status) == IN_CALL || (is_at_event(status) && status >> 16 != PTRACE_EVENT_STOP))
			return status;
		/* Only what cannot be blocked. */
		signal = is_at_event(status) ? 0 : WSTOPSIG(status);
	}
}

bool held_begins(pid_t tid)
{
	return next_stop(&tid, false) != 0;
}

void held_let_go(pid_t tid, uint64_t mask)
{
	ptrace(PTRACE_SETSIGMASK, tid, sizeof mask, &mask);
	ptrace(PTRACE_DETACH, tid, 0, 0);
}

int hold_begin(struct held *held, const struct seccomp_notif *notice, unsigned long options)
{
	held->tid = (pid_t)notice->pid;
	return ptrace(PTRACE_SEIZE, held->tid, 0, PTRACE_O_TRACESYSGOOD | options) < 0 ? -errno : 0;
}

bool hold_at_return(struct held *held, int listener, const struct seccomp_notif *notice, int error)
{
	struct seccomp_notif_resp response = { .id = notice->id, .error = error };
	const struct user_regs_struct *at = &held->before;
	uint64_t all = ~0ul;
	pid_t tid = held->tid;
	ptrace(PTRACE_INTERRUPT, tid, 0, 0);
	bool is_answered = kernel(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_SEND, &response) == 0;
	int status = next_stop(&tid, false);
	bool is_there = !error && status && is_at_event(status) && ptrace(PTRACE_GETREGS, tid, 0, at) == 0 &&
			at->rip == notice->data.instruction_pointer && at->orig_rax == (unsigned)notice->data.nr &&
			(long)at->rax == (is_answered ? 0 : MADE_AGAIN) &&
			ptrace(PTRACE_GETSIGMASK, tid, sizeof held->mask, &held->mask) == 0 &&
			ptrace(PTRACE_SETSIGMASK, tid, sizeof all, &all) == 0;
	if (is_there)
		return true;
	bool is_signal = status && !is_at_event(status) && WSTOPSIG(status) != IN_CALL;
	ptrace(PTRACE_DETACH, tid, 0, is_signal ? WSTOPSIG(status) : 0);
	return false;
}

bool held_can_call(const struct held *held)
{
	long code = ptrace(PTRACE_PEEKTEXT, held->tid, held->before.rip - INSTRUCTION_BYTES, 0);
	return (code & 0xffff) == INSTRUCTION;
}

long held_call(pid_t tid, const struct user_regs_struct *behind, long number, long a, long b)
{
	struct user_regs_struct registers = *behind;
	registers.rip -= INSTRUCTION_BYTES;
	registers.rax = (unsigned long)number;
	registers.orig_rax = (unsigned long)-1L;
	registers.rdi = (unsigned long)a;
	registers.rsi = (unsigned long)b;
	bool is_made = ptrace(PTRACE_SETREGS, tid, 0, &registers) == 0 && held_go_on(&tid, false) && held_go_on(&tid, false) &&
		       ptrace(PTRACE_GETREGS, tid, 0, &registers) == 0;
	return is_made ? (long)registers.rax : -ESRCH;
}
