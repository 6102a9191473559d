/* inject.h - what a process has to do itself, done by its own thread. */
#ifndef MIRRORD_SUPERVISOR_INJECT_H
#define MIRRORD_SUPERVISOR_INJECT_H

#include <stdint.h>
#include <sys/types.h>

/* The working directory of the process becomes `directory`, a descriptor of ours, and the call `id` of its thread, which
 * waits for us, has been answered: 0. Or -errno, and it has not. */
int inject_directory(int listener, uint64_t id, pid_t tid, int directory);

#endif
