/* big.c - remote files that fill on demand. See big.h. */
#include "big_parts.h"
#include "fds.h"
#include "wire.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

enum { FRESH_MS = 200 };
/* Of one file at most, and never more than a sixteenth of the machine's memory. */
#define KEPT_BYTES ((uint64_t)256 << 20)
/* What is present beyond a read for it to need no lock: readers who share the position overtake each other by less. */
#define SLACK_BYTES ((uint64_t)1 << 20)

_Atomic uint8_t big_marks[BIG_MARKS];
static _Atomic int highest_mark = -1;

bool big_look(struct big *it, int fd, bool is_whole_too)
{
	struct stat st;
	if (kernel(SYS_fstat, fd, &st) < 0 || !fds_is_ours(st.st_mode, st.st_nlink))
		return false;
	if (!is_whole_too && st.st_mode != (S_IFREG | BIG_MODE))
		return false;
	*it = (struct big){
		.fd = fd,
		.again = -1,
		.is_whole = st.st_mode == (S_IFREG | WHOLE_MODE),
		.inode = st.st_ino,
		.size = (uint64_t)st.st_size,
		.stored = (uint64_t)st.st_blocks * 512,
	};
	return true;
}

static bool look(struct big *it, int fd)
{
	return big_look(it, fd, false);
}

void big_leave(struct big *it)
{
	if (it->again >= 0)
		kernel(SYS_close, it->again);
}

int big_again(struct big *it)
{
	if (it->is_tried)
		return it->again;
	it->is_tried = true;
	/* Only a big one's owner may write: for a moment it is one, with nothing missing. */
	if (it->is_whole)
		kernel(SYS_fchmod, it->fd, BIG_MODE);
	it->again = fds_open_again(it->fd, O_RDWR);
	if (it->is_whole)
		kernel(SYS_fchmod, it->fd, WHOLE_MODE);
	it->can_store = it->again >= 0;
	if (it->again == -EACCES) /* it is another user's by now */
		it->again = fds_open_again(it->fd, O_RDONLY);
	if (it->again < 0)
		it->again = -1;
	return it->again;
}

static uint64_t kept_bytes(void)
{
	static _Atomic uint64_t bytes;
	uint64_t known = atomic_load_explicit(&bytes, memory_order_relaxed);
	struct sysinfo info;
	if (known)
		return known;
	known = KEPT_BYTES;
	if (kernel(SYS_sysinfo, &info) == 0 && (uint64_t)info.totalram * info.mem_unit / 16 < known)
		known = (uint64_t)info.totalram * info.mem_unit / 16;
	atomic_store_explicit(&bytes, known, memory_order_relaxed);
	return known;
}

/* ---- what is known to be present: a range of each of some files. Pages never go away, so it never becomes wrong ---- */

enum { KNOWN = 64 };
static struct known {
	_Atomic bool is_busy; /* never waited for */
	uint64_t inode, low, high;
} known[KNOWN];

/* Bytes that are present from `offset` on, as far as is known without asking. */
static uint64_t recall(const struct big *it, uint64_t offset)
{
	struct known *entry = &known[it->inode % KNOWN];
	uint64_t there = 0;
	if (atomic_exchange_explicit(&entry->is_busy, true, memory_order_acquire))
		return 0;
	if (entry->inode == it->inode && offset >= entry->low && offset < entry->high)
		there = entry->high - offset;
	atomic_store_explicit(&entry->is_busy, false, memory_order_release);
	return there;
}

/* Returns whether all of the file is present. */
static bool remember(const struct big *it, uint64_t low, uint64_t high)
{
	struct known *entry = &known[it->inode % KNOWN];
	if (atomic_exchange_explicit(&entry->is_busy, true, memory_order_acquire))
		return false;
	bool is_joined = entry->inode == it->inode && low <= entry->high && high >= entry->low;
	entry->low = is_joined && entry->low < low ? entry->low : low;
	entry->high = is_joined && entry->high > high ? entry->high : high;
	entry->inode = it->inode;
	bool is_whole = entry->low == 0 && entry->high >= it->size;
	atomic_store_explicit(&entry->is_busy, false, memory_order_release);
	return is_whole;
}

static void note_presence(struct big *it, uint64_t low, uint64_t high)
{
	if (remember(it, low, high) && it->can_store)
		kernel(SYS_fchmod, it->again, WHOLE_MODE);
}

/* Bytes that are present from `offset` on. */
static uint64_t present(struct big *it, uint64_t offset)
{
	uint64_t there = recall(it, offset);
	if (there || offset >= it->size || big_again(it) < 0)
		return there;
	long hole = kernel(SYS_lseek, it->again, offset, SEEK_HOLE);
	if (hole < 0 || (uint64_t)hole <= offset)
		return 0;
	uint64_t end = (uint64_t)hole < it->size ? (uint64_t)hole : it->size;
	note_presence(it, offset & ~(uint64_t)(PAGE - 1), end);
	return end - offset;
}

/* ---- memory to receive into ---- */

enum { SCRATCHES = 4 };
struct scratch {
	_Atomic bool is_busy;
	uint64_t inode, offset;
	size_t length;
	int64_t filled_ms;
	char *memory;
};
static struct scratch scratches[SCRATCHES];

int64_t big_now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool give_memory(struct scratch *it)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	void *memory = (void *)kernel(SYS_mmap, 0, MOST_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
	if ((unsigned long)memory >= -4095UL)
		return false;
	it->memory = memory;
	return true;
}

/* One that nobody else uses, if possible the one that holds the byte at `offset`; `spare` is for when all are in use.
 * NULL: no memory. Ends with put_scratch(). */
static struct scratch *take_scratch(const struct big *it, uint64_t offset, struct scratch *spare)
{
	struct scratch *other = NULL;
	for (int at = 0; at < SCRATCHES && !wire_is_in_borrowed_memory(); at++) {
		struct scratch *here = &scratches[at];
		if (atomic_exchange_explicit(&here->is_busy, true, memory_order_acquire))
			continue;
		bool is_right = here->inode == it->inode && offset - here->offset < here->length;
		if (!is_right && (other || (!here->memory && !give_memory(here)))) {
			atomic_store_explicit(&here->is_busy, false, memory_order_release);
			continue;
		}
		if (other && is_right)
			atomic_store_explicit(&other->is_busy, false, memory_order_release);
		if (is_right)
			return here;
		other = here;
	}
	if (other)
		return other;
	*spare = (struct scratch){ 0 };
	return give_memory(spare) ? spare : NULL;
}

static void put_scratch(struct scratch *it, const struct scratch *spare)
{
	if (it == spare)
		kernel(SYS_munmap, it->memory, MOST_BYTES);
	else
		atomic_store_explicit(&it->is_busy, false, memory_order_release);
}

/* ---- fetching ---- */

/* At least `length` bytes (fewer: the file ends there), at most `most`, into memory of ours; their number or -errno. */
long big_ask(struct big *it, uint64_t offset, size_t length, size_t most, char *into)
{
	int64_t opened_ms;
	if (!it->handle)
		it->handle = fds_handle(it->fd, &opened_ms);
	if (it->handle <= 0)
		return -EIO;
	struct wire_call call;
	struct wire_read_file message = {
		.handle = (uint64_t)it->handle,
		.offset = offset,
		.length = (uint32_t)length,
		.most = (uint32_t)most,
	};
	int error = wire_ask(&call, wire_put_read_file(call.buffer, sizeof call.buffer, WIRE_ID, message), WIRE_CHUNK);
	if (error)
		return error;
	struct wire_chunk chunk;
	if (!wire_get_chunk(&call.in, &chunk) || chunk.data.length > most)
		return wire_finish(&call, false);
	size_t buffered = chunk.data.length - call.in.missing;
	memcpy(into, chunk.data.at, buffered);
	if (call.in.missing)
		error = wire_pull(&call, into + buffered, call.in.missing);
	if (error)
		return error;
	wire_finish(&call, true);
	return chunk.error ? refused(chunk.error) : (long)chunk.data.length;
}

long big_write(int fd, const char *from, size_t length, uint64_t offset)
{
	struct rlimit before;
	int lifted = fds_lift_limit(&before, offset + length);
	long error = lifted < 0 ? lifted : 0;
	for (size_t done = 0; !error && done < length;) {
		long count = kernel(SYS_pwrite64, fd, from + done, length - done, offset + done);
		if (count <= 0 && count != -EINTR)
			error = count < 0 ? count : -EIO;
		done += count > 0 ? (size_t)count : 0;
	}
	if (lifted > 0)
		fds_lower_limit(&before);
	return error;
}

/* What was received becomes part of the file, in whole pages; a short answer is the file's end by now. */
static long keep(struct big *it, uint64_t from, const char *bytes, size_t count, bool is_end)
{
	struct stat st;
	/* Whoever saw the file cut short meanwhile has cut it here. */
	if (kernel(SYS_fstat, it->again, &st) < 0 || (uint64_t)st.st_size < it->size)
		return -EIO;
	size_t whole = is_end || from + count >= it->size ? count : count & ~(size_t)(PAGE - 1);
	long error = big_write(it->again, bytes, whole, from);
	if (error)
		return error;
	if (is_end && from + count < it->size) {
		kernel(SYS_ftruncate, it->again, from + count);
		it->size = from + count;
	}
	it->stored += whole;
	if (whole)
		note_presence(it, from, from + whole);
	return 0;
}

/* Fills the hole at `offset`, as far as `length` reaches or further. 1: done. 0: not to be kept. Or -errno. */
static long fill_hole(struct big *it, uint64_t offset, size_t length)
{
	uint64_t from = offset & ~(uint64_t)(PAGE - 1);
	if (big_again(it) < 0 || !it->can_store)
		return 0;
	if (!it->is_unlimited && it->stored + MOST_BYTES > kept_bytes())
		return 0;
	long data = kernel(SYS_lseek, it->again, from, SEEK_DATA);
	uint64_t most = least(MOST_BYTES, (data < 0 ? it->size : least((uint64_t)data, it->size)) - from);
	uint64_t needed = least(most, ((offset + length + PAGE - 1) & ~(uint64_t)(PAGE - 1)) - from);
	if (needed == 0)
		return 0;
	struct scratch spare;
	struct scratch *scratch = take_scratch(it, offset, &spare);
	if (!scratch)
		return -ENOMEM;
	scratch->length = 0;
	long count = big_ask(it, from, needed, most, scratch->memory);
	long error = count < 0 ? count : keep(it, from, scratch->memory, (size_t)count, (uint64_t)count < needed);
	put_scratch(scratch, &spare);
	/* No room for more in memory, or not allowed: read past it. */
	if ((error == -EFBIG || error == -ENOSPC || error == -ENOMEM) && !it->is_unlimited)
		return 0;
	return error ? error : 1;
}

/* Bytes from `offset` on, without keeping them in the file: at least one, at the end none. In `into`, memory of the app
 * that may be written. What comes beyond stays for the next read in order. */
static long read_past(struct big *it, char *into, size_t room, uint64_t offset)
{
	struct scratch spare;
	struct scratch *scratch = take_scratch(it, offset, &spare);
	if (!scratch)
		return -ENOMEM;
	int64_t now = big_now_ms();
	bool is_there = scratch->inode == it->inode && offset - scratch->offset < scratch->length &&
			now - scratch->filled_ms < FRESH_MS;
	long count = 0;
	if (!is_there) {
		scratch->length = 0;
		count = big_ask(it, offset, least(room, MOST_BYTES), MOST_BYTES, scratch->memory);
		if (count > 0) {
			scratch->inode = it->inode;
			scratch->offset = offset;
			scratch->length = (size_t)count;
			scratch->filled_ms = now;
		}
	}
	if (count >= 0) {
		size_t skipped = scratch->length ? offset - scratch->offset : 0;
		count = (long)least(room, scratch->length - skipped);
		memcpy(into, scratch->memory + skipped, (size_t)count);
	}
	put_scratch(scratch, &spare);
	return count;
}

/* ---- reading ---- */

static long read_at(struct big *it, char *into, size_t room, uint64_t offset)
{
	size_t done = 0;
	bool is_checked = false;
	while (done < room && offset + done < it->size) {
		uint64_t at = offset + done;
		uint64_t there = present(it, at);
		long count = 1;
		if (there) {
			count = kernel(SYS_pread64, it->fd, into + done, least(there, room - done), at);
		} else {
			long filled = fill_hole(it, at, room - done);
			if (filled > 0)
				continue;
			/* The kernel writes its zeros first: memory that is none is its matter. */
			if (filled == 0 && !is_checked)
				count = kernel(SYS_pread64, it->fd, into + done, room - done, at);
			is_checked = true;
			if (filled < 0 || count < 0)
				count = filled < 0 ? filled : count;
			else
				count = read_past(it, into + done, least(room - done, it->size - at), at);
		}
		if (count <= 0)
			return done ? (long)done : count;
		done += (size_t)count;
	}
	return (long)done;
}

static long readv_at(struct big *it, const struct iovec *parts, int count, uint64_t offset)
{
	size_t done = 0;
	for (int at = 0; at < count; at++) {
		long result = read_at(it, parts[at].iov_base, parts[at].iov_len, offset + done);
		if (result < 0)
			return done ? (long)done : result;
		done += (size_t)result;
		if ((size_t)result < parts[at].iov_len)
			break;
	}
	return (long)done;
}

long big_read_at(int fd, void *into, size_t room, int64_t offset)
{
	struct big it;
	if (offset < 0 || !look(&it, fd) || (uint64_t)offset >= it.size)
		return BYPASS;
	long result = read_at(&it, into, room, (uint64_t)offset);
	big_leave(&it);
	return result;
}

long big_readv_at(int fd, const struct iovec *parts, int count, int64_t offset)
{
	struct big it;
	if (offset < 0 || count <= 0 || count > 1024 || !look(&it, fd) || (uint64_t)offset >= it.size)
		return BYPASS;
	long result = readv_at(&it, parts, count, (uint64_t)offset);
	big_leave(&it);
	return result;
}

/* ---- the position that all who have the descriptor share ----
 *
 * Bytes are read at a known place, and the position moves on only if it is there still. The lock that makes this one step
 * belongs to the file (F_OFD_SETLK on a description of our own), is held for two system calls, and ends with its holder. No
 * signal handler may come in between: it could want it, too. */

enum { LOCK_TRIES = 2000 };
#define LOCK_AT ((int64_t)1 << 62)

static bool move_on(struct big *it, uint64_t from, uint64_t to)
{
	uint64_t all = ~(uint64_t)0, before;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_AT, .l_len = 1 };
	kernel(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
	int own = big_again(it);
	/* One that is stopped inside is not waited for. */
	for (int tries = 0; own >= 0 && tries < LOCK_TRIES; tries++) {
		if (kernel(SYS_fcntl, own, F_OFD_SETLK, &lock) != -EAGAIN)
			break;
		kernel(SYS_sched_yield);
	}
	bool is_there = (uint64_t)kernel(SYS_lseek, it->fd, 0, SEEK_CUR) == from;
	if (is_there)
		kernel(SYS_lseek, it->fd, to, SEEK_SET);
	lock.l_type = F_UNLCK;
	if (own >= 0)
		kernel(SYS_fcntl, own, F_OFD_SETLK, &lock);
	kernel(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
	return is_there;
}

/* Could this be of a hole? */
static bool has_empty_stretch(const char *bytes, size_t length)
{
	size_t run = 0;
	for (size_t at = 0; at < length; at++) {
		run = bytes[at] ? 0 : run + 1;
		if (run == 64)
			return true;
	}
	return run == length;
}

/* The kernel's own read(2), when everything it can meet is present. BYPASS: not sure of that. */
static long read_present(const struct big *it, char *into, size_t room, uint64_t from)
{
	uint64_t end = from + recall(it, from);
	if (end < it->size && end < from + room + SLACK_BYTES)
		return BYPASS;
	long count = kernel(SYS_read, it->fd, into, room);
	long after = count > 0 ? kernel(SYS_lseek, it->fd, 0, SEEK_CUR) : 0;
	/* Others have moved the position further than anybody could foresee. */
	if (after > 0 && (uint64_t)after > end && has_empty_stretch(into, (size_t)count))
		return -EIO;
	return count;
}

long big_read(int fd, void *into, size_t room)
{
	struct big it;
	long result = BYPASS;
	if (room > SSIZE_MAX || !look(&it, fd))
		return BYPASS;
	while (true) {
		long from = kernel(SYS_lseek, fd, 0, SEEK_CUR);
		if (from < 0 || (uint64_t)from >= it.size) {
			result = BYPASS;
			break;
		}
		result = read_present(&it, into, room, (uint64_t)from);
		if (result != BYPASS)
			break;
		result = read_at(&it, into, room, (uint64_t)from);
		if (result < 0 || (uint64_t)from + recall(&it, (uint64_t)from) < it.size) {
			if (result < 0 || move_on(&it, (uint64_t)from, (uint64_t)(from + result)))
				break;
		}
	}
	big_leave(&it);
	return result;
}

long big_readv(int fd, const struct iovec *parts, int count)
{
	struct big it;
	long result, from;
	if (count <= 0 || count > 1024 || !look(&it, fd))
		return BYPASS;
	do {
		from = kernel(SYS_lseek, fd, 0, SEEK_CUR);
		if (from < 0 || (uint64_t)from >= it.size) {
			result = BYPASS;
			break;
		}
		result = readv_at(&it, parts, count, (uint64_t)from);
	} while (result >= 0 && !move_on(&it, (uint64_t)from, (uint64_t)(from + result)));
	big_leave(&it);
	return result;
}

/* ---- whole ---- */

/* Is there memory for so much more, and some to spare? */
static bool has_memory_for(uint64_t bytes)
{
	enum { ALWAYS = 64 << 20 };
	struct sysinfo info;
	if (bytes <= ALWAYS || kernel(SYS_sysinfo, &info) < 0)
		return true;
	/* What caches hold is not told here; a file this big that does not fit beside them is no file to map. */
	char text[256];
	int fd = (int)kernel(SYS_openat, AT_FDCWD, "/proc/meminfo", O_RDONLY | O_CLOEXEC);
	long length = fd < 0 ? 0 : kernel(SYS_read, fd, text, sizeof text - 1);
	if (fd >= 0)
		kernel(SYS_close, fd);
	text[length > 0 ? length : 0] = '\0';
	const char *line = strstr(text, "MemAvailable:");
	uint64_t available = 0;
	for (line = line ? line + 13 : ""; *line == ' ' || (*line >= '0' && *line <= '9'); line++)
		available = *line == ' ' ? available : available * 10 + (uint64_t)(*line - '0');
	return available == 0 || bytes < available * 1024 / 8 * 7;
}

static long make_present(struct big *it, uint64_t from, uint64_t end)
{
	it->is_unlimited = true;
	if (big_again(it) < 0 || !it->can_store)
		return it->again < 0 ? -EMFILE : -ENODEV;
	if (end > from && end - from > it->stored && !has_memory_for(end - from - it->stored))
		return -ENOMEM;
	while (from < end && from < it->size) {
		uint64_t there = present(it, from);
		long filled = there ? 1 : fill_hole(it, from, least(end - from, MOST_BYTES));
		if (filled <= 0)
			return filled ? filled : -EIO;
		from += there;
	}
	return 0;
}

long big_map(int fd, int64_t offset, size_t length, bool may_be_part, bool *is_part)
{
	struct big it;
	if (offset < 0 || !look(&it, fd))
		return BYPASS;
	uint64_t end = (uint64_t)offset + length < (uint64_t)offset ? it.size : (uint64_t)offset + length;
	if (!may_be_part)
		end = it.size;
	*is_part = end < it.size;
	long error = make_present(&it, (uint64_t)offset & ~(uint64_t)(PAGE - 1), least(end, it.size));
	big_leave(&it);
	return error ? error : BYPASS;
}

int big_make_whole(int fd)
{
	struct big it;
	if (!look(&it, fd))
		return 0;
	long error = make_present(&it, 0, it.size);
	if (!error)
		kernel(SYS_fchmod, it.again, WHOLE_MODE);
	big_leave(&it);
	return (int)error;
}

int big_make_all_whole(bool is_every)
{
	int highest = atomic_load(&highest_mark);
	int first_error = 0;
	for (int fd = 0; fd <= highest; fd++) {
		if (!big_mark_of(fd))
			continue;
		long flags = kernel(SYS_fcntl, fd, F_GETFD);
		if (flags < 0 || (!is_every && (flags & FD_CLOEXEC)))
			continue;
		int error = big_make_whole(fd);
		first_error = first_error ? first_error : error;
	}
	return first_error;
}

/* ---- descriptors ---- */

void big_mark_as(int fd, int mark)
{
	if ((unsigned)fd < BIG_MARKS && big_mark_of(fd) != BIG_MARK)
		atomic_store_explicit(&big_marks[fd], (uint8_t)mark, memory_order_relaxed);
}

void big_mark(int fd)
{
	if ((unsigned)fd >= BIG_MARKS)
		return;
	atomic_store_explicit(&big_marks[fd], BIG_MARK, memory_order_relaxed);
	int highest = atomic_load_explicit(&highest_mark, memory_order_relaxed);
	while (fd > highest && !atomic_compare_exchange_weak(&highest_mark, &highest, fd))
		;
}

bool big_has_any(void)
{
	return atomic_load_explicit(&highest_mark, memory_order_relaxed) >= 0;
}

int big_met(int fd)
{
	struct big it;
	struct stat st;
	if (!big_look(&it, fd, true)) {
		if (kernel(SYS_fstat, fd, &st) == 0 && fds_is_written(st.st_mode, st.st_nlink))
			big_mark_as(fd, WRITTEN_MARK);
		return 0;
	}
	struct directory_footer footer;
	if (it.is_whole) {
		big_mark_as(fd, fds_directory(fd, &footer) == 0 ? DIRECTORY_MARK : WHOLE_MARK);
		return 0;
	}
	big_mark(fd);
	return (unsigned)fd >= BIG_MARKS || fd <= STDERR_FILENO ? big_make_whole(fd) : 0;
}

/* Where the memory of this process is another's (vfork), the number still belongs to a descriptor there. */
void big_closing(int fd)
{
	struct big it;
	int64_t opened_ms;
	int64_t handle = look(&it, fd) ? fds_handle(fd, &opened_ms) : 0;
	if (handle > 0) {
		struct wire_call call;
		struct wire_descriptor_closed message = { .handle = (uint64_t)handle };
		wire_tell(&call, wire_put_descriptor_closed(call.buffer, sizeof call.buffer, WIRE_ID, message));
	}
	if (!wire_is_in_borrowed_memory())
		atomic_store_explicit(&big_marks[fd], 0, memory_order_relaxed);
}

/* A page written alone must be a page alone: not so where memory is given out in huge pages. */
static bool can_have_holes(void)
{
	static _Atomic int answer; /* 1: yes, 2: no */
	int known_answer = atomic_load_explicit(&answer, memory_order_relaxed);
	if (known_answer)
		return known_answer == 1;
	enum { BYTES = 4 << 20, AT = 1 << 20 };
	int fd = (int)kernel(SYS_memfd_create, "mirrord", MFD_CLOEXEC);
	if (fd < 0)
		return false;
	bool is_right = kernel(SYS_ftruncate, fd, BYTES) == 0 && kernel(SYS_pwrite64, fd, "", 1, AT) == 1 &&
			kernel(SYS_lseek, fd, 0, SEEK_DATA) == AT && kernel(SYS_lseek, fd, AT, SEEK_HOLE) == AT + PAGE &&
			kernel(SYS_lseek, fd, AT + PAGE, SEEK_DATA) == -ENXIO;
	kernel(SYS_close, fd);
	atomic_store_explicit(&answer, is_right ? 1 : 2, memory_order_relaxed);
	return is_right;
}

bool big_begin(int fd, uint64_t there, uint64_t size)
{
	struct stat st;
	if ((unsigned)fd >= BIG_MARKS || there % PAGE || size <= there || size > INT64_MAX || !can_have_holes())
		return false;
	if (kernel(SYS_fstat, fd, &st) < 0 || kernel(SYS_ftruncate, fd, size) < 0)
		return false;
	struct big it = { .fd = fd, .again = -1, .inode = st.st_ino, .size = size };
	struct known *entry = &known[it.inode % KNOWN];
	/* What was known of a memfd with this number is another's. */
	if (!atomic_exchange_explicit(&entry->is_busy, true, memory_order_acquire)) {
		if (entry->inode == it.inode)
			entry->inode = 0;
		atomic_store_explicit(&entry->is_busy, false, memory_order_release);
	}
	if (there)
		remember(&it, 0, there);
	big_mark(fd);
	return true;
}

/* "/proc/self/fd" lists them all; without it the low ones are tried. */
void big_start(void)
{
	enum { TRIED = 256 };
	char entries[2048];
	int list = (int)kernel(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int fd = 0; list < 0 && fd < TRIED; fd++)
		big_met(fd);
	for (long length; list >= 0 && (length = kernel(SYS_getdents64, list, entries, sizeof entries)) > 0;) {
		for (long at = 0; at < length;) {
			uint16_t record;
			memcpy(&record, entries + at + 16, sizeof record);
			int fd = 0;
			const char *name = entries + at + 19;
			for (; *name >= '0' && *name <= '9'; name++)
				fd = fd * 10 + *name - '0';
			if (entries[at + 19] != '.')
				big_met(fd);
			at += record;
		}
	}
	if (list >= 0)
		kernel(SYS_close, list);
}

/* ---- calls that move bytes within the kernel ---- */

/* A descriptor that holds bytes of a file which keeps no more. Their number, or -errno. */
static long lend_copy(struct big *it, struct big_loan *loan, size_t length)
{
	struct scratch spare;
	struct scratch *scratch = take_scratch(it, UINT64_MAX, &spare);
	if (!scratch)
		return -ENOMEM;
	scratch->length = 0;
	loan->lent = (int)kernel(SYS_memfd_create, "mirrord", MFD_CLOEXEC);
	long count = loan->lent;
	if (count >= 0)
		count = big_ask(it, (uint64_t)loan->from, least(length, MOST_BYTES), least(length, MOST_BYTES), scratch->memory);
	long error = count > 0 ? big_write(loan->lent, scratch->memory, (size_t)count, 0) : count;
	put_scratch(scratch, &spare);
	if (error < 0 && loan->lent >= 0)
		kernel(SYS_close, loan->lent);
	loan->fd = loan->lent;
	loan->at = 0;
	return error < 0 ? error : count;
}

long big_lend(struct big_loan *loan, int fd, int64_t *offset, size_t *length)
{
	struct big it;
	*loan = (struct big_loan){ .fd = fd, .owner = fd, .lent = -1, .offset = offset };
	loan->from = offset ? *offset : kernel(SYS_lseek, fd, 0, SEEK_CUR);
	if (loan->from < 0 || *length == 0 || !look(&it, fd) || (uint64_t)loan->from >= it.size)
		return BYPASS;
	loan->at = loan->from;
	uint64_t there = present(&it, (uint64_t)loan->from);
	long result = there ? 1 : fill_hole(&it, (uint64_t)loan->from, least(*length, MOST_BYTES));
	if (result > 0)
		there = present(&it, (uint64_t)loan->from);
	if (result == 0 || (result > 0 && there == 0)) {
		result = lend_copy(&it, loan, *length);
		there = result > 0 ? (uint64_t)result : 0;
	}
	*length = least(*length, there);
	big_leave(&it);
	return result < 0 ? result : 0;
}

void big_lent(struct big_loan *loan, long result)
{
	if (loan->lent >= 0)
		kernel(SYS_close, loan->lent);
	if (result <= 0)
		return;
	if (loan->offset) {
		*loan->offset = loan->from + result;
		return;
	}
	struct big it = { .fd = loan->owner, .again = -1 };
	move_on(&it, (uint64_t)loan->from, (uint64_t)(loan->from + result));
	big_leave(&it);
}

long big_seek(int fd, int64_t offset, int whence)
{
	struct big it;
	if ((whence != SEEK_DATA && whence != SEEK_HOLE) || !look(&it, fd))
		return BYPASS;
	if (offset < 0 || (uint64_t)offset >= it.size)
		return -ENXIO;
	return kernel(SYS_lseek, fd, whence == SEEK_DATA ? (uint64_t)offset : it.size, SEEK_SET);
}
