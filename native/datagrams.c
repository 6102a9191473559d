/* datagrams.c - see datagrams.h. */
#include "attempts.h"
#include "big.h"
#include "datagrams.h"
#include "netlink.h"
#include "real.h"
#include "remote.h"
#include "wire.h"

#include <netinet/in.h>
#include <stdatomic.h>

/* ---- what is known of sockets (by cookie, which is never another's) and their relays ----
 * Read and written without locks: a version that is odd, or changes while we look, means "not known". */

struct entry {
	_Atomic uint32_t version;
	_Atomic uint64_t words[4];
};

enum { ENTRIES = 256 };
static struct entry relays[ENTRIES]; /* peer to relay */
static struct entry peers[ENTRIES]; /* relay to peer */

struct link {
	uint64_t cookie;
	struct endpoint peer;
	uint16_t relay_port; /* 0: to this peer it sends itself */
};

static void pack(const struct link *link, uint64_t words[4])
{
	words[0] = link->cookie;
	words[1] = words[2] = 0;
	memcpy(&words[1], link->peer.bytes, link->peer.length);
	words[3] = (uint64_t)link->peer.length << 32 | (uint64_t)link->peer.port << 16 | link->relay_port;
}

static void unpack(const uint64_t words[4], struct link *link)
{
	*link = (struct link){ .cookie = words[0], .relay_port = (uint16_t)words[3] };
	link->peer.length = (uint32_t)(words[3] >> 32);
	link->peer.port = (uint16_t)(words[3] >> 16);
	memcpy(link->peer.bytes, &words[1], link->peer.length);
}

static void store(struct entry *entry, const struct link *link)
{
	uint64_t words[4];
	uint32_t version = atomic_load_explicit(&entry->version, memory_order_relaxed);
	if ((version & 1) || !atomic_compare_exchange_strong(&entry->version, &version, version + 1))
		return;
	pack(link, words);
	for (int at = 0; at < 4; at++)
		atomic_store_explicit(&entry->words[at], words[at], memory_order_relaxed);
	atomic_store_explicit(&entry->version, version + 2, memory_order_release);
}

static bool load(struct entry *entry, struct link *link)
{
	uint64_t words[4];
	uint32_t version = atomic_load_explicit(&entry->version, memory_order_acquire);
	if (version & 1)
		return false;
	for (int at = 0; at < 4; at++)
		words[at] = atomic_load_explicit(&entry->words[at], memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&entry->version, memory_order_relaxed) != version)
		return false;
	unpack(words, link);
	return link->cookie != 0;
}

static uint64_t mixed(uint64_t value)
{
	return (value * 0x9e3779b97f4a7c15ull) >> 48;
}

static struct entry *relay_entry(uint64_t cookie, const struct endpoint *peer)
{
	uint64_t words[4];
	struct link link = { .cookie = cookie, .peer = *peer };
	pack(&link, words);
	return &relays[mixed(words[0] ^ words[1] ^ words[2] ^ words[3]) % ENTRIES];
}

static struct entry *peer_entry(uint64_t cookie, uint16_t relay_port)
{
	return &peers[mixed(cookie ^ relay_port) % ENTRIES];
}

static bool is_same(const struct endpoint *one, const struct endpoint *other)
{
	return one->length == other->length && one->port == other->port &&
	       memcmp(one->bytes, other->bytes, one->length) == 0;
}

static void remember(uint64_t cookie, const struct endpoint *peer, uint16_t relay_port)
{
	struct link link = { .cookie = cookie, .peer = *peer, .relay_port = relay_port };
	store(relay_entry(cookie, peer), &link);
	if (relay_port)
		store(peer_entry(cookie, relay_port), &link);
}

/* ---- which relay ---- */

static bool is_udp(int fd)
{
	return option(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM && option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_UDP;
}

/* What the intproxy has to know of the app's socket; binds it, as sending would. */
struct sender {
	sa_family_t family;
	uint16_t port;
	bool is_v6_only;
	int fd;
};

static int know_sender(int fd, struct sender *sender)
{
	struct endpoint local;
	sender->fd = fd;
	sender->family = (sa_family_t)option(fd, SOL_SOCKET, SO_DOMAIN);
	if (!local_endpoint(fd, &local))
		return -ENETUNREACH;
	if (local.port == 0) {
		struct any_address any = { 0 };
		any.plain.sa_family = sender->family;
		any.length = sender->family == AF_INET ? sizeof any.v4 : sizeof any.v6;
		long result = kernel(SYS_bind, fd, &any.plain, any.length);
		if (result < 0)
			return result == -EADDRINUSE ? -EAGAIN : (int)result;
		if (!local_endpoint(fd, &local))
			return -ENETUNREACH;
	}
	sender->port = local.port;
	sender->is_v6_only = sender->family == AF_INET6 &&
			     (option(fd, IPPROTO_IPV6, IPV6_V6ONLY) > 0 || (local.length == 16 && !is_zero(&local)));
	return 0;
}

/* BYPASS: the peer is one of the run's own sockets. Else the relay's port, or -errno. */
static long ask_relay(const struct sender *sender, const struct endpoint *peer, bool is_connect)
{
	struct wire_call call;
	struct wire_relay_datagrams message = {
		.address = bytes_of(peer),
		.port = peer->port,
		.local_port = sender->port,
		.is_connect = is_connect,
		.is_ipv6_only = sender->is_v6_only,
		.fd = sender->fd,
		.inode = inode_of(sender->fd),
	};
	size_t length = wire_put_relay_datagrams(call.buffer, sizeof call.buffer, WIRE_ID, message);
	int error = wire_ask(&call, length, WIRE_RELAY_DATAGRAMS_REPLY);
	if (error)
		return error == -EIO ? -ENETUNREACH : error;
	struct wire_relay_datagrams_reply reply = { 0 };
	if (wire_finish(&call, wire_get_relay_datagrams_reply(&call.in, &reply)))
		return -ENETUNREACH;
	if (reply.error)
		return refused(reply.error);
	return reply.is_local ? BYPASS : reply.relay_port;
}

static struct any_address relay_address(const struct sender *sender, uint16_t port)
{
	struct endpoint relay = loopback(sender->is_v6_only ? 16 : 4, port);
	if (!sender->is_v6_only) {
		uint32_t bytes = htonl(shim.settings.datagram_relay);
		memcpy(relay.bytes, &bytes, sizeof bytes);
	}
	return address_of(&relay, sender->family);
}

/* Whom the target shall reach; false when the datagram stays on this machine. */
static bool is_remote(const struct sockaddr *address, socklen_t length, struct endpoint *peer)
{
	if (!shim.is_udp_remote || !endpoint_of(address, length, peer) || peer->port == 0 || is_for_many(peer))
		return false;
	if (is_zero(peer))
		*peer = loopback(peer->length, peer->port);
	return true;
}

long datagrams_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	struct endpoint peer;
	struct sender sender;
	if (!is_remote(address, length, &peer) || !is_udp(fd) || option(fd, SOL_SOCKET, SO_DOMAIN) != address->sa_family)
		return BYPASS;
	int error = know_sender(fd, &sender);
	if (error)
		return error;
	long port = ask_relay(&sender, &peer, true);
	if (port < 0)
		return port;
	remember(cookie_of(fd), &peer, (uint16_t)port);
	struct any_address relay = relay_address(&sender, (uint16_t)port);
	return kernel(SYS_connect, fd, &relay.plain, relay.length);
}

long datagrams_towards(int fd, const struct sockaddr *address, socklen_t length, struct any_address *instead)
{
	struct endpoint peer;
	struct sender sender;
	struct link link;
	if (!is_remote(address, length, &peer) || !is_udp(fd))
		return BYPASS;
	int error = know_sender(fd, &sender);
	if (error)
		return error;
	uint64_t cookie = cookie_of(fd);
	/* On loopback a socket of the run may have taken the port meanwhile. */
	bool is_known = !is_loopback(&peer) && load(relay_entry(cookie, &peer), &link) && link.cookie == cookie &&
			is_same(&link.peer, &peer);
	long port = is_known ? link.relay_port : ask_relay(&sender, &peer, false);
	if (!is_known && (port > 0 || port == BYPASS))
		remember(cookie, &peer, port > 0 ? (uint16_t)port : 0);
	if (port <= 0)
		return port == 0 ? BYPASS : port;
	*instead = relay_address(&sender, (uint16_t)port);
	return 0;
}

/* ---- names ---- */

bool datagrams_is_relay(const struct endpoint *it)
{
	uint32_t bytes = htonl(shim.settings.datagram_relay);
	if (!shim.is_udp_remote || it->port == 0)
		return false;
	return it->length == 4 ? memcmp(it->bytes, &bytes, sizeof bytes) == 0 : is_loopback(it);
}

static bool ask_names(int fd, const struct endpoint *relay, bool is_peer, struct endpoint *end)
{
	struct wire_call call;
	struct endpoint local;
	if (!local_endpoint(fd, &local))
		return false;
	struct wire_datagram_names message = {
		.relay_port = relay->port,
		.local_port = local.port,
		.is_ipv6_only = relay->length == 16,
	};
	size_t length = wire_put_datagram_names(call.buffer, sizeof call.buffer, WIRE_ID, message);
	if (wire_ask(&call, length, WIRE_SOCKET_NAMES_REPLY))
		return false;
	struct wire_socket_names_reply reply = { 0 };
	if (wire_finish(&call, wire_get_socket_names_reply(&call.in, &reply)) || !reply.is_known)
		return false;
	return is_peer ? to_endpoint(reply.peer_address, reply.peer_port, end) :
			 to_endpoint(reply.own_address, reply.own_port, end);
}

static bool peer_of(int fd, const struct endpoint *relay, struct endpoint *peer)
{
	struct link link;
	uint64_t cookie = cookie_of(fd);
	if (load(peer_entry(cookie, relay->port), &link) && link.cookie == cookie && link.relay_port == relay->port) {
		*peer = link.peer;
		return true;
	}
	if (!ask_names(fd, relay, true, peer))
		return false;
	remember(cookie, peer, relay->port);
	return true;
}

void datagrams_name_sender(int fd, void *name, socklen_t *length, socklen_t room)
{
	struct endpoint relay, peer;
	if (unlikely(atomic_load_explicit(&netlink_made, memory_order_relaxed)) && name)
		netlink_name_sender(fd, name, room < *length ? room : *length);
	if (!shim.is_udp_remote || !name || !endpoint_of(name, room < *length ? room : *length, &relay))
		return;
	if (datagrams_is_relay(&relay) && is_udp(fd) && peer_of(fd, &relay, &peer))
		put_name(fd, &peer, name, length, room);
}

void datagrams_name_end(int fd, bool is_peer, struct sockaddr *name, socklen_t *length, socklen_t room)
{
	struct endpoint relay, end;
	if (!peer_endpoint(fd, &relay) || !datagrams_is_relay(&relay) || !is_udp(fd))
		return;
	if (is_peer ? peer_of(fd, &relay, &end) : ask_names(fd, &relay, false, &end))
		put_name(fd, &end, name, length, room);
}

/* ---- hooks of the calls that tell a sender; those that send are in sockets.c ---- */

ssize_t hook_recvfrom(int fd, void *into, size_t room, int flags, struct sockaddr *name, socklen_t *length)
{
	socklen_t name_room = name && may_be_address(length) ? *length : 0;
	netlink_before_receiving(fd);
	ssize_t result = attempts_judged(fd, real.recvfrom(fd, into, room, flags, name, length));
	if (unlikely(result >= 0 && name_room > 0))
		datagrams_name_sender(fd, name, length, name_room);
	return result;
}

ssize_t hook___recvfrom_chk(int fd, void *into, size_t room, size_t size, int flags, struct sockaddr *name,
			    socklen_t *length)
{
	socklen_t name_room = name && may_be_address(length) ? *length : 0;
	netlink_before_receiving(fd);
	ssize_t result = attempts_judged(fd, real.__recvfrom_chk(fd, into, room, size, flags, name, length));
	if (unlikely(result >= 0 && name_room > 0))
		datagrams_name_sender(fd, name, length, name_room);
	return result;
}

ssize_t hook_recvmsg(int fd, struct msghdr *message, int flags)
{
	socklen_t room = may_be_address(message) && message->msg_name ? message->msg_namelen : 0;
	netlink_before_receiving(fd);
	ssize_t result = attempts_judged(fd, real.recvmsg(fd, message, flags));
	if (unlikely(result >= 0 && room > 0))
		datagrams_name_sender(fd, message->msg_name, &message->msg_namelen, room);
	return result;
}

/* At most so many at once when senders are told: their rooms have to be remembered. */
enum { MOST_MESSAGES = 64 };

int hook_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	socklen_t rooms[MOST_MESSAGES];
	if (!shim.is_udp_remote || !may_be_address(messages) || count == 0 || !messages[0].msg_hdr.msg_name)
		return real.recvmmsg(fd, messages, count, flags, timeout);
	count = count < MOST_MESSAGES ? count : MOST_MESSAGES;
	for (unsigned at = 0; at < count; at++)
		rooms[at] = messages[at].msg_hdr.msg_name ? messages[at].msg_hdr.msg_namelen : 0;
	int result = real.recvmmsg(fd, messages, count, flags, timeout);
	for (int at = 0; at < result; at++) {
		struct msghdr *message = &messages[at].msg_hdr;
		if (rooms[at] > 0)
			datagrams_name_sender(fd, message->msg_name, &message->msg_namelen, rooms[at]);
	}
	return result;
}

int hook_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	/* Descriptors of big remote files that are sent need a look as well. */
	bool is_ours = may_be_address(messages) && (big_has_any() || patterns_are_any(&shim.unix_sockets));
	for (unsigned at = 0; shim.is_udp_remote && may_be_address(messages) && at < count && !is_ours; at++)
		is_ours = messages[at].msg_hdr.msg_name != NULL;
	if (!is_ours)
		return real.sendmmsg(fd, messages, count, flags);
	for (unsigned at = 0; at < count; at++) {
		ssize_t sent = hook_sendmsg(fd, &messages[at].msg_hdr, flags);
		if (sent < 0)
			return at > 0 ? (int)at : -1;
		messages[at].msg_len = (unsigned)sent;
	}
	return (int)count;
}
