/* taps.c - copies of what clients say, for mirrors: bounded, and nobody waits for them.
 *
 * The hub's thread puts bytes in, TypeScript takes them out in pieces. A reader that does not keep up loses the copy
 * (`is_cut`), the connection itself goes on. Bounded are each tap and all of them together.
 */
#include "passage.h"
#include "tellings.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MOST_HELD (8u << 20)
#define MOST_HELD_BY_ALL (32u << 20)
#define PIECE_BYTES 4096u

struct piece {
	struct piece *next;
	uint32_t at, end, room;
	uint8_t bytes[];
};

struct tap {
	struct tap *next; /* of the same connection */
	struct tellings *tellings;
	pthread_mutex_t lock;
	struct piece *first, *last;
	uint32_t id, held;
	bool has_ended, is_cut, is_waiting;
	uint8_t owners; /* the hub, and the reader */
};

static _Atomic uint64_t held_by_all;

/* A tap whose news TypeScript hears by `id`, in front of others of the same connection. NULL: memory is short. */
SYS struct tap *tap_open(struct tellings *tellings, uint32_t id, struct tap *next)
{
	struct tap *tap = calloc(1, sizeof *tap);
	if (!tap)
		return NULL;
	pthread_mutex_init(&tap->lock, NULL);
	tap->tellings = tellings;
	tap->id = id;
	tap->next = next;
	tap->owners = 2;
	return tap;
}

static void drop_first(struct tap *tap)
{
	struct piece *piece = tap->first;
	tap->first = piece->next;
	if (!tap->first)
		tap->last = NULL;
	tap->held -= piece->room;
	atomic_fetch_sub(&held_by_all, piece->room);
	free(piece);
}

static void drop_all(struct tap *tap)
{
	while (tap->first)
		drop_first(tap);
}

/* Call with the lock held; it is given back. */
static void release(struct tap *tap)
{
	bool is_last = --tap->owners == 0;
	if (is_last)
		drop_all(tap);
	pthread_mutex_unlock(&tap->lock);
	if (!is_last)
		return;
	pthread_mutex_destroy(&tap->lock);
	free(tap);
}

/* The reader hears of what has changed. */
static void notify(struct tap *tap)
{
	if (!tap->is_waiting)
		return;
	tap->is_waiting = false;
	tell(tap->tellings, (struct telling){ TOLD_TAP, tap->id, -1, -1, 0 }, NULL);
}

static bool append(struct tap *tap, const uint8_t *bytes, uint32_t length)
{
	struct piece *last = tap->last;
	uint32_t fits = last ? last->room - last->end : 0;
	if (fits > length)
		fits = length;
	if (fits > 0) {
		memcpy(last->bytes + last->end, bytes, fits);
		last->end += fits;
		bytes += fits;
		length -= fits;
	}
	if (length == 0)
		return true;
	uint32_t room = length > PIECE_BYTES ? length : PIECE_BYTES;
	if (tap->held + room > MOST_HELD || atomic_load(&held_by_all) + room > MOST_HELD_BY_ALL)
		return false;
	struct piece *piece = malloc(sizeof *piece + room);
	if (!piece)
		return false;
	*piece = (struct piece){ .end = length, .room = room };
	memcpy(piece->bytes, bytes, length);
	tap->held += room;
	atomic_fetch_add(&held_by_all, room);
	*(last ? &last->next : &tap->first) = piece;
	tap->last = piece;
	return true;
}

void taps_feed(struct tap *taps, const uint8_t *bytes, size_t length)
{
	for (struct tap *tap = taps; tap; tap = tap->next) {
		pthread_mutex_lock(&tap->lock);
		if (!tap->is_cut && tap->owners == 2) {
			if (!append(tap, bytes, (uint32_t)length)) {
				tap->is_cut = true;
				drop_all(tap);
			}
			notify(tap);
		}
		pthread_mutex_unlock(&tap->lock);
	}
}

void taps_finish(struct tap *taps)
{
	while (taps) {
		struct tap *tap = taps;
		taps = tap->next;
		pthread_mutex_lock(&tap->lock);
		tap->has_ended = true;
		notify(tap);
		release(tap);
	}
}

/* How many bytes; 0: it has ended; -EAGAIN: none yet, and TypeScript will hear of some; -EPIPE: the copy was cut off. */
SYS int32_t tap_read(struct tap *tap, uint8_t *into, uint32_t room)
{
	pthread_mutex_lock(&tap->lock);
	uint32_t count = 0;
	int32_t otherwise = tap->is_cut ? -EPIPE : tap->has_ended ? 0 : -EAGAIN;
	while (tap->first && count < room) {
		struct piece *piece = tap->first;
		uint32_t some = piece->end - piece->at;
		if (some > room - count)
			some = room - count;
		memcpy(into + count, piece->bytes + piece->at, some);
		piece->at += some;
		count += some;
		if (piece->at == piece->end)
			drop_first(tap);
	}
	if (count == 0 && otherwise == -EAGAIN)
		tap->is_waiting = true;
	pthread_mutex_unlock(&tap->lock);
	return count > 0 ? (int32_t)count : otherwise;
}

/* The reader wants no more. */
SYS void tap_close(struct tap *tap)
{
	pthread_mutex_lock(&tap->lock);
	drop_all(tap);
	tap->is_waiting = false;
	release(tap);
}
