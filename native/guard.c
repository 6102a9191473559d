/* guard.c - our descriptors among the app's: programs that close everything do not hit them, programs that want their
 * numbers get them.
 *
 * To the app our numbers are not open. What raw system calls do to them is noticed before their next use (wire.c).
 */
#include "big.h"
#include "listening.h"
#include "real.h"
#include "wire.h"
#include "writing.h"

#include <fcntl.h>
#include <linux/close_range.h>

int hook_close(int fd)
{
	if (unlikely(wire_owns(fd)))
		return edge(-EBADF);
	if (unlikely(big_mark_of(fd)))
		big_closing(fd);
	uint64_t file = writing_file_of(fd);
	bool was_listening = listening_is_open(fd);
	int result = real.close(fd);
	if (unlikely(was_listening))
		listening_closed(fd);
	/* First closed, so that the intproxy sees who is left to write. */
	return likely(!file) || result < 0 ? result : edge(writing_sync(file, WRITING_SYNC));
}

static int close_range_around(unsigned first, unsigned last, int flags)
{
	int own;
	while (first <= last && (own = wire_first_owned(first, last)) >= 0) {
		if ((unsigned)own > first) {
			long result = kernel(SYS_close_range, first, own - 1, flags);
			if (result < 0)
				return edge(result);
		}
		first = (unsigned)own + 1;
	}
	return first <= last ? edge(kernel(SYS_close_range, first, last, flags)) : 0;
}

int hook_close_range(unsigned first, unsigned last, int flags)
{
	int result = close_range_around(first, last, flags);
	if (unlikely(writing_may_be()) && result == 0 && !(flags & CLOSE_RANGE_CLOEXEC))
		writing_sync(0, WRITING_SYNC); /* close_range(2) tells no errors of closing */
	return result;
}

void hook_closefrom(int lowest)
{
	unsigned first = lowest > 0 ? (unsigned)lowest : 0;
	int saved = errno;
	if (hook_close_range(first, ~0u, 0) < 0 && errno == ENOSYS)
		real.closefrom(lowest);
	errno = saved;
}

/* dup2 and dup3: `to` is about to be replaced. Afterwards a number that was ours is the app's, or closed. */
static int duplicate(int from, int to, int flags, bool is_dup3)
{
	/* The number may be one that libc's stdio reads from. */
	int error = big_may_be(from) && from != to ? big_make_whole(from) : 0;
	if (edge(error) < 0)
		return -1;
	bool was_ours = unlikely(wire_owns(to)) && from != to;
	uint64_t file = from == to ? 0 : writing_file_of(to);
	if (was_ours)
		wire_make_way(to);
	int result = is_dup3 ? real.dup3(from, to, flags) : real.dup2(from, to);
	if (was_ours && result < 0)
		kernel(SYS_close, to);
	if (unlikely(big_mark_of(from)) && result >= 0)
		big_met(result);
	if (unlikely(file) && result >= 0)
		writing_sync(file, WRITING_SYNC); /* "any errors … reported by close(2) are lost", dup(2) */
	return result;
}

int hook_dup2(int from, int to)
{
	return duplicate(from, to, 0, false);
}

int hook_dup3(int from, int to, int flags)
{
	return duplicate(from, to, flags, true);
}
