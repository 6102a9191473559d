/* taps.c - see taps.h.
 *
 * The thread of the hub, or of a sniffer, puts bytes in, TypeScript takes them out in pieces. A reader that does not keep up loses the copy
 * (`is_cut`), the connection itself goes on. Bounded are each tap and all of them together.
 */
#include "taps.h"
#include "outlet.h"

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

static _Atomic uint64_t held_by_all;

struct tap *tap_new(struct lane *lane, uint32_t id, struct tap *next)
{
	struct tap *tap = calloc(1, sizeof *tap);
	if (!tap)
		return NULL;
	pthread_mutex_init(&tap->lock, NULL);
	tap->lane = lane;
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
	lane_enter(tap->lane, tap);
}

void tap_wake(struct lane *lane, struct tap *tap)
{
	if (tap->outlet)
		outlet_wake(tap->outlet, tap);
	else
		tell(lane->tellings, (struct telling){ TOLD_TAP, tap->id, -1, -1, 0 }, NULL);
}

void tap_await(struct tap *tap)
{
	tap->is_waiting = true;
	if (tap->first || tap->has_ended || tap->is_cut)
		notify(tap);
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

void taps_cut(struct tap *taps)
{
	for (struct tap *tap = taps; tap; tap = tap->next) {
		pthread_mutex_lock(&tap->lock);
		tap->is_cut = true;
		drop_all(tap);
		notify(tap);
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

uint32_t tap_take_bytes(struct tap *tap, uint8_t *into, uint32_t room)
{
	uint32_t count = 0;
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
	return count;
}

/* How many bytes; 0: it has ended; -EAGAIN: none now, and TypeScript will hear of some; -EPIPE: the copy was cut off. */
SYS int32_t tap_read(struct tap *tap, uint8_t *into, uint32_t room)
{
	int64_t allowance = atomic_load(&tap->lane->allowance);
	pthread_mutex_lock(&tap->lock);
	int32_t result = tap->is_cut ? -EPIPE : tap->has_ended && !tap->first ? 0 : -EAGAIN;
	if (tap->first && allowance > 0) {
		result = (int32_t)tap_take_bytes(tap, into, allowance < room ? (uint32_t)allowance : room);
		atomic_fetch_sub(&tap->lane->allowance, result);
	}
	tap->is_waiting = result == -EAGAIN;
	/* There are some, but it is not their turn. */
	if (tap->first && tap->is_waiting)
		notify(tap);
	pthread_mutex_unlock(&tap->lock);
	return result;
}

/* The reader wants no more. */
SYS void tap_close(struct tap *tap)
{
	pthread_mutex_lock(&tap->lock);
	drop_all(tap);
	tap->is_waiting = false;
	lane_leave(tap->lane, tap);
	release(tap);
}
