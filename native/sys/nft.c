/* nft.c - what messages to nftables are made of: see nft.h. */
#include "nft.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <netinet/in.h>
#include <string.h>

#define LOOPBACK_INDEX 1 /* of "lo", in every network */
#define TCP_SYN 0x02	 /* of SYN, ACK, RST and FIN (RFC 9293 3.1) */
#define TCP_FLAGS 0x17
#define QUEUE_BYPASS 1 /* NFT_QUEUE_FLAG_BYPASS, NFQ_FLAG_BYPASS */
#define LOCAL_ROUTE 2	 /* RTN_LOCAL of linux/rtnetlink.h */

static void *take(struct batch *batch, size_t bytes)
{
	size_t padded = NLMSG_ALIGN(bytes);
	if ((size_t)(batch->end - batch->at) < padded) {
		batch->is_full = true;
		return NULL;
	}
	void *room = batch->at;
	memset(room, 0, padded);
	batch->at += padded;
	return room;
}

void end_message(struct batch *batch)
{
	if (batch->head)
		batch->head->nlmsg_len = (uint32_t)(batch->at - (uint8_t *)batch->head);
	batch->head = NULL;
}

void begin_message(struct batch *batch, uint16_t type, uint16_t flags, uint16_t resource)
{
	end_message(batch);
	struct nlmsghdr *head = take(batch, sizeof *head);
	struct nfgenmsg *body = take(batch, sizeof *body);
	if (!head || !body)
		return;
	head->nlmsg_type = type;
	head->nlmsg_flags = NLM_F_REQUEST | flags;
	head->nlmsg_seq = batch->sequence++;
	body->nfgen_family = resource ? AF_UNSPEC : NFPROTO_INET;
	body->version = NFNETLINK_V0;
	body->res_id = htons(resource);
	batch->head = head;
}

void begin_nft(struct batch *batch, uint16_t type, uint16_t flags)
{
	begin_message(batch, (NFNL_SUBSYS_NFTABLES << 8) | type, flags, 0);
}

void put(struct batch *batch, uint16_t type, const void *value, size_t bytes)
{
	struct nlattr *attribute = take(batch, NLA_HDRLEN + bytes);
	if (!attribute)
		return;
	attribute->nla_type = type;
	attribute->nla_len = (uint16_t)(NLA_HDRLEN + bytes);
	memcpy((uint8_t *)attribute + NLA_HDRLEN, value, bytes);
}

void put_text(struct batch *batch, uint16_t type, const char *text)
{
	put(batch, type, text, strlen(text) + 1);
}

void put_u32(struct batch *batch, uint16_t type, uint32_t value)
{
	uint32_t ordered = htonl(value);
	put(batch, type, &ordered, sizeof ordered);
}

struct nlattr *nest(struct batch *batch, uint16_t type)
{
	struct nlattr *attribute = take(batch, NLA_HDRLEN);
	if (attribute)
		attribute->nla_type = type | NLA_F_NESTED;
	return attribute;
}

void end_nest(struct batch *batch, struct nlattr *attribute)
{
	if (attribute)
		attribute->nla_len = (uint16_t)(batch->at - (uint8_t *)attribute);
}

struct nlattr *begin_rule(struct batch *batch, const char *table, const char *chain, const char *comment)
{
	begin_nft(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	put_text(batch, NFTA_RULE_TABLE, table);
	put_text(batch, NFTA_RULE_CHAIN, chain);
	if (comment)
		put(batch, NFTA_RULE_USERDATA, comment, strlen(comment) + 1);
	return nest(batch, NFTA_RULE_EXPRESSIONS);
}

/* ---- the expressions of a rule; NFT_REG_1 carries from one to the next ---- */

struct expression begin_expression(struct batch *batch, const char *name)
{
	struct expression it = { .element = nest(batch, NFTA_LIST_ELEM) };
	put_text(batch, NFTA_EXPR_NAME, name);
	it.data = nest(batch, NFTA_EXPR_DATA);
	return it;
}

void end_expression(struct batch *batch, struct expression it)
{
	end_nest(batch, it.data);
	end_nest(batch, it.element);
}

static void put_value(struct batch *batch, uint16_t type, const void *value, size_t bytes)
{
	struct nlattr *data = nest(batch, type);
	put(batch, NFTA_DATA_VALUE, value, bytes);
	end_nest(batch, data);
}

static void load_value(struct batch *batch, const void *value, size_t bytes)
{
	struct expression it = begin_expression(batch, "immediate");
	put_u32(batch, NFTA_IMMEDIATE_DREG, NFT_REG_1);
	put_value(batch, NFTA_IMMEDIATE_DATA, value, bytes);
	end_expression(batch, it);
}

void load_meta(struct batch *batch, uint32_t key)
{
	struct expression it = begin_expression(batch, "meta");
	put_u32(batch, NFTA_META_DREG, NFT_REG_1);
	put_u32(batch, NFTA_META_KEY, key);
	end_expression(batch, it);
}

void set_mark(struct batch *batch, uint32_t mark)
{
	load_value(batch, &mark, sizeof mark);
	struct expression it = begin_expression(batch, "meta");
	put_u32(batch, NFTA_META_KEY, NFT_META_MARK);
	put_u32(batch, NFTA_META_SREG, NFT_REG_1);
	end_expression(batch, it);
}

void must_compare(struct batch *batch, uint32_t how, const void *value, size_t bytes)
{
	struct expression it = begin_expression(batch, "cmp");
	put_u32(batch, NFTA_CMP_SREG, NFT_REG_1);
	put_u32(batch, NFTA_CMP_OP, how);
	put_value(batch, NFTA_CMP_DATA, value, bytes);
	end_expression(batch, it);
}

void must_equal(struct batch *batch, const void *value, size_t bytes)
{
	must_compare(batch, NFT_CMP_EQ, value, bytes);
}

void load_payload(struct batch *batch, uint32_t base, uint32_t offset, uint32_t bytes, uint32_t into)
{
	struct expression it = begin_expression(batch, "payload");
	put_u32(batch, NFTA_PAYLOAD_DREG, into);
	put_u32(batch, NFTA_PAYLOAD_BASE, base);
	put_u32(batch, NFTA_PAYLOAD_OFFSET, offset);
	put_u32(batch, NFTA_PAYLOAD_LEN, bytes);
	end_expression(batch, it);
}

void load_tcp(struct batch *batch, uint32_t offset, uint32_t bytes)
{
	load_payload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, offset, bytes, NFT_REG_1);
}

void keep_bits(struct batch *batch, const void *mask, uint32_t bytes)
{
	uint32_t none = 0;
	struct expression it = begin_expression(batch, "bitwise");
	put_u32(batch, NFTA_BITWISE_SREG, NFT_REG_1);
	put_u32(batch, NFTA_BITWISE_DREG, NFT_REG_1);
	put_u32(batch, NFTA_BITWISE_LEN, bytes);
	put_value(batch, NFTA_BITWISE_MASK, mask, bytes);
	put_value(batch, NFTA_BITWISE_XOR, &none, bytes);
	end_expression(batch, it);
}

void must_have_flag(struct batch *batch, uint8_t flags)
{
	uint8_t none = 0;
	load_tcp(batch, 13, 1);
	keep_bits(batch, &flags, 1);
	must_compare(batch, NFT_CMP_NEQ, &none, 1);
}

void must_be_tcp(struct batch *batch, enum side side, uint16_t port)
{
	uint8_t tcp = IPPROTO_TCP;
	load_meta(batch, NFT_META_L4PROTO);
	must_equal(batch, &tcp, sizeof tcp);
	load_tcp(batch, side, 2);
	uint16_t ordered = htons(port);
	must_equal(batch, &ordered, sizeof ordered);
}

/* Not the middle of a connection: tracking may begin with our chains, and takes what it meets first for new. */
void must_begin_a_connection(struct batch *batch)
{
	uint8_t mask = TCP_FLAGS, syn = TCP_SYN;
	load_tcp(batch, 13, 1);
	keep_bits(batch, &mask, 1);
	must_equal(batch, &syn, sizeof syn);
}

/* Not what is only on its way through (a target may have the node's own network). */
void must_be_for_this_host(struct batch *batch)
{
	struct expression it = begin_expression(batch, "fib");
	put_u32(batch, NFTA_FIB_DREG, NFT_REG_1);
	put_u32(batch, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	put_u32(batch, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
	end_expression(batch, it);
	uint32_t local = LOCAL_ROUTE;
	must_equal(batch, &local, sizeof local);
}

void must_leave_by_loopback(struct batch *batch)
{
	uint32_t index = LOOPBACK_INDEX;
	load_meta(batch, NFT_META_OIF);
	must_equal(batch, &index, sizeof index);
}

void redirect_to(struct batch *batch, uint16_t port)
{
	uint16_t ordered = htons(port);
	load_value(batch, &ordered, sizeof ordered);
	struct expression it = begin_expression(batch, "redir");
	put_u32(batch, NFTA_REDIR_REG_PROTO_MIN, NFT_REG_1);
	end_expression(batch, it);
}

void conclude(struct batch *batch, int32_t code, const char *chain)
{
	struct expression it = begin_expression(batch, "immediate");
	put_u32(batch, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	struct nlattr *data = nest(batch, NFTA_IMMEDIATE_DATA), *verdict = nest(batch, NFTA_DATA_VERDICT);
	put_u32(batch, NFTA_VERDICT_CODE, (uint32_t)code);
	if (chain)
		put_text(batch, NFTA_VERDICT_CHAIN, chain);
	end_nest(batch, verdict);
	end_nest(batch, data);
	end_expression(batch, it);
}

/* Lets pass what carries a mark from `first` to `last`. */
void pass_marked(struct batch *batch, uint32_t first, uint32_t last)
{
	uint32_t from = htonl(first), to = htonl(last);
	load_meta(batch, NFT_META_MARK);
	struct expression it = begin_expression(batch, "byteorder");
	put_u32(batch, NFTA_BYTEORDER_SREG, NFT_REG_1);
	put_u32(batch, NFTA_BYTEORDER_DREG, NFT_REG_1);
	put_u32(batch, NFTA_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	put_u32(batch, NFTA_BYTEORDER_LEN, 4);
	put_u32(batch, NFTA_BYTEORDER_SIZE, 4);
	end_expression(batch, it);
	it = begin_expression(batch, "range");
	put_u32(batch, NFTA_RANGE_SREG, NFT_REG_1);
	put_u32(batch, NFTA_RANGE_OP, NFT_RANGE_EQ);
	put_value(batch, NFTA_RANGE_FROM_DATA, &from, sizeof from);
	put_value(batch, NFTA_RANGE_TO_DATA, &to, sizeof to);
	end_expression(batch, it);
	conclude(batch, NFT_RETURN, NULL);
}

/* Is it nothing but an acknowledgement, so long with its IP header? The rest of TCP's fourth word is in the way of none. */
void must_only_acknowledge(struct batch *batch, uint8_t head_words, uint32_t ip_bytes)
{
	uint16_t mask = htons(0xf00f), value = htons((uint16_t)(head_words << 12));
	uint32_t length = ip_bytes + 4u * head_words;
	uint8_t family = ip_bytes == 20 ? NFPROTO_IPV4 : NFPROTO_IPV6;
	load_meta(batch, NFT_META_LEN);
	must_equal(batch, &length, sizeof length);
	load_tcp(batch, 12, 2);
	keep_bits(batch, &mask, sizeof mask);
	must_equal(batch, &value, sizeof value);
	load_meta(batch, NFT_META_NFPROTO);
	must_equal(batch, &family, sizeof family);
}

/* `way`: see netfilter_commit(). */
void put_to_queue(struct batch *batch, uint16_t number, uint32_t way)
{
	struct expression it;
	if (way == 0) {
		uint16_t from = htons(number), count = htons(1), flags = htons(QUEUE_BYPASS);
		it = begin_expression(batch, "queue");
		put(batch, NFTA_QUEUE_NUM, &from, sizeof from);
		put(batch, NFTA_QUEUE_TOTAL, &count, sizeof count);
		put(batch, NFTA_QUEUE_FLAGS, &flags, sizeof flags);
	} else {
		_Alignas(8) uint8_t padded[8] = { 0 };
		struct xt_NFQ_info_v3 info = { .queuenum = number, .queues_total = 1, .flags = QUEUE_BYPASS };
		memcpy(padded, &info, sizeof info);
		it = begin_expression(batch, "target");
		put_text(batch, NFTA_TARGET_NAME, "NFQUEUE");
		put_u32(batch, NFTA_TARGET_REV, 3);
		put(batch, NFTA_TARGET_INFO, padded, sizeof padded);
	}
	end_expression(batch, it);
}
