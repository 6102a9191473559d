/* shelf_sums.c - what of a file does the target not have yet: found by comparing sums of its blocks, so that it does not
 * matter how the bytes came in (write, stdio, a shared mapping, a child, io_uring).
 *
 * A sum is NH (of UMAC, RFC 4418 5.2, with words of 64 bits): of two different blocks it is the same with a probability
 * of 2^-64 over the random keys, whatever the blocks are. It costs a multiplication for 16 bytes.
 *
 * Bytes are summed in the buffer from which they are sent, never in the file, which may change meanwhile: a sum always
 * speaks of what has left. Where the target has a hole, holes are the same, but zeros that were written are not: a full
 * disk must show.
 *
 * Of as many blocks as COPIES says the bytes themselves are kept, too. Of those only the bytes that differ are sent, so that
 * somebody at the target may change others of the same block; and what others have changed there can be merged in.
 */
#include "sys.h"

#include <stdbool.h>
#include <stdlib.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shelf.h"

enum { BLOCK = SHELF_BLOCK_BYTES, CHUNK_BLOCKS = 1024, WORDS = BLOCK / sizeof(uint64_t) };
#define CHUNK_BYTES ((uint64_t)BLOCK * CHUNK_BLOCKS)

/* Blocks of which all files together keep the bytes: 256 MiB. */
#define COPIES ((uint64_t)65536)
static _Atomic uint64_t copies;

struct chunk {
	unsigned __int128 sums[CHUNK_BLOCKS];
	uint64_t copied[CHUNK_BLOCKS / 64];
	uint8_t *bytes; /* CHUNK_BYTES, of which only what is `copied` takes memory; or NULL */
};

struct place {
	struct chunk *chunk; /* NULL: no memory */
	uint32_t block;
};

int32_t sums_start(struct sum_keys *keys)
{
	char *at = (char *)keys;
	for (size_t have = 0; have < sizeof *keys;) {
		ssize_t count = getrandom(at + have, sizeof *keys - have, 0);
		if (count < 0 && errno != EINTR)
			return -errno;
		have += count > 0 ? (size_t)count : 0;
	}
	return 0;
}

static unsigned __int128 sum_of(const struct sum_keys *keys, const uint8_t *block)
{
	unsigned __int128 first = 0, second = 0;
	for (int at = 0; at < WORDS; at += 4) {
		uint64_t word[4];
		memcpy(word, block + at * (int)sizeof *word, sizeof word);
		const uint64_t *key = keys->words + at;
		first += (unsigned __int128)(word[0] + key[0]) * (word[1] + key[1]);
		second += (unsigned __int128)(word[2] + key[2]) * (word[3] + key[3]);
	}
	return first + second;
}

/* Never written at the target: a hole, or behind its end. And: not known. No block has these sums, or hardly any. */
#define HOLE (~(unsigned __int128)0)
#define DOUBT (~(unsigned __int128)1)

static unsigned __int128 sum_of_zeros(const struct sum_keys *keys)
{
	static const uint8_t zeros[BLOCK];
	return sum_of(keys, zeros);
}

/* The block's place, made when there is none. */
static struct place place_of(struct sums *sums, uint64_t offset)
{
	uint64_t at = offset / CHUNK_BYTES;
	if (at >= sums->count) {
		uint64_t count = at + 1 + at / 2;
		struct chunk **chunks = realloc(sums->chunks, count * sizeof *chunks);
		if (!chunks)
			return (struct place){ 0 };
		memset(chunks + sums->count, 0, (count - sums->count) * sizeof *chunks);
		sums->chunks = chunks;
		sums->count = count;
	}
	if (!sums->chunks[at]) {
		struct chunk *chunk = calloc(1, sizeof *chunk);
		if (!chunk)
			return (struct place){ 0 };
		for (int block = 0; block < CHUNK_BLOCKS; block++)
			chunk->sums[block] = HOLE;
		sums->chunks[at] = chunk;
	}
	return (struct place){ sums->chunks[at], (uint32_t)(offset % CHUNK_BYTES / BLOCK) };
}

/* What the target has there; NULL when that is not kept. */
static uint8_t *copy_at(struct place at)
{
	bool is_kept = at.chunk->copied[at.block / 64] >> (at.block % 64) & 1;
	return is_kept ? at.chunk->bytes + (size_t)at.block * BLOCK : NULL;
}

static void let_go(struct place at)
{
	if (!copy_at(at))
		return;
	at.chunk->copied[at.block / 64] &= ~((uint64_t)1 << (at.block % 64));
	atomic_fetch_sub(&copies, 1);
}

static void let_all_go(struct chunk *chunk)
{
	for (uint32_t block = 0; block < CHUNK_BLOCKS; block++)
		let_go((struct place){ chunk, block });
	if (chunk->bytes)
		munmap(chunk->bytes, CHUNK_BYTES);
	chunk->bytes = NULL;
}

/* The target has this block now. */
static void know(struct place at, const struct sum_keys *keys, const uint8_t *block)
{
	at.chunk->sums[at.block] = sum_of(keys, block);
	if (!copy_at(at)) {
		if (atomic_load(&copies) >= COPIES)
			return;
		int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
		if (!at.chunk->bytes) {
			void *bytes = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
			if (bytes == MAP_FAILED)
				return;
			at.chunk->bytes = bytes;
		}
		at.chunk->copied[at.block / 64] |= (uint64_t)1 << (at.block % 64);
		atomic_fetch_add(&copies, 1);
	}
	memcpy(at.chunk->bytes + (size_t)at.block * BLOCK, block, BLOCK);
}

/* The first block of `data`, zeros behind its end. */
static void pad(uint8_t block[BLOCK], const uint8_t *data, uint64_t length)
{
	uint32_t there = length < BLOCK ? (uint32_t)length : BLOCK;
	memcpy(block, data, there);
	memset(block + there, 0, BLOCK - there);
}

int32_t sums_learn(struct sums *sums, const struct sum_keys *keys, uint64_t offset, const uint8_t *data, uint32_t length)
{
	uint8_t block[BLOCK];
	for (uint32_t at = 0; at < length; at += BLOCK) {
		struct place place = place_of(sums, offset + at);
		if (!place.chunk)
			return -ENOMEM;
		pad(block, data + at, length - at);
		know(place, keys, block);
	}
	return 0;
}

/* A stretch of the file: bytes that somebody has written, or a hole. */
struct stretch {
	uint64_t from, until;
	bool is_hole;
};

static struct stretch stretch_at(struct sums *sums, int fd, uint64_t from, uint64_t until)
{
	struct stretch here = { from, until, false };
	/* The kernel walks all pages to the next hole: that is asked once. A hole made there meanwhile reads as zeros. */
	if (from >= sums->data_from && from < sums->data_until) {
		here.until = sums->data_until < until ? sums->data_until : until;
		return here;
	}
	off_t data = lseek(fd, (off_t)from, SEEK_DATA);
	off_t hole = data == (off_t)from ? lseek(fd, (off_t)from, SEEK_HOLE) : -1;
	here.is_hole = data > (off_t)from || (data < 0 && errno == ENXIO);
	off_t end = here.is_hole ? data : hole;
	if (end > (off_t)from && (uint64_t)end < until)
		here.until = (uint64_t)end;
	if (!here.is_hole) {
		sums->data_from = from;
		/* The file may end within a block now, and grow: a block is looked at from its beginning. */
		sums->data_until = (here.until + BLOCK - 1) & ~(uint64_t)(BLOCK - 1);
	}
	return here;
}

/* The first block of a hole for which the target may have something else than a hole; `until` when there is none. */
static uint64_t skip_holes(const struct sums *sums, const struct sum_keys *keys, uint64_t from, uint64_t until)
{
	unsigned __int128 zeros = sum_of_zeros(keys);
	while (from < until && from / CHUNK_BYTES < sums->count) {
		const struct chunk *chunk = sums->chunks[from / CHUNK_BYTES];
		if (!chunk) {
			from = (from / CHUNK_BYTES + 1) * CHUNK_BYTES;
			continue;
		}
		unsigned __int128 known = chunk->sums[from % CHUNK_BYTES / BLOCK];
		if (known != HOLE && known != zeros)
			return from;
		from += BLOCK;
	}
	return until;
}

static int32_t read_piece(int fd, uint64_t from, uint8_t *into, uint64_t length)
{
	ssize_t count;
	do
		count = pread(fd, into, length, (off_t)from);
	while (count < 0 && errno == EINTR);
	return count < 0 ? -errno : (int32_t)count;
}

/* ---- which bytes differ ---- */

struct range {
	uint32_t from, length;
};
/* Of one block: more that lie this close together are joined, for each costs the agent a system call. */
enum { FEW_RANGES = 32, CLOSE_BYTES = 8, MOST_RANGES = BLOCK / (CLOSE_BYTES + 1) + FEW_RANGES + 1 };

static uint32_t ranges_in(const uint8_t *now, const uint8_t *before, uint32_t close, struct range into[], uint32_t most)
{
	uint32_t count = 0;
	for (uint32_t at = 0; at < BLOCK;) {
		uint64_t a, b;
		memcpy(&a, now + at / 8 * 8, sizeof a);
		memcpy(&b, before + at / 8 * 8, sizeof b);
		if (a == b) {
			at = at / 8 * 8 + 8;
			continue;
		}
		if (now[at] == before[at]) {
			at++;
			continue;
		}
		struct range *last = count ? &into[count - 1] : NULL;
		if (last && at - (last->from + last->length) < close)
			last->length = at + 1 - last->from;
		else if (count == most)
			return most + 1;
		else
			into[count++] = (struct range){ at, 1 };
		at++;
	}
	return count;
}

/* The ranges in which two blocks differ, up to `length`. */
static uint32_t differing(const uint8_t *now, const uint8_t *before, uint32_t length, struct range into[MOST_RANGES])
{
	uint32_t count = ranges_in(now, before, 1, into, FEW_RANGES);
	if (count > FEW_RANGES)
		count = ranges_in(now, before, CLOSE_BYTES, into, MOST_RANGES);
	while (count > 0 && into[count - 1].from >= length)
		count--;
	if (count > 0 && into[count - 1].from + into[count - 1].length > length)
		into[count - 1].length = length - into[count - 1].from;
	return count;
}

/* What one message is to bring: bytes end to end in `into`, and where they belong. */
enum { MOST_PAIRS = 4096 };
struct gathering {
	uint8_t *into;
	uint32_t capacity, bytes, count;
	struct range pairs[MOST_PAIRS]; /* by their distance from the piece */
};

static bool is_next(const struct gathering *it, uint32_t from)
{
	const struct range *last = it->count ? &it->pairs[it->count - 1] : NULL;
	return last && last->from + last->length == from;
}

static bool has_room(const struct gathering *it, uint32_t at, const struct range ranges[], uint32_t count)
{
	uint32_t bytes = it->bytes, all = it->count + count - (count > 0 && is_next(it, at + ranges[0].from));
	for (uint32_t next = 0; next < count; next++)
		bytes += ranges[next].length;
	return all <= MOST_PAIRS && bytes + (all > 1 ? all * (uint32_t)sizeof(struct range) : 0) <= it->capacity;
}

static void gather(struct gathering *it, uint32_t at, const uint8_t *block, const struct range ranges[], uint32_t count)
{
	for (uint32_t next = 0; next < count; next++) {
		struct range range = ranges[next];
		memcpy(it->into + it->bytes, block + range.from, range.length);
		it->bytes += range.length;
		if (is_next(it, at + range.from))
			it->pairs[it->count - 1].length += range.length;
		else
			it->pairs[it->count++] = (struct range){ at + range.from, range.length };
	}
}

/* Gathers what differs in a piece of the file, which lies in the gathering's own memory. Where to look on in it, or -errno. */
static int64_t gather_piece(struct gathering *it, struct sums *sums, const struct sum_keys *keys, struct stretch here,
			    uint32_t length)
{
	uint8_t block[BLOCK];
	struct range ranges[MOST_RANGES];
	for (uint32_t at = 0; at < length; at += BLOCK) {
		uint32_t there = length - at < BLOCK ? length - at : BLOCK;
		pad(block, it->into + at, there);
		struct place place = place_of(sums, here.from + at);
		if (!place.chunk)
			return -ENOMEM;
		unsigned __int128 known = place.chunk->sums[place.block];
		const uint8_t *copy = copy_at(place);
		bool is_same = copy ? memcmp(copy, block, BLOCK) == 0 :
				      (here.is_hole && known == HOLE) || known == sum_of(keys, block);
		if (is_same)
			continue;
		uint32_t count = copy ? differing(block, copy, there, ranges) : 1;
		if (!copy || !has_room(it, at, ranges, count)) {
			ranges[0] = (struct range){ 0, there };
			count = 1;
			/* What was gathered takes the place of what was read: a piece that does not fit any more ends here. */
			if (it->count > 0 && (copy || !has_room(it, at, ranges, count)))
				return at;
		}
		gather(it, at, block, ranges, count);
		know(place, keys, block);
	}
	return length;
}

int32_t sums_scan(struct sums *sums, const struct sum_keys *keys, int fd, uint64_t from, uint64_t until, uint8_t *into,
		  uint32_t capacity, uint64_t words[4])
{
	struct gathering *it = malloc(sizeof *it);
	int32_t count = it ? 0 : -ENOMEM;
	from &= ~(uint64_t)(BLOCK - 1);
	capacity &= ~(BLOCK - 1);
	while (it && from < until && count == 0) {
		struct stretch here = stretch_at(sums, fd, from, until);
		if (here.is_hole)
			here.from = skip_holes(sums, keys, from, here.until);
		from = here.from;
		if (from >= here.until)
			continue;
		uint64_t room = here.until - from < capacity ? here.until - from : capacity;
		count = read_piece(fd, from, into, room);
		if (count <= 0)
			break; /* it was made shorter meanwhile: the next sweep sees that */
		it->into = into;
		it->capacity = capacity;
		it->bytes = it->count = 0;
		int64_t next = gather_piece(it, sums, keys, here, (uint32_t)count);
		if (next < 0) {
			count = (int32_t)next;
			break;
		}
		count = (int32_t)it->bytes;
		if (it->count > 0) {
			struct range first = it->pairs[0], last = it->pairs[it->count - 1];
			words[0] = from + first.from;
			words[2] = it->count > 1 ? it->count : 0;
			words[3] = from + last.from + last.length;
			for (uint32_t at = 0; at < it->count; at++)
				it->pairs[at].from -= first.from;
			if (it->count > 1) {
				memcpy(into + it->bytes, it->pairs, it->count * sizeof *it->pairs);
				count += (int32_t)(it->count * sizeof *it->pairs);
			}
		}
		from += (uint64_t)next;
		words[1] = from;
	}
	free(it);
	return count;
}

/* Writes the ranges of a block into the file. 0 or -errno. */
static int32_t put_ranges(int fd, uint64_t offset, const uint8_t *block, const struct range ranges[], uint32_t count)
{
	for (uint32_t at = 0; at < count; at++) {
		uint32_t from = ranges[at].from;
		ssize_t written = pwrite(fd, block + from, ranges[at].length, (off_t)(offset + from));
		if (written != (ssize_t)ranges[at].length)
			return written < 0 ? -errno : -EIO;
	}
	return 0;
}

/* Every other byte of a block, when the program has changed those between. */
enum { ALL_RANGES = BLOCK / 2 };
_Static_assert((int)MOST_RANGES <= (int)ALL_RANGES, "what differs fits as well");

/* The ranges in which others have changed the block and the program has not. */
static uint32_t taken_over(struct place place, const struct sum_keys *keys, const uint8_t *theirs, const uint8_t *ours,
			   uint32_t length, struct range into[ALL_RANGES])
{
	static const uint8_t zeros[BLOCK];
	unsigned __int128 known = place.chunk->sums[place.block];
	const uint8_t *before = known == HOLE ? zeros : copy_at(place);
	if (known == DOUBT || (!before && known != sum_of(keys, ours)))
		return 0;
	if (!before)
		return differing(theirs, ours, length, into);
	struct range changed[MOST_RANGES];
	uint32_t count = differing(theirs, before, length, changed), kept = 0;
	for (uint32_t next = 0; next < count; next++) {
		bool goes_on = false;
		for (uint32_t at = changed[next].from; at < changed[next].from + changed[next].length; at++) {
			bool is_ours = ours[at] != before[at];
			if (!is_ours && goes_on)
				into[kept - 1].length++;
			else if (!is_ours)
				into[kept++] = (struct range){ at, 1 };
			goes_on = !is_ours && kept > 0 && into[kept - 1].from + into[kept - 1].length == at + 1;
		}
	}
	return kept;
}

int32_t sums_merge(struct sums *sums, const struct sum_keys *keys, int fd, uint64_t offset, const uint8_t *data,
		   uint32_t length)
{
	uint8_t theirs[BLOCK], ours[BLOCK];
	struct range ranges[ALL_RANGES];
	for (uint32_t at = 0; at < length; at += BLOCK) {
		struct place place = place_of(sums, offset + at);
		if (!place.chunk)
			return -ENOMEM;
		pad(theirs, data + at, length - at);
		int32_t count = read_piece(fd, offset + at, ours, BLOCK);
		if (count < 0)
			return count;
		memset(ours + count, 0, BLOCK - (uint32_t)count);
		uint32_t there = length - at < BLOCK ? length - at : BLOCK;
		uint32_t taken = taken_over(place, keys, theirs, ours, there, ranges);
		int32_t status = put_ranges(fd, offset + at, theirs, ranges, taken);
		if (status < 0)
			return status;
		know(place, keys, theirs);
	}
	/* Zeros at the end differ from nothing. */
	struct stat st;
	if (length > 0 && fstat(fd, &st) == 0 && (uint64_t)st.st_size < offset + length &&
	    pwrite(fd, data + length - 1, 1, (off_t)(offset + length - 1)) < 0)
		return -errno;
	return 0;
}

void sums_cut(struct sums *sums, const struct sum_keys *keys, uint64_t size)
{
	sums->data_from = sums->data_until = 0;
	for (uint64_t at = 0; at < sums->count; at++) {
		struct chunk *chunk = sums->chunks[at];
		if (!chunk || (at + 1) * CHUNK_BYTES <= size)
			continue;
		if (at * CHUNK_BYTES >= size) {
			let_all_go(chunk);
			free(chunk);
			sums->chunks[at] = NULL;
			continue;
		}
		for (uint32_t block = 0; block < CHUNK_BLOCKS; block++) {
			uint64_t offset = at * CHUNK_BYTES + (uint64_t)block * BLOCK;
			struct place place = { chunk, block };
			uint8_t *copy = copy_at(place);
			if (offset >= size) {
				let_go(place);
				chunk->sums[block] = HOLE;
			} else if (offset + BLOCK > size && copy) {
				memset(copy + (size - offset), 0, BLOCK - (size - offset));
				chunk->sums[block] = sum_of(keys, copy);
			} else if (offset + BLOCK > size && chunk->sums[block] != HOLE) {
				chunk->sums[block] = DOUBT; /* half of it is gone: sent again */
			}
		}
	}
}

void sums_doubt(struct sums *sums, uint64_t from, uint64_t until)
{
	for (uint64_t at = from / CHUNK_BYTES; at < sums->count && at * CHUNK_BYTES < until; at++) {
		struct chunk *chunk = sums->chunks[at];
		for (uint32_t block = 0; chunk && block < CHUNK_BLOCKS; block++) {
			uint64_t offset = at * CHUNK_BYTES + (uint64_t)block * BLOCK;
			if (chunk->sums[block] == HOLE || offset + BLOCK <= from || offset >= until)
				continue;
			let_go((struct place){ chunk, block });
			chunk->sums[block] = DOUBT;
		}
	}
}

void sums_free(struct sums *sums)
{
	for (uint64_t at = 0; at < sums->count; at++) {
		if (sums->chunks[at])
			let_all_go(sums->chunks[at]);
		free(sums->chunks[at]);
	}
	free(sums->chunks);
	*sums = (struct sums){ 0 };
}
