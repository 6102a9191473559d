/* relay.c - the black hole, and sockets that leave it.
 *
 * An app's non-blocking socket S is connected to a listener that drops every SYN, so that it stays in SYN_SENT: in
 * progress, no events. When the agent's answer is there, a socket of ours takes the listener's place: bound to its
 * address and connected to S, whose SYN it crosses (simultaneous open, RFC 9293 3.5). S is then connected, on the spot.
 * When it shall fail, S is reset half-way there (relay_break).
 *
 * A blocking socket is connected to a listener that accepts (relay_listen).
 */
#include "address.h"
#include "sys.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Over loopback the handshake is done when connect(2) returns; a loaded machine may need a moment. */
#define HANDSHAKE_MS 200

/* As make_address(), but NULL is loopback. */
static socklen_t make_near_address(union address *address, uint32_t family, const uint8_t *host, uint32_t port)
{
	static const uint8_t loopback4[4] = { 127, 0, 0, 1 };
	if (!host)
		host = family == 4 ? loopback4 : in6addr_loopback.s6_addr;
	return make_address(address, family, host, port);
}

/* A socket bound to a loopback port that others of ours share. */
static int bound_socket(uint32_t family, uint32_t port, int flags)
{
	union address address;
	socklen_t size = make_near_address(&address, family, NULL, port);
	int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd < 0)
		return -errno;
	int on = 1;
	if ((family == 6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 || bind(fd, &address.any, size) != 0) {
		int error = errno;
		close(fd);
		return -error;
	}
	return fd;
}

/* Opens a black hole on loopback; its port goes to `port`. Returns the descriptor that keeps it open, or -errno. */
SYS int32_t relay_open_hole(uint32_t family, uint16_t *port)
{
	int fd = bound_socket(family, 0, 0);
	if (fd < 0)
		return fd;
	struct sock_filter nothing = { BPF_RET | BPF_K, 0, 0, 0 };
	struct sock_fprog program = { 1, &nothing };
	union address address;
	socklen_t size = sizeof address;
	/* The filter first: no SYN may be answered. */
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0 || listen(fd, 1) != 0 ||
	    getsockname(fd, &address.any, &size) != 0) {
		int error = errno;
		close(fd);
		return -error;
	}
	*port = ntohs(family == 4 ? address.v4.sin_port : address.v6.sin6_port);
	return fd;
}

static int await_handshake(int fd)
{
	struct pollfd waiting = { fd, POLLOUT, 0 };
	int ready = poll(&waiting, 1, HANDSHAKE_MS);
	if (ready < 0)
		return -errno;
	if (ready == 0)
		return -ETIMEDOUT;
	int error = 0;
	socklen_t size = sizeof error;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		return -errno;
	return -error;
}

/* Connects the app's socket at `host`:`port`, which waits in the hole. Returns the other end of it (non-blocking), or
 * -errno; -ECONNREFUSED when no socket waits there. */
SYS int32_t relay_complete(uint32_t family, uint32_t hole_port, const uint8_t *host, uint32_t port)
{
	int fd = bound_socket(family, hole_port, SOCK_NONBLOCK);
	if (fd < 0)
		return fd;
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	union address address;
	socklen_t size = make_near_address(&address, family, host, port);
	int error = connect(fd, &address.any, size) == 0 ? 0 : -errno;
	if (error == -EINPROGRESS)
		error = await_handshake(fd);
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

/* Lets through what says that nobody is there (a RST), and nothing else: byte 13 of a TCP header has the flags. */
static int hear_resets_only(int fd)
{
	struct sock_filter resets[] = {
		{ BPF_LD | BPF_B | BPF_ABS, 0, 0, 13 },
		{ BPF_JMP | BPF_JSET | BPF_K, 0, 1, 4 },
		{ BPF_RET | BPF_K, 0, 0, UINT32_MAX },
		{ BPF_RET | BPF_K, 0, 0, 0 },
	};
	struct sock_fprog program = { 4, resets };
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

/* A SYN to the app's socket from where the hole is. 0 or -errno. */
static int send_syn(uint32_t family, uint32_t hole_port, const uint8_t *host, uint32_t port, int is_deaf)
{
	union address address;
	socklen_t size = make_near_address(&address, family, host, port);
	int fd = bound_socket(family, hole_port, SOCK_NONBLOCK);
	if (fd < 0)
		return fd;
	int error = is_deaf && hear_resets_only(fd) != 0 ? -errno : 0;
	if (error == 0 && connect(fd, &address.any, size) != 0 && errno != EINPROGRESS)
		error = -errno;
	int heard = 0;
	socklen_t heard_size = sizeof heard;
	if (error == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &heard, &heard_size) == 0)
		error = -heard;
	close(fd);
	return error;
}

/* Makes the connect of the app's socket fail, without its having been connected for a moment, which poll(2) would tell.
 * A first SYN takes it to SYN_RECV, and what it answers is not heard. A second one, out of the blue, makes it repeat where it stands
 * (RFC 5961, 4); the socket that hears this never said so, and answers with a RST. 0 or -errno; -ECONNREFUSED when no
 * socket waits there. */
SYS int32_t relay_break(uint32_t family, uint32_t hole_port, const uint8_t *host, uint32_t port)
{
	int error = send_syn(family, hole_port, host, port, 1);
	if (error == 0)
		error = send_syn(family, hole_port, host, port, 0);
	return error == -ECONNRESET ? 0 : error;
}

/* Listens on loopback; the port goes to `port`. Returns the descriptor or -errno. */
SYS int32_t relay_listen(uint32_t family, uint16_t *port)
{
	union address address;
	socklen_t size = make_near_address(&address, family, NULL, 0);
	int on = 1;
	int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if ((family == 6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) ||
	    bind(fd, &address.any, size) != 0 || listen(fd, SOMAXCONN) != 0 || getsockname(fd, &address.any, &size) != 0) {
		int error = errno;
		close(fd);
		return -error;
	}
	*port = ntohs(family == 4 ? address.v4.sin_port : address.v6.sin6_port);
	return fd;
}

/* The next of those who have come, never waiting: its descriptor, and its port and address (4 or 16 bytes, by the family of
 * the listener); or -errno. */
SYS int32_t relay_accept(int32_t listener, uint16_t *port, uint8_t address[16])
{
	union address peer;
	socklen_t size = sizeof peer;
	int fd;
	do
		fd = accept4(listener, &peer.any, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0)
		return -errno;
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	bool is_v4 = peer.any.sa_family == AF_INET;
	*port = ntohs(is_v4 ? peer.v4.sin_port : peer.v6.sin6_port);
	memcpy(address, is_v4 ? (void *)&peer.v4.sin_addr : (void *)&peer.v6.sin6_addr, is_v4 ? 4 : 16);
	return fd;
}

SYS int32_t relay_close(int32_t fd)
{
	return close(fd) == 0 ? 0 : -errno;
}
