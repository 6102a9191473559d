/* address.h - addresses of either family, as the kernel takes them. */
#ifndef MIRRORD_ADDRESS_H
#define MIRRORD_ADDRESS_H

#include "sys.h"

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* `host` has 4 bytes (family 4) or 16 (family 6), NULL is any; ports in host order. Returns the length. */
static inline socklen_t make_address(union address *address, uint32_t family, const uint8_t *host, uint32_t port)
{
	memset(address, 0, sizeof *address);
	if (family == 4) {
		address->v4.sin_family = AF_INET;
		address->v4.sin_port = htons((uint16_t)port);
		if (host)
			memcpy(&address->v4.sin_addr, host, 4);
		return sizeof address->v4;
	}
	address->v6.sin6_family = AF_INET6;
	address->v6.sin6_port = htons((uint16_t)port);
	if (host)
		memcpy(&address->v6.sin6_addr, host, 16);
	return sizeof address->v6;
}

#endif
