/* tcp.c - options of TCP sockets whose descriptor Deno keeps to itself.
 *
 * Deno.TlsConn has no setNoDelay, and Nagle's algorithm on the way to the API server holds a small request back for a
 * whole round trip. A connection's two ends say which socket it is.
 */
#include "sys.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

/* The port of either end of a TCP socket, or -1. */
static int port_of(int fd, int (*name)(int, struct sockaddr *, socklen_t *))
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address;
	socklen_t size = sizeof address;
	if (name(fd, &address.any, &size) != 0)
		return -1;
	if (address.any.sa_family == AF_INET)
		return ntohs(address.v4.sin_port);
	if (address.any.sa_family == AF_INET6)
		return ntohs(address.v6.sin6_port);
	return -1;
}

/* Sets TCP_NODELAY on this process's connection from one port to the other; -ENOENT when there is none. */
SYS int32_t tcp_no_delay(uint32_t own_port, uint32_t peer_port)
{
	DIR *open_files = opendir("/proc/self/fd");
	if (!open_files)
		return -errno;
	int32_t outcome = -ENOENT;
	for (struct dirent *entry; (entry = readdir(open_files));) {
		if (entry->d_name[0] == '.')
			continue;
		int fd = atoi(entry->d_name);
		if (port_of(fd, getsockname) != (int)own_port || port_of(fd, getpeername) != (int)peer_port)
			continue;
		int on = 1;
		if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0)
			outcome = 0;
		else if (outcome != 0)
			outcome = -errno;
	}
	closedir(open_files);
	return outcome;
}
