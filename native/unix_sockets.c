/* unix_sockets.c - see unix_sockets.h. */
#include "cwd.h"
#include "endpoints.h"
#include "remote.h"
#include "unix_sockets.h"
#include "wire.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>

enum { NAME_OFFSET = offsetof(struct sockaddr_un, sun_path) };

static inline bool is_any_remote(void)
{
	return unlikely(patterns_are_any(&shim.unix_sockets));
}

/* ---- whose is it ---- */

/* The path that the app gave, with or without what pads it, as the target knows it; or NUL and an abstract name. Empty: none. */
static struct wire_bytes name_in(const struct sockaddr *address, socklen_t length, char room[WIRE_PATH_BYTES])
{
	struct wire_bytes none = { room, 0 };
	const struct sockaddr_un *it = (const struct sockaddr_un *)address;
	if (length <= NAME_OFFSET || length > sizeof *it)
		return none;
	size_t bytes = length - NAME_OFFSET;
	if (it->sun_path[0] == '\0') {
		memcpy(room, it->sun_path, bytes);
		return (struct wire_bytes){ room, (uint32_t)bytes };
	}
	char given[sizeof it->sun_path + 1] = "";
	memcpy(given, it->sun_path, strnlen(it->sun_path, bytes));
	const char *path = cwd_absolute(AT_FDCWD, given, room);
	if (path[0] != '/')
		return none;
	size_t path_length = strlen(path);
	memmove(room, path, path_length + 1);
	return (struct wire_bytes){ room, (uint32_t)path_length };
}

/* Patterns have "@" where an abstract name has NUL, as ss(8) prints it. */
static bool is_remote(struct wire_bytes name)
{
	const char *at = name.at;
	char text[sizeof(struct sockaddr_un)];
	if (name.length == 0 || at[0] != '\0')
		return name.length > 0 && patterns_match(&shim.unix_sockets, at, name.length) > 0;
	for (uint32_t index = 0; index < name.length; index++)
		text[index] = at[index] ? at[index] : '@';
	return patterns_match(&shim.unix_sockets, text, name.length) > 0;
}

/* ---- connect ---- */

/* 0 and a token, or -errno. */
static int ask_for_token(int fd, struct wire_bytes name, bool is_packets, bool is_blocking, uint64_t *token)
{
	struct wire_call call;
	struct wire_connect_unix message = {
		.inode = inode_of(fd),
		.name = name,
		.is_packets = is_packets,
		.is_blocking = is_blocking,
	};
	size_t length = wire_put_connect_unix(call.buffer, sizeof call.buffer, WIRE_ID, message);
	int error = wire_ask_like_open(&call, length, WIRE_CONNECT_UNIX_REPLY);
	if (error)
		return error == -EIO ? -ECONNREFUSED : error;
	struct wire_connect_unix_reply reply = { 0 };
	if (wire_finish(&call, wire_get_connect_unix_reply(&call.in, &reply)))
		return -ECONNREFUSED;
	*token = reply.token;
	return reply.error ? refused(reply.error) : 0;
}

/* The relay takes who comes at once: waiting for it is not what O_NONBLOCK is about. */
static long join_relay(int fd, bool is_packets, long flags, uint64_t token)
{
	struct sockaddr_un relay;
	enum wire_place place = is_packets ? WIRE_PACKETS : WIRE_STREAMS;
	long result = -ECONNREFUSED;
	if (flags & O_NONBLOCK)
		kernel(SYS_fcntl, fd, F_SETFL, flags & ~O_NONBLOCK);
	for (int way = 0; result < 0 && result != -EISCONN && wire_place_address(place, way, &relay); way++) {
		do
			result = kernel(SYS_connect, fd, &relay, sizeof relay);
		while (result == -EINTR);
	}
	if (flags & O_NONBLOCK)
		kernel(SYS_fcntl, fd, F_SETFL, flags);
	if (result < 0)
		return result;
	result = kernel(SYS_sendto, fd, &token, sizeof token, MSG_NOSIGNAL | MSG_DONTWAIT);
	return result == (long)sizeof token ? 0 : -ECONNREFUSED;
}

static bool is_connected(int fd)
{
	struct sockaddr_un peer;
	socklen_t length = sizeof peer;
	return kernel(SYS_getpeername, fd, &peer, &length) == 0;
}

/* ---- datagrams ---- */

static const char DATAGRAMS[] = "/datagrams-";

/* The relay for this name. 0, or -errno. */
static int find_datagram_relay(struct wire_bytes name, struct sockaddr_un *relay)
{
	struct wire_call call;
	struct wire_relay_unix_datagrams message = { .name = name };
	struct wire_relay_unix_datagrams_reply reply = { 0 };
	size_t length = wire_put_relay_unix_datagrams(call.buffer, sizeof call.buffer, WIRE_ID, message);
	int error = wire_ask_like_open(&call, length, WIRE_RELAY_UNIX_DATAGRAMS_REPLY);
	if (error)
		return error == -EIO ? -ECONNREFUSED : error;
	if (wire_finish(&call, wire_get_relay_unix_datagrams_reply(&call.in, &reply)))
		return -ECONNREFUSED;
	if (reply.error)
		return refused(reply.error);
	*relay = shim.socket;
	char *end = strrchr(relay->sun_path, '/');
	size_t room = sizeof relay->sun_path - (size_t)(end - relay->sun_path);
	return (size_t)snprintf(end, room, "%s%u", DATAGRAMS, reply.number) < room ? 0 : -ENAMETOOLONG;
}

long unix_towards(int fd, const struct sockaddr *address, socklen_t length, struct sockaddr_un *instead)
{
	char room[WIRE_PATH_BYTES];
	if (!is_any_remote() || !address || length <= NAME_OFFSET || address->sa_family != AF_UNIX)
		return BYPASS;
	if (option(fd, SOL_SOCKET, SO_DOMAIN) != AF_UNIX || option(fd, SOL_SOCKET, SO_TYPE) != SOCK_DGRAM)
		return BYPASS;
	struct wire_bytes name = name_in(address, length, room);
	return is_remote(name) ? find_datagram_relay(name, instead) : BYPASS;
}

static long connect_datagrams(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sockaddr_un relay;
	long result = unix_towards(fd, address, length, &relay);
	return result == 0 ? kernel(SYS_connect, fd, &relay, sizeof relay) : result;
}

long unix_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	char room[WIRE_PATH_BYTES];
	if (!is_any_remote() || !address || length <= NAME_OFFSET || address->sa_family != AF_UNIX)
		return BYPASS;
	int type = option(fd, SOL_SOCKET, SO_TYPE);
	if (type == SOCK_DGRAM)
		return connect_datagrams(fd, address, length);
	if (option(fd, SOL_SOCKET, SO_DOMAIN) != AF_UNIX || (type != SOCK_STREAM && type != SOCK_SEQPACKET))
		return BYPASS;
	struct wire_bytes name = name_in(address, length, room);
	if (!is_remote(name))
		return BYPASS;
	if (option(fd, SOL_SOCKET, SO_ACCEPTCONN) > 0)
		return -EINVAL;
	if (is_connected(fd))
		return -EISCONN;
	uint64_t token = 0;
	long flags = kernel(SYS_fcntl, fd, F_GETFL);
	int error = ask_for_token(fd, name, type == SOCK_SEQPACKET, !(flags & O_NONBLOCK), &token);
	return error ? error : join_relay(fd, type == SOCK_SEQPACKET, flags, token);
}

/* ---- what is told of it ---- */

static bool is_relay(const struct sockaddr_un *it, socklen_t length)
{
	const struct wire_settings *settings = &shim.settings;
	if (length <= NAME_OFFSET || it->sun_family != AF_UNIX)
		return false;
	size_t bytes = strnlen(it->sun_path, length - NAME_OFFSET);
	struct wire_bytes relays[] = { settings->stream_relay, settings->packet_relay };
	const char *last = memrchr(it->sun_path, '/', bytes);
	if (last && bytes >= sizeof DATAGRAMS && strncmp(last, DATAGRAMS, sizeof DATAGRAMS - 1) == 0)
		return strncmp(it->sun_path, "/proc/self/fd/", 14) == 0;
	for (int at = 0; at < 2; at++)
		if (bytes > 0 && bytes == relays[at].length && memcmp(it->sun_path, relays[at].at, bytes) == 0)
			return true;
	return false;
}

static bool peer_is_relay(int fd)
{
	struct sockaddr_un peer;
	socklen_t length = sizeof peer;
	return kernel(SYS_getpeername, fd, &peer, &length) == 0 && is_relay(&peer, length);
}

static bool ask_peer(int fd, struct wire_call *call, struct wire_unix_peer_reply *reply)
{
	struct wire_unix_peer message = { .inode = inode_of(fd) };
	size_t length = wire_put_unix_peer(call->buffer, sizeof call->buffer, WIRE_ID, message);
	if (wire_ask(call, length, WIRE_UNIX_PEER_REPLY))
		return false;
	return wire_finish(call, wire_get_unix_peer_reply(&call->in, reply)) == 0 && reply->is_known;
}

void unix_name_peer(int fd, struct sockaddr *name, socklen_t *length, socklen_t room)
{
	struct wire_call call;
	struct wire_unix_peer_reply reply = { 0 };
	if (!is_any_remote() || room < sizeof(sa_family_t) || name->sa_family != AF_UNIX || !peer_is_relay(fd) ||
	    !ask_peer(fd, &call, &reply))
		return;
	struct sockaddr_un it = { .sun_family = AF_UNIX };
	/* A path is told with the NUL at its end, an abstract name without. */
	const char *at = reply.name.at;
	size_t bytes = reply.name.length;
	if (bytes > sizeof it.sun_path)
		return;
	memcpy(it.sun_path, at, bytes);
	socklen_t whole = (socklen_t)(NAME_OFFSET + bytes + (at[0] != '\0'));
	memcpy(name, &it, room < whole ? room : whole < sizeof it ? whole : sizeof it);
	*length = whole;
}

void unix_name_user(int fd, void *credentials, const socklen_t *length)
{
	struct wire_call call;
	struct wire_unix_peer_reply reply = { 0 };
	struct ucred it;
	if (!is_any_remote() || *length != sizeof it || !peer_is_relay(fd) || !ask_peer(fd, &call, &reply))
		return;
	it = (struct ucred){ .pid = reply.pid, .uid = reply.uid, .gid = reply.gid };
	memcpy(credentials, &it, sizeof it);
}

int unix_may_send(int fd, const struct msghdr *message)
{
	if (!is_any_remote() || !may_be_address(message) || !message->msg_control)
		return 0;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR((struct msghdr *)message, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS || !peer_is_relay(fd))
			continue;
		wire_note("Cannot send", "descriptors", "is a Unix socket of the target: they cannot leave this machine");
		return -EOPNOTSUPP;
	}
	return 0;
}
