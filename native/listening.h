/* listening.h - listening sockets that stand in for a port of the target. */
#ifndef MIRRORD_LISTENING_H
#define MIRRORD_LISTENING_H

#include "endpoints.h"

/* The name that libc gave of the other end becomes the true peer's, when the connection is one that came in at the target. */
void name_accepted_peer(int fd, const struct endpoint *peer, struct sockaddr *name, socklen_t *length, socklen_t room);

/* The same for this end, accepted or listening: the address that the program asked for, or that its peer connected to. */
void name_own_end(int fd, const struct endpoint *own, struct sockaddr *name, socklen_t *length, socklen_t room);

/* May a socket that is bound have another name than the kernel's, where no server of the run is meant? */
bool listening_has_moved(void);

/* This descriptor is about to be closed: afterwards listening_closed() has to be called, when true. */
bool listening_is_open(int fd);
void listening_closed(int fd);

#endif
