/* listening.c - bind, listen and accept of TCP ports that may be the target's.
 *
 * The program's server really listens on this machine; connections come from the intproxy over loopback. Which socket
 * stands for which port of the target is the intproxy's to know, by the socket's inode, which dup, fork and exec do not
 * change: there is nothing to keep in step here but a hint, which descriptors listen, so that their end is told at once.
 *
 * A port that cannot be bound here (taken, privileged, of an address that only the target has) is bound elsewhere, and
 * getsockname tells the program what it asked for. Refuses what the run itself has bound already.
 */
#include "attempts.h"
#include "debuggers.h"
#include "listening.h"
#include "netlink.h"
#include "real.h"
#include "remote.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdatomic.h>

/* ---- descriptors that listen, as far as this process image knows ---- */

enum { MARKED_FDS = 4096 };
static _Atomic uint64_t listening[MARKED_FDS / 64];
/* Until something listens, close() must not cost anything. */
static _Atomic bool has_listened;

static void mark_listening(int fd)
{
	if (fd >= MARKED_FDS)
		return;
	atomic_fetch_or_explicit(&listening[fd / 64], 1ull << fd % 64, memory_order_relaxed);
	atomic_store_explicit(&has_listened, true, memory_order_relaxed);
}

bool listening_is_open(int fd)
{
	if (likely(!atomic_load_explicit(&has_listened, memory_order_relaxed)))
		return false;
	return fd >= 0 && fd < MARKED_FDS &&
	       (atomic_load_explicit(&listening[fd / 64], memory_order_relaxed) >> fd % 64 & 1);
}

void listening_closed(int fd)
{
	struct wire_call call;
	atomic_fetch_and_explicit(&listening[fd / 64], ~(1ull << fd % 64), memory_order_relaxed);
	struct wire_listener_closed message = { .fd = fd };
	size_t length = wire_put_listener_closed(call.buffer, sizeof call.buffer, WIRE_ID, message);
	remote_done(&call, wire_ask(&call, length, WIRE_DONE));
}

/* ---- bind ---- */

static bool ask_about_bind(int fd, const struct endpoint *wanted, struct wire_bind_reply *reply)
{
	struct wire_call call;
	struct wire_bind message = {
		.inode = inode_of(fd),
		.address = bytes_of(wanted),
		.port = wanted->port,
		.is_v6_only = wanted->length == 16 && option(fd, IPPROTO_IPV6, IPV6_V6ONLY) > 0,
	};
	size_t length = wire_put_bind(call.buffer, sizeof call.buffer, WIRE_ID, message);
	if (wire_ask(&call, length, WIRE_BIND_REPLY))
		return false;
	return wire_finish(&call, wire_get_bind_reply(&call.in, reply)) == 0;
}

static long bind_to(int fd, struct endpoint where, uint16_t port, sa_family_t family)
{
	where.port = port;
	struct any_address address = address_of(&where, family);
	return kernel(SYS_bind, fd, &address.plain, address.length);
}

/* Has this program image bound a socket elsewhere than it asked for, so that names have to be asked for? */
static _Atomic bool has_bound_elsewhere;

bool listening_has_moved(void)
{
	return unlikely(atomic_load_explicit(&has_bound_elsewhere, memory_order_relaxed));
}

static bool is_elsewhere_better(long error)
{
	return error == -EADDRINUSE || error == -EACCES || error == -EADDRNOTAVAIL;
}

/* The same address with any port, then loopback with the port, then loopback with any. */
static long bind_elsewhere(int fd, const struct endpoint *wanted, sa_family_t family, long first)
{
	struct endpoint near = loopback(family == AF_INET ? 4 : wanted->length, 0);
	long result = first == -EADDRNOTAVAIL ? first : bind_to(fd, *wanted, 0, family);
	if (is_elsewhere_better(result))
		result = bind_to(fd, near, wanted->port, family);
	if (is_elsewhere_better(result))
		result = bind_to(fd, near, 0, family);
	return is_elsewhere_better(result) ? first : result;
}

/* Is an address that this machine does not have one of the target's? Then it is the socket's name from now on. */
static bool is_of_target(int fd, const struct endpoint *wanted)
{
	struct wire_call call;
	struct wire_bind_elsewhere message = { .inode = inode_of(fd), .address = bytes_of(wanted), .port = wanted->port };
	size_t length = wire_put_bind_elsewhere(call.buffer, sizeof call.buffer, WIRE_ID, message);
	bool is_it = remote_done(&call, wire_ask(&call, length, WIRE_DONE)) == 0;
	if (is_it)
		atomic_store_explicit(&has_bound_elsewhere, true, memory_order_relaxed);
	return is_it;
}

/* Not for a server of the run: before a connect, or UDP. An address that only the target has is loopback here, where the relays are. */
static long bind_as_client(int fd, const struct endpoint *wanted, const struct sockaddr *address, socklen_t length)
{
	long result = kernel(SYS_bind, fd, address, length);
	if (result != -EADDRNOTAVAIL || !is_of_target(fd, wanted))
		return result;
	struct endpoint near = loopback(wanted->length, 0);
	if (bind_to(fd, near, wanted->port, address->sa_family) == 0)
		return 0;
	return bind_to(fd, near, 0, address->sa_family) == 0 ? 0 : result;
}

static bool is_network_remote(void)
{
	return shim.is_tcp_remote || shim.is_udp_remote || shim.is_incoming_remote;
}

static long try_bind(int fd, const struct sockaddr *address, socklen_t length)
{
	struct endpoint wanted;
	struct wire_bind_reply reply = { 0 };
	if (!is_network_remote() || !endpoint_of(address, length, &wanted) ||
	    option(fd, SOL_SOCKET, SO_DOMAIN) != address->sa_family)
		return BYPASS;
	int state = tcp_state(fd);
	if (state < 0 && option(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM && shim.is_udp_remote)
		return bind_as_client(fd, &wanted, address, length);
	if (state != TCP_CLOSE)
		return BYPASS;
	bool is_server = wanted.port != 0 && shim.is_incoming_remote && !debuggers_have(wanted.port);
	if (!is_server || !ask_about_bind(fd, &wanted, &reply) || !reply.is_incoming)
		return shim.is_tcp_remote ? bind_as_client(fd, &wanted, address, length) : BYPASS;
	sa_family_t family = address->sa_family;
	if (reply.taken_port != 0 && reply.taken_port != wanted.port) {
		bool is_shared = option(fd, SOL_SOCKET, SO_REUSEPORT) > 0;
		return is_shared ? bind_to(fd, wanted, reply.taken_port, family) : -EADDRINUSE;
	}
	if (reply.is_fixed)
		return bind_to(fd, wanted, reply.port, family);
	long result = kernel(SYS_bind, fd, address, length);
	/* What the run has bound itself is taken, as it would be in the target. */
	if (!is_elsewhere_better(result) || (result == -EADDRINUSE && reply.taken_port != 0))
		return result;
	if (result == -EADDRNOTAVAIL && !is_of_target(fd, &wanted))
		return result;
	if (reply.taken_port != 0 && option(fd, SOL_SOCKET, SO_REUSEPORT) <= 0)
		return -EADDRINUSE;
	return bind_elsewhere(fd, &wanted, family, result);
}

int hook_bind(int fd, const struct sockaddr *address, socklen_t length)
{
	if (netlink_may_be(fd) && may_be_address(address))
		return edge(netlink_bind(fd, address, length));
	long result = try_bind(fd, address, length);
	if (result == 0)
		attempts_bound_by_program(fd);
	return result == BYPASS ? real.bind(fd, address, length) : edge(result);
}

static bool ask_bound_name(int fd, struct endpoint *end)
{
	struct wire_call call;
	struct wire_socket_names_reply reply = { 0 };
	size_t length = wire_put_bound_name(call.buffer, sizeof call.buffer, WIRE_ID,
					    (struct wire_bound_name){ .inode = inode_of(fd) });
	if (wire_ask(&call, length, WIRE_SOCKET_NAMES_REPLY))
		return false;
	return wire_finish(&call, wire_get_socket_names_reply(&call.in, &reply)) == 0 && reply.is_known &&
	       to_endpoint(reply.own_address, reply.own_port, end);
}

/* ---- listen ---- */

/* 0, or the errno that listen(2) shall give. */
static int subscribe(int fd)
{
	struct endpoint own;
	struct wire_call call;
	if (!local_endpoint(fd, &own) || own.port == 0)
		return 0;
	struct wire_listen message = { .inode = inode_of(fd), .address = bytes_of(&own), .port = own.port };
	size_t length = wire_put_listen(call.buffer, sizeof call.buffer, WIRE_ID, message);
	if (wire_ask(&call, length, WIRE_DONE))
		return 0;
	struct wire_done reply = { 0 };
	if (wire_finish(&call, wire_get_done(&call.in, &reply)))
		return 0;
	return reply.error;
}

static void copy_options(int from, int to)
{
	static const int names[][2] = {
		{ SOL_SOCKET, SO_REUSEADDR },	 { SOL_SOCKET, SO_REUSEPORT },	{ SOL_SOCKET, SO_KEEPALIVE },
		{ SOL_SOCKET, SO_OOBINLINE },	 { SOL_SOCKET, SO_SNDBUF },	{ SOL_SOCKET, SO_RCVBUF },
		{ IPPROTO_IPV6, IPV6_V6ONLY },	 { IPPROTO_TCP, TCP_NODELAY },	{ IPPROTO_TCP, TCP_DEFER_ACCEPT },
		{ IPPROTO_TCP, TCP_FASTOPEN },	 { IPPROTO_TCP, TCP_KEEPIDLE },	{ IPPROTO_TCP, TCP_KEEPINTVL },
		{ IPPROTO_TCP, TCP_KEEPCNT },	 { IPPROTO_TCP, TCP_USER_TIMEOUT },
	};
	for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
		int level = names[index][0], name = names[index][1], value = option(from, level, name);
		if (value < 0 || value == option(to, level, name))
			continue;
		if (name == SO_SNDBUF || name == SO_RCVBUF)
			value /= 2; /* socket(7): the kernel doubles it */
		kernel(SYS_setsockopt, to, level, name, &value, sizeof value);
	}
}

/* Of two that bind a port with SO_REUSEADDR the first to listen has it, and a socket is bound once: another one, bound
 * elsewhere, takes the place of this one. */
static bool move_elsewhere(int fd)
{
	struct endpoint wanted;
	struct wire_bind_reply reply = { 0 };
	int family = option(fd, SOL_SOCKET, SO_DOMAIN);
	if (tcp_state(fd) != TCP_CLOSE || !ask_bound_name(fd, &wanted))
		return false;
	int is_blocking = (kernel(SYS_fcntl, fd, F_GETFL) & O_NONBLOCK) == 0;
	int is_kept = (kernel(SYS_fcntl, fd, F_GETFD) & FD_CLOEXEC) == 0;
	int again = (int)kernel(SYS_socket, family, SOCK_STREAM | SOCK_CLOEXEC | (is_blocking ? 0 : SOCK_NONBLOCK),
				option(fd, SOL_SOCKET, SO_PROTOCOL));
	if (again < 0)
		return false;
	copy_options(fd, again);
	bool is_free = ask_about_bind(again, &wanted, &reply) && reply.is_incoming && !reply.is_fixed &&
		       reply.taken_port == 0;
	bool is_moved = is_free && bind_elsewhere(again, &wanted, (sa_family_t)family, -EADDRINUSE) == 0 &&
			kernel(SYS_dup3, again, fd, is_kept ? 0 : O_CLOEXEC) >= 0;
	kernel(SYS_close, again);
	return is_moved;
}

static bool is_debuggers(int fd)
{
	struct endpoint own;
	return local_endpoint(fd, &own) && debuggers_have(own.port);
}

int hook_listen(int fd, int backlog)
{
	int result = real.listen(fd, backlog);
	if (unlikely(result != 0) && errno == EADDRINUSE && shim.is_incoming_remote) {
		if (!move_elsewhere(fd))
			return edge(-EADDRINUSE);
		result = real.listen(fd, backlog);
	}
	if (result != 0 || !shim.is_incoming_remote || tcp_state(fd) != TCP_LISTEN || is_debuggers(fd))
		return result;
	int error = subscribe(fd);
	if (error) {
		/* Not listening any more, but bound still: as if listen() had failed. */
		kernel(SYS_shutdown, fd, SHUT_RD);
		return edge(refused(error));
	}
	mark_listening(fd);
	return 0;
}

/* ---- accept, and the names of what was accepted ---- */

/* Connections of the intproxy come over loopback, or from the very address that the program has bound. */
static bool may_be_ours(int fd, const struct endpoint *peer)
{
	struct endpoint own;
	return is_loopback(peer) || (local_endpoint(fd, &own) && own.length == peer->length &&
				     memcmp(own.bytes, peer->bytes, own.length) == 0);
}

static bool ask_names(int fd, const struct endpoint *peer, struct wire_socket_names_reply *reply,
		      struct wire_call *call)
{
	struct endpoint own;
	if (!may_be_ours(fd, peer) || !local_endpoint(fd, &own))
		return false;
	struct wire_accepted_names message = {
		.peer_address = bytes_of(peer),
		.peer_port = peer->port,
		.local_port = own.port,
	};
	size_t length = wire_put_accepted_names(call->buffer, sizeof call->buffer, WIRE_ID, message);
	if (wire_ask(call, length, WIRE_SOCKET_NAMES_REPLY))
		return false;
	return wire_finish(call, wire_get_socket_names_reply(&call->in, reply)) == 0 && reply->is_known;
}

void name_accepted_peer(int fd, const struct endpoint *peer, struct sockaddr *name, socklen_t *length, socklen_t room)
{
	struct wire_call call;
	struct endpoint end;
	struct wire_socket_names_reply reply = { 0 };
	if (ask_names(fd, peer, &reply, &call) && to_endpoint(reply.peer_address, reply.peer_port, &end))
		put_name(fd, &end, name, length, room);
}

void name_own_end(int fd, const struct endpoint *own, struct sockaddr *name, socklen_t *length, socklen_t room)
{
	struct endpoint end, peer;
	int state = tcp_state(fd);
	if (own->port == 0)
		return;
	if (state < 0 || state == TCP_LISTEN || state == TCP_CLOSE) {
		/* Any port is the one that the kernel chose. */
		if (ask_bound_name(fd, &end)) {
			end.port = end.port ? end.port : own->port;
			put_name(fd, &end, name, length, room);
		}
		return;
	}
	struct wire_call call;
	struct wire_socket_names_reply reply = { 0 };
	if (peer_endpoint(fd, &peer) && ask_names(fd, &peer, &reply, &call) &&
	    to_endpoint(reply.own_address, reply.own_port, &end))
		put_name(fd, &end, name, length, room);
}

/* The accepted socket's peer, as the program asked to be told it. */
static void name_accepted(int fd, struct sockaddr *name, socklen_t *length, socklen_t room)
{
	struct endpoint peer;
	if (name && length && peer_endpoint(fd, &peer))
		name_accepted_peer(fd, &peer, name, length, room);
}

int hook_accept(int fd, struct sockaddr *name, socklen_t *length)
{
	socklen_t room = name && may_be_address(length) ? *length : 0;
	int accepted = real.accept(fd, name, length);
	if (accepted >= 0 && unlikely(shim.is_incoming_remote))
		name_accepted(accepted, name, length, room);
	return accepted;
}

int hook_accept4(int fd, struct sockaddr *name, socklen_t *length, int flags)
{
	socklen_t room = name && may_be_address(length) ? *length : 0;
	int accepted = real.accept4(fd, name, length, flags);
	if (accepted >= 0 && unlikely(shim.is_incoming_remote))
		name_accepted(accepted, name, length, room);
	return accepted;
}
