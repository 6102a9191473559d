/* attempts.h - what this process knows of connects through the target: how a non-blocking one ended, and the names of both ends.
 *
 * The kernel knows that one has failed, the intproxy why: it is reset by the intproxy, so the kernel's own word for it is
 * ECONNRESET (docs/decisions/0002). Names do not change while a socket is connected, and are asked for once.
 */
#ifndef MIRRORD_ATTEMPTS_H
#define MIRRORD_ATTEMPTS_H

#include "endpoints.h"

/* A connect through the target begins: what was known of the socket is void. */
void attempts_begin(int fd);

/* Has this process connected the socket through the target, as far as it remembers? */
bool attempts_has(int fd);

/* Whatever the socket is bound to from now on, it is so by connects: as the program sees it, it is bound to nothing. */
void attempts_bound(int fd);
bool attempts_has_bound(int fd);
void attempts_bound_by_program(int fd);

/* It is connected to nobody any more, by a failure that the program knows or by its own wish: its error is old news. */
void attempts_dissolve(int fd);
bool attempts_has_dissolved(int fd);

/* Both ends as the target has them, when they were asked for before; a length of 0: that one has no name. */
bool attempts_names(int fd, struct endpoint *own, struct endpoint *peer);
void attempts_learn_names(int fd, const struct endpoint *own, const struct endpoint *peer);

/* A connect of this socket has begun, and nobody has heard yet how it ended. */
void attempts_mark(int fd);

/* What the connect of this socket ended with, when the kernel says `seen` (0 or an errno). */
int attempts_true_error(int fd, int seen);

/* errno is ECONNRESET: perhaps the connect's, told by a data call. */
void attempts_correct(int fd);

/* What a data call gave, with the errno that it would have had in the target. */
static inline ssize_t attempts_judged(int fd, ssize_t result)
{
	if (unlikely(result < 0 && errno == ECONNRESET))
		attempts_correct(fd);
	return result;
}

#endif
