/* processes.h - whom a notification is of: the process as somewhere to fetch descriptors from, and whether the shim is in it. */
#ifndef MIRRORD_SUPERVISOR_PROCESSES_H
#define MIRRORD_SUPERVISOR_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* How many threads of ours there will be, at most. */
void process_limit(int threads);

/* The record of a thread's process, until it is let go. NULL: it has ended (-ESRCH), or there is no room. */
struct process;
struct process *process_of(pid_t tid, long *error);
void process_let_go(struct process *process);

/* Is it for us to answer? Not when the shim is in there. */
bool process_is_ours(struct process *process, pid_t tid);
/* Is it a program of 32 bits? Those are nobody's to answer. */
bool process_is_narrow(struct process *process, pid_t tid);
/* This thread is about to execute a program. */
void process_executes(pid_t tid);

/* Is it the first thread of its process? */
bool process_is_first(pid_t tid);

/* A descriptor of the process, as one of ours: close-on-exec. Or -errno. */
int process_descriptor(struct process *process, int fd);

/* The text of /proc/TID/`link`: its length, or -errno. */
long process_link(pid_t tid, const char *link, char *into, size_t room);
/* The signals that wait for the thread and are not blocked. */
bool process_has_signal(pid_t tid);
unsigned process_umask(pid_t tid);

#endif
