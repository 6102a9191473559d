/* taps.h - copies of what clients say, for mirrors: bounded, and nobody waits for them. */
#ifndef MIRRORD_TAPS_H
#define MIRRORD_TAPS_H

#include "lane.h"

struct piece;

struct tap {
	struct tap *next; /* of the same connection */
	struct lane *lane;
	pthread_mutex_t lock; /* of what follows */
	struct piece *first, *last;
	uint32_t id, held;
	bool has_ended, is_cut, is_waiting;
	uint8_t owners; /* who feeds it, and the reader */
	/* The lane's: */
	bool is_in_lane;
	struct tap *next_in_lane;
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

/* For the lane, with its lock held: its reader is told, and it leaves the lane. */
void tap_wake(struct lane *lane, struct tap *tap);

#endif
