/* datagrams.c - what Deno does not do with UDP sockets, for the agent's name queries
 *
 * Deno has no connected UDP sockets, and an unconnected one never learns that nobody listens at the name server: the query
 * would wait for its time-out where the kernel knows at once (ICMP port unreachable, ECONNREFUSED). Deno does not show the
 * descriptor either, but open(2) and its kin always take the lowest free number: it is asked for just before. Nor does a
 * receive of Deno's end with such an error (its event loop waits for bytes alone), so the error has to be asked for.
 */
#include "sys.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The number the next descriptor of this process will have, if no other thread is quicker. */
SYS int32_t datagrams_next_descriptor(void)
{
	int fd = dup(STDERR_FILENO);
	if (fd < 0)
		return -errno;
	close(fd);
	return fd;
}

/* Connects `fd` to `peer` when it is indeed the UDP socket bound to `own_port`; EBADF when it is not. */
SYS int32_t datagrams_connect(int32_t fd, uint32_t own_port, const struct sockaddr *peer, uint32_t peer_bytes)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} own = { 0 };
	socklen_t length = sizeof own;
	int type = 0;
	socklen_t type_length = sizeof type;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_length) < 0 || type != SOCK_DGRAM)
		return -EBADF;
	if (getsockname(fd, &own.any, &length) < 0 || own.any.sa_family != peer->sa_family)
		return -EBADF;
	/* The port stands at the same place in both families. */
	if (ntohs(own.v4.sin_port) != own_port)
		return -EBADF;
	return (int32_t)result(connect(fd, peer, peer_bytes));
}

/* What the kernel has learnt of the peer of a connected socket since it was last asked: 0, or an errno as it is (positive). */
SYS int32_t datagrams_error(int32_t fd)
{
	int error = 0;
	socklen_t length = sizeof error;
	return (int32_t)result(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? -1 : error);
}

/* The address this host would speak from to `peer` (a UDP connect sends nothing): bytes of it in `own`, or -errno. */
SYS int32_t datagrams_source_towards(const struct sockaddr *peer, uint32_t peer_bytes, uint8_t *own)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} name = { 0 };
	socklen_t length = sizeof name;
	int fd = socket(peer->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int status = connect(fd, peer, peer_bytes) < 0 || getsockname(fd, &name.any, &length) < 0 ? -errno : 0;
	close(fd);
	if (status < 0)
		return status;
	bool is_v4 = peer->sa_family == AF_INET;
	size_t bytes = is_v4 ? 4 : 16;
	memcpy(own, is_v4 ? (void *)&name.v4.sin_addr : (void *)&name.v6.sin6_addr, bytes);
	return (int32_t)bytes;
}
