/* outlet.c - see outlet.h. A mirror of many connections costs a busy target by the piece and not by the byte: TypeScript takes what all of
 * them have said in a turn of the lane as frames that are ready to leave, one call for all.
 *
 * A tap, as to its outlet:
 *
 * State      event                                action > next
 * AWAITED    bytes, an end; its turn in the lane  TypeScript is told, unless it was > READY
 * READY      taken, nothing is left               > AWAITED
 * READY      taken, more is left                  > READY, behind the others; AWAITED, when the turn has no more to give
 * READY      its stream has no window             > STARVED
 * STARVED    credit                               > AWAITED
 * READY      has ended, or was cut, and is empty  told with what is taken > nobody's
 */
#include "outlet.h"
#include "hub.h"
#include "taps.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define MOST_HEAD_BYTES 64u
/* Of one tap at once: others have their turn. */
#define PART_BYTES (64u << 10)

struct outlet {
	struct lane *lane;
	uint32_t id;
	uint32_t head_bytes, stream_at; /* of a frame: what stands before the bytes, and where in it the stream */
	uint8_t head[MOST_HEAD_BYTES];
	/* The lane's: */
	struct tap_list ready;
	bool is_told;
};

/* As src/sys/outlet.ts reads it. */
struct ended {
	uint32_t stream, is_cut;
};

void outlet_wake(struct outlet *it, struct tap *tap)
{
	tap_list_add(&it->ready, tap);
	if (!it->is_told)
		tell(it->lane->tellings, (struct telling){ TOLD_OUTLET, it->id, -1, -1, 0 }, NULL);
	it->is_told = true;
}

static struct tap *next_ready(struct outlet *it)
{
	pthread_mutex_lock(&it->lane->lock);
	struct tap *tap = tap_list_take(&it->ready);
	if (!tap)
		it->is_told = false;
	pthread_mutex_unlock(&it->lane->lock);
	return tap;
}

/* A frame of what the tap has, with its lock held. How long it is; 0: none. */
static uint32_t take_frame(struct outlet *it, struct tap *tap, uint8_t *into, uint32_t room)
{
	int64_t most = atomic_load(&it->lane->allowance);
	room -= it->head_bytes;
	if (most > room)
		most = room;
	if (most > PART_BYTES)
		most = PART_BYTES;
	if ((uint64_t)most > tap->window)
		most = (int64_t)tap->window;
	if (most <= 0 || !tap->first)
		return 0;
	uint32_t count = tap_take_bytes(tap, into + it->head_bytes, (uint32_t)most);
	atomic_fetch_sub(&it->lane->allowance, count);
	tap->window -= count;
	/* As src/proto/agent_codec.ts has it: the length of what follows, little-endian; the stream and the length of the bytes. */
	uint32_t length = it->head_bytes + count, rest = length - 4, stream = htonl(tap->stream), bytes = htonl(count);
	memcpy(into, it->head, it->head_bytes);
	for (int at = 0; at < 4; at++)
		into[at] = (uint8_t)(rest >> 8 * at);
	memcpy(into + it->stream_at, &stream, 4);
	memcpy(into + it->head_bytes - 4, &bytes, 4);
	return length;
}

/* What becomes of a tap that was taken from, with its lock held. True: it is over. */
static bool put_back(struct outlet *it, struct tap *tap)
{
	if (tap->is_cut || (tap->has_ended && !tap->first))
		return true;
	tap->is_starved = tap->first && tap->window == 0;
	if (tap->is_starved)
		return false;
	if (!tap->first || atomic_load(&it->lane->allowance) <= 0) {
		tap_await(tap);
		return false;
	}
	pthread_mutex_lock(&it->lane->lock);
	tap_list_add(&it->ready, tap);
	pthread_mutex_unlock(&it->lane->lock);
	return false;
}

/* ---- for TypeScript ---- */

/* Frames begin with `head`. TypeScript hears of it by `id`. NULL: memory is short. */
SYS struct outlet *outlet_open(struct hub *hub, uint32_t id, const uint8_t *head, uint32_t head_bytes, uint32_t stream_at)
{
	struct outlet *it = head_bytes > MOST_HEAD_BYTES ? NULL : calloc(1, sizeof *it);
	if (!it)
		return NULL;
	it->lane = hub_lane(hub);
	it->id = id;
	it->head_bytes = head_bytes;
	it->stream_at = stream_at;
	memcpy(it->head, head, head_bytes);
	tap_list_open(&it->ready);
	return it;
}

/* After its taps; the hub may be gone. */
SYS void outlet_close(struct outlet *it)
{
	free(it);
}

/* What the tap has leaves here as the stream's, `window` bytes of it without credit. */
SYS void outlet_join(struct outlet *it, struct tap *tap, uint32_t stream, uint32_t window)
{
	pthread_mutex_lock(&tap->lock);
	tap->stream = stream;
	tap->window = window;
	tap->outlet = it;
	tap_await(tap);
	pthread_mutex_unlock(&tap->lock);
}

SYS void outlet_credit(struct tap *tap, uint32_t bytes)
{
	pthread_mutex_lock(&tap->lock);
	tap->window += bytes;
	if (tap->is_starved)
		tap_await(tap);
	tap->is_starved = false;
	pthread_mutex_unlock(&tap->lock);
}

/* Whole frames, and streams that have ended behind them or were cut. How many bytes. When there are neither, nothing is ready any more, and
 * TypeScript will hear of what is. `room` is more than a head. */
SYS uint32_t outlet_take(struct outlet *it, uint8_t *into, uint32_t room, struct ended *ended, uint32_t ended_room,
			 uint32_t *ended_count)
{
	uint32_t count = 0;
	*ended_count = 0;
	while (room - count > it->head_bytes && *ended_count < ended_room) {
		struct tap *tap = next_ready(it);
		if (!tap)
			break;
		pthread_mutex_lock(&tap->lock);
		count += tap->is_cut ? 0 : take_frame(it, tap, into + count, room - count);
		if (put_back(it, tap))
			ended[(*ended_count)++] = (struct ended){ tap->stream, tap->is_cut };
		pthread_mutex_unlock(&tap->lock);
	}
	return count;
}
