/* permission.c - the right to look into the program's processes. See permission.h.
 *
 * With kernel.yama.ptrace_scope 1, as Ubuntu and others have it, a process may be looked into by those above it and by the one it
 * has named (PR_SET_PTRACER). The program names us before it is executed, and that stays with it; but its children do not inherit it, and
 * the kernel forgets it when another thread than the first executes a program. So calls that do this are told to us too:
 *
 *	the thread			we
 *	begins a process		hold it (hold.h); have it make the call again, with a mark that the filter lets pass
 *	stops, and the new one too	the new one: prctl(PR_SET_PTRACER); both: registers as they were, let go
 *
 *	executes, not the first		the same
 *	stops, the first now		at the program's first instruction: prctl, put in its place for that long; let go
 *
 * Threads are not told of. A program that names somebody else would take the right away: it is told that it did. Under a
 * debugger the kernel goes on, and the child's calls are refused (EPERM).
 */
#include "permission.h"
#include "../kernel.h"
#include "hold.h"
#include "memory.h"
#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <unistd.h>

enum { INSTRUCTION = 0x050f, INSTRUCTION_BYTES = 2 };

/* For tests on machines without Yama. */
static const char FORCED[] = "MIRRORD_TEST_PTRACE_SCOPE";

static bool may_trace_all(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
	memset(sets, 0, sizeof sets);
	return kernel(SYS_capget, &header, sets) == 0 && sets[0].effective & CAP_TO_MASK(CAP_SYS_PTRACE);
}

static bool look(void)
{
	char scope = '0';
	if (getenv(FORCED))
		return true;
	int fd = (int)kernel(SYS_openat, AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	long count = kernel(SYS_read, fd, &scope, 1);
	kernel(SYS_close, fd);
	return count == 1 && scope == '1' && !may_trace_all();
}

bool permission_is_needed(void)
{
	static enum { UNKNOWN, NOT_NEEDED, NEEDED } known;
	if (known == UNKNOWN)
		known = look() ? NEEDED : NOT_NEEDED;
	return known == NEEDED;
}

void permission_give(pid_t supervisor)
{
	kernel(SYS_prctl, PR_SET_PTRACER, supervisor, 0, 0, 0); /* EINVAL without Yama */
}

static void set_registers(pid_t tid, const struct user_regs_struct *to)
{
	ptrace(PTRACE_SETREGS, tid, 0, to);
}

/* What we have put into the thread's registers is taken out again; it stands in the call still. */
static void clean(pid_t tid, const struct held *held)
{
	struct user_regs_struct registers;
	if (ptrace(PTRACE_GETREGS, tid, 0, &registers) < 0)
		return;
	registers.r9 = held->before.r9;
	registers.rdi = held->before.rdi;
	set_registers(tid, &registers);
}

static void name_us(pid_t tid, const struct user_regs_struct *behind)
{
	struct user_regs_struct marked = *behind;
	marked.r9 = PERMISSION_MARK;
	held_call(tid, &marked, SYS_prctl, PR_SET_PTRACER, getpid());
}

/* A process that has just begun, and has not done anything yet. */
static void name_us_at_birth(pid_t tid, const struct held *held)
{
	struct user_regs_struct registers;
	if (!held_begins(tid))
		return;
	clean(tid, held);
	if (ptrace(PTRACE_GETREGS, tid, 0, &registers) == 0) {
		name_us(tid, &registers);
		set_registers(tid, &registers);
	}
	held_let_go(tid, held->mask);
}

/* A program at its first instruction, which becomes the one that we need, for as long as we need it. */
static void name_us_at_start(pid_t tid)
{
	struct user_regs_struct start;
	if (ptrace(PTRACE_GETREGS, tid, 0, &start) < 0)
		return;
	errno = 0;
	long code = ptrace(PTRACE_PEEKTEXT, tid, start.rip, 0);
	if (errno || ptrace(PTRACE_POKETEXT, tid, start.rip, (code & ~0xffffl) | INSTRUCTION) < 0)
		return;
	struct user_regs_struct behind = start;
	behind.rip += INSTRUCTION_BYTES;
	name_us(tid, &behind);
	ptrace(PTRACE_POKETEXT, tid, start.rip, code);
	set_registers(tid, &start);
}

/* The call is made again; the thread is let go when it is done, or when the other process has begun. */
static void make_again(struct held *held, long number, bool may_execute)
{
	struct user_regs_struct again = held->before;
	pid_t tid = held->tid;
	unsigned long other = 0;
	again.rip -= INSTRUCTION_BYTES;
	again.rax = (unsigned long)number;
	again.orig_rax = (unsigned long)-1L;
	again.r9 = PERMISSION_MARK;
	if (number == SYS_clone)
		again.rdi &= ~(unsigned long)CLONE_UNTRACED;
	set_registers(tid, &again);
	if (!held_go_on(&tid, false))
		return;
	int status = held_go_on(&tid, may_execute);
	if (!status)
		return;
	switch (status >> 16) {
	case PTRACE_EVENT_EXEC:
		if (held_go_on(&tid, false))
			name_us_at_start(tid);
		break;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		if (ptrace(PTRACE_GETEVENTMSG, tid, 0, &other) == 0)
			name_us_at_birth((pid_t)other, held);
		clean(tid, held);
		break;
	default: /* it failed */
		clean(tid, held);
	}
	held_let_go(tid, held->mask);
}

static bool begins_thread(const struct seccomp_notif *notice)
{
	uint64_t flags = 0;
	return notice->data.nr == SYS_clone3 && memory_read((pid_t)notice->pid, notice->data.args[0], &flags, sizeof flags) == 0 &&
	       flags & CLONE_THREAD;
}

bool permission_hand_on(int listener, const struct seccomp_notif *notice)
{
	struct held held;
	long number = notice->data.nr;
	bool executes = number == SYS_execve || number == SYS_execveat;
	unsigned long events = executes ? PTRACE_O_TRACEEXEC : PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
	if (begins_thread(notice) || (executes && process_is_first((pid_t)notice->pid)) || hold_begin(&held, notice, events))
		return false;
	if (!hold_at_return(&held, listener, notice, 0))
		return true;
	if (held_can_call(&held)) {
		make_again(&held, number, executes);
		return true;
	}
	held.before.rax = (unsigned long)-ENOSYS;
	set_registers(held.tid, &held.before);
	held_let_go(held.tid, held.mask);
	return true;
}
