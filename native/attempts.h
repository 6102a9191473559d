/* attempts.h - how a non-blocking connect of a socket ended: the kernel knows that it failed, the intproxy why.
 *
 * A failed one is reset by the intproxy, so the kernel's own word for it is ECONNRESET (docs/decisions/0002).
 */
#ifndef MIRRORD_ATTEMPTS_H
#define MIRRORD_ATTEMPTS_H

#include "shim.h"

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
