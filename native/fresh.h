/* fresh.h - opened remote files that change at the target: how they are by now.
 *
 * What is known of an open file is its stat, and a memfd that holds its bytes. When that is older than FRESH_MS the target is
 * asked again, one round trip: by fstat, and by a read at the end of what is there. At the first end that a program
 * comes to it is older than FIRST_END_MS, for most programs come to an end once, and leave. A file that has grown gets the
 * new bytes behind the old ones, as far as somebody reads; one that was cut short is cut, and fetched again.
 *
 * Not seen: bytes that were changed within a file that kept its size, until somebody reads it from its beginning; what
 * happens to a file whose path leads to another one by now, if it came whole; anything through stdio's own end of file.
 */
#ifndef MIRRORD_FRESH_H
#define MIRRORD_FRESH_H

#include "big.h"

/* The stat of the open file that `fd` is, by now; `inode` is the memfd's. `stat` is what it was when it was opened. */
void fresh_stat(int fd, uint64_t inode, struct wire_stat *stat);

/* Maps what tells which files the run itself writes, in the session's directory. */
void fresh_start(const char *directory);
/* A file of this stat was opened just now as `fd`. */
void fresh_opened(int fd, const struct wire_stat *stat);
/* Where the run has begun to write a file after it was opened, brings what was written in that range, from the run's own copy.
 * False: it is none that is written now. */
bool fresh_from_run(int fd, int64_t offset, size_t room);

/* Before a read at `offset` (-1: at the position) of a file with a mark. */
void fresh_before(int fd, int64_t offset);
/* After a read there that found the end: is there more by now? Then it is to be tried once more. */
bool fresh_at_end(int fd, int64_t offset, size_t room);
/* Brings what is known to be there, up to `end`, for calls that are not reads. */
void fresh_reach(int fd, uint64_t end);
/* The size by now, of a file with a mark; -1: it is none of ours. */
int64_t fresh_size(int fd);

/* The program has changed something at the target: what is known of open files is old. */
void fresh_void(void);

/* The program is told of changes (inotify): from now on nothing is believed to be as it was a moment ago. */
void fresh_doubt(void);

#endif
