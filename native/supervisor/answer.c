/* answer.c - system calls of the process, done by the hooks of the shim. See answer.h.
 *
 * The arguments are fetched into our memory by the table of calls, descriptors are had by pidfd_getfd(2); then the hook runs
 * as if we were the program. Whoever changes the memory of the program in another thread meanwhile deceives itself: what
 * is let go on is looked at by the kernel again.
 */
#include "answer.h"
#include "../big.h"
#include "../cwd.h"
#include "../fds.h"
#include "../mapping.h"
#include "../paths.h"
#include "../raw.h"
#include "memory.h"
#include "reals.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { MOST_BYTES = 128 * 1024, MOST_NAME = 128 };

bool is_waiting(int listener, uint64_t id)
{
	return kernel(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

void *room_for(struct asked *asked, size_t bytes)
{
	size_t at = (asked->used + 15) & ~15ul;
	if (bytes > ROOM_BYTES || at + bytes > ROOM_BYTES)
		return NULL;
	asked->used = at + bytes;
	return asked->room + at;
}

/* ---- in ---- */

static int take_descriptor(struct asked *asked, int at)
{
	int fd = (int)asked->notice->data.args[at];
	asked->arguments[at] = fd;
	if (fd < 0)
		return 0;
	int own = process_descriptor(asked->process, fd);
	if (own < 0)
		return own;
	asked->descriptors[at] = own;
	asked->arguments[at] = own;
	return 0;
}

static int take_bytes(struct asked *asked, int at, size_t length)
{
	uint64_t from = asked->notice->data.args[at];
	asked->arguments[at] = 0;
	if (!from)
		return 0;
	void *room = length <= MOST_BYTES ? room_for(asked, length) : NULL;
	asked->arguments[at] = (long)room;
	return room ? memory_read(asked->tid, from, room, length) : -E2BIG;
}

static int make_room(struct asked *asked, int at, size_t length)
{
	asked->arguments[at] = 0;
	if (!asked->notice->data.args[at])
		return 0;
	/* Who offers more gets less: calls that fill a room may do that. */
	void *room = room_for(asked, length <= MOST_BYTES ? length : MOST_BYTES);
	asked->arguments[at] = (long)room;
	return room ? 0 : -E2BIG;
}

static int take_text(struct asked *asked, int at)
{
	uint64_t from = asked->notice->data.args[at];
	asked->arguments[at] = 0;
	if (!from)
		return 0;
	char *room = room_for(asked, PATH_MAX);
	asked->arguments[at] = (long)room;
	return room ? memory_read_text(asked->tid, from, room, PATH_MAX) : -E2BIG;
}

/* What the path is relative to, if that is the working directory: its length in `room`, 0 or -errno. */
static long directory_of(struct asked *asked, char *room)
{
	long length = process_link(asked->tid, "cwd", room, WIRE_PATH_BYTES);
	if (length <= 0 || length >= WIRE_PATH_BYTES)
		return length < 0 ? length : -ENAMETOOLONG;
	long unveiled = cwd_unveil(room, length);
	if (unveiled > 0)
		asked->is_elsewhere = true;
	return unveiled > 0 ? unveiled : length;
}

/* The length of what names the process itself at the beginning of a path, or of its descriptors; else 0. */
static size_t itself_in(const char *path, bool is_of_descriptors)
{
	static const char *const names[] = { "/proc/self/", "/proc/thread-self/" };
	static const char *const descriptors[] = { "/proc/self/fd/", "/proc/thread-self/fd/", "/dev/fd/" };
	const char *const *list = is_of_descriptors ? descriptors : names;
	for (int at = 0; at < (is_of_descriptors ? 3 : 2); at++)
		if (strncmp(path, list[at], strlen(list[at])) == 0)
			return strlen(list[at]);
	return 0;
}

/* "self" is us: a descriptor of the process is had as one of ours, all else of it by its number. False: it is none. */
static bool take_path_of_itself(struct asked *asked, int at, const char *path, char *room)
{
	size_t length = itself_in(path, true);
	char *end = NULL;
	long number = length ? strtol(path + length, &end, 10) : -1;
	if (length && end != path + length && (!*end || *end == '/')) {
		int fd = process_descriptor(asked->process, (int)number);
		if (fd < 0)
			return false; /* the kernel says so */
		asked->descriptors[at] = fd;
		snprintf(room, WIRE_PATH_BYTES, "/proc/self/fd/%d%s", fd, end);
	} else if ((length = itself_in(path, false))) {
		snprintf(room, WIRE_PATH_BYTES, "/proc/%d/%s", asked->tid, path + length);
	}
	asked->arguments[at] = (long)(length ? room : path);
	return length > 0;
}

static int take_path(struct asked *asked, int at)
{
	int error = take_text(asked, at);
	const char *path = (const char *)asked->arguments[at];
	if (error || !path || !*path)
		return error;
	char *room = room_for(asked, WIRE_PATH_BYTES);
	if (!room)
		return -E2BIG;
	if (take_path_of_itself(asked, at, path, room))
		return 0;
	bool has_directory = at > 0 && asked->call->arguments[at - 1].kind == DIRFD && asked->arguments[at - 1] != AT_FDCWD;
	const char *absolute = path;
	if (has_directory) {
		absolute = cwd_absolute((int)asked->arguments[at - 1], path, room);
		if (absolute != path)
			asked->is_elsewhere = true;
	} else if (*path != '/') {
		long length = directory_of(asked, room);
		if (length < 0)
			return (int)length;
		absolute = cwd_joined(room, length, path);
		if (!absolute)
			return -ENAMETOOLONG;
	}
	const char *mapped = mapping_is_any() ? mapping_of(absolute, room) : absolute;
	if (mapping_is_any() && strcmp(mapped, path) != 0 && *path == '/')
		asked->is_elsewhere = true;
	asked->arguments[at] = (long)mapped;
	return 0;
}

static int take_name(struct asked *asked, int at)
{
	socklen_t room;
	int error = make_room(asked, at, MOST_NAME);
	uint64_t length_at = asked->notice->data.args[at + 1];
	asked->arguments[at + 1] = 0;
	if (error || !length_at)
		return error;
	error = memory_read(asked->tid, length_at, &room, sizeof room);
	socklen_t *length = room_for(asked, sizeof *length);
	if (error || !length)
		return error ? error : -E2BIG;
	*length = room < MOST_NAME ? room : MOST_NAME;
	asked->arguments[at + 1] = (long)length;
	return 0;
}

static int take(struct asked *asked, int at)
{
	const struct argument *argument = &asked->call->arguments[at];
	const __u64 *given = asked->notice->data.args;
	switch (argument->kind) {
	case FD:
		return take_descriptor(asked, at);
	case DIRFD:
		asked->arguments[at] = AT_FDCWD;
		return (int)given[at] == AT_FDCWD ? 0 : take_descriptor(asked, at);
	case PATH:
		return take_path(asked, at);
	case TEXT:
		return take_text(asked, at);
	case FIXED:
		return take_bytes(asked, at, argument->size);
	case BYTES:
		return take_bytes(asked, at, given[argument->size]);
	case ADDRESS:
		return take_bytes(asked, at, (socklen_t)given[at + 1]);
	case OUT:
		return make_room(asked, at, argument->size);
	case ROOM:
		if (given[argument->size] > MOST_BYTES)
			asked->arguments[argument->size] = MOST_BYTES;
		return make_room(asked, at, given[argument->size]);
	case NAME:
		return take_name(asked, at);
	default:
		return 0;
	}
}

static int take_all(struct asked *asked)
{
	for (int at = 0; at < ARGUMENTS; at++)
		asked->arguments[at] = (long)asked->notice->data.args[at];
	/* An absolute path needs no descriptor, and may come with one that is not open. */
	for (int at = 0; at < ARGUMENTS; at++) {
		bool is_length = asked->call->arguments[at].kind == LENGTH;
		int error = is_length ? 0 : take(asked, at);
		if (error)
			return error;
	}
	return 0;
}

/* ---- out ---- */

static int give_name(const struct asked *asked, int at)
{
	const socklen_t *length = (const socklen_t *)asked->arguments[at + 1];
	socklen_t room;
	uint64_t length_at = asked->notice->data.args[at + 1];
	if (!length || !asked->arguments[at])
		return 0;
	int error = memory_read(asked->tid, length_at, &room, sizeof room);
	if (error)
		return error;
	size_t bytes = *length < room ? *length : room;
	error = memory_write(asked->tid, asked->notice->data.args[at], (void *)asked->arguments[at],
			     bytes < MOST_NAME ? bytes : MOST_NAME);
	return error ? error : memory_write(asked->tid, length_at, length, sizeof *length);
}

static int give(const struct asked *asked, int at, long result)
{
	const struct argument *argument = &asked->call->arguments[at];
	uint64_t to = asked->notice->data.args[at];
	const void *from = (const void *)asked->arguments[at];
	if (!from || !to)
		return 0;
	switch (argument->kind) {
	case OUT:
		return memory_write(asked->tid, to, from, argument->size);
	case ROOM: {
		size_t room = (size_t)asked->arguments[argument->size];
		return memory_write(asked->tid, to, from, (size_t)result < room ? (size_t)result : room);
	}
	case NAME:
		return give_name(asked, at);
	default:
		return 0;
	}
}

static int give_all(const struct asked *asked, long result)
{
	int error = 0;
	for (int at = 0; at < ARGUMENTS && !error; at++)
		error = give(asked, at, result);
	return error;
}

/* ---- the call ---- */

/* stat(2) and its kin ask the kernel themselves: for what is this machine's, the process shall. */
static bool is_stat_of_here(const struct asked *asked)
{
	struct place place;
	long number = asked->call->number;
	const char *path = (const char *)asked->arguments[number == SYS_newfstatat ? 1 : 0];
	if (number != SYS_stat && number != SYS_lstat && number != SYS_newfstatat)
		return false;
	if (number == SYS_newfstatat && path && !*path && asked->arguments[0] != AT_FDCWD)
		return false;
	int dirfd = number == SYS_newfstatat ? (int)asked->arguments[0] : AT_FDCWD;
	return locate(dirfd, path, false, &place) == LOCAL;
}

static long call_hook(struct asked *asked)
{
	reals_passed = is_stat_of_here(asked);
	long result = reals_passed ? 0 : raw_call(asked->call->number, asked->arguments);
	if (reals_passed && asked->is_elsewhere) {
		const long *a = asked->arguments;
		return kernel6(asked->call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
	if (reals_passed)
		return GO_ON;
	return result == -1 ? -errno : result;
}

/* read(2) of it is to fail, and the kernel would find it empty. It cannot say EISDIR, but EBADF. */
static long directory_alone(long fd)
{
	char link[32];
	long flags = kernel(SYS_fcntl, fd, F_GETFD);
	snprintf(link, sizeof link, "/proc/self/fd/%d", (int)fd);
	long again = fds_open_again((int)fd, FDS_NEITHER);
	if (again == -EACCES) {
		kernel(SYS_fchmodat, AT_FDCWD, link, WHOLE_MODE | S_IWUSR);
		again = fds_open_again((int)fd, FDS_NEITHER);
		kernel(SYS_fchmodat, AT_FDCWD, link, WHOLE_MODE);
	}
	if (again < 0)
		return fd;
	kernel(SYS_close, fd);
	kernel(SYS_fcntl, again, F_SETFD, flags);
	kernel(SYS_lseek, again, DIRECTORY_BASE, SEEK_SET);
	return again;
}

/* The kernel passes no descriptor on that was opened with O_PATH: it becomes one for reading. */
static long passable(long fd)
{
	struct directory_footer footer;
	if (fd >= 0 && fds_may_be_directory() && fds_directory((int)fd, &footer) == 0)
		return directory_alone(fd);
	if (fd < 0 || !(kernel(SYS_fcntl, fd, F_GETFL) & O_PATH))
		return fd;
	long flags = kernel(SYS_fcntl, fd, F_GETFD);
	long again = fds_open_again((int)fd, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	kernel(SYS_close, fd);
	if (again >= 0)
		kernel(SYS_fcntl, again, F_SETFD, flags);
	return again;
}

/* Whoever reads it has no hooks: a file that would fill on demand is made whole now. */
static long whole(long fd)
{
	int error = big_may_be((int)fd) ? big_make_whole((int)fd) : 0;
	if ((unsigned long)fd < BIG_MARKS)
		atomic_store_explicit(&big_marks[fd], 0, memory_order_relaxed);
	if (error)
		kernel(SYS_close, fd);
	return error ? error : passable(fd);
}

long answer(const struct seccomp_notif *notice, int listener, const struct call *call, struct process *process, char *room)
{
	struct asked asked = {
		.call = call, .notice = notice, .listener = listener, .process = process, .tid = (pid_t)notice->pid, .room = room,
		.descriptors = { -1, -1, -1, -1, -1, -1 },
	};
	long result = GO_ON;
	reals_caller = asked.tid;
	reals_listener = listener;
	reals_notice = notice->id;
	int untaken = take_all(&asked);
	bool is_had = untaken == 0 && is_waiting(listener, notice->id);
	/* Who hides its memory (PR_SET_DUMPABLE, a file that may only be executed) would act here unseen, and so would one for whose
	 * descriptors we have no room. What else cannot be fetched is no address, or no descriptor: the kernel says so. */
	if (untaken == -EPERM || untaken == -EMFILE || untaken == -ENFILE || untaken == -ENOMEM)
		result = untaken;
	if (is_had && !answer_special(&asked, &result)) {
		result = call_hook(&asked);
		if (result >= 0 && call->gives_descriptor)
			result = whole(result);
		/* It may have been killed meanwhile, and another have its number. */
		int error = result < 0 ? 0 : is_waiting(listener, notice->id) ? give_all(&asked, result) : -ESRCH;
		if (error && call->gives_descriptor)
			kernel(SYS_close, result);
		result = error ? error : result;
	}
	for (int at = 0; at < ARGUMENTS; at++)
		if (asked.descriptors[at] >= 0)
			kernel(SYS_close, asked.descriptors[at]);
	return result;
}
