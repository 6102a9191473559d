/* permission.h - the right to look into the program's processes, where only whom they name has it. */
#ifndef MIRRORD_SUPERVISOR_PERMISSION_H
#define MIRRORD_SUPERVISOR_PERMISSION_H

#include <linux/seccomp.h>
#include <stdbool.h>
#include <sys/types.h>

/* The sixth argument of a call that has been looked at: it goes on. None of those calls has six. */
#define PERMISSION_MARK 0x64726f7272696dull

/* Must the processes name us? Said once, at the start. */
bool permission_is_needed(void);

/* Names the supervisor, for this process. */
void permission_give(pid_t supervisor);

/* A call that begins a process, or executes a program by another thread than the first, is done so that what comes of it has named us.
 * True: it has been answered; false: the kernel shall go on with it. */
bool permission_hand_on(int listener, const struct seccomp_notif *notice);

#endif
