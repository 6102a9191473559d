/* sniff_filter.c - the socket filter of a sniffer (sniff.c): segments that come in to its ports,
 * and resets that go out from them. What agents pass on was seen before.
 *
 * The kernel runs it on every packet of the network; offsets are those of the IP header. A jump leads at most 255 instructions
 * far, so what does not fit returns at once.
 */
#include "sniff.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define MOST_INSTRUCTIONS (128 + 12 * SNIFF_MOST_PORTS)
#define TCP_RST 4
/* Of connections that agents pass on (src/agent/incoming/table.ts). */
#define AGENTS_MARK 0x6d000000u

struct program {
	struct sock_filter code[MOST_INSTRUCTIONS];
	uint16_t count;
};

static uint16_t emit(struct program *it, uint16_t code, uint8_t yes, uint8_t no, uint32_t value)
{
	it->code[it->count] = (struct sock_filter){ code, yes, no, value };
	return it->count++;
}

static void refuse(struct program *it)
{
	emit(it, BPF_RET | BPF_K, 0, 0, 0);
}

/* What was loaded has to be this. */
static void must_be(struct program *it, uint32_t value)
{
	emit(it, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, value);
	refuse(it);
}

/* What was loaded is one of the ports, or it is refused. */
static void end_with_ports(struct program *it, const uint16_t *ports, uint32_t count)
{
	for (uint32_t index = 0; index < count; index++) {
		emit(it, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, ports[index]);
		emit(it, BPF_RET | BPF_K, 0, 0, UINT32_MAX);
	}
	refuse(it);
}

enum header { V4_SHORT, V4_LONG, V6 };

/* Packets of one direction. Offsets that are known beforehand are compiled, others call a function for each load. */
static void check(struct program *it, bool is_out, enum header header, const uint16_t *ports, uint32_t count)
{
	uint16_t mode = header == V4_LONG ? BPF_IND : BPF_ABS;
	uint32_t fixed = header == V6 ? 40 : header == V4_SHORT ? 20 : 0;
	emit(it, BPF_LD | BPF_B | BPF_ABS, 0, 0, header == V6 ? 6 : 9);
	must_be(it, IPPROTO_TCP);
	if (header != V6) {
		emit(it, BPF_LD | BPF_H | BPF_ABS, 0, 0, 6);
		emit(it, BPF_JMP | BPF_JSET | BPF_K, 0, 1, 0x1fff); /* a later piece of a datagram */
		refuse(it);
	}
	if (header == V4_LONG)
		emit(it, BPF_LDX | BPF_B | BPF_MSH, 0, 0, 0);
	if (is_out) {
		emit(it, BPF_LD | BPF_B | mode, 0, 0, fixed + 13);
		emit(it, BPF_JMP | BPF_JSET | BPF_K, 1, 0, TCP_RST);
		refuse(it);
	}
	emit(it, BPF_LD | BPF_H | mode, 0, 0, fixed + (is_out ? 0 : 2));
	end_with_ports(it, ports, count);
}

/* Jumps over what follows unless what was loaded is `value`; to be ended by `here`. */
static uint16_t unless(struct program *it, uint32_t value)
{
	emit(it, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, value);
	return emit(it, BPF_JMP | BPF_JA, 0, 0, 0);
}

static void here(struct program *it, uint16_t jump)
{
	it->code[jump].k = it->count - jump - 1u;
}

static void check_both(struct program *it, bool is_out, const uint16_t *ports, uint32_t count)
{
	emit(it, BPF_LD | BPF_B | BPF_ABS, 0, 0, 0);
	uint16_t other = unless(it, 0x45);
	check(it, is_out, V4_SHORT, ports, count);
	here(it, other);
	emit(it, BPF_ALU | BPF_RSH | BPF_K, 0, 0, 4);
	other = unless(it, 4);
	check(it, is_out, V4_LONG, ports, count);
	here(it, other);
	must_be(it, 6);
	check(it, is_out, V6, ports, count);
}

int sniff_attach_filter(int fd, const uint16_t *ports, uint32_t count)
{
	struct program it = { .count = 0 };
	emit(&it, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(SKF_AD_OFF + SKF_AD_MARK));
	emit(&it, BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xff000000u);
	emit(&it, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, AGENTS_MARK);
	refuse(&it);
	emit(&it, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE));
	uint16_t other = unless(&it, PACKET_HOST);
	check_both(&it, false, ports, count);
	here(&it, other);
	must_be(&it, PACKET_OUTGOING);
	check_both(&it, true, ports, count);
	struct sock_fprog program = { it.count, it.code };
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 ? 0 : -errno;
}
