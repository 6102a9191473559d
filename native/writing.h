/* writing.h - files of the target that this program writes.
 *
 * Such a descriptor is a memory file of the intproxy's shelf (docs/decisions/0011): the kernel does all writing, whatever
 * way it comes, and the intproxy sends on what has changed. So nothing here looks at data: only at the calls after which
 * the program may rely on what it wrote, which ask the intproxy and wait.
 */
#ifndef MIRRORD_WRITING_H
#define MIRRORD_WRITING_H

#include "fds.h"

#include <stdatomic.h>
#include <stdio.h>

extern _Atomic bool writing_met;

/* Has this process opened or inherited a file that is written? One that came by SCM_RIGHTS is not met: what is written to
 * it gets to the target all the same, but nobody waits for that here. */
static inline bool writing_may_be(void)
{
	return unlikely(atomic_load_explicit(&writing_met, memory_order_relaxed));
}

extern _Atomic bool writing_met_synchronous;

/* Has it met one that was opened with O_SYNC or O_DSYNC? */
static inline bool writing_is_synchronous(void)
{
	return unlikely(atomic_load_explicit(&writing_met_synchronous, memory_order_relaxed));
}

/* Looks whether this program was started with such files open. */
void writing_start(void);

/* open(2) of a remote path for writing or creating: a descriptor at the lowest free number, or -errno. */
int writing_open(struct wire_bytes path, int flags, mode_t mode);
/* A descriptor for a file that the run writes, by its number on the shelf. */
int writing_take(uint64_t file, int flags);

/* The number on the shelf of what this descriptor stands for, or 0. Nothing is asked in a process without such files. */
uint64_t writing_file_of(int fd);

/* As `how` of SyncWriting. */
enum { WRITING_SYNC, WRITING_SYNC_DATA, WRITING_SYNC_ALL };
/* The target has all that was written to the file (0: to any file of the run), or -errno. */
int writing_sync(uint64_t file, int how);
/* The same for every such file that this process has open. Its errors have nobody to be told to. */
void writing_sync_open(void);

/* After a write of `length` bytes: 0, or -errno of the target, which may have cut the file to `*size`. Asks only where it has
 * to be asked. */
int writing_check(int fd, long length, uint64_t *size);
/* What a write of `wanted` bytes, which took `result` of them here, returns to the program; `offset` -1: at the position. */
ssize_t writing_done(ssize_t result, int fd, int64_t offset);

/* fallocate(2) at the target. 0 or -errno. */
int writing_allocate(uint64_t file, int mode, off_t offset, off_t length);

/* fstat(2) of a file of the shelf. 0 or -errno. */
int writing_stat(int fd, struct wire_stat *stat);

/* The number on the shelf of a file of the target; -ENOENT: the run does not write it; -EAGAIN: what is here is not all of it.
 * With `is_to_take` writing_borrow() has to follow: a descriptor that reads it, at any number. */
int64_t writing_find(uint64_t dev, uint64_t ino, bool is_to_take);
int writing_borrow(uint64_t file);
/* As writing_stat(), of a file that is on the shelf. 0 or -errno. */
int writing_stat_of(uint64_t file, struct wire_stat *stat);

/* Before something is read of what the target's own programs may have changed: has that brought here, if that was not done just
 * now. Was it? */
bool writing_freshen(int fd);

/* A new stream, or NULL, as it is: one over such a file is flushed when the program ends. */
FILE *writing_known(FILE *stream);
/* This descriptor was mapped, shared and writable: the intproxy is told. */
void writing_mapped(int fd);

#endif
