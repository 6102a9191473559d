/* fifo.h - FIFOs of the target: the intproxy has one of this machine for each, which the program opens (see
 * src/layer/intproxy/fifos.ts). All that happens then is the kernel's.
 */
#ifndef MIRRORD_FIFO_H
#define MIRRORD_FIFO_H

#include "shim.h"

#include <sys/stat.h>

/* open(2) of what the target has there, which is neither a file nor a directory. It may wait, and be interrupted. -ENXIO: no FIFO
 * either. */
int fifo_open(struct wire_bytes path, int flags);

/* The mode of the intproxy's FIFOs. */
static inline bool fifo_may_be_ours(uint32_t mode)
{
	return unlikely(mode == (S_IFIFO | S_ISVTX | 0666));
}

/* 0 and the stat that it had at the target when the run opened it first; or -EBADF: it is not ours. */
int fifo_stat(int fd, struct wire_stat *stat);

#endif
