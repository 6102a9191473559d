/* reals.h - the functions behind the hooks, as a supervisor has them. */
#ifndef MIRRORD_SUPERVISOR_REALS_H
#define MIRRORD_SUPERVISOR_REALS_H

#include <stdbool.h>
#include <sys/types.h>

/* Fills `real`. */
void reals_start(void);

/* Has a hook called a function that is the process's own to call? Then the kernel shall go on with the call. */
extern _Thread_local bool reals_passed;

/* The thread whose call is being answered. */
extern _Thread_local pid_t reals_caller;

#endif
