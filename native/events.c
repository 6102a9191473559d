/* events.c - inotify(7) on what is the target's. The intproxy keeps something that stands for it, empty files and directories,
 * and does to these what happened at the target: the kernel tells the program, by the descriptor and in the way it always
 * does. What cannot be watched is ENOSPC (no more watches): programs then look themselves from time to time.
 */
#include "fresh.h"
#include "kernel.h"
#include "real.h"
#include "remote.h"
#include "wire.h"

#include <fcntl.h>
#include <sys/inotify.h>

/* What to watch in the place of `path`, terminated: 0 or -errno. */
static int stand_in(struct wire_bytes path, uint32_t mask, char into[WIRE_PATH_BYTES])
{
	struct wire_call call;
	struct wire_watch_path message = { .path = path, .mask = mask };
	size_t length = wire_put_watch_path(call.buffer, sizeof call.buffer, WIRE_ID, message);
	int error = wire_ask(&call, length, WIRE_PATH_REPLY);
	if (error)
		return error;
	struct wire_path_reply reply = { 0 };
	if (wire_finish(&call, wire_get_path_reply(&call.in, &reply)) || reply.path.length >= WIRE_PATH_BYTES)
		return -EIO;
	if (reply.error)
		return refused(reply.error);
	memcpy(into, reply.path.at, reply.path.length);
	into[reply.path.length] = '\0';
	return 0;
}

__attribute__((noinline)) static int watch(int fd, struct wire_bytes path, uint32_t mask)
{
	char here[WIRE_PATH_BYTES];
	int error = stand_in(path, mask, here);
	if (edge(error) < 0)
		return -1;
	/* Who is told of a change reads at once. */
	fresh_doubt();
	return edge(kernel(SYS_inotify_add_watch, fd, here, mask & ~(uint32_t)IN_DONT_FOLLOW));
}

int hook_inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	struct place place;
	switch (locate_as(!(mask & IN_DONT_FOLLOW), AT_FDCWD, path, false, &place)) {
	case LOCAL:
		return real.inotify_add_watch(fd, path, mask);
	case ABSENT:
		return edge(-ENOENT);
	default:
		return watch(fd, place.path, mask);
	}
}
