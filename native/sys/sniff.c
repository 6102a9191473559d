/* sniff.c - mirrors that cost the target nothing: copies of the segments that come to its ports, taken by a packet(7) socket.
 *
 * The target and its peers speak with each other as if nobody was here; whatever becomes of us, they do. The kernel puts copies
 * into a ring; a thread makes streams of them (sniff_streams.c) and feeds taps. What does not fit the ring is lost: then
 * a copy is cut off, never the connection. What the target sends is not looked at: that would cost it as much again.
 *
 * A segment to a port is only a connection of that port where nobody translates addresses: whoever sniffs has to see to that.
 * Needs CAP_NET_RAW.
 */
#include "sniff.h"
#include "hub.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A block has room for the longest packet. Many of them: each is used up within RETIRE_MS, however little is in it, and all of them
 * are for as long as we may wait for a busy processor. */
#define BLOCK_BYTES (128u << 10)
#define BLOCKS 128u
#define RETIRE_MS 10 /* how long a packet waits for others */

struct sniffer {
	struct hub *hub;
	struct streams *streams;
	uint8_t *ring;
	int fd, wake_fd;
	int standing_fd; /* -1: what the target sends is seen */
	uint32_t block, last_id;
	pthread_t thread;
	_Atomic bool is_leaving;
	bool is_missing; /* and TypeScript knows */
};

/* What TypeScript hears of a connection that has begun; as src/sys/sniffer.ts reads it. */
struct begun {
	uint64_t tap;
	struct ends ends;
};

/* ---- packets ---- */

static uint16_t word_at(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* The segment in a packet whose IP header is read. */
static bool read_segment(const uint8_t *tcp, size_t length, struct segment *it)
{
	if (length < 20)
		return false;
	size_t head = (size_t)(tcp[12] >> 4) * 4;
	if (head < 20 || head > length)
		return false;
	it->sequence = (uint32_t)word_at(tcp + 4) << 16 | word_at(tcp + 6);
	it->flags = tcp[13];
	it->head = tcp;
	it->bytes = tcp + head;
	it->length = (uint32_t)(length - head);
	uint16_t from = word_at(tcp), to = word_at(tcp + 2);
	it->ends.peer_port = it->is_out ? to : from;
	it->ends.own_port = it->is_out ? from : to;
	return true;
}

bool sniff_read(const uint8_t *packet, size_t length, bool is_out, struct segment *it)
{
	*it = (struct segment){ .is_out = is_out };
	uint8_t *source = is_out ? it->ends.own : it->ends.peer, *to = is_out ? it->ends.peer : it->ends.own;
	if (length < 20)
		return false;
	if (packet[0] >> 4 == 4) {
		size_t head = (size_t)(packet[0] & 15) * 4, total = word_at(packet + 2);
		/* Big TCP says 0. */
		if (total == 0 || total > length)
			total = length;
		if (head < 20 || head > total || packet[9] != IPPROTO_TCP)
			return false;
		it->ends.family = 4;
		memcpy(source, packet + 12, 4);
		memcpy(to, packet + 16, 4);
		return read_segment(packet + head, total - head, it);
	}
	if (packet[0] >> 4 != 6 || length < 40 || packet[6] != IPPROTO_TCP)
		return false;
	size_t payload = word_at(packet + 4);
	if (payload == 0 || payload > length - 40)
		payload = length - 40;
	it->ends.family = 6;
	memcpy(source, packet + 8, 16);
	memcpy(to, packet + 24, 16);
	return read_segment(packet + 40, payload, it);
}

/* ---- connections ---- */

static bool stands(void *context, const struct ends *ends, uint32_t interface)
{
	struct sniffer *it = context;
	return it->standing_fd < 0 || standing_ask(it->standing_fd, ends, interface);
}

static struct tap *begin(void *context, const struct ends *ends)
{
	struct sniffer *it = context;
	uint32_t id = 0x80000000u | ++it->last_id;
	struct tap *tap = tap_new(hub_lane(it->hub), id, NULL);
	if (!tap)
		return NULL;
	struct begun begun = { (uint64_t)(uintptr_t)tap, *ends };
	struct telling telling = { TOLD_BEGUN, id, -1, -1, sizeof begun };
	if (lane_announce(hub_lane(it->hub), tap, telling, (uint8_t *)&begun)) {
		it->is_missing = false;
		return tap;
	}
	tap_close(tap);
	taps_finish(tap);
	if (!it->is_missing)
		tell(hub_tellings(it->hub), (struct telling){ TOLD_MISSED, ends->own_port, -1, -1, 0 }, NULL);
	it->is_missing = true;
	return NULL;
}

/* ---- the ring ---- */

static void take_block(struct sniffer *it, struct tpacket_block_desc *block, uint64_t now_ms)
{
	uint8_t *at = (uint8_t *)block + block->hdr.bh1.offset_to_first_pkt;
	for (uint32_t count = block->hdr.bh1.num_pkts; count > 0; count--) {
		struct tpacket3_hdr *packet = (void *)at;
		const struct sockaddr_ll *address = (void *)(at + TPACKET_ALIGN(sizeof *packet));
		struct segment segment;
		if (sniff_read(at + packet->tp_net, packet->tp_snaplen, address->sll_pkttype == PACKET_OUTGOING, &segment)) {
			segment.interface = (uint32_t)address->sll_ifindex;
			streams_take(it->streams, &segment, now_ms);
		}
		at += packet->tp_next_offset;
	}
}

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void *run_sniffer(void *argument)
{
	struct sniffer *it = argument;
	while (!atomic_load(&it->is_leaving)) {
		uint64_t now = now_ms();
		struct tpacket_block_desc *block = (void *)(it->ring + (size_t)it->block * BLOCK_BYTES);
		uint32_t status = __atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE);
		if (!(status & TP_STATUS_USER)) {
			struct pollfd waiting[] = { { it->fd, POLLIN, 0 }, { it->wake_fd, POLLIN, 0 } };
			poll(waiting, 2, streams_look(it->streams, now));
			continue;
		}
		take_block(it, block, now);
		__atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		it->block = (it->block + 1) % BLOCKS;
	}
	return NULL;
}

static int open_ring(struct sniffer *it)
{
	int version = TPACKET_V3;
	struct tpacket_req3 wanted = {
		.tp_block_size = BLOCK_BYTES,
		.tp_block_nr = BLOCKS,
		.tp_frame_size = 2048,
		.tp_frame_nr = BLOCK_BYTES / 2048 * BLOCKS,
		.tp_retire_blk_tov = RETIRE_MS,
	};
	if (setsockopt(it->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0 ||
	    setsockopt(it->fd, SOL_PACKET, PACKET_RX_RING, &wanted, sizeof wanted) != 0)
		return -errno;
	void *ring = mmap(NULL, BLOCKS * BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, it->fd, 0);
	if (ring == MAP_FAILED)
		return -errno;
	it->ring = ring;
	return 0;
}

static void free_sniffer(struct sniffer *it)
{
	if (it->ring)
		munmap(it->ring, BLOCKS * BLOCK_BYTES);
	int fds[] = { it->fd, it->wake_fd, it->standing_fd };
	for (int index = 0; index < 3; index++)
		if (fds[index] >= 0)
			close(fds[index]);
	if (it->streams)
		streams_close(it->streams);
	free(it);
}

static int begin_sniffing(struct sniffer *it)
{
	it->fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (it->fd < 0)
		return -errno;
	it->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (it->wake_fd < 0)
		return -errno;
	it->streams = streams_open((struct streams_owner){ it, begin, stands });
	int error = it->streams ? sniff_attach_filter(it->fd, NULL, 0) : -ENOMEM;
	if (!error)
		error = open_ring(it);
	if (!error)
		it->standing_fd = standing_open();
	/* Its resets are among it: who does not see them has to ask. */
	int is_ignored = it->standing_fd >= 0;
	if (is_ignored)
		setsockopt(it->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &is_ignored, sizeof is_ignored);
	struct sockaddr_ll everywhere = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	if (!error && bind(it->fd, (struct sockaddr *)&everywhere, sizeof everywhere) != 0)
		error = -errno;
	sigset_t all, before;
	sigfillset(&all);
	/* Signals are the runtime's. */
	pthread_sigmask(SIG_BLOCK, &all, &before);
	if (!error)
		error = -pthread_create(&it->thread, NULL, run_sniffer, it);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

/* ---- for TypeScript ---- */

/* A sniffer of this thread's network, for no port yet; the hub tells of it. NULL, and -errno in `*error`. */
SYS struct sniffer *sniff_open(struct hub *hub, int32_t *error)
{
	struct sniffer *it = calloc(1, sizeof *it);
	*error = -ENOMEM;
	if (!it)
		return NULL;
	it->hub = hub;
	it->fd = it->wake_fd = it->standing_fd = -1;
	*error = begin_sniffing(it);
	if (!*error)
		return it;
	free_sniffer(it);
	return NULL;
}

/* These ports from now on. 0 or -errno. */
SYS int32_t sniff_ports(struct sniffer *it, const uint16_t *ports, uint32_t count)
{
	return count > SNIFF_MOST_PORTS ? -E2BIG : sniff_attach_filter(it->fd, ports, count);
}

/* Before its hub. */
SYS void sniff_close(struct sniffer *it)
{
	uint64_t one = 1;
	atomic_store(&it->is_leaving, true);
	if (write(it->wake_fd, &one, sizeof one) < 0)
		errno = 0; /* it is readable already */
	pthread_join(it->thread, NULL);
	free_sniffer(it);
}
