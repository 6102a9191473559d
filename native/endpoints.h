/* endpoints.h - addresses of TCP sockets, between sockaddr, wire and kernel. Nothing here touches errno. */
#ifndef MIRRORD_ENDPOINTS_H
#define MIRRORD_ENDPOINTS_H

#include "shim.h"

#include <netinet/in.h>
#include <sys/socket.h>

/* IPv4 in 4 bytes, IPv6 in 16; IPv4 also when it came mapped into IPv6. */
struct endpoint {
	uint8_t bytes[16];
	uint32_t length;
	uint16_t port;
};

struct any_address {
	union {
		struct sockaddr plain;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_storage storage;
	};
	socklen_t length;
};

/* False when the address is of another family, or too short. */
bool endpoint_of(const struct sockaddr *address, socklen_t length, struct endpoint *into);
bool is_zero(const struct endpoint *it);
bool is_loopback(const struct endpoint *it);
/* 127.0.0.1 or ::1, by the length of the bytes. */
struct endpoint loopback(uint32_t length, uint16_t port);
/* As the socket's own family has it. */
struct any_address address_of(const struct endpoint *it, sa_family_t family);
struct wire_bytes bytes_of(const struct endpoint *it);
/* False when the wire has brought no address. */
bool to_endpoint(struct wire_bytes bytes, uint16_t port, struct endpoint *into);

bool is_link_local(const struct endpoint *it);
/* Multicast or broadcast (all of 224.0.0.0/3), which stay on this machine. */
bool is_for_many(const struct endpoint *it);
/* Of the socket, which dup, fork and exec do not change. */
uint64_t inode_of(int fd);
/* Unique per socket, as long as this machine runs. */
uint64_t cookie_of(int fd);

/* An option of type int; -1 when there is none. */
int option(int fd, int level, int name);
/* TCP_CLOSE for a fresh or failed socket; negative when it is no TCP socket. */
int tcp_state(int fd);
bool local_endpoint(int fd, struct endpoint *into);
bool peer_endpoint(int fd, struct endpoint *into);
/* Puts `it` where libc put a name, as the socket's family has it; false when an IPv4 socket cannot have it. */
bool put_name(int fd, const struct endpoint *it, struct sockaddr *name, socklen_t *length, socklen_t room);

#endif
