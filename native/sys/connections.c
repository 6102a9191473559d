/* connections.c - breaking off the TCP connections of a port that were there before its redirect, by sock_diag(7).
 *
 * Both ends see a reset: the peer connects anew, and is redirected then. Needs CAP_NET_ADMIN, and a kernel with
 * CONFIG_INET_DIAG_DESTROY. Connections are of the network of the calling thread.
 */
#include "netlink.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_AT_ONCE 1024

struct found {
	struct inet_diag_sockid ids[MOST_AT_ONCE];
	uint32_t count, port;
};

static int ask(int fd, uint16_t type, uint16_t flags, struct inet_diag_req_v2 body)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 body;
	} request = {
		.head = { .nlmsg_len = sizeof request, .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags },
		.body = body,
	};
	return send(fd, &request, sizeof request, 0) < 0 ? -errno : 0;
}

static void take(void *context, struct nlmsghdr *head)
{
	struct found *found = context;
	const struct inet_diag_msg *message = NLMSG_DATA(head);
	if (found->count < MOST_AT_ONCE && ntohs(message->id.idiag_sport) == found->port)
		found->ids[found->count++] = message->id;
}

static int break_off(int fd, uint8_t family, uint32_t port, struct found *found)
{
	struct inet_diag_req_v2 body = {
		.sdiag_family = family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = 1 << TCP_ESTABLISHED | 1 << TCP_SYN_RECV | 1 << TCP_CLOSE_WAIT,
	};
	body.id.idiag_sport = htons((uint16_t)port);
	found->count = 0;
	found->port = port;
	int error = ask(fd, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, body);
	if (!error)
		error = netlink_hear(fd, take, found);
	int broken = 0;
	for (uint32_t index = 0; index < found->count && !error; index++) {
		body.id = found->ids[index];
		error = ask(fd, SOCK_DESTROY, NLM_F_ACK, body);
		int verdict = error ? 0 : netlink_hear(fd, NULL, NULL);
		if (verdict == -EOPNOTSUPP || verdict == -EPERM)
			return verdict;
		broken += !verdict; /* gone meanwhile: as well */
	}
	return error ? error : broken;
}

/* How many were broken off, or -errno. */
SYS int32_t connections_break_off(uint32_t port)
{
	struct found found;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return -errno;
	int v4 = break_off(fd, AF_INET, port, &found);
	int v6 = v4 < 0 ? v4 : break_off(fd, AF_INET6, port, &found);
	close(fd);
	return v6 < 0 ? v6 : v4 + v6;
}
