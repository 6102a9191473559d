/* nft_plain.c - see nft_plain.h. */
#include "nft_plain.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_bpf.h>
#include <linux/netfilter/xt_string.h>
#include <netinet/in.h>
#include <string.h>

#define TCP_FLAGS 0x3f /* RFC 9293 3.1, without those of ECN */
#define TCP_PSH_ACK 0x18
#define MOST_SETTLED 65535u
/* Who asks again later is looked at once more. A window of sequence numbers must not pass meanwhile (MOST_AHEAD of queue_talks.c). */
#define SETTLED_MS 20000u
/* Longer heads are asked about. */
#define MOST_PLAIN_BYTES 8192u

/* Connections are named by their addresses and ports, as they stand in the packet. */
struct family {
	const char *set;
	uint8_t protocol;
	uint8_t addresses_at, addresses_bytes;
	uint32_t id;
};

static const struct family families[] = {
	{ "settled4", NFPROTO_IPV4, 12, 8, 1 },
	{ "settled6", NFPROTO_IPV6, 8, 32, 2 },
};

#define FAMILIES (sizeof families / sizeof *families)
#define PORTS_BYTES 4

/* ---- sets ---- */

static void put_u64(struct batch *batch, uint16_t type, uint64_t value)
{
	uint32_t words[2] = { htonl((uint32_t)(value >> 32)), htonl((uint32_t)value) };
	put(batch, type, words, sizeof words);
}

void put_settled_sets(struct batch *batch, const char *table)
{
	for (size_t index = 0; index < FAMILIES; index++) {
		const struct family *it = &families[index];
		begin_nft(batch, NFT_MSG_NEWSET, NLM_F_CREATE);
		put_text(batch, NFTA_SET_TABLE, table);
		put_text(batch, NFTA_SET_NAME, it->set);
		put_u32(batch, NFTA_SET_ID, it->id);
		put_u32(batch, NFTA_SET_FLAGS, NFT_SET_EVAL | NFT_SET_TIMEOUT);
		put_u32(batch, NFTA_SET_KEY_TYPE, 0);
		put_u32(batch, NFTA_SET_KEY_LEN, it->addresses_bytes + PORTS_BYTES);
		put_u64(batch, NFTA_SET_TIMEOUT, SETTLED_MS);
		struct nlattr *description = nest(batch, NFTA_SET_DESC);
		put_u32(batch, NFTA_SET_DESC_SIZE, MOST_SETTLED);
		end_nest(batch, description);
		begin_nft(batch, NFT_MSG_DELSETELEM, 0);
		put_text(batch, NFTA_SET_ELEM_LIST_TABLE, table);
		put_text(batch, NFTA_SET_ELEM_LIST_SET, it->set);
	}
}

/* The packet's connection, when it is of this family. */
static void load_connection(struct batch *batch, const struct family *family)
{
	load_meta(batch, NFT_META_NFPROTO);
	must_equal(batch, &family->protocol, sizeof family->protocol);
	load_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, family->addresses_at, family->addresses_bytes, NFT_REG32_00);
	load_payload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, 0, PORTS_BYTES, NFT_REG32_00 + family->addresses_bytes / 4);
}

static void must_be_settled(struct batch *batch, const struct family *family)
{
	load_connection(batch, family);
	struct expression it = begin_expression(batch, "lookup");
	put_text(batch, NFTA_LOOKUP_SET, family->set);
	put_u32(batch, NFTA_LOOKUP_SREG, NFT_REG32_00);
	put_u32(batch, NFTA_LOOKUP_SET_ID, family->id);
	end_expression(batch, it);
}

static void change_set(struct batch *batch, const struct family *family, uint32_t operation)
{
	load_connection(batch, family);
	struct expression it = begin_expression(batch, "dynset");
	put_text(batch, NFTA_DYNSET_SET_NAME, family->set);
	put_u32(batch, NFTA_DYNSET_SET_ID, family->id);
	put_u32(batch, NFTA_DYNSET_OP, operation);
	put_u32(batch, NFTA_DYNSET_SREG_KEY, NFT_REG32_00);
	end_expression(batch, it);
}

void put_unsettling(struct batch *batch, const char *table, const char *chain, uint8_t flags)
{
	for (size_t index = 0; index < FAMILIES; index++) {
		struct nlattr *expressions = begin_rule(batch, table, chain, NULL);
		if (flags)
			must_have_flag(batch, flags);
		change_set(batch, &families[index], NFT_DYNSET_OP_DELETE);
		end_nest(batch, expressions);
	}
}

void put_settling(struct batch *batch, const char *table, bool are_sets)
{
	struct nlattr *expressions;
	for (size_t index = 0; are_sets && index < FAMILIES; index++) {
		expressions = begin_rule(batch, table, "settled", NULL);
		change_set(batch, &families[index], NFT_DYNSET_OP_ADD);
		end_nest(batch, expressions);
	}
	expressions = begin_rule(batch, table, "settled", NULL);
	set_mark(batch, 0);
	end_nest(batch, expressions);
}

/* ---- plain requests ---- */

static void put_match(struct batch *batch, const char *name, uint32_t revision, const void *info, size_t bytes)
{
	struct expression it = begin_expression(batch, "match");
	put_text(batch, NFTA_MATCH_NAME, name);
	put_u32(batch, NFTA_MATCH_REV, revision);
	put(batch, NFTA_MATCH_INFO, info, bytes);
	end_expression(batch, it);
}

#define FOUR(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* Begins with one of the methods after which nothing but a body can follow (so not CONNECT), ends with an empty line. Packets begin with
 * their IP header here; what is read beyond their end makes the whole program say no. */
static void must_look_plain(struct batch *batch)
{
	static const struct sock_filter program[] = {
		/* The header of IP: of IPv4, or of IPv6 without extensions. */
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x60, 2, 0),
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
		BPF_STMT(BPF_JMP | BPF_JA, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 20),
		BPF_STMT(BPF_LDX | BPF_IMM, 40),
		/* The header of TCP. */
		BPF_STMT(BPF_LD | BPF_B | BPF_IND, 12),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 2),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FOUR('G', 'E', 'T', ' '), 6, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FOUR('P', 'O', 'S', 'T'), 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FOUR('H', 'E', 'A', 'D'), 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FOUR('P', 'U', 'T', ' '), 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FOUR('D', 'E', 'L', 'E'), 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FOUR('P', 'A', 'T', 'C'), 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FOUR('O', 'P', 'T', 'I'), 0, 6),
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, MOST_PLAIN_BYTES, 4, 0),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, (uint32_t)-4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FOUR('\r', '\n', '\r', '\n'), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct xt_bpf_info info = { .bpf_program_num_elem = sizeof program / sizeof *program };
	memcpy(info.bpf_program, program, sizeof program);
	put_match(batch, "bpf", 0, &info, sizeof info);
}

/* Whatever the case of its letters. "kmp" finds also what lies in two of the packet's pieces. */
static void must_not_say(struct batch *batch, const char *text)
{
	struct xt_string_info info = { .to_offset = UINT16_MAX, .algo = "kmp", .patlen = (uint8_t)strlen(text) };
	memcpy(info.pattern, text, info.patlen);
	info.u.v1.flags = XT_STRING_FLAG_INVERT | XT_STRING_FLAG_IGNORECASE;
	put_match(batch, "string", 1, &info, sizeof info);
}

void put_plain_requests(struct batch *batch, const char *table, const char *chain, uint16_t port, const struct needed_texts *needed)
{
	uint8_t mask = TCP_FLAGS, flags = TCP_PSH_ACK;
	for (size_t index = 0; index < FAMILIES; index++) {
		struct nlattr *expressions = begin_rule(batch, table, chain, NULL);
		must_be_tcp(batch, SIDE_TO, port);
		load_tcp(batch, 13, 1);
		keep_bits(batch, &mask, 1);
		must_equal(batch, &flags, 1);
		must_be_settled(batch, &families[index]);
		must_look_plain(batch);
		for (uint16_t text = 0; text < needed->count && text < MOST_NEEDED; text++)
			must_not_say(batch, needed->texts[text]);
		must_not_say(batch, "\nCONTENT-LENGTH");
		must_not_say(batch, "\nTRANSFER-ENCODING");
		must_not_say(batch, "\nUPGRADE:");
		conclude(batch, NF_ACCEPT, NULL);
		end_nest(batch, expressions);
	}
}
