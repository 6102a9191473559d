/* answer.h - one system call of a process under the supervisor, and what it shall give. */
#ifndef MIRRORD_SUPERVISOR_ANSWER_H
#define MIRRORD_SUPERVISOR_ANSWER_H

#include "calls.h"
#include "processes.h"

#include <limits.h>
#include <linux/seccomp.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* The kernel goes on with the call; it has been answered. */
#define GO_ON LONG_MIN
#define ANSWERED (LONG_MIN + 1)

/* Arguments fetched from the process: descriptors are ours, pointers lead to our memory. */
struct asked {
	const struct call *call;
	const struct seccomp_notif *notice;
	int listener;
	struct process *process;
	pid_t tid;
	long arguments[ARGUMENTS];
	/* Descriptors of ours that are closed in the end, by argument; -1. */
	int descriptors[ARGUMENTS];
	/* A path is another one here than it would be to the kernel. */
	bool is_elsewhere;
	char *room;
	size_t used;
};

enum { ROOM_BYTES = 288 * 1024 };

/* Its result, -errno, GO_ON or ANSWERED; with call->gives_descriptor and a result that is not negative, it is a descriptor of ours, to be passed on.
 * `room` has ROOM_BYTES. */
long answer(const struct seccomp_notif *notice, int listener, const struct call *call, struct process *process, char *room);

/* Is the call still waiting for us? */
bool is_waiting(int listener, uint64_t id);

/* Space in asked->room, or NULL. */
void *room_for(struct asked *asked, size_t bytes);

/* Calls that are not simply those of their hooks. False: this is none. */
bool answer_special(struct asked *asked, long *result);

/* A call with struct msghdr: its result, -errno or GO_ON. */
long answer_message(struct asked *asked);

/* ioctl(2) with a number of those for sockets: its result, -errno or GO_ON. */
long answer_interface(struct asked *asked);

/* The socket has something to be read, or the call need not wait: 0, or -errno. */
long wait_until_ready(struct asked *asked, int fd, bool is_patient);

#endif
