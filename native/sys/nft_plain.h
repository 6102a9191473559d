/* nft_plain.h - rules by which the kernel itself lets requests pass that nobody can want: plain ones, without a text that all who want
 * something need, on connections that are settled.
 *
 * Plain: a segment that begins with a method and ends with an empty line, whose heads announce no body and no upgrade. Settled: queue_talks.c
 * has seen the connection from its beginning on, and it is between two requests. Whatever is not both is asked about, and no connection
 * is settled while something of it waits for an answer: so nothing can pass that belongs to what was asked about.
 *
 * Needs matches of iptables (xt_bpf, xt_string) and sets that packets change (Linux 5.4); a kernel without refuses the batch.
 */
#ifndef MIRRORD_NFT_PLAIN_H
#define MIRRORD_NFT_PLAIN_H

#include "nft.h"

#define MOST_NEEDED 6

/* As src/sys/netfilter.ts writes it: of what somebody wants; terminated texts in upper case. */
struct needed_texts {
	uint16_t is_known, count;
	char texts[MOST_NEEDED][32];
};

/* What follows is for the table of the batch, named `table`. */

/* The sets of settled connections, empty. */
void put_settled_sets(struct batch *batch, const char *table);
/* In `chain`: plain requests to this port pass. */
void put_plain_requests(struct batch *batch, const char *table, const char *chain, uint16_t port, const struct needed_texts *needed);
/* In `chain`: connections of packets that have one of these flags (0: of all) are not settled any more. */
void put_unsettling(struct batch *batch, const char *table, const char *chain, uint8_t flags);
/* The chain "settled": connections that come into it are, when there `are_sets`; marks that packets have got for that are taken off. */
void put_settling(struct batch *batch, const char *table, bool are_sets);

#endif
