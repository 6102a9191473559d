/* inject.h - what a process has to do itself, done by its own thread. */
#ifndef MIRRORD_SUPERVISOR_INJECT_H
#define MIRRORD_SUPERVISOR_INJECT_H

#include <linux/seccomp.h>

/* The working directory of the process becomes `directory`, a descriptor of ours, and its thread's call, which waits for us, has
 * been answered: 0. Or -errno, and it has not. */
int inject_directory(int listener, const struct seccomp_notif *notice, int directory);

#endif
