/* tree.c - what is asked of the target to change its tree, and the hooks of calls on names: rename, link, mkdir and
 * their kin. Those on what names lead to are in metadata.c.
 *
 * A call with one path here and one at the target is EXDEV: to the program they are two file systems, and mv copies.
 */
#include "cwd.h"
#include "fds.h"
#include "fresh.h"
#include "real.h"
#include "tree.h"
#include "wire.h"
#include "writing.h"

#include <stdatomic.h>

/* ---- asking ---- */

static int done(struct wire_call *call, size_t length, struct wire_bytes rest)
{
	int error = remote_done(call, wire_ask_with(call, length, rest, WIRE_DONE));
	if (error)
		return error;
	/* What is known of open files may have been of the one that was changed. */
	fresh_void();
	atomic_fetch_add_explicit(&tree_changes, 1, memory_order_relaxed);
	return 0;
}

/* The last field of each is put empty: done() adds what belongs there. */
#define DONE(name, rest, ...)                                                                                          \
	do {                                                                                                           \
		struct wire_call call;                                                                                 \
		struct wire_##name message = { __VA_ARGS__ };                                                          \
		return done(&call, wire_put_##name(call.buffer, sizeof call.buffer, WIRE_ID, message), rest);          \
	} while (0)

#define SUBJECT(subject) .is_following = subject->is_following, .dev = subject->dev, .ino = subject->ino

int remote_rename(struct wire_bytes from, struct wire_bytes to, unsigned flags)
{
	DONE(rename, to, .flags = flags, .from = from);
}

int remote_link(const struct subject *from, struct wire_bytes to)
{
	DONE(link, to, SUBJECT(from), .from = from->path);
}

int remote_symlink(struct wire_bytes text, struct wire_bytes path)
{
	DONE(symlink, text, .path = path);
}

int remote_make(struct wire_bytes path, mode_t mode, dev_t device)
{
	DONE(make_node, path, .mode = mode, .umask = umask_of_program(), .device = device);
}

int remote_remove(struct wire_bytes path, enum removes kinds)
{
	DONE(remove, path, .kinds = (uint8_t)kinds);
}

int remote_set_mode(const struct subject *subject, mode_t mode)
{
	DONE(set_mode, subject->path, SUBJECT(subject), .mode = mode & 07777);
}

int remote_set_owner(const struct subject *subject, uid_t uid, gid_t gid)
{
	DONE(set_owner, subject->path, SUBJECT(subject), .uid = uid, .gid = gid);
}

/* What is out of range stays so on the wire: EINVAL is the kernel's to say, when the path was found. */
static uint32_t nsec_of(struct timespec time)
{
	return time.tv_nsec < 0 || time.tv_nsec > INT32_MAX ? INT32_MAX : (uint32_t)time.tv_nsec;
}

int remote_set_times(const struct subject *subject, const struct timespec times[2])
{
	static const struct timespec now[] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_NOW } };
	if (!times)
		times = now;
	/* utimensat(2): with both omitted nothing is looked at, not even the path. */
	if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT)
		return 0;
	DONE(set_times, subject->path, SUBJECT(subject), .atime_sec = times[0].tv_sec,
	     .atime_nsec = nsec_of(times[0]), .mtime_sec = times[1].tv_sec, .mtime_nsec = nsec_of(times[1]));
}

int remote_truncate(struct wire_bytes path, off_t size)
{
	DONE(truncate, path, .size = size);
}

int remote_set_attribute(const struct subject *subject, const char *name, struct wire_bytes value, int how)
{
	DONE(set_attribute, value, SUBJECT(subject), .how = (uint32_t)how, .name = wire_text(name), .path = subject->path);
}

int remote_remove_attribute(const struct subject *subject, const char *name)
{
	DONE(remove_attribute, subject->path, SUBJECT(subject), .name = wire_text(name));
}

ssize_t remote_get_attribute(const struct subject *subject, const char *name, void *into, size_t room)
{
	struct wire_call call;
	struct wire_get_attribute message = { SUBJECT(subject), .name = wire_text(name) };
	size_t length = wire_put_get_attribute(call.buffer, sizeof call.buffer, WIRE_ID, message);
	int error = wire_ask_with(&call, length, subject->path, WIRE_ATTRIBUTE_REPLY);
	if (error)
		return error;
	struct wire_attribute_reply reply = { 0 };
	if (!wire_get_attribute_reply(&call.in, &reply))
		return wire_finish(&call, false);
	ssize_t result = reply.error ? refused(reply.error) : (ssize_t)reply.value.length;
	if (result >= 0 && room > 0 && (size_t)result > room)
		result = -ERANGE;
	if (result <= 0 || room == 0) {
		wire_finish(&call, call.in.missing == 0);
		return result;
	}
	size_t buffered = reply.value.length - call.in.missing;
	memcpy(into, reply.value.at, buffered);
	if (call.in.missing && wire_pull(&call, (char *)into + buffered, call.in.missing))
		return -EIO;
	wire_finish(&call, true);
	return result;
}

/* 0 and the identity of what the descriptor stands for, or BYPASS. */
static long identity_of(int fd, struct wire_stat *stat)
{
	struct stat st;
	if (kernel(SYS_fstat, fd, &st) < 0)
		return BYPASS;
	bool is_remote = fds_is_ours(st.st_mode, st.st_nlink) || fds_is_written(st.st_mode, st.st_nlink);
	return is_remote && fds_stat(fd, stat) == 0 ? 0 : BYPASS;
}

long path_of(int fd, struct place *place, struct subject *subject)
{
	struct wire_stat stat;
	struct wire_call call;
	if (identity_of(fd, &stat) == BYPASS)
		return BYPASS;
	struct wire_path_of message = { .dev = stat.dev, .ino = stat.ino };
	int error = wire_ask(&call, wire_put_path_of(call.buffer, sizeof call.buffer, WIRE_ID, message), WIRE_PATH_REPLY);
	if (error)
		return error;
	struct wire_path_reply reply = { 0 };
	if (wire_finish(&call, wire_get_path_reply(&call.in, &reply)) || reply.path.length > sizeof place->buffer)
		return -EIO;
	if (reply.error)
		return refused(reply.error);
	memcpy(place->buffer, reply.path.at, reply.path.length);
	place->path = (struct wire_bytes){ place->buffer, reply.path.length };
	*subject = (struct subject){
		.path = place->path, .is_following = !S_ISLNK(stat.mode), .dev = stat.dev, .ino = stat.ino,
	};
	return 0;
}

_Atomic bool tree_renamed;
_Atomic uint32_t tree_changes;

__attribute__((noinline)) ssize_t tree_path_now(int fd, char *into, size_t room, ssize_t length)
{
	struct place place;
	struct subject subject;
	if (path_of(fd, &place, &subject) || subject.path.length == 0 || subject.path.length >= room)
		return length;
	length = (ssize_t)subject.path.length;
	memcpy(into, place.buffer, (size_t)length);
	while (length > 1 && into[length - 1] == '/')
		length--;
	return length;
}

long subject_of(int fd, struct place *place, struct subject *subject)
{
	uint64_t file = writing_file_of(fd);
	if (!file)
		return path_of(fd, place, subject);
	/* The agent has it open: it needs no path. */
	place->path = (struct wire_bytes){ "", 0 };
	*subject = (struct subject){ .path = place->path, .ino = file };
	return 0;
}

long subject_of_open(int fd, struct place *place, struct subject *subject)
{
	long result = subject_of(fd, place, subject);
	return result != BYPASS && (kernel(SYS_fcntl, fd, F_GETFL) & O_PATH) ? BYPASS : result;
}

long subject_of_link(const char *path, struct place *place, struct subject *subject)
{
	static const char *const directories[] = { "/proc/self/fd/", "/dev/fd/" };
	for (size_t at = 0; may_be_address(path) && at < sizeof directories / sizeof *directories; at++) {
		size_t length = strlen(directories[at]);
		if (strncmp(path, directories[at], length) != 0)
			continue;
		int fd = 0;
		const char *digit = path + length;
		for (; *digit >= '0' && *digit <= '9' && fd < 1 << 24; digit++)
			fd = fd * 10 + (*digit - '0');
		return *digit || digit == path + length ? BYPASS : subject_of(fd, place, subject);
	}
	return BYPASS;
}

#ifndef MIRRORD_SUPERVISOR /* whose programs have theirs (supervisor/reals.c) */

/* proc(5): "Umask: 0022", since Linux 4.7. umask(2) itself cannot ask without changing it for all threads. */
uint32_t umask_of_program(void)
{
	char status[512];
	int fd = (int)kernel(SYS_openat, AT_FDCWD, "/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
	long length = fd < 0 ? 0 : kernel(SYS_read, fd, status, sizeof status - 1);
	if (fd >= 0)
		kernel(SYS_close, fd);
	const char *line = length > 0 ? memmem(status, (size_t)length, "\nUmask:\t", 8) : NULL;
	if (!line) {
		long mask = kernel(SYS_umask, 077);
		kernel(SYS_umask, mask);
		return (uint32_t)mask;
	}
	uint32_t mask = 0;
	for (const char *at = line + 8; at < status + length && *at >= '0' && *at <= '7'; at++)
		mask = mask * 8 + (uint32_t)(*at - '0');
	return mask;
}

#endif

/* ---- deciding ---- */

enum outcome locate_change(int dirfd, const char *path, struct place *place)
{
	enum { NOTES = 16 };
	static _Atomic int notes;
	enum outcome outcome = locate(dirfd, path, true, place);
	if (unlikely(outcome == LOCAL && place->rule == RULE_WRITE) && atomic_fetch_add(&notes, 1) < NOTES)
		wire_note("Changed here, not at the target:", path, "is the target's only for reading, in mode read");
	return outcome;
}

/* For a call on two paths: BYPASS when both are here, 0 when both are the target's, else -errno. */
static long locate_both(int from_fd, const char *from, struct place *a, int to_fd, const char *to, struct place *b)
{
	if (unlikely(!may_be_address(from) || !may_be_address(to)))
		return shim.fs_mode == FS_LOCAL ? BYPASS : -EFAULT;
	enum outcome first = locate_change(from_fd, from, a);
	enum outcome second = locate_change(to_fd, to, b);
	if (first == ABSENT || second == ABSENT)
		return -ENOENT;
	if (first != second && (strlen(from) >= WIRE_PATH_BYTES || strlen(to) >= WIRE_PATH_BYTES))
		return -ENAMETOOLONG;
	if (first != second)
		return from && to && *from && *to ? -EXDEV : BYPASS;
	return first == LOCAL ? BYPASS : 0;
}

static long try_rename(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	struct place a, b;
	/* The kernel looks at the flags before it looks at the paths. */
	bool is_exchange = flags & RENAME_EXCHANGE;
	if (unlikely(flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) || (is_exchange && flags != RENAME_EXCHANGE))
		return BYPASS;
	long result = locate_both(from_fd, from, &a, to_fd, to, &b);
	if (result == 0 && (result = remote_rename(a.path, b.path, flags)) == 0 && !(flags & RENAME_EXCHANGE))
		cwd_renamed(a.path, b.path);
	if (result == 0)
		atomic_store_explicit(&tree_renamed, true, memory_order_relaxed);
	return result;
}

/* `found` is what subject_of() made of an open file. */
static long try_link_subject(long found, const struct subject *subject, int to_fd, const char *to)
{
	struct place place;
	if (found != BYPASS && found != 0)
		return found;
	switch (locate_change(to_fd, to, &place)) {
	case LOCAL:
		return found == BYPASS ? BYPASS : -EXDEV;
	case ABSENT:
		return -ENOENT;
	default:
		return found == BYPASS ? -EXDEV : remote_link(subject, place.path);
	}
}

static long try_link(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	struct place a, b;
	if (unlikely(flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)))
		return BYPASS;
	struct subject subject;
	if (is_of_descriptor(from, flags) && from_fd != AT_FDCWD)
		return try_link_subject(subject_of(from_fd, &a, &subject), &subject, to_fd, to);
	long result = flags & AT_SYMLINK_FOLLOW ? subject_of_link(from, &a, &subject) : BYPASS;
	if (result != BYPASS)
		return try_link_subject(result, &subject, to_fd, to);
	result = locate_both(from_fd, from, &a, to_fd, to, &b);
	subject = (struct subject){ .path = a.path, .is_following = (flags & AT_SYMLINK_FOLLOW) != 0 };
	return result ? result : remote_link(&subject, b.path);
}

static long try_symlink(const char *text, int dirfd, const char *path)
{
	struct place place;
	switch (locate_change(dirfd, path, &place)) {
	case LOCAL:
		return BYPASS;
	case ABSENT:
		return -ENOENT;
	default:
		return !text ? -EFAULT : !*text ? -ENOENT : remote_symlink(wire_text(text), place.path);
	}
}

static long try_make(int dirfd, const char *path, mode_t mode, dev_t device)
{
	struct place place;
	switch (locate_change(dirfd, path, &place)) {
	case LOCAL:
		return BYPASS;
	case ABSENT:
		return -ENOENT;
	default:
		return remote_make(place.path, mode, device);
	}
}

static long try_remove(int dirfd, const char *path, enum removes kinds)
{
	struct place place;
	switch (locate_change(dirfd, path, &place)) {
	case LOCAL:
		return BYPASS;
	case ABSENT:
		return -ENOENT;
	default:
		break;
	}
	long result = remote_remove(place.path, kinds);
	if (result == 0)
		cwd_removed(place.path);
	return result;
}

/* ---- hooks ---- */

int hook_rename(const char *from, const char *to)
{
	long result = try_rename(AT_FDCWD, from, AT_FDCWD, to, 0);
	return result == BYPASS ? real.rename(from, to) : edge(result);
}

int hook_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	long result = try_rename(from_fd, from, to_fd, to, 0);
	return result == BYPASS ? real.renameat(from_fd, from, to_fd, to) : edge(result);
}

int hook_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	long result = try_rename(from_fd, from, to_fd, to, flags);
	return result == BYPASS ? real.renameat2(from_fd, from, to_fd, to, flags) : edge(result);
}

int hook_link(const char *from, const char *to)
{
	long result = try_link(AT_FDCWD, from, AT_FDCWD, to, 0);
	return result == BYPASS ? real.link(from, to) : edge(result);
}

int hook_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	long result = try_link(from_fd, from, to_fd, to, flags);
	return result == BYPASS ? real.linkat(from_fd, from, to_fd, to, flags) : edge(result);
}

int hook_symlink(const char *text, const char *path)
{
	long result = try_symlink(text, AT_FDCWD, path);
	return result == BYPASS ? real.symlink(text, path) : edge(result);
}

int hook_symlinkat(const char *text, int dirfd, const char *path)
{
	long result = try_symlink(text, dirfd, path);
	return result == BYPASS ? real.symlinkat(text, dirfd, path) : edge(result);
}

int hook_mkdir(const char *path, mode_t mode)
{
	long result = try_make(AT_FDCWD, path, S_IFDIR | (mode & 07777), 0);
	return result == BYPASS ? real.mkdir(path, mode) : edge(result);
}

int hook_mkdirat(int dirfd, const char *path, mode_t mode)
{
	long result = try_make(dirfd, path, S_IFDIR | (mode & 07777), 0);
	return result == BYPASS ? real.mkdirat(dirfd, path, mode) : edge(result);
}

int hook_rmdir(const char *path)
{
	long result = try_remove(AT_FDCWD, path, REMOVE_DIRECTORY);
	return result == BYPASS ? real.rmdir(path) : edge(result);
}

int hook_unlink(const char *path)
{
	long result = try_remove(AT_FDCWD, path, REMOVE_FILE);
	return result == BYPASS ? real.unlink(path) : edge(result);
}

int hook_unlinkat(int dirfd, const char *path, int flags)
{
	bool is_wrong = (flags & ~AT_REMOVEDIR) != 0;
	long result = is_wrong ? BYPASS : try_remove(dirfd, path, flags ? REMOVE_DIRECTORY : REMOVE_FILE);
	return result == BYPASS ? real.unlinkat(dirfd, path, flags) : edge(result);
}

int hook_remove(const char *path)
{
	long result = try_remove(AT_FDCWD, path, REMOVE_EITHER);
	return result == BYPASS ? real.remove(path) : edge(result);
}

/* mknod(2) refuses directories, and what is no type, before it looks at the path. */
static long try_node(int dirfd, const char *path, mode_t mode, dev_t device)
{
	switch (mode & S_IFMT) {
	case 0:
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		return try_make(dirfd, path, mode, device);
	default:
		return BYPASS;
	}
}

int hook_mknod(const char *path, mode_t mode, dev_t device)
{
	long result = try_node(AT_FDCWD, path, mode, device);
	return result == BYPASS ? real.mknod(path, mode, device) : edge(result);
}

int hook_mknodat(int dirfd, const char *path, mode_t mode, dev_t device)
{
	long result = try_node(dirfd, path, mode, device);
	return result == BYPASS ? real.mknodat(dirfd, path, mode, device) : edge(result);
}

/* The names that programs linked before glibc 2.33 call. */
int hook___xmknod(int version, const char *path, mode_t mode, dev_t *device)
{
	long result = device ? try_node(AT_FDCWD, path, mode, *device) : BYPASS;
	return result == BYPASS ? real.__xmknod(version, path, mode, device) : edge(result);
}

int hook___xmknodat(int version, int dirfd, const char *path, mode_t mode, dev_t *device)
{
	long result = device ? try_node(dirfd, path, mode, *device) : BYPASS;
	return result == BYPASS ? real.__xmknodat(version, dirfd, path, mode, device) : edge(result);
}

int hook_mkfifo(const char *path, mode_t mode)
{
	long result = try_make(AT_FDCWD, path, S_IFIFO | (mode & 07777), 0);
	return result == BYPASS ? real.mkfifo(path, mode) : edge(result);
}

int hook_mkfifoat(int dirfd, const char *path, mode_t mode)
{
	long result = try_make(dirfd, path, S_IFIFO | (mode & 07777), 0);
	return result == BYPASS ? real.mkfifoat(dirfd, path, mode) : edge(result);
}

/* Six letters and digits that nobody guesses, in the place of XXXXXX. */
void put_random(char *into)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	uint8_t bytes[6] = { 0 };
	kernel(SYS_getrandom, bytes, sizeof bytes, 0);
	for (size_t at = 0; at < sizeof bytes; at++)
		into[at] = digits[bytes[at] % (sizeof digits - 1)];
}

/* What is local is so by its absolute path, wherever the working directory is. */
static char *make_here(char *template, size_t length)
{
	char room[WIRE_PATH_BYTES];
	char *absolute = (char *)cwd_absolute(AT_FDCWD, template, room);
	if (!real.mkdtemp(absolute))
		return NULL;
	if (absolute != template)
		memcpy(template + length - 6, absolute + strlen(absolute) - 6, 6);
	return template;
}

char *hook_mkdtemp(char *template)
{
	enum { TRIES = 1000 };
	struct place place;
	size_t length = strlen(template);
	if (length < 6 || memcmp(template + length - 6, "XXXXXX", 6) != 0)
		return real.mkdtemp(template);
	if (locate_change(AT_FDCWD, template, &place) == LOCAL)
		return make_here(template, length);
	long result = -EEXIST;
	for (int tries = 0; tries < TRIES && result == -EEXIST; tries++) {
		put_random(template + length - 6);
		result = try_make(AT_FDCWD, template, S_IFDIR | 0700, 0);
	}
	if (result < 0)
		memcpy(template + length - 6, "XXXXXX", 6);
	return edge(result) < 0 ? NULL : template;
}
