/* sockets.c - outgoing TCP through the target, on the app's own socket: it is connected to a relay of the intproxy on
 * loopback, so options, epoll registrations and non-blocking state stay what they are.
 *
 * Blocking: bind to loopback, ask and wait for the agent's answer, then connect to the relay that accepts at once.
 * Non-blocking: connect to the relay that answers no SYN; the socket is in SYN_SENT, as it would be. Then tell the
 * intproxy, which completes the handshake when the agent has connected, or breaks it. A broken one shows as ECONNRESET;
 * the true errno is the intproxy's to tell (SO_ERROR, a second connect).
 *
 * UDP is the matter of datagrams.c, Unix sockets that of unix_sockets.c. Refuses nothing by itself.
 */
#include "attempts.h"
#include "big.h"
#include "datagrams.h"
#include "debuggers.h"
#include "listening.h"
#include "netlink.h"
#include "real.h"
#include "remote.h"
#include "unix_sockets.h"
#include "wire.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/time.h>

/* ---- what is asked ---- */

/* Whom to reach; and to what the program has bound the socket before, if it has. */
struct wish {
	struct endpoint peer, bound;
	uint64_t inode; /* 0: not bound */
};

static struct wire_connect connect_message(const struct wish *wish, const struct endpoint *local, bool is_blocking)
{
	return (struct wire_connect){
		.address = bytes_of(&wish->peer),
		.port = wish->peer.port,
		.local_address = bytes_of(local),
		.local_port = local->port,
		.is_blocking = is_blocking,
		.bound_inode = wish->inode,
		.bound_address = bytes_of(&wish->bound),
		.bound_port = wish->bound.port,
	};
}

/* Does a connection to there leave from this machine? 1, 0 or -errno. */
static int is_to_stay_local(const struct endpoint *peer)
{
	struct wire_call call;
	struct wire_destination message = { .address = bytes_of(peer), .port = peer->port };
	size_t length = wire_put_destination(call.buffer, sizeof call.buffer, WIRE_ID, message);
	int error = wire_ask(&call, length, WIRE_DESTINATION_REPLY);
	if (error)
		return error;
	struct wire_destination_reply reply = { 0 };
	error = wire_finish(&call, wire_get_destination_reply(&call.in, &reply));
	return error ? error : reply.is_local;
}

/* 0 when the agent has connected, -errno when it could not; -EINTR, -ETIMEDOUT: it may still come. `*is_answer` tells
 * the agent's own ETIMEDOUT from the wait that was over. */
static int wait_for_agent(const struct wish *wish, const struct endpoint *local, int64_t timeout_us, bool *is_answer)
{
	struct wire_call call;
	struct wire_connect message = connect_message(wish, local, true);
	size_t length = wire_put_connect(call.buffer, sizeof call.buffer, WIRE_ID, message);
	*is_answer = false;
	int error = wire_ask_patiently(&call, length, WIRE_CONNECT_REPLY, timeout_us);
	if (error)
		return error == -EIO ? -ENETUNREACH : error;
	struct wire_connect_reply reply = { 0 };
	if (wire_finish(&call, wire_get_connect_reply(&call.in, &reply)))
		return -ENETUNREACH;
	*is_answer = true;
	return reply.error ? refused(reply.error) : 0;
}

/* ---- connect ---- */

/* Back to a fresh socket: a failed one would answer the next connect with what is left of the failure. */
static void disconnect(int fd)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	kernel(SYS_connect, fd, &none, sizeof none);
	option(fd, SOL_SOCKET, SO_ERROR); /* reading takes it away */
}

struct relay {
	sa_family_t family;
	uint32_t length; /* of the loopback address: 4 or 16 */
	uint16_t accept_port, hole_port;
};

/* An IPv6 socket that is bound to IPv6 or wants nothing else. */
static bool is_for_v6_alone(int fd, const struct endpoint *local)
{
	return option(fd, IPPROTO_IPV6, IPV6_V6ONLY) > 0 || (local->length == 16 && local->port != 0 && !is_zero(local));
}

/* IPv6 sockets take the IPv4 relay, mapped, unless they are bound to IPv6 or want nothing else. */
static bool find_relay(int fd, sa_family_t family, const struct endpoint *local, struct relay *relay)
{
	const struct wire_settings *settings = &shim.settings;
	bool is_v6 = family == AF_INET6 && is_for_v6_alone(fd, local);
	relay->family = family;
	relay->length = is_v6 ? 16 : 4;
	relay->accept_port = is_v6 ? settings->accept_port6 : settings->accept_port4;
	relay->hole_port = is_v6 ? settings->hole_port6 : settings->hole_port4;
	return relay->accept_port != 0 && relay->hole_port != 0;
}

static long connect_to(int fd, const struct relay *relay, uint16_t port)
{
	struct endpoint end = loopback(relay->length, port);
	struct any_address address = address_of(&end, relay->family);
	return kernel(SYS_connect, fd, &address.plain, address.length);
}

/* Leaves the socket in SYN_SENT and the rest to the intproxy. -EINPROGRESS, or another -errno. */
static int begin_connect(int fd, const struct wish *wish, const struct relay *relay)
{
	int no_fast_open = 0;
	kernel(SYS_setsockopt, fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &no_fast_open, sizeof no_fast_open);
	long result = connect_to(fd, relay, relay->hole_port);
	if (result != -EINPROGRESS)
		return result < 0 ? (int)result : -ECONNABORTED;
	attempts_mark(fd);
	struct endpoint local;
	struct wire_call call;
	if (!local_endpoint(fd, &local)) {
		disconnect(fd);
		return -ENETUNREACH;
	}
	struct wire_connect message = connect_message(wish, &local, false);
	if (wire_tell(&call, wire_put_connect(call.buffer, sizeof call.buffer, WIRE_ID, message))) {
		disconnect(fd);
		return -ENETUNREACH;
	}
	return -EINPROGRESS;
}

/* A blocking connect that a signal or SO_SNDTIMEO ends early goes on behind, as the kernel's own would. */
static int go_on_behind(int fd, const struct wish *wish, const struct relay *relay, int why)
{
	long flags = kernel(SYS_fcntl, fd, F_GETFL);
	kernel(SYS_fcntl, fd, F_SETFL, flags | O_NONBLOCK);
	int result = begin_connect(fd, wish, relay);
	kernel(SYS_fcntl, fd, F_SETFL, flags);
	return result == -EINPROGRESS ? why : result;
}

static int connect_and_wait(int fd, const struct wish *wish, const struct relay *relay, struct endpoint *local)
{
	if (attempts_has_bound(fd)) {
		struct endpoint here = loopback(relay->length, 0);
		struct any_address address = address_of(&here, relay->family);
		long result = kernel(SYS_bind, fd, &address.plain, address.length);
		/* Of a port that it had before it may still tell, or have it still: then it is bound. */
		if (result < 0 && !(result == -EINVAL && local->port != 0))
			return (int)result;
		if (!local_endpoint(fd, local))
			return -ENETUNREACH;
	}
	if (is_zero(local)) /* the kernel will choose loopback to reach the relay */
		*local = loopback(relay->length, local->port);
	struct timeval timeout = { 0 };
	socklen_t length = sizeof timeout;
	kernel(SYS_getsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, &length);
	bool is_answer;
	int error = wait_for_agent(wish, local, (int64_t)timeout.tv_sec * 1000000 + timeout.tv_usec, &is_answer);
	if (!is_answer && error == -EINTR)
		return go_on_behind(fd, wish, relay, -EINTR);
	if (!is_answer && error == -ETIMEDOUT)
		return go_on_behind(fd, wish, relay, -EINPROGRESS);
	if (error && attempts_has_bound(fd))
		attempts_dissolve(fd);
	return error ? error : (int)connect_to(fd, relay, relay->accept_port);
}

/* The socket has been connected before: the kernel knows how far it is, the intproxy how it ended. */
static long connect_again(int fd, const struct sockaddr *address, socklen_t length)
{
	long result = kernel(SYS_connect, fd, address, length);
	if (result == -EALREADY || result == -EINPROGRESS || result == -EINTR)
		return result;
	bool is_connected = result == 0 || result == -EISCONN;
	int error = attempts_true_error(fd, is_connected ? 0 : (int)-result);
	if (is_connected && error) /* connected, and about to be broken off */
		disconnect(fd);
	return error ? -error : result;
}

static bool has_scope(int fd, const struct sockaddr *address, socklen_t length)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	return (length >= sizeof *v6 && v6->sin6_scope_id != 0) || option(fd, SOL_SOCKET, SO_BINDTOIFINDEX) > 0;
}

/* connect(2): "sockets may dissolve the association by connecting to an address with sa_family AF_UNSPEC" */
static long dissolve(int fd, const struct sockaddr *address, socklen_t length)
{
	if (tcp_state(fd) < 0 || !attempts_has(fd))
		return BYPASS;
	struct endpoint local;
	long result = kernel(SYS_connect, fd, address, length);
	if (result < 0)
		return result;
	if (attempts_has_bound(fd)) {
		attempts_dissolve(fd);
		return 0;
	}
	option(fd, SOL_SOCKET, SO_ERROR); /* not how the next connect ends */
	attempts_begin(fd);
	/* The kernel has let go of a port that it chose, and tells of it all the same. */
	if (local_endpoint(fd, &local) && local.port != 0) {
		struct any_address own = address_of(&local, (sa_family_t)option(fd, SOL_SOCKET, SO_DOMAIN));
		kernel(SYS_bind, fd, &own.plain, own.length);
	}
	return 0;
}

static bool is_no_address(const struct sockaddr *address, socklen_t length)
{
	return may_be_address(address) && length >= sizeof address->sa_family && address->sa_family == AF_UNSPEC;
}

static long try_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	struct endpoint peer, local;
	struct relay relay;
	if (shim.is_tcp_remote && is_no_address(address, length))
		return dissolve(fd, address, length);
	if (!shim.is_tcp_remote || !endpoint_of(address, length, &peer))
		return BYPASS;
	int state = tcp_state(fd);
	if (state < 0 || option(fd, SOL_SOCKET, SO_DOMAIN) != address->sa_family)
		return BYPASS;
	if (state != TCP_CLOSE)
		return connect_again(fd, address, length);
	int failure = option(fd, SOL_SOCKET, SO_ERROR);
	if (failure > 0 && !attempts_has_dissolved(fd)) {
		failure = attempts_true_error(fd, failure);
		disconnect(fd);
		return -failure;
	}
	if (is_for_many(&peer) || !local_endpoint(fd, &local))
		return BYPASS;
	if (peer.length == 16 && is_link_local(&peer) && !has_scope(fd, address, length))
		return -EINVAL; /* the kernel knows no link without a scope */
	if (address->sa_family == AF_INET6 && peer.length == 4 && is_for_v6_alone(fd, &local))
		return -ENETUNREACH;
	if (is_zero(&peer))
		peer = loopback(peer.length, peer.port);
	bool is_here = is_loopback(&peer);
	if (is_here && debuggers_have(peer.port))
		return BYPASS;
	if (is_here || shim.settings.asks_destinations) {
		int is_local = is_to_stay_local(&peer);
		if (is_local)
			return is_local > 0 ? BYPASS : -ENETUNREACH;
	}
	if (!find_relay(fd, address->sa_family, &local, &relay))
		return -ENETUNREACH;
	attempts_begin(fd);
	struct wish wish = { .peer = peer };
	if (local.port == 0) {
		attempts_bound(fd);
	} else if (!attempts_has_bound(fd)) {
		wish.bound = local;
		wish.inode = inode_of(fd);
	}
	if (kernel(SYS_fcntl, fd, F_GETFL) & O_NONBLOCK)
		return begin_connect(fd, &wish, &relay);
	return connect_and_wait(fd, &wish, &relay, &local);
}

int hook_socket(int family, int type, int protocol)
{
	long stand_in = unlikely(family == AF_NETLINK) ? netlink_socket(type, protocol) : BYPASS;
	if (stand_in != BYPASS)
		return edge(stand_in);
	return unlikely(shim.is_ipv6_off && family == AF_INET6) ? edge(-EAFNOSUPPORT) : real.socket(family, type, protocol);
}

int hook_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	long result = try_connect(fd, address, length);
	if (result == BYPASS)
		result = datagrams_connect(fd, address, length);
	if (result == BYPASS)
		result = unix_connect(fd, address, length);
	return result == BYPASS ? real.connect(fd, address, length) : edge(result);
}

/* MSG_FASTOPEN: a connect that takes the first bytes along. Here the connect comes first, then the bytes. BYPASS: the
 * real function runs with `*flags`; else the result is -errno. */
static long connect_first(int fd, int *flags, const struct sockaddr *address, socklen_t length)
{
	if (likely(!(*flags & MSG_FASTOPEN)))
		return BYPASS;
	long result = try_connect(fd, address, length);
	if (result == BYPASS || result < 0)
		return result;
	*flags &= ~MSG_FASTOPEN;
	return BYPASS;
}

/* To where a datagram for `address` goes: BYPASS, or 0 and `*instead`, or -errno. */
static long towards(int fd, const struct sockaddr *address, socklen_t length, struct any_address *instead)
{
	struct sockaddr_un relay;
	long result = datagrams_towards(fd, address, length, instead);
	if (result != BYPASS)
		return result;
	result = unix_towards(fd, address, length, &relay);
	if (result == 0) {
		memcpy(&instead->storage, &relay, sizeof relay);
		instead->length = sizeof relay;
	}
	return result;
}

ssize_t hook_sendto(int fd, const void *from, size_t length, int flags, const struct sockaddr *address,
		    socklen_t address_length)
{
	struct any_address instead;
	if (netlink_may_be(fd))
		return edge(netlink_send(fd, &(struct iovec){ (void *)from, length }, 1));
	long result = address ? connect_first(fd, &flags, address, address_length) : BYPASS;
	if (result == BYPASS && address)
		result = towards(fd, address, address_length, &instead);
	if (result == 0)
		return real.sendto(fd, from, length, flags, &instead.plain, instead.length);
	if (result != BYPASS)
		return edge(result);
	return attempts_judged(fd, real.sendto(fd, from, length, flags, address, address_length));
}

ssize_t hook_send(int fd, const void *from, size_t length, int flags)
{
	if (netlink_may_be(fd))
		return edge(netlink_send(fd, &(struct iovec){ (void *)from, length }, 1));
	return attempts_judged(fd, real.send(fd, from, length, flags));
}

ssize_t hook_recv(int fd, void *into, size_t room, int flags)
{
	netlink_before_receiving(fd);
	return attempts_judged(fd, real.recv(fd, into, room, flags));
}

ssize_t hook___recv_chk(int fd, void *into, size_t room, size_t size, int flags)
{
	netlink_before_receiving(fd);
	return attempts_judged(fd, real.__recv_chk(fd, into, room, size, flags));
}

/* Whoever gets a descriptor of a big remote file need not have the shim: it gets all of it. */
static int make_whole_what_is_sent(const struct msghdr *message)
{
	struct cmsghdr *part = may_be_address(message) && message->msg_control ? CMSG_FIRSTHDR(message) : NULL;
	for (; part; part = CMSG_NXTHDR((struct msghdr *)message, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t at = 0; at < count; at++) {
			int fd;
			memcpy(&fd, CMSG_DATA(part) + at * sizeof fd, sizeof fd);
			int error = big_may_be(fd) ? big_make_whole(fd) : 0;
			if (error)
				return error;
		}
	}
	return 0;
}

ssize_t hook_sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct any_address instead;
	if (netlink_may_be(fd) && may_be_address(message))
		return edge(netlink_send(fd, message->msg_iov, message->msg_iovlen));
	int error = unlikely(big_has_any()) ? make_whole_what_is_sent(message) : 0;
	if (error == 0)
		error = unix_may_send(fd, message);
	if (edge(error) < 0)
		return -1;
	if (!may_be_address(message) || !message->msg_name)
		return attempts_judged(fd, real.sendmsg(fd, message, flags));
	long result = connect_first(fd, &flags, message->msg_name, message->msg_namelen);
	if (result == BYPASS)
		result = towards(fd, message->msg_name, message->msg_namelen, &instead);
	if (result == 0) {
		struct msghdr changed = *message;
		changed.msg_name = &instead.plain;
		changed.msg_namelen = instead.length;
		return real.sendmsg(fd, &changed, flags);
	}
	return result == BYPASS ? real.sendmsg(fd, message, flags) : edge(result);
}

int hook_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	int result = real.getsockopt(fd, level, name, value, length);
	bool is_error = level == SOL_SOCKET && name == SO_ERROR;
	if (unlikely(is_error && result == 0 && shim.is_tcp_remote && *length == sizeof(int))) {
		int seen;
		memcpy(&seen, value, sizeof seen);
		seen = attempts_true_error(fd, seen);
		memcpy(value, &seen, sizeof seen);
	}
	if (unlikely(level == SOL_SOCKET && name == SO_PROTOCOL && result == 0) && netlink_may_be(fd))
		netlink_name_protocol(fd, value, *length);
	if (unlikely(level == SOL_SOCKET && name == SO_PEERCRED && result == 0))
		unix_name_user(fd, value, length);
	return result;
}

/* ---- names of connected sockets ---- */

static bool is_relay(const struct endpoint *it)
{
	const struct wire_settings *settings = &shim.settings;
	if (!is_loopback(it) || it->port == 0)
		return false;
	return it->port == settings->accept_port4 || it->port == settings->hole_port4 ||
	       it->port == settings->accept_port6 || it->port == settings->hole_port6;
}

static bool peer_is_relay(int fd)
{
	struct endpoint peer;
	return peer_endpoint(fd, &peer) && is_relay(&peer);
}

/* A connection that both ends have ended has no peer any more, but its own name still. */
static bool may_be_over(int fd, const struct endpoint *own)
{
	return is_loopback(own) && own->port != 0 && tcp_state(fd) == TCP_CLOSE && attempts_has(fd);
}

/* Both ends as they are inside the target; false when the intproxy does not know. */
static bool ask_names(int fd, struct endpoint *own, struct endpoint *peer)
{
	struct wire_call call;
	struct endpoint local;
	if (!local_endpoint(fd, &local))
		return false;
	struct wire_socket_names message = { .local_address = bytes_of(&local), .local_port = local.port };
	size_t bytes = wire_put_socket_names(call.buffer, sizeof call.buffer, WIRE_ID, message);
	if (wire_ask(&call, bytes, WIRE_SOCKET_NAMES_REPLY))
		return false;
	struct wire_socket_names_reply reply = { 0 };
	if (wire_finish(&call, wire_get_socket_names_reply(&call.in, &reply)) || !reply.is_known)
		return false;
	*own = *peer = (struct endpoint){ 0 };
	to_endpoint(reply.own_address, reply.own_port, own);
	to_endpoint(reply.peer_address, reply.peer_port, peer);
	if (tcp_state(fd) != TCP_SYN_SENT)
		attempts_learn_names(fd, own, peer);
	return true;
}

/* Replaces the name libc gave by what the app would see inside the target. */
static bool rename_end(int fd, bool is_peer, struct sockaddr *name, socklen_t *length, socklen_t room)
{
	struct endpoint own, peer;
	if (!attempts_names(fd, &own, &peer) && !ask_names(fd, &own, &peer))
		return false;
	const struct endpoint *end = is_peer ? &peer : &own;
	return end->length > 0 && put_name(fd, end, name, length, room);
}

int hook_getpeername(int fd, struct sockaddr *name, socklen_t *length)
{
	socklen_t room = may_be_address(length) ? *length : 0;
	int result = real.getpeername(fd, name, length);
	struct endpoint peer;
	if (result == 0)
		unix_name_peer(fd, name, length, room);
	if (result != 0 || !endpoint_of(name, room < *length ? room : *length, &peer))
		return result;
	if (shim.is_tcp_remote && is_relay(&peer))
		rename_end(fd, true, name, length, room);
	else if (shim.is_incoming_remote && tcp_state(fd) >= 0)
		name_accepted_peer(fd, &peer, name, length, room);
	else if (unlikely(datagrams_is_relay(&peer)))
		datagrams_name_end(fd, true, name, length, room);
	return result;
}

int hook_getsockname(int fd, struct sockaddr *name, socklen_t *length)
{
	socklen_t room = may_be_address(length) ? *length : 0;
	int result = real.getsockname(fd, name, length);
	struct endpoint own, peer;
	if (result != 0 || !endpoint_of(name, room < *length ? room : *length, &own))
		return result;
	if (shim.is_tcp_remote && (peer_is_relay(fd) || may_be_over(fd, &own)) &&
	    rename_end(fd, false, name, length, room))
		return result;
	if (shim.is_udp_remote && tcp_state(fd) < 0 && peer_endpoint(fd, &peer))
		datagrams_name_end(fd, false, name, length, room);
	else if (shim.is_incoming_remote || listening_has_moved())
		name_own_end(fd, &own, name, length, room);
	return result;
}
