/* dial.c - TCP connections that the agent makes for a client: begun here, waited for by readiness.c.
 *
 * Sockets belong to the network of the thread that makes them: dialling is for the main thread.
 */
#include "address.h"
#include "sys.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

/* Its own end, as the program has bound it. */
static int bind_own(int fd, uint32_t family, const uint8_t *host, uint32_t port)
{
	union address address;
	socklen_t size = make_address(&address, family, host, port);
	int on = 1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
		return -errno;
	if (port == 0) /* it is chosen with the peer: other peers' connections may have it */
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	return bind(fd, &address.any, size) == 0 ? 0 : -errno;
}

/* As src/sys/dial.ts reads it. */
struct dialled {
	uint16_t own_port;
	uint8_t own_length; /* 4 or 16; 0: it is not connected yet */
	uint8_t is_unbound; /* it failed because its own end cannot be had */
	uint8_t own[16];
};

/* A connect within one host is over when connect(2) returns. 0 or -errno. */
static int look_how_it_ended(int fd, struct dialled *into)
{
	struct pollfd waiting = { fd, POLLOUT, 0 };
	if (poll(&waiting, 1, 0) <= 0)
		return 0;
	int error = 0;
	socklen_t size = sizeof error;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0)
		return error ? -error : -errno;
	union address own;
	size = sizeof own;
	if (getsockname(fd, &own.any, &size) != 0)
		return -errno;
	bool is_v4 = own.any.sa_family == AF_INET;
	into->own_length = is_v4 ? 4 : 16;
	into->own_port = ntohs(is_v4 ? own.v4.sin_port : own.v6.sin6_port);
	memcpy(into->own, is_v4 ? (void *)&own.v4.sin_addr : (void *)&own.v6.sin6_addr, into->own_length);
	return 0;
}

/* Begins a connection to `host`:`port`. `is_bound`: from `own_host` (NULL: any) and `own_port` (0: any). A descriptor, whose
 * connection stands (`into` has its own end) or will (SO_ERROR), or -errno. */
SYS int32_t dial_begin(uint32_t family, const uint8_t *host, uint32_t port, uint32_t is_bound, const uint8_t *own_host,
		       uint32_t own_port, struct dialled *into)
{
	union address address;
	socklen_t size = make_address(&address, family, host, port);
	*into = (struct dialled){ 0 };
	int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	int error = is_bound ? bind_own(fd, family, own_host, own_port) : 0;
	if (error)
		into->is_unbound = 1;
	else if (connect(fd, &address.any, size) != 0 && errno != EINPROGRESS) {
		error = -errno;
		/* The same two ends have been connected a moment ago. */
		into->is_unbound = error == -EADDRNOTAVAIL && own_port != 0;
	} else
		error = look_how_it_ended(fd, into);
	if (error == 0)
		return fd;
	close(fd);
	return error;
}
