/* redirected.c - sockets of redirected connections: the listener they arrive at, where they wanted to go, and the way on
 * to there, past our own redirect.
 *
 * Sockets belong to the network of the thread that makes them: listening and dialling are for the main thread, waiting is
 * for any.
 */
#include "address.h"
#include "sys.h"

#include <arpa/inet.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096

/* As src/sys/redirected.ts reads it; ports in host order, v4 in the first 4 bytes of an address. */
struct arrival {
	int32_t fd;
	uint32_t family; /* 4 or 6 */
	uint16_t peer_port, original_port, own_port, unused;
	uint8_t peer[16], original[16];
};

static int closed(int fd, int error)
{
	close(fd);
	return -error;
}

/* Listens on every address of a family; a `*port` of 0 is chosen and told. Descriptor or -errno. */
SYS int32_t redirected_listen(uint32_t family, uint16_t *port)
{
	union address address = { 0 };
	int on = 1, is_v4 = family == 4;
	socklen_t size = is_v4 ? sizeof address.v4 : sizeof address.v6;
	int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	address.any.sa_family = is_v4 ? AF_INET : AF_INET6;
	if (is_v4)
		address.v4.sin_port = htons(*port);
	else
		address.v6.sin6_port = htons(*port);
	if (!is_v4 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0)
		return closed(fd, errno);
	if (bind(fd, &address.any, size) != 0 || listen(fd, BACKLOG) != 0 || getsockname(fd, &address.any, &size) != 0)
		return closed(fd, errno);
	*port = ntohs(is_v4 ? address.v4.sin_port : address.v6.sin6_port);
	return fd;
}

static uint16_t copy_address(const union address *from, uint8_t into[16])
{
	if (from->any.sa_family == AF_INET) {
		memcpy(into, &from->v4.sin_addr, 4);
		return ntohs(from->v4.sin_port);
	}
	memcpy(into, &from->v6.sin6_addr, 16);
	return ntohs(from->v6.sin6_port);
}

/* 0, or -errno: not redirected, or gone. */
static int describe(int fd, struct arrival *it)
{
	union address address;
	socklen_t size = sizeof address;
	memset(it, 0, sizeof *it);
	it->fd = fd;
	if (getpeername(fd, &address.any, &size) != 0)
		return -errno;
	int is_v4 = address.any.sa_family == AF_INET;
	it->family = is_v4 ? 4 : 6;
	it->peer_port = copy_address(&address, it->peer);
	size = sizeof address;
	if (getsockname(fd, &address.any, &size) != 0)
		return -errno;
	uint8_t own[16];
	it->own_port = copy_address(&address, own);
	size = sizeof address;
	int level = is_v4 ? SOL_IP : SOL_IPV6, name = is_v4 ? SO_ORIGINAL_DST : IP6T_SO_ORIGINAL_DST;
	if (getsockopt(fd, level, name, &address, &size) != 0)
		return -errno;
	it->original_port = copy_address(&address, it->original);
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	/* Somebody spoke to the listener itself. */
	return it->original_port == it->own_port ? -EPERM : 0;
}

static uint32_t accept_from(int listener, struct arrival *into, uint32_t room)
{
	uint32_t count = 0;
	while (count < room) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			return count;
		if (describe(fd, &into[count]) == 0) {
			count++;
			continue;
		}
		struct linger at_once = { 1, 0 };
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
		close(fd);
	}
	return count;
}

/* Waits until connections have arrived at the listeners (`listener6` may be -1) and takes up to `room`. 0 when `waker` was
 * written to and none is left; or -errno. */
SYS int32_t redirected_accept(int32_t listener4, int32_t listener6, int32_t waker, struct arrival *into, uint32_t room)
{
	while (1) {
		struct pollfd waiting[] = { { waker, POLLIN, 0 }, { listener4, POLLIN, 0 }, { listener6, POLLIN, 0 } };
		if (poll(waiting, 3, -1) < 0 && errno != EINTR)
			return -errno;
		errno = 0;
		uint32_t count = waiting[1].revents ? accept_from(listener4, into, room) : 0;
		if (waiting[2].revents && count < room)
			count += accept_from(listener6, into + count, room - count);
		if (count > 0)
			return (int32_t)count;
		if (errno == EMFILE || errno == ENFILE)
			return -errno;
		/* The last ones first: they wait for us, and nobody else would take them. */
		if (waiting[0].revents)
			return 0;
	}
}

SYS int32_t redirected_waker(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

SYS int32_t redirected_wake(int32_t waker)
{
	uint64_t one = 1;
	return write(waker, &one, sizeof one) < 0 ? -errno : 0;
}

/* Begins a connection that carries `mark` (0: none). Descriptor (see redirected_await) or -errno. */
SYS int32_t redirected_dial(uint32_t family, const uint8_t *host, uint32_t port, uint32_t mark)
{
	union address address = { 0 };
	int is_v4 = family == 4, on = 1;
	socklen_t size = is_v4 ? sizeof address.v4 : sizeof address.v6;
	address.any.sa_family = is_v4 ? AF_INET : AF_INET6;
	if (is_v4) {
		address.v4.sin_port = htons((uint16_t)port);
		memcpy(&address.v4.sin_addr, host, 4);
	} else {
		address.v6.sin6_port = htons((uint16_t)port);
		memcpy(&address.v6.sin6_addr, host, 16);
	}
	int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	/* Without the mark it would come back to us, for ever. */
	if (mark != 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0)
		return closed(fd, errno);
	if (connect(fd, &address.any, size) != 0 && errno != EINPROGRESS)
		return closed(fd, errno);
	return fd;
}

/* 0 when the connection stands; -errno when it failed, or took longer than `timeout_ms` (0: asks without waiting). */
SYS int32_t redirected_await(int32_t fd, int32_t timeout_ms)
{
	struct pollfd waiting = { fd, POLLOUT, 0 };
	int ready = poll(&waiting, 1, timeout_ms);
	if (ready <= 0)
		return ready < 0 ? -errno : -ETIMEDOUT;
	int error = 0;
	socklen_t size = sizeof error;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		return -errno;
	return -error;
}

SYS int32_t redirected_close(int32_t fd)
{
	return close(fd) == 0 ? 0 : -errno;
}
