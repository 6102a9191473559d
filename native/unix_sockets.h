/* unix_sockets.h - Unix sockets of the target, by the user's patterns (feature.network.outgoing.unix_streams).
 *
 * The app's own socket, SOCK_STREAM or SOCK_SEQPACKET, is connected to a relay of the intproxy; all else about it is the
 * kernel's. connect(2) waits for the target, in a socket that never waits too: no Unix socket is ever "in progress". A SOCK_DGRAM socket sends to a
 * relay for whom it means, and hears nothing of it. Stays real: listening, and relative paths unless the working directory is the target's.
 */
#ifndef MIRRORD_UNIX_SOCKETS_H
#define MIRRORD_UNIX_SOCKETS_H

#include "shim.h"

#include <sys/socket.h>
#include <sys/un.h>

/* BYPASS, or how connect(2) ended. */
long unix_connect(int fd, const struct sockaddr *address, socklen_t length);

/* To where a datagram for `address` goes: BYPASS, or 0 and `*instead`, or -errno. */
long unix_towards(int fd, const struct sockaddr *address, socklen_t length, struct sockaddr_un *instead);

/* 0; or -errno when the message carries what cannot cross to another machine: descriptors. */
int unix_may_send(int fd, const struct msghdr *message);

/* The kernel has told a relay's name, or who the intproxy is: what is true in the target takes its place. */
void unix_name_peer(int fd, struct sockaddr *name, socklen_t *length, socklen_t room);
void unix_name_user(int fd, void *credentials, const socklen_t *length);

#endif
