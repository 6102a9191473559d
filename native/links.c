/* links.c - see links.h. The names of our memory are looked for in what the kernel tells, so links of other processes of the
 * run are told, too.
 */
#include "links.h"
#include "real.h"
#include "tree.h"

#include <fcntl.h>

static const char MEMORY[] = "/memfd:mirrord-";
static const char PROGRAM[] = "/memfd:mirrord-x-";
static const char DELETED[] = " (deleted)";

static const char *past_number(const char *at)
{
	const char *end = at;
	while (*end >= '0' && *end <= '9')
		end++;
	return end > at ? end : NULL;
}

static const char *past_text(const char *at, const char *text)
{
	size_t length = strlen(text);
	return strncmp(at, text, length) == 0 ? at + length : NULL;
}

/* "self", "thread-self" or a number, and "/task/7". */
static const char *past_process(const char *at)
{
	const char *end = past_text(at, "thread-self");
	end = end ? end : past_text(at, "self");
	end = end ? end : past_number(at);
	const char *task = end ? past_text(end, "/task/") : NULL;
	task = task ? past_number(task) : NULL;
	return task ? task : end;
}

static const char *past_link(const char *path)
{
	static const char *const streams[] = { "/dev/stdin", "/dev/stdout", "/dev/stderr" };
	for (size_t at = 0; at < sizeof streams / sizeof *streams; at++) {
		const char *end = past_text(path, streams[at]);
		if (end)
			return end;
	}
	const char *at = past_text(path, "/dev/fd/");
	if (at)
		return past_number(at);
	at = past_text(path, "/proc/");
	at = at ? past_process(at) : NULL;
	const char *end = at ? past_text(at, "/cwd") : NULL;
	if (end)
		return end;
	at = at ? past_text(at, "/fd/") : NULL;
	return at ? past_number(at) : NULL;
}

size_t links_span(const char *path)
{
	const char *end = links_may_begin(path) ? past_link(path) : NULL;
	return end && (*end == '/' || *end == '\0') ? (size_t)(end - path) : 0;
}

/* The directory of the target that the kernel's text of a link stands for: its length in `text`, or -1. */
static ssize_t directory_of(const char *link, char *text, ssize_t length)
{
	if (length <= 0 || text[0] != '/')
		return -1;
	if (memcmp(text, MEMORY, sizeof MEMORY - 1) != 0)
		return cwd_unveil(text, length);
	int fd = (int)kernel(SYS_openat, AT_FDCWD, link, O_PATH | O_CLOEXEC);
	length = fd < 0 ? -1 : fds_directory_path(fd, text, WIRE_PATH_BYTES);
	if (fd >= 0)
		kernel(SYS_close, fd);
	return length;
}

ssize_t links_follow(const char *path, char room[WIRE_PATH_BYTES])
{
	enum { LINK_BYTES = 64 };
	char link[LINK_BYTES];
	size_t span = links_span(path);
	if (span == 0 || span >= sizeof link)
		return -1;
	memcpy(link, path, span);
	link[span] = '\0';
	ssize_t length = kernel(SYS_readlink, link, room, WIRE_PATH_BYTES - 1);
	length = directory_of(link, room, length);
	size_t rest = strlen(path + span);
	if (length <= 0 || (size_t)length + rest >= WIRE_PATH_BYTES)
		return -1;
	if (length == 1 && rest > 0)
		length = 0;
	memcpy(room + length, path + span, rest + 1);
	return length + (ssize_t)rest;
}

/* ---- what readlink tells ---- */

/* A program that only the target has bears its path in its name. */
static ssize_t program_in(char *text, ssize_t length)
{
	ssize_t before = sizeof PROGRAM - 1, behind = sizeof DELETED - 1;
	if (length <= before + behind || memcmp(text, PROGRAM, (size_t)before) != 0)
		return -1;
	length -= before + behind;
	memmove(text, text + before, (size_t)length);
	return length;
}

/* By which name the file of the target was opened, without links; or with the mark that the kernel gives to what is no more. */
static ssize_t file_of(int fd, char *text)
{
	struct place place;
	struct subject subject;
	if (path_of(fd, &place, &subject) || subject.path.length == 0)
		return -1;
	ssize_t length = subject.is_following ? remote_realpath(subject.path, text, PATH_MAX) : -ENOENT;
	if (length > 0 || subject.path.length + sizeof DELETED > PATH_MAX)
		return length;
	memcpy(text, subject.path.at, subject.path.length);
	length = (ssize_t)subject.path.length;
	if (subject.is_following) {
		memcpy(text + length, DELETED, sizeof DELETED - 1);
		length += (ssize_t)sizeof DELETED - 1;
	}
	return length;
}

static ssize_t memory_told(int dirfd, const char *path, char *text)
{
	int fd = (int)kernel(SYS_openat, dirfd, path, O_PATH | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : fds_directory_path(fd, text, PATH_MAX);
	struct directory_footer footer;
	if (length < 0 && fd >= 0 && fds_directory(fd, &footer) == 0)
		length = fds_directory_path(fd, text, PATH_MAX); /* the first that this process met */
	if (length > 0) {
		char given[WIRE_PATH_BYTES];
		memcpy(given, text, (size_t)length);
		ssize_t resolved = remote_realpath((struct wire_bytes){ given, (uint32_t)length }, text, PATH_MAX);
		if (resolved > 0)
			length = resolved;
		else
			memcpy(text, given, (size_t)length);
	} else if (fd >= 0) {
		length = file_of(fd, text);
	}
	if (fd >= 0)
		kernel(SYS_close, fd);
	return length;
}

__attribute__((noinline, cold)) static ssize_t told(int dirfd, const char *path, char *into, size_t room)
{
	char text[WIRE_PATH_BYTES];
	ssize_t length = kernel(SYS_readlinkat, dirfd, path, text, sizeof text - 1);
	if (length <= 0)
		return -1;
	ssize_t shown = program_in(text, length);
	if (shown < 0 && length >= (ssize_t)sizeof MEMORY && memcmp(text, MEMORY, sizeof MEMORY - 1) == 0)
		shown = memory_told(dirfd, path, text);
	else if (shown < 0)
		shown = cwd_unveil(text, length);
	if (shown <= 0)
		return -1;
	if ((size_t)shown > room)
		shown = (ssize_t)room;
	memcpy(into, text, (size_t)shown);
	return shown;
}

ssize_t links_told(ssize_t length, int dirfd, const char *path, char *into, size_t room)
{
	/* A little of it is enough to suspect it, where there is little room. */
	size_t seen = length < (ssize_t)sizeof MEMORY - 1 ? (size_t)length : sizeof MEMORY - 1;
	bool is_memory = length > 0 && memcmp(into, MEMORY, seen) == 0;
	if (likely(length <= 0 || into[0] != '/' || !(is_memory || cwd_is_placeholder(into, (size_t)length, room))))
		return length;
	int saved = errno;
	ssize_t shown = told(dirfd, path, into, room);
	errno = saved;
	if (shown <= 0)
		return length;
	/* Programs that cleared the room do without the length. */
	if (shown < length)
		memset(into + shown, 0, (size_t)(length - shown));
	return shown;
}
