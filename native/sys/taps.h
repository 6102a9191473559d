/* taps.h - copies of what clients say, for mirrors: bounded, and nobody waits for them. */
#ifndef MIRRORD_TAPS_H
#define MIRRORD_TAPS_H

#include "lane.h"

struct outlet;
struct piece;

struct tap {
	struct tap *next; /* of the same connection */
	struct lane *lane;
	pthread_mutex_t lock; /* of what follows */
	struct piece *first, *last;
	uint32_t id, held;
	bool has_ended, is_cut, is_waiting;
	uint8_t owners; /* who feeds it, and the reader */
	/* Where its bytes leave as frames of a stream (outlet.c), how many more may, and that there are more. NULL: tap_read. */
	struct outlet *outlet;
	uint32_t stream;
	uint64_t window;
	bool is_starved;
	/* The lane's: */
	struct tap_list *list;
	struct tap *next_in_list;
};

/* One whose news TypeScript hears by `id`, in front of others of the same connection. NULL: memory is short. */
struct tap *tap_new(struct lane *lane, uint32_t id, struct tap *next);
void taps_feed(struct tap *taps, const uint8_t *bytes, size_t length);
/* Some bytes are not to be had: the reader gets no more. */
void taps_cut(struct tap *taps);
/* There will be no more: what they hold is their readers'. */
void taps_finish(struct tap *taps);

/* The reader wants no more. */
void tap_close(struct tap *tap);

/* For the lane, with its lock held: its reader is told. */
void tap_wake(struct lane *lane, struct tap *tap);

/* For the outlet, with the tap's lock held. */
uint32_t tap_take_bytes(struct tap *tap, uint8_t *into, uint32_t room);
/* Its reader waits, and is told of what there is in its turn. */
void tap_await(struct tap *tap);

#endif
