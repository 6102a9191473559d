/* netlink.c - see netlink.h. */
#include "netlink.h"
#include "endpoints.h"
#include "real.h"
#include "remote.h"
#include "wire.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <stddef.h>
#include <sys/mman.h>

_Atomic bool netlink_made, netlink_waits;

/* Priorities anybody may set; the kernel gives 0. */
enum { ROUTE_MARK = 5, DIAGNOSIS_MARK = 4 };

enum {
	/* NLMSG_GOODSIZE of a machine with pages of 4096: the kernel makes no longer ones for who has not asked for more. */
	DATAGRAM_BYTES = 3776,
		QUEUE_BYTES = 1 << 20,
	ANSWER_BYTES = 4 << 20,
	GET = 2,
	KINDS = 3,
};

/* As the agent's AskNetlink has them. */
enum { STRICT = 1, EXTENDED = 2, CAPPED = 4 };

long netlink_socket(int type, int protocol)
{
	bool is_route = protocol == NETLINK_ROUTE;
	if (!shim.is_tcp_remote || (!is_route && protocol != NETLINK_SOCK_DIAG))
		return BYPASS;
	int fd = (int)kernel(SYS_socket, AF_NETLINK, type, NETLINK_USERSOCK);
	if (fd < 0)
		return fd;
	int mark = is_route ? ROUTE_MARK : DIAGNOSIS_MARK, queue = QUEUE_BYTES;
	kernel(SYS_setsockopt, fd, SOL_SOCKET, SO_PRIORITY, &mark, sizeof mark);
	kernel(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVBUF, &queue, sizeof queue);
	netlink_prepare(fd, protocol);
	atomic_store_explicit(&netlink_made, true, memory_order_relaxed);
	return fd;
}

/* What it stands for, or -1. */
static int protocol_of(int fd)
{
	if (option(fd, SOL_SOCKET, SO_DOMAIN) != AF_NETLINK || option(fd, SOL_SOCKET, SO_PROTOCOL) != NETLINK_USERSOCK)
		return -1;
	int mark = option(fd, SOL_SOCKET, SO_PRIORITY);
	return mark == ROUTE_MARK ? NETLINK_ROUTE : mark == DIAGNOSIS_MARK ? NETLINK_SOCK_DIAG : -1;
}

bool netlink_is(int fd)
{
	return protocol_of(fd) >= 0;
}

/* Groups tell of changes, and there are none to tell of. */
long netlink_bind(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sockaddr_nl own;
	if (length < sizeof own || address->sa_family != AF_NETLINK)
		return kernel(SYS_bind, fd, address, length);
	socklen_t own_length = sizeof own;
	if (kernel(SYS_getsockname, fd, &own, &own_length) == 0 && own.nl_pid != 0)
		return 0; /* as it was prepared: one number is as good as another */
	memcpy(&own, address, sizeof own);
	own.nl_groups = 0;
	return kernel(SYS_bind, fd, &own, sizeof own);
}

int hook_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	bool is_membership = level == SOL_NETLINK && (name == NETLINK_ADD_MEMBERSHIP || name == NETLINK_DROP_MEMBERSHIP);
	if (unlikely(is_membership) && netlink_may_be(fd))
		return 0;
	return real.setsockopt(fd, level, name, value, length);
}

/* ---- the queue ---- */

/* How much of `at` is the next datagram: messages of a dump together, others alone. 0: nothing, or no message. */
static size_t take_datagram(uint8_t *at, size_t length, uint32_t port)
{
	size_t taken = 0;
	while (length - taken >= sizeof(struct nlmsghdr)) {
		struct nlmsghdr *head = (struct nlmsghdr *)(void *)(at + taken);
		size_t bytes = NLMSG_ALIGN(head->nlmsg_len);
		if (head->nlmsg_len < sizeof *head || bytes > length - taken || (taken > 0 && taken + bytes > DATAGRAM_BYTES))
			break;
		bool is_alone = !(head->nlmsg_flags & NLM_F_MULTI);
		if (is_alone && taken > 0)
			break;
		head->nlmsg_pid = port;
		taken += bytes;
		if (is_alone)
			break;
	}
	return taken;
}

size_t netlink_put(const struct asker *asker, uint8_t *at, size_t length, int flags)
{
	size_t done = 0;
	while (done < length) {
		size_t bytes = take_datagram(at + done, length - done, asker->self.nl_pid);
		if (bytes == 0)
			return length;
		long sent = kernel(SYS_sendto, asker->sender, at + done, bytes, flags, &asker->self, sizeof asker->self);
		if (sent == -EAGAIN)
			break;
		done += sent == -EINTR ? 0 : bytes;
	}
	return done;
}

/* As the kernel says it: an error with the message that it is about, unless that is not wanted. */
static void put_verdict(const struct asker *asker, const struct nlmsghdr *about, int error)
{
	struct {
		struct nlmsghdr head;
		int error;
		uint8_t about[NETLINK_REQUEST_BYTES];
	} message = { .head = { .nlmsg_type = NLMSG_ERROR, .nlmsg_seq = about->nlmsg_seq }, .error = error };
	bool is_capped = error == 0 || option(asker->fd, SOL_NETLINK, NETLINK_CAP_ACK) > 0;
	size_t told = is_capped ? sizeof *about : about->nlmsg_len;
	memcpy(message.about, about, told);
	message.head.nlmsg_flags = is_capped ? NLM_F_CAPPED : 0;
	message.head.nlmsg_len = (uint32_t)(offsetof(__typeof__(message), about) + told);
	netlink_put(asker, (uint8_t *)&message, NLMSG_ALIGN(message.head.nlmsg_len), MSG_DONTWAIT);
}

/* ---- asking ---- */

static uint32_t options_of(int fd)
{
	return (option(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK) > 0 ? (uint32_t)STRICT : 0) |
	       (option(fd, SOL_NETLINK, NETLINK_EXT_ACK) > 0 ? (uint32_t)EXTENDED : 0) |
	       (option(fd, SOL_NETLINK, NETLINK_CAP_ACK) > 0 ? (uint32_t)CAPPED : 0);
}

static bool is_question(int protocol, uint16_t type)
{
	return protocol == NETLINK_ROUTE ? (type & KINDS) == GET : type != SOCK_DESTROY;
}

/* The answer's bytes in memory of their own, `*length` of them; or NULL and `*error`. */
static uint8_t *ask(const struct asker *asker, const struct nlmsghdr *request, size_t *length, int *error)
{
	struct wire_call call;
	struct wire_network_answer reply;
	struct wire_ask_netlink message = {
		.protocol = (uint8_t)asker->protocol,
		.options = options_of(asker->fd),
		.request = { request, request->nlmsg_len },
	};
	*length = 0;
	*error = wire_ask(&call, wire_put_ask_netlink(call.buffer, sizeof call.buffer, WIRE_ID, message), WIRE_NETWORK_ANSWER);
	if (*error)
		return NULL;
	bool is_whole = wire_get_network_answer(&call.in, &reply) && reply.data.length <= ANSWER_BYTES;
	*error = is_whole ? reply.error ? refused(reply.error) : 0 : -EIO;
	if (*error || reply.data.length == 0) {
		wire_finish(&call, is_whole && call.in.missing == 0);
		return NULL;
	}
	void *map = (void *)kernel(SYS_mmap, 0, reply.data.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if ((unsigned long)map >= -4095UL) {
		wire_finish(&call, call.in.missing == 0);
		*error = -ENOBUFS;
		return NULL;
	}
	size_t here = reply.data.length - call.in.missing;
	memcpy(map, reply.data.at, here);
	*length = reply.data.length;
	if (call.in.missing > 0 && wire_pull(&call, (uint8_t *)map + here, call.in.missing)) {
		kernel(SYS_munmap, map, reply.data.length);
		*error = -EIO;
		return NULL;
	}
	wire_finish(&call, true);
	return map;
}

static void answer(const struct asker *asker, const struct nlmsghdr *request)
{
	size_t length;
	int error;
	uint8_t *bytes = ask(asker, request, &length, &error);
	if (!bytes) {
		if (error)
			put_verdict(asker, request, error);
		return;
	}
	size_t done = netlink_put(asker, bytes, length, MSG_DONTWAIT);
	if (done == length || !netlink_keep(asker, bytes, done, length))
		kernel(SYS_munmap, bytes, length);
}

static void treat(const struct asker *asker, const struct nlmsghdr *message)
{
	bool is_control = message->nlmsg_type < NLMSG_MIN_TYPE || !(message->nlmsg_flags & NLM_F_REQUEST);
	if (is_control && (message->nlmsg_flags & NLM_F_ACK))
		put_verdict(asker, message, 0);
	else if (!is_control && is_question(asker->protocol, message->nlmsg_type))
		answer(asker, message);
	else if (!is_control)
		put_verdict(asker, message, -EPERM);
}

void netlink_treat(const struct asker *asker, const uint8_t *bytes, size_t length)
{
	for (size_t at = 0; at < length && length - at >= sizeof(struct nlmsghdr);) {
		const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)(bytes + at);
		if (message->nlmsg_len < sizeof *message || message->nlmsg_len > length - at)
			break;
		treat(asker, message);
		at += NLMSG_ALIGN(message->nlmsg_len);
	}
}

long netlink_send(int fd, const struct iovec *parts, size_t count)
{
	_Alignas(struct nlmsghdr) uint8_t bytes[NETLINK_REQUEST_BYTES];
	struct asker asker = { .fd = fd, .protocol = protocol_of(fd) };
	size_t length = 0;
	for (size_t at = 0; at < count; at++) {
		if (parts[at].iov_len > sizeof bytes - length)
			return -EMSGSIZE;
		memcpy(bytes + length, parts[at].iov_base, parts[at].iov_len);
		length += parts[at].iov_len;
	}
	int saved = errno, error = netlink_reach(&asker);
	if (error)
		return error;
	netlink_treat(&asker, bytes, length);
	errno = saved;
	return (long)length;
}

void netlink_name_sender(int fd, void *name, socklen_t length)
{
	struct sockaddr_nl *sender = name;
	if (length >= sizeof *sender && sender->nl_family == AF_NETLINK && netlink_is(fd))
		sender->nl_pid = 0;
}

void netlink_name_protocol(int fd, void *value, socklen_t length)
{
	int protocol = protocol_of(fd);
	if (length == sizeof protocol)
		memcpy(value, &protocol, sizeof protocol);
}

#ifndef MIRRORD_SUPERVISOR

/* ---- programs that the shim is in: the socket is reached by itself ---- */

void netlink_prepare(int fd, int protocol)
{
	(void)fd;
	(void)protocol;
}

/* By itself; and then nobody else reaches it. */
int netlink_reach(struct asker *asker)
{
	int fd = asker->sender = asker->fd;
	struct sockaddr_nl *self = &asker->self;
	static const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	struct sockaddr_nl peer = any;
	socklen_t length = sizeof *self;
	long error = kernel(SYS_getsockname, fd, self, &length);
	if (error == 0 && self->nl_pid == 0) {
		kernel(SYS_bind, fd, &any, sizeof any);
		length = sizeof *self;
		error = kernel(SYS_getsockname, fd, self, &length);
	}
	length = sizeof peer;
	self->nl_groups = 0;
	if (error == 0 && (kernel(SYS_getpeername, fd, &peer, &length) < 0 || peer.nl_pid != self->nl_pid))
		error = kernel(SYS_connect, fd, self, sizeof *self);
	return (int)error;
}

/* ---- what did not fit: a big node has more interfaces than a queue holds ---- */

enum { WAITING = 8, FREE = 0, TAKEN = 1 }; /* else the cookie of the socket */

static struct waiting {
	_Atomic uint64_t socket;
	uint8_t *map;
	size_t at, length;
} waiting[WAITING];

bool netlink_keep(const struct asker *asker, uint8_t *map, size_t at, size_t length)
{
	for (struct waiting *it = waiting; it < waiting + WAITING; it++) {
		uint64_t is_free = FREE;
		if (!atomic_compare_exchange_strong(&it->socket, &is_free, TAKEN))
			continue;
		it->map = map;
		it->at = at;
		it->length = length;
		atomic_store_explicit(&netlink_waits, true, memory_order_relaxed);
		atomic_store_explicit(&it->socket, cookie_of(asker->fd), memory_order_release);
		return true;
	}
	return false;
}

void netlink_go_on(int fd)
{
	int saved = errno;
	struct asker asker = { .fd = fd };
	uint64_t cookie = netlink_is(fd) && netlink_reach(&asker) == 0 ? cookie_of(fd) : FREE;
	for (struct waiting *it = waiting; cookie > TAKEN && it < waiting + WAITING; it++) {
		uint64_t its = cookie;
		if (!atomic_compare_exchange_strong(&it->socket, &its, TAKEN))
			continue;
		it->at += netlink_put(&asker, it->map + it->at, it->length - it->at, MSG_DONTWAIT);
		bool is_over = it->at >= it->length;
		if (is_over)
			kernel(SYS_munmap, it->map, it->length);
		atomic_store_explicit(&it->socket, is_over ? (uint64_t)FREE : cookie, memory_order_release);
	}
	errno = saved;
}

#endif
