/* reals.h - the functions behind the hooks, as a supervisor has them. */
#ifndef MIRRORD_SUPERVISOR_REALS_H
#define MIRRORD_SUPERVISOR_REALS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Fills `real`. */
void reals_start(void);

/* Has a hook called a function that is the process's own to call? Then the kernel shall go on with the call. */
extern _Thread_local bool reals_passed;

/* The thread whose call is being answered. */
extern _Thread_local pid_t reals_caller;

/* That call, as the kernel knows it. */
extern _Thread_local int reals_listener;
extern _Thread_local uint64_t reals_notice;

/* While a hook waits, again and again: 0, or with what the call ends, as its thread has been killed or has a signal. */
int reals_end_of_wait(void);

#endif
