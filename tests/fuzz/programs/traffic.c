/* What the agent's C reads of strangers, over damaged bytes from standard input: heads, chunks, filters, segments. Each input
 * (u32 length, u8 kind, bytes) lies in memory of just its length, for the sanitizers to see what is read beyond it. */
#include "../../../native/sys/http_filter.h"
#include "../../../native/sys/hub.h"
#include "../../../native/sys/sniff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* A row of packets: u16 length, u8 is_out. */
static void take_segments(const uint8_t *bytes, size_t length)
{
	struct streams *streams = streams_open((struct streams_owner){ NULL, begin });
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
			streams_take(streams, &segment);
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

int main(void)
{
	static void (*const readers[])(const uint8_t *, size_t) = { read_heads, read_chunks, run_filter, take_segments };
	uint32_t length, count = 0;
	uint8_t kind;
	if (tellings_open(&tellings) != 0)
		return 1;
	lane_open(&lane, &tellings);
	while (fread(&length, sizeof length, 1, stdin) == 1 && fread(&kind, 1, 1, stdin) == 1) {
		uint8_t *bytes = malloc(length);
		if (length > 0 && fread(bytes, length, 1, stdin) != 1)
			return 1;
		readers[kind % 4](bytes, length);
		free(bytes);
		count++;
	}
	lane_close(&lane);
	tellings_close(&tellings);
	printf("%u inputs, %llu bytes of streams\n", count, (unsigned long long)fed);
	return 0;
}
