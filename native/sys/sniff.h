/* sniff.h - what sniff.c and its parts share: segments of TCP as they come to the target, in order again. */
#ifndef MIRRORD_SNIFF_H
#define MIRRORD_SNIFF_H

#include "netlink.h"
#include "taps.h"

#include <stdbool.h>
#include <stddef.h>

/* Each is compared in the kernel, for every packet. */
#define SNIFF_MOST_PORTS 64

/* Only segments of these ports reach the socket. 0 or -errno. */
int sniff_attach_filter(int fd, const uint16_t *ports, uint32_t count);

/* Both ends of a connection; v4 in the first 4 bytes of an address, ports in host order. */
struct ends {
	uint8_t peer[16], own[16];
	uint16_t peer_port, own_port;
	uint32_t family; /* 4 or 6 */
};

/* For a table; others cannot guess it who do not know the seed. */
uint64_t ends_hash(const struct ends *ends, uint64_t seed);
/* Asks the kernel by sock_diag(7), as `fd` is open for, about our end: as for a segment that comes in by this interface. `extensions`: bits of
 * INET_DIAG_INFO and others. What it answers is heard as by netlink_hear(). 0 or -errno. */
int ends_ask(int fd, const struct ends *ends, uint32_t interface, uint8_t extensions, netlink_heard *heard, void *context);

struct segment {
	struct ends ends;
	uint32_t sequence, interface; /* by which it came */
	uint8_t flags;
	bool is_out; /* from the target */
	const uint8_t *head; /* of TCP */
	const uint8_t *bytes;
	uint32_t length;
};

enum tcp_flag { FLAG_FIN = 1, FLAG_SYN = 2, FLAG_RST = 4, FLAG_ACK = 16 };

/* Reads a packet from its IP header on. False: it is no segment, or is cut short. */
bool sniff_read(const uint8_t *packet, size_t length, bool is_out, struct segment *segment);

struct streams;

/* What is wanted of the streams. */
struct streams_owner {
	void *context;
	/* A connection has begun. Its tap, or NULL. */
	struct tap *(*begin)(void *context, const struct ends *ends);
	/* Whether the target still has this connection. */
	bool (*stands)(void *context, const struct ends *ends, uint32_t interface);
};

struct streams *streams_open(struct streams_owner owner);
void streams_close(struct streams *it);
/* `now_ms` never goes back. */
void streams_take(struct streams *it, const struct segment *segment, uint64_t now_ms);
/* Everything was taken that came RETIRE_MS ago: asks whether those that are silent still stand. When it wants to be called again, in ms;
 * -1: there is none. */
int streams_look(struct streams *it, uint64_t now_ms);

/* ---- sniff_standing.c ---- */

/* A descriptor, or -errno: a kernel without it says so. */
int standing_open(void);
/* False: it is gone. */
bool standing_ask(int fd, const struct ends *ends, uint32_t interface);

#endif
