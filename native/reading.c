/* reading.c - hooks of calls that take bytes out of a descriptor, or hand descriptors on: each looks whether it is a big
 * remote file with something missing (big.h), and leaves everything else to libc.
 */
#include "attempts.h"
#include "big.h"
#include "fds.h"
#include "fresh.h"
#include "real.h"
#include "writing.h"

#include <aio.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

static ssize_t edge_size(long result)
{
	if (result < 0) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

/* ---- read, pread and their vectors ---- */

/* read(2) of a directory is refused. Ours looks empty to the kernel, so only an end of file has to be looked at. */
static ssize_t refused_to_directories(int fd, ssize_t count)
{
	struct directory_footer footer;
	if (likely(count != 0) || !fds_may_be_directory() || fds_directory(fd, &footer) < 0)
		return count;
	errno = EISDIR;
	return -1;
}

/* The checked forms end the program when `size`, the true size of the buffer, is too small: that is left to libc. */
struct request {
	int fd;
	void *into;
	size_t room;
	const struct iovec *parts;
	int count;
	int64_t offset; /* -1: at the position */
};

static size_t room_of(const struct request *it)
{
	size_t room = it->room;
	for (int at = 0; it->parts && at < it->count; at++)
		room += it->parts[at].iov_len;
	return room;
}

/* A directory of the target: to the kernel it is a file. */
static bool is_directory(int fd)
{
	struct directory_footer footer;
	return unlikely(big_mark_of(fd) == DIRECTORY_MARK) && fds_directory(fd, &footer) == 0;
}

static long or_errno(ssize_t result)
{
	return result < 0 ? -errno : result;
}

/* With libc's own functions, which are points of cancellation. */
static long attempt(const struct request *it)
{
	bool is_big = big_mark_of(it->fd) == BIG_MARK;
	long result = BYPASS;
	if (it->parts) {
		if (is_big)
			result = it->offset < 0 ? big_readv(it->fd, it->parts, it->count) :
						  big_readv_at(it->fd, it->parts, it->count, it->offset);
		if (result != BYPASS)
			return result;
		return or_errno(it->offset < 0 ? real.readv(it->fd, it->parts, it->count) :
						 real.preadv(it->fd, it->parts, it->count, it->offset));
	}
	if (is_big)
		result = it->offset < 0 ? big_read(it->fd, it->into, it->room) :
					  big_read_at(it->fd, it->into, it->room, it->offset);
	if (result != BYPASS)
		return result;
	return or_errno(it->offset < 0 ? real.read(it->fd, it->into, it->room) :
					 real.pread(it->fd, it->into, it->room, it->offset));
}

/* Of a descriptor with a mark: what may be a remote file; and if it has come to an end, once more if that is one no
 * more. */
static ssize_t read_written(const struct request *it)
{
	if ((it->offset < 0 ? kernel(SYS_lseek, it->fd, 0, SEEK_CUR) : it->offset) == 0)
		writing_freshen(it->fd);
	long result = attempt(it);
	if (result == 0 && writing_freshen(it->fd))
		result = attempt(it);
	return edge_size(result);
}

static ssize_t read_marked(struct request it)
{
	if (big_mark_of(it.fd) == WRITTEN_MARK)
		return read_written(&it);
	if (is_directory(it.fd))
		return edge_size(-EISDIR);
	bool is_here = fresh_from_run(it.fd, it.offset, room_of(&it));
	if (!is_here)
		fresh_before(it.fd, it.offset);
	long result = attempt(&it);
	if (result == 0 && !is_here && fresh_at_end(it.fd, it.offset, room_of(&it)))
		result = attempt(&it);
	return it.offset < 0 ? refused_to_directories(it.fd, edge_size(result)) : edge_size(result);
}

ssize_t hook_read(int fd, void *into, size_t room)
{
	if (likely(!big_mark_of(fd)))
		return attempts_judged(fd, refused_to_directories(fd, real.read(fd, into, room)));
	return read_marked((struct request){ .fd = fd, .into = into, .room = room, .offset = -1 });
}

ssize_t hook___read_chk(int fd, void *into, size_t room, size_t size)
{
	if (likely(!big_mark_of(fd)) || room > size)
		return attempts_judged(fd, refused_to_directories(fd, real.__read_chk(fd, into, room, size)));
	return read_marked((struct request){ .fd = fd, .into = into, .room = room, .offset = -1 });
}

ssize_t hook_pread(int fd, void *into, size_t room, off_t offset)
{
	if (likely(!big_mark_of(fd)) || offset < 0)
		return real.pread(fd, into, room, offset);
	return read_marked((struct request){ .fd = fd, .into = into, .room = room, .offset = offset });
}

ssize_t hook___pread_chk(int fd, void *into, size_t room, off_t offset, size_t size)
{
	if (likely(!big_mark_of(fd)) || offset < 0 || room > size)
		return real.__pread_chk(fd, into, room, offset, size);
	return read_marked((struct request){ .fd = fd, .into = into, .room = room, .offset = offset });
}

ssize_t hook_readv(int fd, const struct iovec *parts, int count)
{
	if (likely(!big_mark_of(fd)) || !parts)
		return attempts_judged(fd, real.readv(fd, parts, count));
	return read_marked((struct request){ .fd = fd, .parts = parts, .count = count, .offset = -1 });
}

ssize_t hook_preadv(int fd, const struct iovec *parts, int count, off_t offset)
{
	if (likely(!big_mark_of(fd)) || !parts || offset < 0)
		return real.preadv(fd, parts, count, offset);
	return read_marked((struct request){ .fd = fd, .parts = parts, .count = count, .offset = offset });
}

/* preadv2(2): "if the offset argument is -1, then the current file offset is used and updated". */
ssize_t hook_preadv2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
	bool is_plain = (flags & ~(RWF_HIPRI | RWF_NOWAIT)) == 0 && offset >= -1;
	if (likely(!big_mark_of(fd)) || !parts || !is_plain)
		return real.preadv2(fd, parts, count, offset, flags);
	return read_marked((struct request){ .fd = fd, .parts = parts, .count = count, .offset = offset });
}

off_t hook_lseek(int fd, off_t offset, int whence)
{
	if (unlikely(big_mark_of(fd) == WRITTEN_MARK) && whence == SEEK_END)
		writing_freshen(fd);
	long result = big_may_be(fd) ? big_seek(fd, offset, whence) : BYPASS;
	int64_t size = big_mark_of(fd) && whence == SEEK_END ? fresh_size(fd) : -1;
	if (unlikely(size >= 0))
		return real.lseek(fd, size + offset < 0 ? -1 : size + offset, SEEK_SET);
	return result == BYPASS ? real.lseek(fd, offset, whence) : edge_size(result);
}

/* ---- mapping ---- */

/* Where parts of big files are mapped: beyond them lie holes. Never taken out: an address that is another's by now only
 * costs that it cannot grow in place. */
enum { PARTS = 64 };
static _Atomic uintptr_t mapped_parts[PARTS];
static _Atomic unsigned mapped_count;

/* Is there room to note one more? */
static bool can_note_part(void)
{
	return atomic_load(&mapped_count) < PARTS;
}

static void note_part(void *map)
{
	unsigned at = atomic_fetch_add(&mapped_count, 1);
	if (at < PARTS)
		atomic_store(&mapped_parts[at], (uintptr_t)map);
}

/* mremap(2) that makes a mapping longer shows what was not fetched: "ENOMEM: the memory area cannot be expanded". */
void *hook_mremap(void *at, size_t old_length, size_t length, int flags, void *to)
{
	for (unsigned part = 0; length > old_length && part < PARTS && part < atomic_load(&mapped_count); part++)
		if (atomic_load(&mapped_parts[part]) == (uintptr_t)at)
			return (void *)edge_size(-ENOMEM);
	return real.mremap(at, old_length, length, flags, to);
}

void *hook_mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
	bool is_marked = big_mark_of(fd) && !(flags & MAP_ANONYMOUS);
	if (is_marked && length > 0 && is_directory(fd)) {
		bool is_shared_write = (flags & MAP_TYPE) != MAP_PRIVATE && (protection & PROT_WRITE);
		return (void *)edge_size(is_shared_write ? -EACCES : -ENODEV);
	}
	if (is_marked && !fresh_from_run(fd, offset, length))
		fresh_reach(fd, (uint64_t)offset + length);
	bool is_part = false;
	long result = is_marked && big_may_be(fd) ? big_map(fd, offset, length, can_note_part(), &is_part) : BYPASS;
	if (result != BYPASS)
		return (void *)edge_size(result);
	void *map = real.mmap(at, length, protection, flags, fd, offset);
	if (unlikely(is_part) && map != MAP_FAILED)
		note_part(map);
	bool is_shared = (flags & MAP_TYPE) != MAP_PRIVATE && !(flags & MAP_ANONYMOUS);
	if (unlikely(writing_may_be()) && is_shared && map != MAP_FAILED)
		writing_mapped(fd);
	return map;
}

/* ---- moving bytes within the kernel ---- */

struct move {
	enum { SENDFILE, COPY_FILE_RANGE, SPLICE } how;
	int from, to;
	off_t *offset, *to_offset;
	unsigned flags;
};

static ssize_t really(const struct move *it, int from, off_t *offset, size_t count)
{
	switch (it->how) {
	case SENDFILE:
		return real.sendfile(it->to, from, offset, count);
	case COPY_FILE_RANGE:
		return real.copy_file_range(from, offset, it->to, it->to_offset, count, it->flags);
	default:
		return real.splice(from, offset, it->to, it->to_offset, count, it->flags);
	}
}

/* What the target had no room for was not moved. */
__attribute__((noinline)) static ssize_t moved(const struct move *it, ssize_t result)
{
	ssize_t taken = writing_done(result, it->to, it->to_offset ? *it->to_offset - result : -1);
	int saved = errno;
	ssize_t left = result - (taken > 0 ? taken : 0);
	if (it->to_offset)
		*it->to_offset -= left;
	if (it->offset)
		*it->offset -= left;
	else if (left > 0)
		kernel(SYS_lseek, it->from, -left, SEEK_CUR); /* a pipe's bytes are gone */
	errno = saved;
	return taken;
}

/* As much as is asked for, as the kernel does with a file: piece by piece, until the other end takes less. */
static ssize_t move(const struct move *it, size_t count)
{
	size_t done = 0;
	if (is_directory(it->from))
		return edge_size(it->how == COPY_FILE_RANGE ? -EISDIR : -EINVAL);
	while (true) {
		struct big_loan loan;
		size_t piece = count - done;
		long lent = big_may_be(it->from) ? big_lend(&loan, it->from, it->offset, &piece) : BYPASS;
		ssize_t result;
		if (lent == BYPASS) {
			result = really(it, it->from, it->offset, piece);
		} else if (lent < 0) {
			result = edge_size(lent);
		} else {
			result = really(it, loan.fd, &loan.at, piece);
			big_lent(&loan, result);
		}
		if (unlikely(big_mark_of(it->to) == WRITTEN_MARK) && result > 0)
			result = moved(it, result);
		if (result <= 0)
			return done ? (ssize_t)done : result;
		done += (size_t)result;
		/* splice(2) into a pipe would wait for room, but not when some bytes have gone already. */
		if (lent == BYPASS || it->how == SPLICE || (size_t)result < piece || done == count)
			return (ssize_t)done;
	}
}

ssize_t hook_sendfile(int to, int from, off_t *offset, size_t count)
{
	return move(&(struct move){ .how = SENDFILE, .from = from, .to = to, .offset = offset }, count);
}

ssize_t hook_copy_file_range(int from, off64_t *offset, int to, off64_t *to_offset, size_t count, unsigned flags)
{
	return move(&(struct move){ COPY_FILE_RANGE, from, to, offset, to_offset, flags }, count);
}

ssize_t hook_splice(int from, off64_t *offset, int to, off64_t *to_offset, size_t count, unsigned flags)
{
	return move(&(struct move){ SPLICE, from, to, offset, to_offset, flags }, count);
}

/* ---- what reads where we do not see it: the file is made whole first ---- */

FILE *hook_fdopen(int fd, const char *mode)
{
	int error = big_may_be(fd) ? big_make_whole(fd) : 0;
	return edge(error) < 0 ? NULL : writing_known(real.fdopen(fd, mode));
}

int hook_aio_read(struct aiocb *request)
{
	int error = request && big_may_be(request->aio_fildes) ? big_make_whole(request->aio_fildes) : 0;
	return edge(error) < 0 ? -1 : real.aio_read(request);
}

int hook_lio_listio(int mode, struct aiocb *const requests[], int count, struct sigevent *event)
{
	for (int at = 0; requests && at < count; at++)
		if (requests[at] && big_may_be(requests[at]->aio_fildes) &&
		    edge(big_make_whole(requests[at]->aio_fildes)) < 0)
			return -1;
	return real.lio_listio(mode, requests, count, event);
}

/* Without /proc nothing could be fetched any more. */
int hook_chroot(const char *path)
{
	int error = big_has_any() ? big_make_all_whole(true) : 0;
	return edge(error) < 0 ? -1 : real.chroot(path);
}

/* ---- the same file under another number ---- */

/* `to` is a descriptor of the same file as the marked `from`. */
static int copied(int to)
{
	if (to < 0)
		return to;
	int error = big_met(to);
	if (error) {
		kernel(SYS_close, to);
		return edge(error);
	}
	return to;
}

int hook_dup(int fd)
{
	bool is_marked = big_mark_of(fd) != 0;
	int to = real.dup(fd);
	return unlikely(is_marked) ? copied(to) : to;
}

int hook_fcntl(int fd, int command, long argument)
{
	bool is_copying = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
	bool is_marked = is_copying && big_mark_of(fd);
	int result = real.fcntl(fd, command, argument);
	return unlikely(is_marked) ? copied(result) : result;
}
