/* relay_listeners.c - who listens on a TCP port of this machine, or has a UDP port, by sock_diag(7): microseconds, where /proc/net/tcp walks
 * every connection's table for milliseconds.
 */
#include "netlink.h"
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The number of `lo`, everywhere (linux/net/core/dev.c). */
#define LOOPBACK_INTERFACE 1

/* As src/sys/relay.ts reads it. */
struct listener {
	uint32_t family; /* 4 or 6 */
	uint32_t inode;
	uint8_t address[16]; /* v4 in the first 4 */
};

struct found {
	struct listener *into;
	uint32_t room, count, port;
};

static int ask(int fd, uint8_t family, uint8_t protocol, uint32_t port)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 body;
	} request = {
		.head = { .nlmsg_len = sizeof request,
			  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.body = { .sdiag_family = family, .sdiag_protocol = protocol },
	};
	/* UDP sockets that are not connected are in the state of the closed. */
	request.body.idiag_states = protocol == IPPROTO_TCP ? 1 << TCP_LISTEN : 1 << TCP_ESTABLISHED | 1 << TCP_CLOSE;
	/* The kernel leaves out other ports (inet_diag_dump_icsk). */
	request.body.id.idiag_sport = htons((uint16_t)port);
	return send(fd, &request, sizeof request, 0) < 0 ? -errno : 0;
}

static void take(void *context, struct nlmsghdr *head)
{
	struct found *found = context;
	const struct inet_diag_msg *message = NLMSG_DATA(head);
	if (found->count == found->room || ntohs(message->id.idiag_sport) != found->port)
		return;
	struct listener *listener = &found->into[found->count++];
	listener->family = message->idiag_family == AF_INET ? 4 : 6;
	listener->inode = message->idiag_inode;
	memcpy(listener->address, message->id.idiag_src, sizeof listener->address);
}

/* Up to `room` listeners of this port (for UDP: sockets that are bound to it) go to `into`. Returns how many, or -errno
 * (the kernel may lack the module). */
SYS int32_t relay_listeners(uint32_t is_udp, uint32_t port, void *into, uint32_t room)
{
	struct found found = { into, room, 0, port };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return -errno;
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	int error = 0;
	for (int at = 0; at < 2 && error == 0; at++) {
		error = ask(fd, families[at], is_udp ? IPPROTO_UDP : IPPROTO_TCP, port);
		if (error == 0)
			error = netlink_hear(fd, take, &found);
	}
	close(fd);
	return error != 0 ? error : (int32_t)found.count;
}

/* Who would accept a connection from this machine to `host`:`port` on loopback: the kernel looks as for a SYN. 1, and the listener's
 * `*inode`; 0: nobody; or -errno. */
static int look_up(int fd, uint32_t family, const uint8_t *host, uint32_t port, struct listener *into)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 body;
	} request = {
		.head = { .nlmsg_len = sizeof request, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST },
		.body = { .sdiag_family = family == 4 ? AF_INET : AF_INET6, .sdiag_protocol = IPPROTO_TCP },
	};
	struct inet_diag_sockid *id = &request.body.id;
	struct found found = { into, 1, 0, port };
	memcpy(id->idiag_src, host, family == 4 ? 4 : 16);
	id->idiag_sport = htons((uint16_t)port);
	id->idiag_if = LOOPBACK_INTERFACE;
	id->idiag_cookie[0] = id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	if (send(fd, &request, sizeof request, 0) < 0)
		return -errno;
	int error = netlink_hear(fd, take, &found);
	return error == -ENOENT ? 0 : error ? error : (int)found.count;
}

/* The inodes of those who would accept at any of `count` addresses (16 bytes for each, v4 in the first 4 where `families` has
 * 4) go to `inodes`. Returns how many, or -errno. */
SYS int32_t relay_acceptors(const uint8_t *families, const uint8_t *hosts, uint32_t count, uint32_t port,
			    uint32_t *inodes)
{
	/* Kept: it is asked with each connect, and opening and closing one costs twice as much as the question. */
	static int fd = -1;
	if (fd < 0)
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return -errno;
	int total = 0;
	for (uint32_t at = 0; at < count; at++) {
		struct listener listener;
		int found = look_up(fd, families[at], hosts + (size_t)at * 16, port, &listener);
		if (found < 0) {
			/* An answer that was not heard must not be the next question's. */
			close(fd);
			fd = -1;
			return found;
		}
		if (found > 0)
			inodes[total++] = listener.inode;
	}
	return total;
}
