/* dial.c - TCP connections that the agent makes for a client: begun here, waited for by readiness.c.
 *
 * Sockets belong to the network of the thread that makes them: dialling is for the main thread.
 */
#include "address.h"
#include "sys.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
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

/* Begins a connection to `host`:`port`. `is_bound`: from `own_host` (NULL: any) and `own_port` (0: any); `*is_unbound`
 * tells that it is these that cannot be had. A descriptor, whose connection stands or will (SO_ERROR), or -errno. */
SYS int32_t dial_begin(uint32_t family, const uint8_t *host, uint32_t port, uint32_t is_bound, const uint8_t *own_host,
		       uint32_t own_port, uint8_t *is_unbound)
{
	union address address;
	socklen_t size = make_address(&address, family, host, port);
	*is_unbound = 0;
	int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	int error = is_bound ? bind_own(fd, family, own_host, own_port) : 0;
	if (error)
		*is_unbound = 1;
	else if (connect(fd, &address.any, size) != 0 && errno != EINPROGRESS) {
		error = -errno;
		/* The same two ends have been connected a moment ago. */
		*is_unbound = error == -EADDRNOTAVAIL && own_port != 0;
	}
	if (error == 0)
		return fd;
	close(fd);
	return error;
}
