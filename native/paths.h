/* paths.h - whose file is it: this machine's or the target's. The one place where that is decided.
 *
 * The answer carries the rule that gave it, for the log and for `mirrord explain`. No allocation, no lock; the
 * user's regular expressions are a table by then (patterns.h): a local answer for an absolute path costs some tens of nanoseconds.
 */
#ifndef MIRRORD_PATHS_H
#define MIRRORD_PATHS_H

#include "shim.h"

enum outcome {
	LOCAL, /* the real function runs */
	REMOTE, /* the target is asked */
	ABSENT, /* ENOENT without asking */
};

/* In the order in which they are tried. */
enum rule {
	RULE_UNDECIDABLE, /* no path, too long, relative to a descriptor or working directory that is nowhere */
	RULE_MODE_LOCAL, /* no session, or the run's files are all local */
	RULE_NOT_FOUND_PATTERN, /* the user's patterns: feature.fs.not_found, read_write, read_only, local */
	RULE_READ_WRITE_PATTERN,
	RULE_READ_ONLY_PATTERN, /* the target's for reading, this machine's for writing */
	RULE_LOCAL_PATTERN,
	RULE_MOUNT, /* on a volume of the target, for reading */
	RULE_TARGET_NETWORK, /* /proc/net and /sys/class/net, for reading */
	RULE_USER_CREDENTIALS, /* the user's own cloud credentials: a program in the target would not see them */
	RULE_TARGET_IDENTITY, /* /etc/hosts and the like, for reading */
	RULE_ROOT, /* "/" itself */
	RULE_LAUNCH_DIRECTORY,
	RULE_TEMPORARY_DIRECTORY,
	RULE_SYSTEM_DIRECTORY, /* /usr, /proc and the like */
	RULE_PROGRAM,
	RULE_HOME_DOTFILE,
	RULE_CODE, /* files that are code by their name, and are here */
	RULE_MODE_OVERRIDES, /* mode localwithoverrides, and nothing overrides */
	RULE_WRITE, /* mode read, and it is not for reading */
	RULE_MODE_REMOTE, /* mode read or write, and no rule said otherwise */
	RULE_COUNT,
};

struct decision {
	enum outcome outcome;
	enum rule rule;
};

/* `path` is absolute and without "//", "/./" and "/../"; `length` without a slash at its end. */
struct decision decide_path(const char *path, size_t length, bool is_write);

/* A path as an app gave it, made absolute. */
struct place {
	enum outcome outcome;
	enum rule rule;
	/* For the agent: ".." is kept, because what it means behind a symlink is the agent's matter. */
	struct wire_bytes path;
	char buffer[WIRE_PATH_BYTES];
};

/* Decides for a path relative to `dirfd` (AT_FDCWD: to the working directory). place->path is set when it is REMOTE. */
enum outcome locate(int dirfd, const char *path, bool is_write, struct place *place);

/* The same for a call that follows a link at the end of the path: one of /proc may lead to a directory of the target. */
enum outcome locate_followed(int dirfd, const char *path, bool is_write, struct place *place);

static inline enum outcome locate_as(bool is_following, int dirfd, const char *path, bool is_write, struct place *place)
{
	return is_following ? locate_followed(dirfd, path, is_write, place) : locate(dirfd, path, is_write, place);
}

/* An absolute path without "//", "/./", "/../" and a slash at its end: its length in `into`, not terminated, or -1. */
ssize_t paths_simplify(const char *path, char *into, size_t room);

/* The working directory has changed: what was known of it is void. */
void paths_forget_directory(void);

#endif
