/* queue_packets.c - packets of TCP that we make, or make shorter, with their sums. */
#include "queue.h"

#include <netinet/in.h>
#include <string.h>

#define HOPS 64

static void put_word(uint8_t *at, uint32_t value)
{
	for (int index = 0; index < 4; index++)
		at[index] = (uint8_t)(value >> (24 - 8 * index));
}

/* RFC 1071. */
static uint32_t sum_of(const uint8_t *bytes, uint32_t length, uint32_t sum)
{
	for (uint32_t at = 0; at + 1 < length; at += 2)
		sum += (uint32_t)(bytes[at] << 8 | bytes[at + 1]);
	if (length & 1)
		sum += (uint32_t)(bytes[length - 1] << 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void put_sum(uint8_t *at, uint32_t sum)
{
	at[0] = (uint8_t)(~sum >> 8);
	at[1] = (uint8_t)~sum;
}

/* Lengths and sums of a packet whose TCP header lies at `head` and is followed by all that it carries. */
static void complete(uint8_t *packet, uint32_t head, uint32_t length)
{
	uint32_t carried = length - head, sum;
	if (packet[0] >> 4 == 4) {
		packet[2] = (uint8_t)(length >> 8);
		packet[3] = (uint8_t)length;
		packet[10] = packet[11] = 0;
		put_sum(packet + 10, sum_of(packet, head, 0));
		sum = sum_of(packet + 12, 8, IPPROTO_TCP + carried);
	} else {
		packet[4] = (uint8_t)(carried >> 8);
		packet[5] = (uint8_t)carried;
		sum = sum_of(packet + 8, 32, IPPROTO_TCP + carried);
	}
	packet[head + 16] = packet[head + 17] = 0;
	put_sum(packet + head + 16, sum_of(packet + head, carried, sum));
}

bool packet_is_sound(const struct packet *packet)
{
	uint32_t head = (uint32_t)(packet->segment.head - packet->bytes);
	uint32_t carried = (uint32_t)(packet->segment.bytes - packet->segment.head) + packet->segment.length;
	bool is_v4 = packet->bytes[0] >> 4 == 4;
	uint32_t sum = sum_of(packet->bytes + (is_v4 ? 12 : 8), is_v4 ? 8 : 32, IPPROTO_TCP + carried);
	return packet->cut > 0 || head + carried > packet->length || sum_of(packet->bytes + head, carried, sum) == 0xffff;
}

uint32_t packet_shortened(const struct packet *packet, uint32_t part, uint8_t *into, uint32_t room)
{
	uint32_t head = (uint32_t)(packet->segment.head - packet->bytes);
	uint32_t length = (uint32_t)(packet->segment.bytes - packet->bytes) + part;
	if (part > packet->segment.length || length > room)
		return 0;
	memcpy(into, packet->bytes, length);
	if (part < packet->segment.length)
		into[head + 13] &= (uint8_t)~FLAG_FIN;
	complete(into, head, length);
	return length;
}

uint32_t packet_empty(const struct ends *ends, uint32_t sequence, uint32_t ack, uint8_t flags, uint16_t window,
		      uint8_t into[EMPTY_PACKET_BYTES])
{
	bool is_v4 = ends->family == 4;
	uint32_t head = is_v4 ? 20 : 40;
	memset(into, 0, EMPTY_PACKET_BYTES);
	into[0] = is_v4 ? 0x45 : 0x60;
	into[is_v4 ? 8 : 7] = HOPS;
	into[is_v4 ? 9 : 6] = IPPROTO_TCP;
	memcpy(into + (is_v4 ? 12 : 8), ends->peer, is_v4 ? 4 : 16);
	memcpy(into + (is_v4 ? 16 : 24), ends->own, is_v4 ? 4 : 16);
	put_word(into + head, (uint32_t)ends->peer_port << 16 | ends->own_port);
	put_word(into + head + 4, sequence);
	put_word(into + head + 8, ack);
	into[head + 12] = 5 << 4;
	into[head + 13] = flags;
	into[head + 14] = (uint8_t)(window >> 8);
	into[head + 15] = (uint8_t)window;
	complete(into, head, head + 20);
	return head + 20;
}
