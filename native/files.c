/* files.c - hooks of calls that take a path: open, access, links. See paths.c for who decides, remote.c and writing.c for
 * what is asked.
 */
#include "big.h"
#include "cwd.h"
#include "fds.h"
#include "links.h"
#include "real.h"
#include "tree.h"
#include "writing.h"

#include <fcntl.h>
#include <stdlib.h>

/* The kernel's answer to a path that is local: which may be the name of an open file, as /dev/stdin is. */
static int opened(int fd)
{
	int error = unlikely(fd >= 0 && big_has_any()) ? big_met(fd) : 0;
	if (likely(!error))
		return fd;
	kernel(SYS_close, fd);
	return edge(error);
}

int hook_open(const char *path, int flags, mode_t mode)
{
	long result = try_create(AT_FDCWD, path, flags, mode);
	return result == BYPASS ? opened(real.open(path, flags, mode)) : edge(result);
}

int hook_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	long result = try_create(dirfd, path, flags, mode);
	return result == BYPASS ? opened(real.openat(dirfd, path, flags, mode)) : edge(result);
}

int hook___open_2(const char *path, int flags)
{
	long result = try_open(AT_FDCWD, path, flags);
	return result == BYPASS ? opened(real.__open_2(path, flags)) : edge(result);
}

int hook___openat_2(int dirfd, const char *path, int flags)
{
	long result = try_open(dirfd, path, flags);
	return result == BYPASS ? opened(real.__openat_2(dirfd, path, flags)) : edge(result);
}

/* stdio reads within libc: what it reads must be there. */
static FILE *streamed(FILE *stream)
{
	int error = unlikely(stream && big_has_any()) ? big_make_whole(fileno(stream)) : 0;
	if (likely(!error))
		return stream;
	fclose(stream);
	edge(error);
	return NULL;
}

int hook_creat(const char *path, mode_t mode)
{
	long result = try_create(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
	return result == BYPASS ? real.creat(path, mode) : edge(result);
}

/* The flags of open(2) for a mode of fopen(3). What is no mode opens for reading: libc refuses it afterwards. */
static int flags_of(const char *mode)
{
	int flags = O_RDONLY;
	if (!mode)
		return flags;
	if (*mode == 'w')
		flags = O_WRONLY | O_CREAT | O_TRUNC;
	else if (*mode == 'a')
		flags = O_WRONLY | O_CREAT | O_APPEND;
	for (; *mode && *mode != ','; mode++) {
		if (*mode == '+')
			flags = (flags & ~O_ACCMODE) | O_RDWR;
		else if (*mode == 'e')
			flags |= O_CLOEXEC;
		else if (*mode == 'x' && (flags & O_CREAT))
			flags |= O_EXCL;
	}
	return flags;
}

enum { STREAM_MODE = 0666, MODE_BYTES = 64 };

/* The same mode for a file that is there by now. */
static const char *without_exclusive(const char *mode, char room[MODE_BYTES])
{
	size_t length = 0;
	bool is_flags = true;
	if (!mode || !strchr(mode, 'x') || strlen(mode) >= MODE_BYTES)
		return mode;
	for (; *mode; mode++) {
		is_flags = is_flags && *mode != ',';
		if (!is_flags || *mode != 'x')
			room[length++] = *mode;
	}
	room[length] = '\0';
	return room;
}

FILE *hook_fopen(const char *path, const char *mode)
{
	if (mode && *mode != 'r' && *mode != 'w' && *mode != 'a')
		return real.fopen(path, mode); /* which refuses it */
	long fd = try_create(AT_FDCWD, path, flags_of(mode), STREAM_MODE);
	if (fd == BYPASS)
		return streamed(real.fopen(path, mode));
	int error = fd < 0 ? (int)fd : big_make_whole((int)fd);
	if (fd >= 0 && error)
		kernel(SYS_close, fd);
	if (edge(error) < 0)
		return NULL;
	FILE *stream;
	struct directory_footer footer;
	if ((flags_of(mode) & (O_ACCMODE | O_APPEND)) == (O_WRONLY | O_APPEND))
		kernel(SYS_lseek, fd, 0, SEEK_END); /* as fopen(3) does, and fdopen(3) does not */
	if (strstr(mode, ",ccs=") && fds_directory((int)fd, &footer) < 0) { /* which fdopen(3) does not know */
		char link[32], room[MODE_BYTES];
		snprintf(link, sizeof link, "/proc/self/fd/%d", (int)fd);
		stream = real.fopen(link, without_exclusive(mode, room));
		kernel(SYS_close, fd);
		return writing_known(stream);
	}
	stream = real.fdopen((int)fd, mode);
	if (!stream)
		kernel(SYS_close, fd);
	return writing_known(stream);
}

static FILE *reopen(const char *path, const char *mode, FILE *stream)
{
	long fd = path ? try_create(AT_FDCWD, path, flags_of(mode) | O_CLOEXEC, STREAM_MODE) : BYPASS;
	if (fd == BYPASS)
		return streamed(real.freopen(path, mode, stream));
	int error = fd < 0 ? (int)fd : big_make_whole((int)fd);
	if (fd >= 0 && error)
		kernel(SYS_close, fd);
	if (error) {
		/* "If this function fails, the stream is closed": which is what it does with a path that is none. */
		real.freopen("", mode, stream);
		edge(error);
		return NULL;
	}
	/* The kernel opens the same memfd once more, under whatever number libc wants. */
	char link[32], room[MODE_BYTES];
	snprintf(link, sizeof link, "/proc/self/fd/%d", (int)fd);
	stream = real.freopen(link, without_exclusive(mode, room), stream);
	kernel(SYS_close, fd);
	return writing_known(stream);
}

FILE *hook_freopen(const char *path, const char *mode, FILE *stream)
{
	uint64_t before = writing_may_be() ? writing_file_of(fileno(stream)) : 0;
	FILE *again = reopen(path, mode, stream);
	int saved = errno;
	if (before)
		writing_sync(before, WRITING_SYNC); /* which was closed; freopen(3) does not tell of errors of that */
	errno = saved;
	return again;
}

static long try_access(int dirfd, const char *path, int mode, int flags)
{
	struct place place;
	struct subject subject;
	if (unlikely((mode & ~(R_OK | W_OK | X_OK)) || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))))
		return BYPASS; /* which refuses it */
	if (is_of_descriptor(path, flags) && dirfd != AT_FDCWD) {
		long result = path_of(dirfd, &place, &subject);
		return result ? result : remote_access(subject.path, mode, flags & ~AT_EMPTY_PATH);
	}
	switch (locate_followed(dirfd, path, (mode & W_OK) != 0, &place)) {
	case LOCAL:
		return BYPASS;
	case ABSENT:
		return -ENOENT;
	default:
		return remote_access(place.path, mode, flags);
	}
}

int hook_access(const char *path, int mode)
{
	long result = try_access(AT_FDCWD, path, mode, 0);
	return result == BYPASS ? real.access(path, mode) : edge(result);
}

int hook_faccessat(int dirfd, const char *path, int mode, int flags)
{
	long result = try_access(dirfd, path, mode, flags);
	return result == BYPASS ? real.faccessat(dirfd, path, mode, flags) : edge(result);
}

int hook_euidaccess(const char *path, int mode)
{
	long result = try_access(AT_FDCWD, path, mode, AT_EACCESS);
	return result == BYPASS ? real.euidaccess(path, mode) : edge(result);
}

static long try_readlink(int dirfd, const char *path, char *into, size_t room)
{
	struct place place;
	if (room == 0)
		return BYPASS;
	if (dirfd != AT_FDCWD && may_be_address(path) && !*path) { /* readlinkat(2): the descriptor is that of a link */
		struct subject subject;
		long told = path_of(dirfd, &place, &subject);
		return told ? told : subject.is_following ? BYPASS : remote_readlink(subject.path, into, room);
	}
	switch (locate(dirfd, path, false, &place)) {
	case LOCAL:
		return BYPASS;
	case ABSENT:
		return -ENOENT;
	default:
		return remote_readlink(place.path, into, room);
	}
}

ssize_t hook_readlink(const char *path, char *into, size_t room)
{
	long result = try_readlink(AT_FDCWD, path, into, room);
	return result == BYPASS ? links_told(real.readlink(path, into, room), AT_FDCWD, path, into, room) : edge(result);
}

ssize_t hook_readlinkat(int dirfd, const char *path, char *into, size_t room)
{
	long result = try_readlink(dirfd, path, into, room);
	return result == BYPASS ? links_told(real.readlinkat(dirfd, path, into, room), dirfd, path, into, room) : edge(result);
}

/* The checked forms end the program when `size`, the true size of the buffer, is too small: that is left to libc. */
ssize_t hook___readlink_chk(const char *path, char *into, size_t room, size_t size)
{
	long result = size < room ? BYPASS : try_readlink(AT_FDCWD, path, into, room);
	if (result == BYPASS)
		return links_told(real.__readlink_chk(path, into, room, size), AT_FDCWD, path, into, room);
	return edge(result);
}

ssize_t hook___readlinkat_chk(int dirfd, const char *path, char *into, size_t room, size_t size)
{
	long result = size < room ? BYPASS : try_readlink(dirfd, path, into, room);
	if (result == BYPASS)
		return links_told(real.__readlinkat_chk(dirfd, path, into, room, size), dirfd, path, into, room);
	return edge(result);
}

/* Where the file of the target is that a link of /proc leads to: the length in `into`, or -1. */
static ssize_t open_file(const char *path, char *into, size_t room)
{
	size_t span = may_be_address(path) ? links_span(path) : 0;
	if (likely(span == 0) || path[span])
		return -1;
	ssize_t length = kernel(SYS_readlink, path, into, room);
	ssize_t known = length < 0 ? -1 : links_told(length, AT_FDCWD, path, into, room);
	return known != length ? known : -1;
}

/* True when the path is ours: then `*result` is what realpath(3) returns. */
static bool try_realpath(const char *path, char *into, char **result)
{
	struct place place;
	enum outcome outcome = locate_followed(AT_FDCWD, path, false, &place);
	if (place.rule == RULE_TARGET_NETWORK && ((const char *)place.path.at)[1] == 'p')
		return false; /* whose names are the same here */
	/* Threads may have little stack: the room is used twice. */
	char *found = place.buffer;
	ssize_t length = outcome == LOCAL ? open_file(path, found, sizeof place.buffer) : -ENOENT;
	if (outcome == LOCAL && length < 0)
		return false;
	if (outcome == REMOTE)
		length = remote_realpath(place.path, found, sizeof place.buffer);
	*result = NULL;
	if (length == (ssize_t)sizeof place.buffer)
		length = -ENAMETOOLONG;
	if (edge(length) < 0)
		return true;
	*result = into ? into : malloc((size_t)length + 1);
	if (*result) {
		memcpy(*result, found, (size_t)length);
		(*result)[length] = '\0';
	}
	return true;
}

char *hook_realpath(const char *path, char *into)
{
	char *result;
	return try_realpath(path, into, &result) ? result : real.realpath(path, into);
}

char *hook___realpath_chk(const char *path, char *into, size_t size)
{
	char *result;
	bool is_ours = size >= PATH_MAX && try_realpath(path, into, &result);
	return is_ours ? result : real.__realpath_chk(path, into, size);
}

char *hook_canonicalize_file_name(const char *path)
{
	char *result;
	return try_realpath(path, NULL, &result) ? result : real.canonicalize_file_name(path);
}

/* A number for a file that open_by_handle_at(2) would take here: those of the target are not for this kernel. */
int hook_name_to_handle_at(int dirfd, const char *path, struct file_handle *handle, int *mount, int flags)
{
	struct place place;
	struct wire_stat stat;
	bool is_remote = is_of_descriptor(path, flags) && dirfd != AT_FDCWD ?
				 fds_stat(dirfd, &stat) == 0 :
				 locate(dirfd, path, false, &place) == REMOTE;
	if (is_remote)
		return edge(-EOPNOTSUPP);
	return real.name_to_handle_at(dirfd, path, handle, mount, flags);
}
