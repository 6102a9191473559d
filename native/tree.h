/* tree.h - changes of the target's tree and of the metadata in it, asked for over the wire: functions of their own,
 * apart from the hooks, as those of remote.h. Results are 0 or -errno; errno is never touched.
 */
#ifndef MIRRORD_TREE_H
#define MIRRORD_TREE_H

#include "remote.h"

#include <fcntl.h>
#include <stdatomic.h>

/* As `kinds` of the message Remove. */
enum removes { REMOVE_FILE, REMOVE_DIRECTORY, REMOVE_EITHER };

/* What a change of metadata is about: a path, and the file it has to lead to when a descriptor was meant. */
struct subject {
	struct wire_bytes path;
	bool is_following;
	uint64_t dev, ino;
};

int remote_rename(struct wire_bytes from, struct wire_bytes to, unsigned flags);
int remote_link(const struct subject *from, struct wire_bytes to);
int remote_symlink(struct wire_bytes text, struct wire_bytes path);
/* `mode` with its type: S_IFDIR makes a directory. The program's umask is applied at the target. */
int remote_make(struct wire_bytes path, mode_t mode, dev_t device);
int remote_remove(struct wire_bytes path, enum removes kinds);
int remote_set_mode(const struct subject *subject, mode_t mode);
int remote_set_owner(const struct subject *subject, uid_t uid, gid_t gid);
/* Of access and of change; NULL means now. */
int remote_set_times(const struct subject *subject, const struct timespec times[2]);
int remote_truncate(struct wire_bytes path, off_t size);
int remote_set_attribute(const struct subject *subject, const char *name, struct wire_bytes value, int how);
int remote_remove_attribute(const struct subject *subject, const char *name);
/* The value, or with `name` "" the names: its length, of which at most `room` bytes are put `into`, or -ERANGE. */
ssize_t remote_get_attribute(const struct subject *subject, const char *name, void *into, size_t room);

/* 0 and what the descriptor stands for; BYPASS when it is no file of the target; or -errno: -ESTALE when nobody knows
 * where that file is. One that is written is meant by itself: its path is empty, its `ino` the number on the shelf. */
long subject_of(int fd, struct place *place, struct subject *subject);

/* The same, always by its path, which is put into place->buffer. */
long path_of(int fd, struct place *place, struct subject *subject);

/* The same for calls that a descriptor made with O_PATH is not good enough for: left to the kernel, which says EBADF. */
long subject_of_open(int fd, struct place *place, struct subject *subject);

/* The same for a path like /proc/self/fd/3, which leads to what the descriptor stands for. */
long subject_of_link(const char *path, struct place *place, struct subject *subject);

/* Does the path of an *at call with these flags say that the descriptor itself is meant? */
static inline bool is_of_descriptor(const char *path, int flags)
{
	return (flags & AT_EMPTY_PATH) && (!path || !*path);
}

/* As locate(), for a call that changes something: one that stays here only because of the mode is told to the log. */
enum outcome locate_change(int dirfd, const char *path, struct place *place);

/* Six letters for a name that nobody else will think of. */
void put_random(char *into);

/* Has this process, or one that it was forked from, renamed anything at the target? Then the paths of open directories may
 * be others by now. */
extern _Atomic bool tree_renamed;
static inline bool tree_has_renamed(void)
{
	return atomic_load_explicit(&tree_renamed, memory_order_relaxed);
}
/* The path that an open directory has now, in place of the `length` bytes in `into`: its length. No round trip. */
ssize_t tree_path_now(int fd, char *into, size_t room, ssize_t length);

/* How often this process has changed names at the target, or may have. */
extern _Atomic uint32_t tree_changes;

/* This thread's umask. */
uint32_t umask_of_program(void);

#endif
