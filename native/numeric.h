/* numeric.h - names that are addresses already, and addresses that have no name. */
#ifndef MIRRORD_NUMERIC_H
#define MIRRORD_NUMERIC_H

#include "shim.h"

#include <netdb.h>

/* getaddrinfo(3) where no name has to be looked up: EAI_*, or 0. */
int numeric_addresses(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result);
/* The numeric half of getnameinfo(3), of an address of either family: EAI_*, or 0. */
int numeric_name(const struct sockaddr *address, socklen_t length, char *host, socklen_t room, int flags);

#endif
