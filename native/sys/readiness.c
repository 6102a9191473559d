/* readiness.c - sockets that TypeScript reads and writes itself, and one wait for all of them.
 *
 * A call for each socket and each chunk, on a runtime's own sockets, costs more than the bytes. Here a thread of the pool waits for
 * any of them (edge-triggered), TypeScript then reads and writes on its own thread, without waiting, until the kernel
 * says EAGAIN.
 */
#include "sys.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_AT_ONCE 256

/* As src/sys/sockets.ts reads it. */
struct readiness {
	uint32_t id;
	uint32_t events; /* EPOLL* */
};

SYS int32_t readiness_open(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

SYS int32_t readiness_watch(int32_t poll_fd, int32_t fd, uint32_t id)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = id };
	return epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

/* The same of a connected socket, but for room to write, which it mostly has: telling so at once would wake the wait for each that comes.
 * `keeps_urgent`: urgent bytes stay where they stand among the others, for readiness_receive_marked. 1: they do. 0, or -errno. */
SYS int32_t readiness_adopt(int32_t poll_fd, int32_t fd, uint32_t id, uint32_t keeps_urgent)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.u32 = id };
	int on = 1;
	int is_kept = keeps_urgent && setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on) == 0;
	return epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? is_kept : -errno;
}

/* From now on of room to write too, be it there already. */
SYS int32_t readiness_want_room(int32_t poll_fd, int32_t fd, uint32_t id)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = id };
	return epoll_ctl(poll_fd, EPOLL_CTL_MOD, fd, &event) == 0 ? 0 : -errno;
}

SYS int32_t readiness_forget(int32_t poll_fd, int32_t fd)
{
	return epoll_ctl(poll_fd, EPOLL_CTL_DEL, fd, NULL) == 0 ? 0 : -errno;
}

/* Waits until some are ready. How many, or -errno. */
SYS int32_t readiness_wait(int32_t poll_fd, struct readiness *into, uint32_t room, int32_t timeout_ms)
{
	struct epoll_event events[MOST_AT_ONCE];
	if (room > MOST_AT_ONCE)
		room = MOST_AT_ONCE;
	int count = epoll_wait(poll_fd, events, (int)room, timeout_ms);
	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	for (int index = 0; index < count; index++)
		into[index] = (struct readiness){ events[index].data.u32, events[index].events };
	return count;
}

SYS int32_t readiness_receive(int32_t fd, uint8_t *into, uint32_t room)
{
	ssize_t count;
	do
		count = recv(fd, into, room, MSG_DONTWAIT);
	while (count < 0 && errno == EINTR);
	return count < 0 ? -errno : (int32_t)count;
}

#define URGENT 0x40000000

/* As readiness_receive of a socket that keeps urgent bytes, but not beyond the next urgent byte, which comes alone and as URGENT | 1.
 * A byte is known to be urgent when it arrives or before. So of those that were there before it was asked for the mark, all that were
 * urgent are told, and no others may be taken. */
SYS int32_t readiness_receive_marked(int32_t fd, uint8_t *into, uint32_t room)
{
	while (1) {
		int there = 0, is_marked = 0;
		if (ioctl(fd, FIONREAD, &there) != 0 || ioctl(fd, SIOCATMARK, &is_marked) != 0)
			return -errno;
		if (is_marked)
			there = 1;
		if (there > 0) {
			int32_t count = readiness_receive(fd, into, (uint32_t)there < room ? (uint32_t)there : room);
			return is_marked && count == 1 ? URGENT | 1 : count;
		}
		ssize_t count = recv(fd, into, 1, MSG_DONTWAIT | MSG_PEEK);
		if (count == 0)
			return 0;
		if (count < 0 && errno != EINTR)
			return -errno;
	}
}

SYS int32_t readiness_send(int32_t fd, const uint8_t *bytes, uint32_t length)
{
	ssize_t count;
	do
		count = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (count < 0 && errno == EINTR);
	return count < 0 ? -errno : (int32_t)count;
}

/* The last byte is urgent to the peer. */
SYS int32_t readiness_send_urgent(int32_t fd, const uint8_t *bytes, uint32_t length)
{
	ssize_t count;
	do
		count = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_OOB);
	while (count < 0 && errno == EINTR);
	return count < 0 ? -errno : (int32_t)count;
}

/* The peer reads an end. */
SYS int32_t readiness_end(int32_t fd)
{
	return shutdown(fd, SHUT_WR) == 0 ? 0 : -errno;
}

/* Closes it; `is_reset`: the peer sees a RST. */
SYS int32_t readiness_close(int32_t fd, uint32_t is_reset)
{
	struct linger at_once = { 1, 0 };
	if (is_reset)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	return close(fd) == 0 ? 0 : -errno;
}

/* Our own end of a TCP socket: its port, and 4 or 16 bytes of address, whose number is the result; or -errno. */
SYS int32_t readiness_own_end(int32_t fd, uint16_t *port, uint8_t address[16])
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} own;
	socklen_t size = sizeof own;
	if (getsockname(fd, &own.any, &size) != 0)
		return -errno;
	if (own.any.sa_family == AF_INET) {
		*port = ntohs(own.v4.sin_port);
		memcpy(address, &own.v4.sin_addr, 4);
		return 4;
	}
	*port = ntohs(own.v6.sin6_port);
	memcpy(address, &own.v6.sin6_addr, 16);
	return 16;
}

/* The socket tells of bytes to read only when there are so many, or its end. */
SYS int32_t readiness_low_water(int32_t fd, int32_t bytes)
{
	return setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes) == 0 ? 0 : -errno;
}
