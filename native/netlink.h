/* netlink.h - netlink(7) sockets that ask about the target's network: interfaces, addresses, routes, neighbours, sockets.
 *
 * In the place of a socket of NETLINK_ROUTE or NETLINK_SOCK_DIAG stands one of NETLINK_USERSOCK, a kind that processes talk to each other by. What a program
 * sends is asked of the target's kernel, and the answer is put into the socket's own queue: it is connected to itself, so nobody else
 * reaches it. Names, polling, peeking and the bounds of datagrams are the kernel's.
 *
 * A mark in the socket (its priority, which means nothing there) says what it stands for: also to who inherited it. Refuses, as
 * the kernel refuses a process without CAP_NET_ADMIN: what would change something (EPERM).
 */
#ifndef MIRRORD_NETLINK_H
#define MIRRORD_NETLINK_H

#include "shim.h"

#include <linux/netlink.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* What one send may ask at most. */
enum { NETLINK_REQUEST_BYTES = WIRE_PATH_BYTES };

/* Has this process image made one? Until then nothing is looked at. */
extern _Atomic bool netlink_made, netlink_waits;

bool netlink_is(int fd);

static inline bool netlink_may_be(int fd)
{
	return unlikely(atomic_load_explicit(&netlink_made, memory_order_relaxed)) && netlink_is(fd);
}

/* BYPASS, or the socket, or -errno. */
long netlink_socket(int type, int protocol);

/* What the hooks do when netlink_may_be(fd): results as those of the calls, or -errno. */
long netlink_send(int fd, const struct iovec *parts, size_t count);
long netlink_bind(int fd, const struct sockaddr *address, socklen_t length);

/* Who has asked, and by which of our descriptors it is answered. */
struct asker {
	int fd; /* -1: it is not ours */
	int protocol;
	int sender;
	struct sockaddr_nl self;
};

/* Takes what was sent, message by message. */
void netlink_treat(const struct asker *asker, const uint8_t *bytes, size_t length);
/* How much of an answer is in the queue now. */
size_t netlink_put(const struct asker *asker, uint8_t *at, size_t length, int flags);

/* Different for programs that the shim is in, and for those with a supervisor (supervisor/netlink_answers.c): what is done with a new
 * stand-in; how it is reached: 0 or -errno; what becomes of the rest of an answer, memory that is given away: false, it is not taken. */
void netlink_prepare(int fd, int protocol);
int netlink_reach(struct asker *asker);
bool netlink_keep(const struct asker *asker, uint8_t *map, size_t at, size_t length);

/* What did not fit into the queue goes on. Before each receive. */
void netlink_go_on(int fd);
static inline void netlink_before_receiving(int fd)
{
	if (unlikely(atomic_load_explicit(&netlink_waits, memory_order_relaxed)))
		netlink_go_on(fd);
}

/* The kernel has told a sender; its answers come from nobody. */
void netlink_name_sender(int fd, void *name, socklen_t length);

/* What getsockopt(2) tells of what it stands for. */
void netlink_name_protocol(int fd, void *value, socklen_t length);

#endif
