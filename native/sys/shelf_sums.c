/* shelf_sums.c - what of a file does the target not have yet: found by comparing sums of its blocks, so that it does not
 * matter how the bytes came in (write, stdio, a shared mapping, a child, io_uring).
 *
 * A sum is NH (of UMAC, RFC 4418 5.2, with words of 64 bits): of two different blocks it is the same with a probability
 * of 2^-64 over the random keys, whatever the blocks are. It costs a multiplication for 16 bytes.
 *
 * Bytes are summed in the buffer from which they are sent, never in the file, which may change meanwhile: a sum always
 * speaks of what has left. Where the target has a hole, holes are the same, but zeros that were written are not: a full
 * disk must show.
 */
#include "sys.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shelf.h"

enum { BLOCK = SHELF_BLOCK_BYTES, CHUNK_BLOCKS = 1024, WORDS = BLOCK / sizeof(uint64_t) };
#define CHUNK_BYTES ((uint64_t)BLOCK * CHUNK_BLOCKS)

struct sum {
	unsigned __int128 value;
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

static struct sum sum_of(const struct sum_keys *keys, const uint8_t *block)
{
	unsigned __int128 first = 0, second = 0;
	for (int at = 0; at < WORDS; at += 4) {
		uint64_t word[4];
		memcpy(word, block + at * (int)sizeof *word, sizeof word);
		const uint64_t *key = keys->words + at;
		first += (unsigned __int128)(word[0] + key[0]) * (word[1] + key[1]);
		second += (unsigned __int128)(word[2] + key[2]) * (word[3] + key[3]);
	}
	return (struct sum){ first + second };
}

/* Never written at the target: a hole, or behind its end. And: not known. No block has these sums, or hardly any. */
#define HOLE (~(unsigned __int128)0)
#define DOUBT (~(unsigned __int128)1)

static struct sum sum_of_zeros(const struct sum_keys *keys)
{
	static const uint8_t zeros[BLOCK];
	return sum_of(keys, zeros);
}

/* The sum's place, made when there is none; NULL without memory. */
static struct sum *place_of(struct sums *sums, uint64_t offset)
{
	uint64_t at = offset / CHUNK_BYTES;
	if (at >= sums->count) {
		uint64_t count = at + 1 + at / 2;
		struct sum **chunks = realloc(sums->chunks, count * sizeof *chunks);
		if (!chunks)
			return NULL;
		memset(chunks + sums->count, 0, (count - sums->count) * sizeof *chunks);
		sums->chunks = chunks;
		sums->count = count;
	}
	if (!sums->chunks[at]) {
		struct sum *chunk = malloc(CHUNK_BLOCKS * sizeof *chunk);
		if (!chunk)
			return NULL;
		for (int block = 0; block < CHUNK_BLOCKS; block++)
			chunk[block].value = HOLE;
		sums->chunks[at] = chunk;
	}
	return &sums->chunks[at][offset % CHUNK_BYTES / BLOCK];
}

/* The sum of the first block of `data`, zeros behind its end. */
static struct sum sum_padded(const struct sum_keys *keys, const uint8_t *data, uint32_t length)
{
	uint8_t block[BLOCK];
	if (length >= BLOCK)
		return sum_of(keys, data);
	memcpy(block, data, length);
	memset(block + length, 0, BLOCK - length);
	return sum_of(keys, block);
}

int32_t sums_learn(struct sums *sums, const struct sum_keys *keys, uint64_t offset, const uint8_t *data, uint32_t length)
{
	for (uint32_t at = 0; at < length; at += BLOCK) {
		struct sum *place = place_of(sums, offset + at);
		if (!place)
			return -ENOMEM;
		*place = sum_padded(keys, data + at, length - at);
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
		sums->data_until = here.until;
	}
	return here;
}

/* The first block of a hole for which the target may have something else than a hole; `until` when there is none. */
static uint64_t skip_holes(const struct sums *sums, const struct sum_keys *keys, uint64_t from, uint64_t until)
{
	unsigned __int128 zeros = sum_of_zeros(keys).value;
	while (from < until && from / CHUNK_BYTES < sums->count) {
		const struct sum *chunk = sums->chunks[from / CHUNK_BYTES];
		if (!chunk) {
			from = (from / CHUNK_BYTES + 1) * CHUNK_BYTES;
			continue;
		}
		unsigned __int128 known = chunk[from % CHUNK_BYTES / BLOCK].value;
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

/* The first run of blocks in the piece that differ, moved to its front. Its bytes, or -errno. */
static int32_t first_difference(struct sums *sums, const struct sum_keys *keys, struct stretch here, uint8_t *piece,
				uint32_t length, uint32_t *skipped)
{
	uint32_t begin = length, end = length;
	for (uint32_t at = 0; at < length; at += BLOCK) {
		struct sum now = sum_padded(keys, piece + at, length - at);
		struct sum *known = place_of(sums, here.from + at);
		if (!known)
			return -ENOMEM;
		bool is_same = known->value == now.value || (here.is_hole && known->value == HOLE);
		if (is_same && begin < length) {
			end = at;
			break;
		}
		if (is_same)
			continue;
		begin = begin < length ? begin : at;
		*known = now;
	}
	*skipped = begin;
	memmove(piece, piece + begin, end - begin);
	return (int32_t)(end - begin);
}

int32_t sums_scan(struct sums *sums, const struct sum_keys *keys, int fd, uint64_t from, uint64_t until, uint8_t *into,
		  uint32_t capacity, uint64_t words[2])
{
	from &= ~(uint64_t)(BLOCK - 1);
	capacity &= ~(BLOCK - 1);
	while (from < until) {
		struct stretch here = stretch_at(sums, fd, from, until);
		if (here.is_hole)
			here.from = skip_holes(sums, keys, from, here.until);
		from = here.from;
		if (from >= here.until)
			continue;
		uint64_t room = here.until - from < capacity ? here.until - from : capacity;
		int32_t length = read_piece(fd, from, into, room);
		if (length <= 0)
			return length; /* it was made shorter meanwhile: the next sweep sees that */
		uint32_t skipped;
		int32_t count = first_difference(sums, keys, here, into, (uint32_t)length, &skipped);
		if (count < 0)
			return count;
		words[0] = from + skipped;
		words[1] = count > 0 ? words[0] + (uint32_t)count : from + (uint32_t)length;
		if (count > 0)
			return count;
		from = words[1];
	}
	return 0;
}

void sums_cut(struct sums *sums, uint64_t size)
{
	for (uint64_t at = 0; at < sums->count; at++) {
		if (!sums->chunks[at] || (at + 1) * CHUNK_BYTES <= size)
			continue;
		if (at * CHUNK_BYTES >= size) {
			free(sums->chunks[at]);
			sums->chunks[at] = NULL;
			continue;
		}
		for (uint64_t block = 0; block < CHUNK_BLOCKS; block++) {
			uint64_t offset = at * CHUNK_BYTES + block * BLOCK;
			if (offset >= size)
				sums->chunks[at][block].value = HOLE;
			else if (offset + BLOCK > size)
				sums->chunks[at][block].value = DOUBT; /* half of it is gone: sent again */
		}
	}
}

void sums_doubt(struct sums *sums)
{
	for (uint64_t at = 0; at < sums->count; at++)
		for (int block = 0; sums->chunks[at] && block < CHUNK_BLOCKS; block++)
			if (sums->chunks[at][block].value != HOLE)
				sums->chunks[at][block].value = DOUBT;
}

void sums_free(struct sums *sums)
{
	for (uint64_t at = 0; at < sums->count; at++)
		free(sums->chunks[at]);
	free(sums->chunks);
	*sums = (struct sums){ 0 };
}
