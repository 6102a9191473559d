/* remote.h - what hooks do when a path is the target's: functions of their own, apart from the hooks, because another
 * front end (seccomp notifications, for static programs) will call them too.
 *
 * Paths are absolute and not terminated. Results are 0 or positive, or -errno; errno is never touched.
 */
#ifndef MIRRORD_REMOTE_H
#define MIRRORD_REMOTE_H

#include "paths.h"

#include <limits.h>
#include <sys/types.h>

/* What a hook's attempt gives when the real function is wanted. */
#define BYPASS LONG_MIN

/* A descriptor at the lowest free number. `flags` are those of open(2), for reading. */
int remote_open(struct wire_bytes path, int flags);
int remote_stat(struct wire_bytes path, int flags, struct wire_stat *stat);
/* The end of a question that Done answers, when asking it gave `asked`. 0 or -errno. */
struct wire_call;
int remote_done(struct wire_call *call, int asked);
int remote_access(struct wire_bytes path, int mode, int flags);
/* The words of StatFsReply. */
enum {
	FS_TYPE, FS_BSIZE, FS_BLOCKS, FS_BFREE, FS_BAVAIL, FS_FILES, FS_FFREE, FS_ID, FS_NAMELEN, FS_FRSIZE, FS_FLAGS,
	FS_WORDS,
};
int remote_stat_fs(struct wire_bytes path, uint64_t words[FS_WORDS]);
/* The text of the link, or the resolved path, cut at `room`; its length. */
ssize_t remote_readlink(struct wire_bytes path, char *into, size_t room);
ssize_t remote_realpath(struct wire_bytes path, char *into, size_t room);
/* May this be the working directory? Then its path without links, as remote_realpath. */
ssize_t remote_change_directory(struct wire_bytes path, char *into, size_t room);

/* Decide and do: BYPASS, or the result. */
long try_open(int dirfd, const char *path, int flags);
/* The same with the mode of what it may create. */
long try_create(int dirfd, const char *path, int flags, mode_t mode);
long try_stat(int dirfd, const char *path, int flags, struct wire_stat *stat);

/* fstatat(2) with the kernel's own for what is local. 0 or -errno. */
struct stat;
long stat_by_kernel(int dirfd, const char *path, struct stat *st, int flags);

/* An errno as it came over the wire. */
static inline int refused(int32_t error)
{
	return error > 0 && error < 4096 ? -error : -EIO;
}

#endif
