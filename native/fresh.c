/* fresh.c - opened remote files that change at the target. See fresh.h. */
#include "big_parts.h"
#include "fds.h"
#include "fresh.h"
#include "wire.h"

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

/* ---- for hooks ---- */

void fresh_stat(int fd, uint64_t inode, struct wire_stat *stat)
{
	struct heard known;
	struct big it = { .fd = fd, .again = -1, .inode = inode };
	if (!S_ISREG(stat->mode) || !recall(&it, &known))
		return;
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
	if (!big_look(&it, fd, true))
		return -1;
	if (!recall(&it, &known) || known.is_endless)
		return (int64_t)it.size;
	if (is_old(&known, FRESH_MS))
		renew(&it, &known);
	return known.has_stat ? known.stat.size : (int64_t)it.size;
}
