/* fresh.c - opened remote files that change at the target. See fresh.h. */
#include "big_parts.h"
#include "fds.h"
#include "fresh.h"
#include "wire.h"
#include "writing.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FRESH_MS = 200, FIRST_END_MS = 1000 };

/* What was heard of some of the files this process has open, by the memfds' inodes. Losing an entry costs a question. */
enum { HEARD = 64 };
static struct heard {
	_Atomic bool is_busy; /* never waited for */
	uint64_t inode;
	int64_t at_ms;
	bool has_stat, is_end_seen, is_endless;
	/* The bytes that are here are older than the stat. */
	bool is_behind;
	/* How often the run had begun or ended to write it, or one of the same slot, when its bytes were fetched. */
	uint32_t generation;
	struct wire_stat stat;
} heard[HEARD];

static _Atomic int64_t void_until_ms;

void fresh_void(void)
{
	atomic_store_explicit(&void_until_ms, big_now_ms() + 1, memory_order_relaxed);
}

static _Atomic bool is_doubting;

void fresh_doubt(void)
{
	atomic_store_explicit(&is_doubting, true, memory_order_relaxed);
}

static struct heard *take(uint64_t inode)
{
	struct heard *entry = &heard[inode % HEARD];
	return atomic_exchange_explicit(&entry->is_busy, true, memory_order_acquire) ? NULL : entry;
}

static void put(struct heard *entry)
{
	atomic_store_explicit(&entry->is_busy, false, memory_order_release);
}

/* A copy of what is known; without an entry, of what the name says. False: nothing can be asked. */
static bool recall(struct big *it, struct heard *copy)
{
	struct heard *entry = take(it->inode);
	bool is_known = entry && entry->inode == it->inode;
	if (is_known)
		*copy = *entry;
	if (entry)
		put(entry);
	if (is_known)
		return true;
	memset(copy, 0, sizeof *copy);
	copy->inode = it->inode;
	it->handle = fds_handle(it->fd, &copy->at_ms);
	copy->is_endless = (copy->at_ms & FDS_ENDLESS) != 0;
	copy->at_ms &= ~FDS_ENDLESS;
	return it->handle > 0 && fds_stat(it->fd, &copy->stat) == 0;
}

static void remember(const struct heard *news)
{
	struct heard *entry = take(news->inode);
	if (!entry)
		return;
	entry->inode = news->inode;
	entry->at_ms = news->at_ms;
	entry->has_stat = news->has_stat;
	entry->is_end_seen = news->is_end_seen;
	entry->is_endless = news->is_endless;
	entry->is_behind = news->is_behind;
	entry->generation = news->generation;
	entry->stat = news->stat;
	put(entry);
}

static bool is_old(const struct heard *known, int64_t limit_ms)
{
	return atomic_load_explicit(&is_doubting, memory_order_relaxed) || big_now_ms() - known->at_ms >= limit_ms ||
	       known->at_ms < atomic_load_explicit(&void_until_ms, memory_order_relaxed);
}

static bool has_changed(const struct wire_stat *a, const struct wire_stat *b)
{
	return a->size != b->size || a->mtime_sec != b->mtime_sec || a->mtime_nsec != b->mtime_nsec ||
	       a->ctime_sec != b->ctime_sec || a->ctime_nsec != b->ctime_nsec;
}

/* Asks; who cannot answer leaves things as they are. Remembers. */
static void renew(struct big *it, struct heard *known)
{
	int64_t opened_ms;
	if (!it->handle)
		it->handle = fds_handle(it->fd, &opened_ms);
	struct wire_call call;
	struct wire_refresh message = { .handle = it->handle > 0 ? (uint64_t)it->handle : 0 };
	size_t length = wire_put_refresh(call.buffer, sizeof call.buffer, WIRE_ID, message);
	struct wire_stat_reply reply = { 0 };
	int error = wire_ask(&call, length, WIRE_STAT_REPLY);
	if (!error)
		error = wire_finish(&call, wire_get_stat_reply(&call.in, &reply));
	known->at_ms = big_now_ms();
	if (!error && !reply.error) {
		known->is_behind = known->is_behind || has_changed(&known->stat, &reply.stat);
		known->has_stat = true;
		known->stat = reply.stat;
	}
	remember(known);
}

/* ---- bytes ---- */

/* Fetches from `at` on, to `end` at most, over what is there; returns where it ended. */
static uint64_t fetch(struct big *it, uint64_t at, uint64_t end)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	void *room = (void *)kernel(SYS_mmap, 0, MOST_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
	if ((unsigned long)room >= -4095UL)
		return at;
	while (at < end) {
		size_t wanted = least(end - at, MOST_BYTES);
		long count = big_ask(it, at, wanted, MOST_BYTES, room);
		if (count <= 0 || big_write(it->again, room, (size_t)count, at))
			break;
		at += (size_t)count;
		if ((size_t)count < wanted)
			break;
	}
	kernel(SYS_munmap, room, MOST_BYTES);
	return at;
}

/* Brings the bytes behind the end that is here, up to `end`. The last page may be a hole: then it comes whole. */
static void append(struct big *it, uint64_t end)
{
	if (end <= it->size || big_again(it) < 0 || !it->can_store)
		return;
	uint64_t from = it->is_whole ? it->size : it->size & ~(uint64_t)(PAGE - 1);
	uint64_t reached = fetch(it, from, end);
	it->size = reached > it->size ? reached : it->size;
}

/* The file is cut to `size`, and what is left of it here is fetched anew. */
static void fetch_again(struct big *it, uint64_t size)
{
	if (big_again(it) < 0 || !it->can_store)
		return;
	if (size < it->size) {
		kernel(SYS_ftruncate, it->again, size);
		it->size = size;
	}
	for (uint64_t at = 0; at < it->size;) {
		long data = kernel(SYS_lseek, it->again, at, SEEK_DATA);
		long hole = data < 0 ? -1 : kernel(SYS_lseek, it->again, data, SEEK_HOLE);
		if (hole < 0)
			break;
		uint64_t end = least((uint64_t)hole, it->size);
		uint64_t reached = fetch(it, (uint64_t)data, end);
		if (reached < end && it->is_whole)
			kernel(SYS_ftruncate, it->again, it->size = reached);
		if (reached < end)
			break;
		at = end;
	}
}

/* ---- what the run itself writes ---- */

/* The file `written` of the session: see native/sys/shelf.c. NULL: this run writes nothing, or it cannot be read. */
enum { TABLE_BYTES = 4096, SLOTS = TABLE_BYTES / 4 - 1 };
static const _Atomic uint32_t *table;

void fresh_start(const char *directory)
{
	static const char name[] = "/written";
	char path[PATH_MAX];
	size_t length = strlen(directory);
	if (length + sizeof name > sizeof path)
		return;
	memcpy(path, directory, length);
	memcpy(path + length, name, sizeof name);
	int fd = (int)kernel(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	void *map = (void *)kernel(SYS_mmap, 0, TABLE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	kernel(SYS_close, fd);
	if ((unsigned long)map < -4095UL)
		table = map;
}

/* 0: the run has never written it. */
static uint32_t generation_of(const struct wire_stat *stat)
{
	if (likely(!table || !atomic_load_explicit(&table[0], memory_order_acquire)))
		return 0;
	return atomic_load_explicit(&table[1 + (stat->dev * 31 + stat->ino) % SLOTS], memory_order_acquire);
}

void fresh_opened(int fd, const struct wire_stat *stat)
{
	struct heard known;
	struct big it;
	uint32_t generation = generation_of(stat);
	if (likely(!generation) || !big_look(&it, fd, true) || !recall(&it, &known))
		return;
	known.generation = generation;
	remember(&known);
}

/* Copies a range of the file of the shelf, and what it has beyond our end. */
static void copy(struct big *it, int from, uint64_t at, uint64_t end)
{
	enum { SMALL_BYTES = 1 << 20 };
	struct stat st;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	void *room = (void *)kernel(SYS_mmap, 0, MOST_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
	if ((unsigned long)room >= -4095UL)
		return;
	if (big_again(it) < 0 || !it->can_store || kernel(SYS_fstat, from, &st) < 0)
		st.st_size = -1;
	uint64_t size = st.st_size < 0 ? 0 : (uint64_t)st.st_size;
	if (size < it->size && st.st_size >= 0)
		kernel(SYS_ftruncate, it->again, size);
	bool is_small = size <= SMALL_BYTES;
	uint64_t ranges[2][2] = { { is_small ? 0 : at & ~(uint64_t)(PAGE - 1), is_small ? size : end },
				  { it->size & ~(uint64_t)(PAGE - 1), is_small || size <= it->size ? 0 : size } };
	for (int range = 0; range < 2 && st.st_size >= 0; range++) {
		uint64_t until = (ranges[range][1] + PAGE - 1) & ~(uint64_t)(PAGE - 1);
		for (uint64_t next = ranges[range][0]; next < least(until, size);) {
			long count = kernel(SYS_pread64, from, room, least(MOST_BYTES, least(until, size) - next), next);
			if (count <= 0 || big_write(it->again, room, (size_t)count, next))
				break;
			next += (uint64_t)count;
		}
	}
	kernel(SYS_munmap, room, MOST_BYTES);
}

bool fresh_from_run(int fd, int64_t offset, size_t room)
{
	struct heard known;
	struct big it;
	if (likely(!table || !atomic_load_explicit(&table[0], memory_order_acquire)))
		return false;
	if (!big_look(&it, fd, true) || !recall(&it, &known) || known.is_endless)
		return false;
	uint32_t generation = generation_of(&known.stat);
	if (!generation)
		return false;
	int saved = errno;
	uint64_t at = offset >= 0 ? (uint64_t)offset : (uint64_t)kernel(SYS_lseek, fd, 0, SEEK_CUR);
	int64_t file = writing_find(known.stat.dev, known.stat.ino, true);
	int from = file > 0 ? writing_borrow((uint64_t)file) : -1;
	if (from >= 0) {
		copy(&it, from, at, at + room < at ? UINT64_MAX : at + room);
		kernel(SYS_close, from);
	} else if (file == -EAGAIN) {
		known.at_ms = 0; /* the target has it all */
		remember(&known);
	} else if (known.generation != generation) {
		renew(&it, &known);
		if (known.has_stat) {
			fetch_again(&it, (uint64_t)known.stat.size);
			append(&it, (uint64_t)known.stat.size);
		}
		known.is_behind = false;
		known.generation = generation;
		remember(&known);
	}
	big_leave(&it);
	errno = saved;
	return from >= 0;
}

/* ---- for hooks ---- */

void fresh_stat(int fd, uint64_t inode, struct wire_stat *stat)
{
	struct heard known;
	struct big it = { .fd = fd, .again = -1, .inode = inode };
	if (!S_ISREG(stat->mode) || !recall(&it, &known))
		return;
	uint32_t generation = generation_of(stat);
	int64_t file = unlikely(generation) ? writing_find(stat->dev, stat->ino, false) : 0;
	if (unlikely(file > 0) && writing_stat_of((uint64_t)file, stat) == 0)
		return;
	if (unlikely(generation) && (file == -EAGAIN || generation != known.generation))
		known.at_ms = 0;
	if (is_old(&known, FRESH_MS))
		renew(&it, &known);
	if (known.has_stat)
		*stat = known.stat;
}

static int64_t position_of(int fd, int64_t offset)
{
	return offset >= 0 ? offset : kernel(SYS_lseek, fd, 0, SEEK_CUR);
}

void fresh_before(int fd, int64_t offset)
{
	struct heard known;
	struct big it;
	if (position_of(fd, offset) != 0 || !big_look(&it, fd, true) || !it.is_whole || !recall(&it, &known))
		return;
	bool was_old = is_old(&known, FIRST_END_MS);
	if (was_old)
		renew(&it, &known);
	if (known.is_endless ? !was_old : !known.is_behind)
		return;
	if (known.is_endless) {
		uint64_t reached = big_again(&it) >= 0 && it.can_store ? fetch(&it, 0, MOST_BYTES) : 0;
		if (reached > 0)
			kernel(SYS_ftruncate, it.again, reached);
	} else {
		fetch_again(&it, (uint64_t)known.stat.size);
	}
	known.is_behind = false;
	remember(&known);
	big_leave(&it);
}

bool fresh_at_end(int fd, int64_t offset, size_t room)
{
	struct heard known;
	struct big it;
	offset = position_of(fd, offset);
	if (offset < 0 || room == 0 || !big_look(&it, fd, true))
		return false;
	if ((uint64_t)offset < it.size)
		return true; /* somebody else has looked meanwhile */
	if (!recall(&it, &known) || known.is_endless)
		return false;
	int64_t limit_ms = known.is_end_seen ? FRESH_MS : FIRST_END_MS;
	bool was_seen = known.is_end_seen;
	int64_t was = known.stat.size;
	known.is_end_seen = true;
	if (is_old(&known, limit_ms))
		renew(&it, &known);
	else if (!was_seen)
		remember(&known);
	if (known.stat.size > offset) {
		append(&it, least((uint64_t)known.stat.size, (uint64_t)offset + room));
	} else if (known.stat.size < was && (uint64_t)known.stat.size < it.size) {
		fetch_again(&it, (uint64_t)known.stat.size);
		known.is_behind = false;
		remember(&known);
	}
	big_leave(&it);
	return (uint64_t)offset < it.size;
}

void fresh_reach(int fd, uint64_t end)
{
	struct heard known;
	struct big it;
	if (!big_look(&it, fd, true) || end <= it.size || !recall(&it, &known) || !known.has_stat || known.is_endless)
		return;
	append(&it, least((uint64_t)known.stat.size, end));
	big_leave(&it);
}

int64_t fresh_size(int fd)
{
	struct heard known;
	struct big it;
	bool is_here = fresh_from_run(fd, 0, 0);
	if (!big_look(&it, fd, true))
		return -1;
	if (is_here)
		return (int64_t)it.size;
	if (!recall(&it, &known) || known.is_endless)
		return (int64_t)it.size;
	if (is_old(&known, FRESH_MS))
		renew(&it, &known);
	return known.has_stat ? known.stat.size : (int64_t)it.size;
}
