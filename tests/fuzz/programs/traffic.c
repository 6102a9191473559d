/* What the agent's C reads of strangers, over damaged bytes from standard input: heads, chunks, filters, segments, packets that are asked about. Each input
 * (u32 length, u8 kind, bytes) lies in memory of just its length, for the sanitizers to see what is read beyond it. */
#include "../../../native/sys/http_filter.h"
#include "../../../native/sys/hub.h"
#include "../../../native/sys/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct tellings tellings;
static struct lane lane;
static uint64_t fed;

struct lane *hub_lane(struct hub *hub)
{
	(void)hub;
	return &lane;
}

struct tellings *hub_tellings(struct hub *hub)
{
	(void)hub;
	return &tellings;
}

SYS int32_t tap_read(struct tap *tap, uint8_t *into, uint32_t room);
SYS void tap_close(struct tap *tap);

static struct http_filters *later(void)
{
	static const uint32_t words[] = { 6, 0 };
	return http_filters_make((const uint8_t *)words, sizeof words);
}

/* However the bytes are cut, the end of a head and of a body is the same. */
static void read_heads(const uint8_t *bytes, size_t length)
{
	struct http1_head head;
	http1_looks(bytes, length);
	http1_empty_lines(bytes, length);
	size_t end = http1_head_end(bytes, length, 0), piecewise = 0;
	for (size_t count = 1; count <= length && piecewise == 0; count++)
		piecewise = http1_head_end(bytes, count, count - 1);
	if (end != piecewise)
		abort();
	struct http_filters *filters = later();
	if (http1_request(bytes, end ? end : length, &head))
		http_filters_run(filters, &head);
	http_filters_release(filters);
	http1_response(bytes, end ? end : length, length % 2, &head);
}

static void read_chunks(const uint8_t *bytes, size_t length)
{
	struct http1_chunks whole = { 0 }, pieces = { 0 };
	bool is_over = false, is_over_too = false;
	ssize_t count = http1_chunks(&whole, bytes, length, &is_over), sum = 0;
	for (size_t at = 0; at < length && !is_over_too; at++) {
		ssize_t one = http1_chunks(&pieces, bytes + at, 1, &is_over_too);
		if (one < 0) {
			sum = -1;
			break;
		}
		sum += one;
	}
	if (count != sum || is_over != is_over_too)
		abort();
}

static void run_filter(const uint8_t *bytes, size_t length)
{
	static const char request[] = "GET /a?b HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n";
	struct http1_head head;
	struct http_filters *filters = http_filters_make(bytes, length);
	if (filters && http1_request((const uint8_t *)request, sizeof request - 1, &head))
		http_filters_run(filters, &head);
	http_filters_release(filters);
}

static struct tap *taps[64];
static uint32_t tap_count;

static struct tap *begin(void *context, const struct ends *ends)
{
	(void)context;
	(void)ends;
	if (tap_count == 64)
		return NULL;
	return taps[tap_count++] = tap_new(&lane, tap_count, NULL);
}

/* Every other one has gone. */
static bool stands(void *context, const struct ends *ends, uint32_t interface)
{
	(void)context;
	(void)interface;
	return ends->peer_port % 2;
}

/* A row of packets: u16 length, u8 is_out. */
static void take_segments(const uint8_t *bytes, size_t length)
{
	struct streams *streams = streams_open((struct streams_owner){ NULL, begin, stands });
	uint64_t now_ms = 0;
	for (size_t at = 0; at + 3 <= length;) {
		size_t count = (size_t)(bytes[at] | bytes[at + 1] << 8);
		bool is_out = bytes[at + 2] & 1;
		at += 3;
		if (count > length - at)
			count = length - at;
		uint8_t *packet = malloc(count);
		memcpy(packet, bytes + at, count);
		at += count;
		struct segment segment;
		if (sniff_read(packet, count, is_out, &segment))
			streams_take(streams, &segment, now_ms);
		now_ms += count;
		streams_look(streams, now_ms);
		free(packet);
	}
	streams_close(streams);
	uint8_t into[4096];
	atomic_store(&lane.allowance, 1 << 30);
	for (; tap_count > 0; tap_count--) {
		int32_t count;
		while ((count = tap_read(taps[tap_count - 1], into, sizeof into)) > 0)
			fed += (uint64_t)count;
		tap_close(taps[tap_count - 1]);
	}
}

/* ---- what the talks of a queue ask of others: now this, now that ---- */

static struct http_filters *wanted;
static uint64_t asked;

uint64_t queue_now_ms(void)
{
	return asked;
}

struct http_filters *queue_filters(struct queue *queue, uint16_t port)
{
	(void)queue;
	return port == 81 ? NULL : wanted;
}

static uint8_t spoken_there;

uint8_t queue_spoken(const struct queue *queue, uint16_t port)
{
	(void)queue;
	return port % 2 ? spoken_there : 0;
}

bool queue_settles(const struct queue *queue, uint16_t port)
{
	(void)queue;
	return port % 3 == 0;
}

void queue_note_spoken(struct queue *queue, uint16_t port, enum spoken spoken)
{
	(void)queue;
	(void)port;
	spoken_there |= (uint8_t)spoken;
}

void queue_note_refused(struct queue *queue, uint16_t port)
{
	(void)queue;
	fed += port;
}

int queue_diagnosis(struct queue *queue)
{
	(void)queue;
	return -1;
}

void look_up_socket(int diagnosis, const struct talk *talk, struct target_socket *into)
{
	(void)diagnosis;
	(void)talk;
	*into = (struct target_socket){ .state = ++asked % 5 ? SOCKET_OPEN : SOCKET_YOUNG };
}

enum taking take_over(struct queue *queue, struct talk *talk)
{
	(void)queue;
	fed += held_count(&talk->head) > 0 && talk->head.bytes[talk->head.at] > 0;
	return (enum taking)(++asked % 3);
}

int answers_watch(const struct ends *ends)
{
	(void)ends;
	return ++asked % 3 ? eventfd(0, 0) : -1;
}

unsigned answers_read(int fd, const struct ends *ends)
{
	(void)fd;
	(void)ends;
	return ++asked % 2 ? 101 : 404;
}

/* As those of take_segments(); the first byte decides whether every request is wanted, or none. */
static void judge_packets(const uint8_t *bytes, size_t length)
{
	static struct queue *const queue = NULL;
	struct talks *talks = talks_open(queue);
	spoken_there = 0;
	wanted = length > 0 && bytes[0] & 1 ? later() : http_filters_make(bytes, 0);
	for (size_t at = 0; at + 3 <= length && wanted;) {
		size_t count = (size_t)(bytes[at] | bytes[at + 1] << 8);
		struct packet packet = { .is_out = bytes[at + 2] & 1, .cut = bytes[at + 2] >> 1 };
		uint32_t part = 0;
		at += 3;
		if (count > length - at)
			count = length - at;
		uint8_t *copy = malloc(count), *shorter = malloc(count);
		memcpy(copy, bytes + at, count);
		at += count;
		packet.bytes = copy;
		packet.length = (uint32_t)count;
		bool is_segment = sniff_read(copy, count, packet.is_out, &packet.segment);
		packet.segment.length += packet.cut;
		if (is_segment &&
		    talks_judge(talks, &packet, &part) == PASS_PART)
			packet_shortened(&packet, part, shorter, (uint32_t)count);
		free(copy);
		free(shorter);
		if (at % 3 == 0)
			talks_take_wanted(talks);
	}
	talks_close(talks);
	http_filters_release(wanted);
}

/* passage_http.c has what measures bodies; the rest of it is not asked. */
bool reach_target(struct hub *hub, struct connection *it)
{
	(void)hub;
	(void)it;
	return false;
}

bool let_pass(struct hub *hub, struct connection *it, struct flow *flow, const uint8_t *bytes, size_t length)
{
	(void)hub;
	(void)it;
	(void)flow;
	(void)bytes;
	(void)length;
	return false;
}

void hand_over(struct hub *hub, struct connection *it, const uint8_t *bytes, size_t length)
{
	(void)hub;
	(void)it;
	(void)bytes;
	(void)length;
}

int main(void)
{
	static void (*const readers[])(const uint8_t *, size_t) = { read_heads, read_chunks, run_filter, take_segments,
								    judge_packets };
	uint32_t length, count = 0;
	uint8_t kind;
	if (tellings_open(&tellings) != 0)
		return 1;
	lane_open(&lane, &tellings);
	while (fread(&length, sizeof length, 1, stdin) == 1 && fread(&kind, 1, 1, stdin) == 1) {
		uint8_t *bytes = malloc(length);
		if (length > 0 && fread(bytes, length, 1, stdin) != 1)
			return 1;
		readers[kind % 5](bytes, length);
		free(bytes);
		count++;
	}
	lane_close(&lane);
	tellings_close(&tellings);
	printf("%u inputs, %llu bytes of streams\n", count, (unsigned long long)fed);
	return 0;
}
