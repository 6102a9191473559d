/* nft.h - messages to nftables in one batch, their attributes, and the expressions of a rule (NFT_REG_1 carries from one to the next). */
#ifndef MIRRORD_NFT_H
#define MIRRORD_NFT_H

#include "sys.h"

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>

/* What has no room is left out, and said. */
struct batch {
	uint8_t *start, *at, *end;
	bool is_full;
	uint32_t sequence;
	struct nlmsghdr *head;
};

enum side { SIDE_FROM = 0, SIDE_TO = 2 }; /* where it stands in a header of TCP */

struct expression {
	struct nlattr *element, *data;
};

void end_message(struct batch *batch);
void begin_message(struct batch *batch, uint16_t type, uint16_t flags, uint16_t resource);
void begin_nft(struct batch *batch, uint16_t type, uint16_t flags);
void put(struct batch *batch, uint16_t type, const void *value, size_t bytes);
void put_text(struct batch *batch, uint16_t type, const char *text);
void put_u32(struct batch *batch, uint16_t type, uint32_t value);
struct nlattr *nest(struct batch *batch, uint16_t type);
void end_nest(struct batch *batch, struct nlattr *attribute);
struct nlattr *begin_rule(struct batch *batch, const char *table, const char *chain, const char *comment);
struct expression begin_expression(struct batch *batch, const char *name);
void end_expression(struct batch *batch, struct expression it);
void load_meta(struct batch *batch, uint32_t key);
void set_mark(struct batch *batch, uint32_t mark);
void must_compare(struct batch *batch, uint32_t how, const void *value, size_t bytes);
void must_equal(struct batch *batch, const void *value, size_t bytes);
void load_payload(struct batch *batch, uint32_t base, uint32_t offset, uint32_t bytes, uint32_t into);
void load_tcp(struct batch *batch, uint32_t offset, uint32_t bytes);
void must_have_flag(struct batch *batch, uint8_t flags);
void keep_bits(struct batch *batch, const void *mask, uint32_t bytes);
void must_be_tcp(struct batch *batch, enum side side, uint16_t port);
void must_begin_a_connection(struct batch *batch);
void must_be_for_this_host(struct batch *batch);
void must_leave_by_loopback(struct batch *batch);
void redirect_to(struct batch *batch, uint16_t port);
void conclude(struct batch *batch, int32_t code, const char *chain);
void pass_marked(struct batch *batch, uint32_t first, uint32_t last);
void must_only_acknowledge(struct batch *batch, uint8_t head_words, uint32_t ip_bytes);
void put_to_queue(struct batch *batch, uint16_t number, uint32_t way);

#endif
