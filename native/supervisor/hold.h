/* hold.h - a thread whose call waits for our answer, held by ptrace(2) on its way back, so that it makes other calls itself. */
#ifndef MIRRORD_SUPERVISOR_HOLD_H
#define MIRRORD_SUPERVISOR_HOLD_H

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

struct held {
	pid_t tid;
	/* When it came back from the call that was answered. */
	struct user_regs_struct before;
	/* The signals it blocks; while it is held, all. */
	uint64_t mask;
};

/* From now on it is ours, and waits still: 0, or -errno; under a debugger -EPERM. `options` of ptrace(2). */
int hold_begin(struct held *held, const struct seccomp_notif *notice, unsigned long options);
/* Answers its call. True: it is held where it comes back. False: it has been let go, because it has ended, makes the call again,
 * or was answered with an `error`. */
bool hold_at_return(struct held *held, int listener, const struct seccomp_notif *notice, int error);

/* Did the call come by the instruction that we can have it repeat? */
bool held_can_call(const struct held *held);

/* Has the thread, wherever it stands with these registers behind a call, make another one: its result, or -ESRCH. */
long held_call(pid_t tid, const struct user_regs_struct *behind, long number, long a, long b);

/* It goes on to where it enters or leaves a call, or to one of the events asked for: the status of waitpid(2), 0 when it has ended.
 * With `may_execute`, its number may become its process's. */
int held_go_on(pid_t *tid, bool may_execute);

/* Waits for a thread that is held from its first moment on. */
bool held_begins(pid_t tid);

/* Its signals are as they were, and it is let go. */
void held_let_go(pid_t tid, uint64_t mask);

#endif
