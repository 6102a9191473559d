/* sniff_streams.c - streams of bytes from the segments of TCP that come to the target, as it sees them.
 *
 * State      event                              action > next
 * -          SYN                                > BEGUN
 * BEGUN      a segment                          > OPEN
 * OPEN       the next bytes                     feed the tap, and what waited for them
 * OPEN       later bytes                        keep them; too many: some were lost here, cut the tap > IGNORED
 * OPEN       FIN, in its turn                   finish the tap > gone
 * any        RST, of either side                finish the tap > gone
 * OPEN       silent, and the target's socket    finish the tap > gone
 *            is gone
 * any        SYN                                another connection > BEGUN
 *
 * Everything is bounded: streams (the one that was silent longest goes), and what waits in each. Who sends segments that
 * the target would not take can disturb a mirror; the target he cannot.
 */
#include "sniff.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BUCKETS 4096u
#define MOST_STREAMS 16384u
#define MOST_WAITING (1u << 20)
#define MOST_WAITING_PIECES 256u
/* A window of TCP is at most 1 GiB (RFC 7323 2.2). */
#define MOST_AHEAD (1u << 30)
/* Who was silent for so long is asked after, then after twice as long, and so on. */
#define SILENT_MS 500u
#define MOST_SILENT_MS 60000u
#define MOST_ASKED_AT_ONCE 256u
/* Longer than a segment waits in the ring: what was sent before the socket went has come by the next look. */
#define LOOK_MS 250u

struct waiting {
	struct waiting *next;
	uint32_t sequence, length;
	bool is_last;
	uint8_t bytes[];
};

enum state { BEGUN, OPEN, IGNORED };

struct stream {
	struct stream *next; /* of the bucket */
	struct stream *older, *newer;
	struct ends ends;
	enum state state;
	uint32_t expected; /* sequence number */
	uint32_t interface;
	uint64_t heard_ms, ask_ms;
	bool is_gone; /* the target's socket */
	struct tap *tap;
	struct waiting *waiting; /* by sequence */
	uint32_t waiting_bytes, waiting_pieces;
};

struct streams {
	struct streams_owner owner;
	uint64_t seed, look_ms;
	uint32_t count;
	struct stream *oldest, *newest;
	struct stream *buckets[BUCKETS];
};

static uint32_t bucket_of(const struct streams *it, const struct ends *ends)
{
	return (uint32_t)(ends_hash(ends, it->seed) % BUCKETS);
}

static struct stream **find(struct streams *it, const struct ends *ends)
{
	struct stream **at = &it->buckets[bucket_of(it, ends)];
	while (*at && memcmp(&(*at)->ends, ends, sizeof *ends) != 0)
		at = &(*at)->next;
	return at;
}

static void drop_waiting(struct stream *stream)
{
	while (stream->waiting) {
		struct waiting *first = stream->waiting;
		stream->waiting = first->next;
		free(first);
	}
	stream->waiting_bytes = stream->waiting_pieces = 0;
}

static void leave_age(struct streams *it, struct stream *stream)
{
	*(stream->older ? &stream->older->newer : &it->oldest) = stream->newer;
	*(stream->newer ? &stream->newer->older : &it->newest) = stream->older;
}

static void become_newest(struct streams *it, struct stream *stream, uint64_t now_ms)
{
	stream->heard_ms = now_ms;
	stream->ask_ms = now_ms + SILENT_MS;
	stream->is_gone = false;
	stream->older = it->newest;
	stream->newer = NULL;
	*(it->newest ? &it->newest->newer : &it->oldest) = stream;
	it->newest = stream;
}

static void forget(struct streams *it, struct stream **at)
{
	struct stream *stream = *at;
	*at = stream->next;
	leave_age(it, stream);
	drop_waiting(stream);
	taps_finish(stream->tap);
	free(stream);
	it->count--;
}

static void cut(struct stream *stream)
{
	drop_waiting(stream);
	taps_cut(stream->tap);
	stream->state = IGNORED;
}

static void begin(struct streams *it, const struct segment *segment, uint64_t now_ms)
{
	struct stream **at = find(it, &segment->ends);
	/* The same SYN again. */
	if (*at && (*at)->state == BEGUN && (*at)->expected == segment->sequence + 1)
		return;
	if (*at)
		forget(it, at);
	if (it->count >= MOST_STREAMS)
		forget(it, find(it, &it->oldest->ends));
	struct stream *stream = calloc(1, sizeof *stream);
	if (!stream)
		return;
	stream->ends = segment->ends;
	stream->state = BEGUN;
	stream->expected = segment->sequence + 1;
	at = &it->buckets[bucket_of(it, &segment->ends)];
	stream->next = *at;
	*at = stream;
	become_newest(it, stream, now_ms);
	it->count++;
}

/* Keeps bytes whose turn has not come. */
static void keep(struct stream *stream, uint32_t sequence, const uint8_t *bytes, uint32_t length, bool is_last)
{
	struct waiting **at = &stream->waiting;
	while (*at && (int32_t)((*at)->sequence - sequence) < 0)
		at = &(*at)->next;
	/* The same again. */
	if (*at && (*at)->sequence == sequence && (*at)->length >= length && (*at)->is_last >= is_last)
		return;
	if (stream->waiting_bytes + length > MOST_WAITING || stream->waiting_pieces == MOST_WAITING_PIECES)
		return cut(stream);
	struct waiting *waiting = malloc(sizeof *waiting + length);
	if (!waiting)
		return cut(stream);
	*waiting = (struct waiting){ *at, sequence, length, is_last };
	memcpy(waiting->bytes, bytes, length);
	stream->waiting_bytes += length;
	stream->waiting_pieces++;
	*at = waiting;
}

/* Feeds what is new of these bytes. They may not begin later than is expected. */
static void feed(struct stream *stream, uint32_t sequence, const uint8_t *bytes, uint32_t length)
{
	uint32_t known = stream->expected - sequence;
	if (known >= length)
		return;
	taps_feed(stream->tap, bytes + known, length - known);
	stream->expected += length - known;
}

/* What waited, as far as its turn has come. True: the stream has ended. */
static bool feed_waiting(struct stream *stream)
{
	while (stream->waiting && (int32_t)(stream->waiting->sequence - stream->expected) <= 0) {
		struct waiting *first = stream->waiting;
		feed(stream, first->sequence, first->bytes, first->length);
		bool is_last = first->is_last && first->sequence + first->length == stream->expected;
		stream->waiting = first->next;
		stream->waiting_bytes -= first->length;
		stream->waiting_pieces--;
		free(first);
		if (is_last)
			return true;
	}
	return false;
}

static void take_bytes(struct streams *it, struct stream **at, const struct segment *segment)
{
	struct stream *stream = *at;
	bool is_last = segment->flags & FLAG_FIN;
	int32_t ahead = (int32_t)(segment->sequence - stream->expected);
	if (segment->length == 0 && !is_last)
		return;
	if (ahead > (int32_t)MOST_AHEAD || ahead < -(int32_t)MOST_AHEAD)
		return;
	if (ahead > 0)
		return keep(stream, segment->sequence, segment->bytes, segment->length, is_last);
	feed(stream, segment->sequence, segment->bytes, segment->length);
	bool has_ended = is_last && segment->sequence + segment->length == stream->expected;
	if (has_ended || feed_waiting(stream))
		forget(it, at);
}

void streams_take(struct streams *it, const struct segment *segment, uint64_t now_ms)
{
	if (segment->flags & FLAG_SYN && !segment->is_out)
		return begin(it, segment, now_ms);
	struct stream **at = find(it, &segment->ends);
	struct stream *stream = *at;
	if (!stream)
		return;
	if (segment->flags & FLAG_RST)
		return forget(it, at);
	if (segment->is_out)
		return;
	leave_age(it, stream);
	become_newest(it, stream, now_ms);
	stream->interface = segment->interface;
	if (stream->state == BEGUN) {
		stream->tap = it->owner.begin(it->owner.context, &stream->ends);
		stream->state = stream->tap ? OPEN : IGNORED;
	}
	if (stream->state == OPEN)
		take_bytes(it, at, segment);
	else if (segment->flags & FLAG_FIN)
		forget(it, at);
}

int streams_look(struct streams *it, uint64_t now_ms)
{
	if (it->count == 0)
		return -1;
	if (now_ms < it->look_ms)
		return (int)(it->look_ms - now_ms);
	it->look_ms = now_ms + LOOK_MS;
	uint32_t asked = 0;
	for (struct stream *stream = it->oldest, *newer; stream && asked < MOST_ASKED_AT_ONCE; stream = newer) {
		newer = stream->newer;
		uint64_t silent_ms = now_ms - stream->heard_ms;
		if (silent_ms < SILENT_MS)
			break;
		/* What has only begun may be known to nobody but its peer (SYN cookies). */
		if (now_ms < stream->ask_ms || stream->state == BEGUN)
			continue;
		if (stream->is_gone) {
			forget(it, find(it, &stream->ends));
			continue;
		}
		asked++;
		stream->is_gone = !it->owner.stands(it->owner.context, &stream->ends, stream->interface);
		stream->ask_ms = now_ms + (stream->is_gone ? LOOK_MS : silent_ms < MOST_SILENT_MS ? silent_ms : MOST_SILENT_MS);
	}
	return LOOK_MS;
}

struct streams *streams_open(struct streams_owner owner)
{
	struct streams *it = calloc(1, sizeof *it);
	if (!it)
		return NULL;
	it->owner = owner;
	if (getrandom(&it->seed, sizeof it->seed, 0) < 0)
		it->seed = (uint64_t)(uintptr_t)it;
	return it;
}

void streams_close(struct streams *it)
{
	while (it->oldest)
		forget(it, find(it, &it->oldest->ends));
	free(it);
}
