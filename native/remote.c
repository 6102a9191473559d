/* remote.c - the target's files, asked for over the wire. See remote.h. */
#include "big_parts.h"
#include "fds.h"
#include "fifo.h"
#include "fresh.h"
#include "remote.h"
#include "wire.h"
#include "writing.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* What open(2) knows beyond the access mode and what the agent has to know of it. */
enum { AGENT_OPEN_FLAGS = O_DIRECTORY | O_NOFOLLOW | O_PATH | O_NONBLOCK | O_NOATIME };

/* The errno of an OpenReply that says: the run writes this file. */
enum { ON_SHELF = -1 };

static long write_at(int fd, const void *from, size_t length, uint64_t offset)
{
	for (size_t done = 0; done < length;) {
		long count = kernel(SYS_pwrite64, fd, (const char *)from + done, length - done, offset + done);
		if (count <= 0 && count != -EINTR)
			return count < 0 ? count : -EIO;
		done += count > 0 ? (size_t)count : 0;
	}
	return 0;
}

/* Puts the bytes at the end of a message into the memfd at `offset`: what is in the call's buffer by writing, what is
 * still in the socket without a stop in between. 0; or -errno and the call is finished. */
static int take_bulk(struct wire_call *call, struct wire_bytes data, int fd, uint64_t offset)
{
	size_t buffered = data.length - call->in.missing;
	long error = write_at(fd, data.at, buffered, offset);
	if (error) {
		wire_finish(call, false);
		return (int)error;
	}
	if (call->in.missing == 0)
		return 0;
	uint64_t from = (offset + buffered) & ~4095ul;
	size_t skipped = (offset + buffered) - from;
	size_t length = skipped + call->in.missing;
	error = kernel(SYS_ftruncate, fd, offset + data.length);
	void *map = (void *)-1;
	if (error == 0)
		map = (void *)kernel(SYS_mmap, 0, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, from);
	if ((unsigned long)map >= -4095UL) {
		wire_finish(call, false);
		return error < 0 ? (int)error : -ENOMEM;
	}
	error = wire_pull(call, (char *)map + skipped, call->in.missing);
	kernel(SYS_munmap, map, length);
	return (int)error;
}

/* The rest of what did not come with the answer to Open and does not fill on demand (big.h): directories, files that do
 * not know their size. 0 and `*size`, or -errno. */
__attribute__((noinline)) static int fetch_rest(uint64_t handle, int fd, uint64_t *size)
{
	struct wire_call call;
	struct wire_fetch fetch = { .handle = handle, .offset = *size, .length = UINT64_MAX };
	size_t length = wire_put_fetch(call.buffer, sizeof call.buffer, WIRE_ID, fetch);
	int error = wire_ask_for_many(&call, length, WIRE_CHUNK);
	while (!error) {
		struct wire_chunk chunk;
		if (!wire_get_chunk(&call.in, &chunk))
			return wire_finish(&call, false);
		if (chunk.error) {
			wire_finish(&call, true);
			return refused(chunk.error);
		}
		error = take_bulk(&call, chunk.data, fd, *size);
		if (error)
			return error;
		*size += chunk.data.length;
		if (chunk.is_last)
			return wire_finish(&call, true);
		error = wire_next(&call, WIRE_CHUNK);
	}
	return error;
}

__attribute__((noinline)) static void close_handle(uint64_t handle)
{
	struct wire_call call;
	struct wire_close_handle message = { .handle = handle };
	wire_tell(&call, wire_put_close_handle(call.buffer, sizeof call.buffer, WIRE_ID, message));
}

/* "x/.." is of use only as long as there is an x: who walks a tree and removes it on the way (rm, fts) comes up that way,
 * and needs the directory afterwards. */
__attribute__((noinline)) static int finish_directory(int fd, uint64_t size, struct wire_bytes path)
{
	char resolved[PATH_MAX];
	ssize_t length = remote_realpath(path, resolved, sizeof resolved);
	/* Where the rules are local for what it leads to, the name that was given stays. */
	bool is_better = length > 0 && length < PATH_MAX && decide_path(resolved, (size_t)length, false).outcome == REMOTE;
	if (is_better)
		path = (struct wire_bytes){ resolved, (uint32_t)length };
	return fds_finish_directory(fd, size, path);
}

/* Fills the new memfd from the answer to Open: to its end, or so that the rest comes on demand (`*is_big`). Finishes the
 * call. */
static int fill(struct wire_call *call, const struct wire_open_reply *reply, struct wire_bytes path, int fd, int flags,
		bool *is_big)
{
	uint64_t size = reply->data.length;
	int error = take_bulk(call, reply->data, fd, 0);
	if (error)
		return error;
	wire_finish(call, true);
	*is_big = !reply->is_whole && S_ISREG(reply->stat.mode) && reply->handle <= UINT32_MAX && !(flags & O_PATH) &&
		  big_begin(fd, size, (uint64_t)reply->stat.size);
	if (!reply->is_whole && !*is_big) {
		error = fetch_rest(reply->handle, fd, &size);
		close_handle(reply->handle);
	}
	if (!error && S_ISDIR(reply->stat.mode))
		error = memmem(path.at, path.length, "/..", 3) ? finish_directory(fd, size, path) :
								  fds_finish_directory(fd, size, path);
	return error;
}

/* How far the memory will be filled at most. */
static uint64_t end_of(const struct wire_open_reply *reply, struct wire_bytes path)
{
	enum { MOST_ENTRIES = 1 << 30 };
	uint64_t size = (uint64_t)reply->stat.size, come = reply->data.length;
	if (S_ISREG(reply->stat.mode))
		return size > come ? size : come;
	bool is_climbing = memmem(path.at, path.length, "/..", 3);
	return reply->is_whole ? come + (is_climbing ? PATH_MAX : path.length) + sizeof(struct directory_footer) : MOST_ENTRIES;
}

int remote_open(struct wire_bytes path, int flags)
{
	struct wire_call call;
	struct wire_open message = { .path = path, .flags = (uint32_t)(flags & AGENT_OPEN_FLAGS) };
	size_t length = wire_put_open(call.buffer, sizeof call.buffer, WIRE_ID, message);
	/* open(2) may be interrupted, opendir(3) may not. */
	int error = flags & O_DIRECTORY ? wire_ask(&call, length, WIRE_OPEN_REPLY) :
					  wire_ask_like_open(&call, length, WIRE_OPEN_REPLY);
	if (error)
		return error;
	struct wire_open_reply reply;
	if (!wire_get_open_reply(&call.in, &reply))
		return wire_finish(&call, false);
	if (reply.error) {
		wire_finish(&call, true);
		/* Of a FIFO: it would wait now. */
		if (reply.error == ENXIO && call.was_interrupted)
			return -EINTR;
		return reply.error == ON_SHELF ? writing_take(reply.handle, flags & ~O_ACCMODE) : refused(reply.error);
	}
	bool is_endless = reply.is_whole && reply.stat.size != reply.data.length;
	int64_t opened_ms = big_now_ms() | (is_endless ? FDS_ENDLESS : 0);
	bool is_file = S_ISREG(reply.stat.mode) && reply.handle <= UINT32_MAX;
	int fd = fds_make(&reply.stat, is_file ? reply.handle : 0, is_file && !reply.is_whole, opened_ms);
	if (fd < 0) {
		wire_finish(&call, call.in.missing == 0);
		return fd;
	}
	bool is_big = false;
	struct rlimit before;
	int lifted = fds_lift_limit(&before, end_of(&reply, path));
	if (lifted < 0)
		wire_finish(&call, call.in.missing == 0);
	if (unlikely(lifted < 0) && S_ISREG(reply.stat.mode)) {
		kernel(SYS_close, fd);
		return writing_open(path, flags, 0); /* somebody else's memory, which it only reads */
	}
	error = lifted < 0 ? lifted : fill(&call, &reply, path, fd, flags, &is_big);
	if (lifted > 0)
		fds_lower_limit(&before);
	if (!error)
		error = fds_seal(fd, flags, is_big ? BIG_MODE : WHOLE_MODE);
	if (!error && S_ISDIR(reply.stat.mode))
		kernel(SYS_lseek, fd, DIRECTORY_BASE, SEEK_SET);
	if (!error && is_file && !is_big && reply.handle)
		big_mark_as(fd, WHOLE_MARK);
	if (!error && is_file && reply.handle)
		fresh_opened(fd, &reply.stat);
	if (!error && S_ISDIR(reply.stat.mode) && !(flags & O_PATH))
		big_mark_as(fd, DIRECTORY_MARK);
	if (!error && S_ISDIR(reply.stat.mode))
		fds_listed(fd);
	/* The standard streams are read within libc. */
	if (!error && is_big && fd <= STDERR_FILENO)
		error = big_make_whole(fd);
	if (error)
		kernel(SYS_close, fd);
	return error ? error : fd;
}

int remote_stat(struct wire_bytes path, int flags, struct wire_stat *stat)
{
	struct wire_call call;
	struct wire_stat_request message = { .path = path, .flags = (uint32_t)(flags & AT_SYMLINK_NOFOLLOW) };
	size_t length = wire_put_stat_request(call.buffer, sizeof call.buffer, WIRE_ID, message);
	int error = wire_ask(&call, length, WIRE_STAT_REPLY);
	if (error)
		return error;
	struct wire_stat_reply reply = { 0 };
	if (wire_finish(&call, wire_get_stat_reply(&call.in, &reply)))
		return -EIO;
	if (reply.error)
		return refused(reply.error);
	*stat = reply.stat;
	return 0;
}

int remote_stat_fs(struct wire_bytes path, uint64_t words[FS_WORDS])
{
	struct wire_call call;
	struct wire_stat_fs message = { .path = path };
	size_t length = wire_put_stat_fs(call.buffer, sizeof call.buffer, WIRE_ID, message);
	int error = wire_ask(&call, length, WIRE_STAT_FS_REPLY);
	if (error)
		return error;
	struct wire_stat_fs_reply reply = { 0 };
	if (wire_finish(&call, wire_get_stat_fs_reply(&call.in, &reply)))
		return -EIO;
	if (reply.error)
		return refused(reply.error);
	if (reply.words.length != FS_WORDS * sizeof *words)
		return -EIO;
	memcpy(words, reply.words.at, reply.words.length);
	return 0;
}

int remote_done(struct wire_call *call, int asked)
{
	struct wire_done reply = { 0 };
	if (asked)
		return asked;
	if (wire_finish(call, wire_get_done(&call->in, &reply)))
		return -EIO;
	return reply.error ? refused(reply.error) : 0;
}

int remote_access(struct wire_bytes path, int mode, int flags)
{
	struct wire_call call;
	struct wire_access message = { .path = path, .mode = (uint32_t)mode, .flags = (uint32_t)flags };
	size_t length = wire_put_access(call.buffer, sizeof call.buffer, WIRE_ID, message);
	return remote_done(&call, wire_ask(&call, length, WIRE_DONE));
}

static ssize_t path_reply(struct wire_call *call, size_t length, char *into, size_t room)
{
	int error = wire_ask(call, length, WIRE_PATH_REPLY);
	if (error)
		return error;
	struct wire_path_reply reply = { 0 };
	if (wire_finish(call, wire_get_path_reply(&call->in, &reply)))
		return -EIO;
	if (reply.error)
		return refused(reply.error);
	if (unlikely(!may_be_address(into)))
		return -EFAULT;
	size_t count = reply.path.length < room ? reply.path.length : room;
	memcpy(into, reply.path.at, count);
	return (ssize_t)count;
}

ssize_t remote_readlink(struct wire_bytes path, char *into, size_t room)
{
	struct wire_call call;
	struct wire_read_link message = { .path = path };
	return path_reply(&call, wire_put_read_link(call.buffer, sizeof call.buffer, WIRE_ID, message), into, room);
}

ssize_t remote_realpath(struct wire_bytes path, char *into, size_t room)
{
	struct wire_call call;
	struct wire_real_path message = { .path = path };
	return path_reply(&call, wire_put_real_path(call.buffer, sizeof call.buffer, WIRE_ID, message), into, room);
}

ssize_t remote_change_directory(struct wire_bytes path, char *into, size_t room)
{
	struct wire_call call;
	struct wire_change_directory message = { .path = path };
	size_t length = wire_put_change_directory(call.buffer, sizeof call.buffer, WIRE_ID, message);
	return path_reply(&call, length, into, room);
}

/* ---- decide and do ---- */

static bool is_for_writing(int flags)
{
	if (flags & O_PATH)
		return false;
	return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE;
}

long try_create(int dirfd, const char *path, int flags, mode_t mode)
{
	struct place place;
	bool is_write = is_for_writing(flags);
	switch (locate_as(!(flags & O_NOFOLLOW), dirfd, path, is_write, &place)) {
	case LOCAL:
		return BYPASS;
	case ABSENT:
		return -ENOENT;
	default:
		break;
	}
	int fd = is_write ? writing_open(place.path, flags, mode) : remote_open(place.path, flags);
	return unlikely(fd == -ENXIO) ? fifo_open(place.path, flags) : fd;
}

long try_open(int dirfd, const char *path, int flags)
{
	return try_create(dirfd, path, flags, 0);
}

long try_stat(int dirfd, const char *path, int flags, struct wire_stat *stat)
{
	struct place place;
	switch (locate_as(!(flags & AT_SYMLINK_NOFOLLOW), dirfd, path, false, &place)) {
	case LOCAL:
		return BYPASS;
	case ABSENT:
		return -ENOENT;
	default:
		return remote_stat(place.path, flags, stat);
	}
}
