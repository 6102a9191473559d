/* datagrams.h - outgoing UDP through the target, on the app's own socket: it sends to relays of the intproxy on loopback,
 * one for each peer, and hears the peer from there. So the data calls, options and readiness stay the kernel's; only
 * addresses are translated.
 *
 * Stays real: what is sent to multicast and broadcast addresses, to the run's own sockets, and what is not UDP.
 */
#ifndef MIRRORD_DATAGRAMS_H
#define MIRRORD_DATAGRAMS_H

#include "endpoints.h"

/* BYPASS, or how connect(2) of a UDP socket ended. */
long datagrams_connect(int fd, const struct sockaddr *address, socklen_t length);

/* To where a datagram for `address` goes: BYPASS, or 0 and `*instead`, or -errno. */
long datagrams_towards(int fd, const struct sockaddr *address, socklen_t length, struct any_address *instead);

/* The kernel has told a sender; when it is a relay, its peer takes its place. `room` is what the app had for it. */
void datagrams_name_sender(int fd, void *name, socklen_t *length, socklen_t room);

/* Replaces the name of a UDP socket's end that libc gave by what the app would see inside the target. */
void datagrams_name_end(int fd, bool is_peer, struct sockaddr *name, socklen_t *length, socklen_t room);

/* Is this where the relays are? `::1` may be one. */
bool datagrams_is_relay(const struct endpoint *it);

#endif
