/* links.h - links of /proc that lead to what is the target's: /proc/self/cwd, /proc/self/fd/3, /dev/fd/3 and their kin.
 *
 * The kernel knows a placeholder there, or memory. What readlink(2) tells, and where a path that goes on behind such a link
 * leads, is said here. An open file is still opened by its link: that is a new descriptor of the same memory.
 */
#ifndef MIRRORD_LINKS_H
#define MIRRORD_LINKS_H

#include "cwd.h"
#include "fds.h"

/* May `path` begin with such a link? False for sure costs a look at its first letters. */
static inline bool links_may_begin(const char *path)
{
	return unlikely(path[0] == '/' && (path[1] == 'p' || path[1] == 'd') && path[2] && path[3] &&
			(memcmp(path + 1, "proc/", 4) == 0 || memcmp(path + 1, "dev/", 4) == 0));
}

/* The same for a link to a directory of the target. */
static inline bool links_may_lead(const char *path)
{
	return links_may_begin(path) && (cwd_may_be_away() || fds_may_be_directory());
}

/* How many letters of `path` are a link of /proc to a working directory or an open file; 0: it begins with none. */
size_t links_span(const char *path);

/* `path` with the link it begins with replaced by the directory of the target that it leads to: the length, terminated; or
 * -1 when it leads elsewhere. */
ssize_t links_follow(const char *path, char room[WIRE_PATH_BYTES]);

/* After readlink(2) gave `length` bytes: the same, or what a program in the target would be told. */
ssize_t links_told(ssize_t length, int dirfd, const char *path, char *into, size_t room);

#endif
