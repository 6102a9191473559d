/* cwd.h - a working directory that is the target's.
 *
 * The kernel knows it as a placeholder: an empty directory at the same path below `cwd` in the session directory. So
 * fork, exec and spawn hand it on, and getcwd(2) tells it, without a table of ours; and what goes past the shim finds
 * nothing there rather than a file of this machine. What the app sees is the path without that prefix.
 *
 * As long as a process may be in such a place ("away"), relative paths are made absolute before a hook looks at them,
 * and so are those that are relative to a descriptor of a directory of the target: then what the rules call local is
 * looked for on this machine, where an absolute path would find it too.
 */
#ifndef MIRRORD_CWD_H
#define MIRRORD_CWD_H

#include "shim.h"

#include <stdatomic.h>

extern _Atomic bool cwd_away;

/* May the working directory be the target's? False for sure costs one load. */
static inline bool cwd_may_be_away(void)
{
	return unlikely(atomic_load_explicit(&cwd_away, memory_order_relaxed));
}

/* The session directory is known: where are we? */
void cwd_start(void);

/* What the kernel calls a directory, with the prefix taken away in place: the new length, or -1 when it is no
 * placeholder. No slash at its end; the NUL does not count and is not kept. */
long cwd_unveil(char *path, long length);

/* `path` as it is; or absolute in `room` when it is relative to a directory of the target. */
const char *cwd_absolute(int dirfd, const char *path, char room[WIRE_PATH_BYTES]);

/* A relative `path`, made absolute in `into`, which holds `length` bytes of the path of a directory without
 * links; NULL when it is too long. */
const char *cwd_joined(char into[WIRE_PATH_BYTES], long length, const char *path);

/* For a child that shall start in `path`: a descriptor of its placeholder; BYPASS when it is this machine's; or -errno. */
long cwd_open(const char *path);

/* The session has removed this directory of the target, or renamed it: whoever is in there learns it from the kernel. */
void cwd_removed(struct wire_bytes path);
void cwd_renamed(struct wire_bytes from, struct wire_bytes to);

/* Does what readlink(2) put where there is `room` for it begin as the paths of placeholders do? */
bool cwd_is_placeholder(const char *text, size_t length, size_t room);

#endif
