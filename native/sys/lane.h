/* lane.h - the slow lane: readers of taps are woken when the machine has time for them, or within a budget of its time when it has none,
 * and read no more than that. */
#ifndef MIRRORD_LANE_H
#define MIRRORD_LANE_H

#include "tellings.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

struct tap;

struct tap_list {
	struct tap *first, **last;
};

struct lane {
	struct tellings *tellings;
	pthread_t thread, scout;
	pthread_mutex_t lock;
	pthread_cond_t has_work;
	struct tap_list waiting; /* whose readers are to be woken */
	struct announcement *next, **end; /* of taps that have no reader yet */
	uint32_t announcements;
	bool is_started;
	_Atomic bool is_leaving;
	sem_t turns; /* the scout shall look */
	_Atomic int64_t spare_at; /* when it found last that a processor had nothing else to do */
	_Atomic int64_t allowance; /* bytes that may be read until the next turn */
};

void lane_open(struct lane *lane, struct tellings *tellings);
void lane_close(struct lane *lane);
/* Its reader is to be woken, once; it is in the lane until then. */
void lane_enter(struct lane *lane, struct tap *tap);
/* TypeScript hears of a new tap when there is time for one more, as of `telling`. False: too many wait. */
bool lane_announce(struct lane *lane, struct tap *tap, struct telling telling, const uint8_t *bytes);
/* It is no more to be woken, nor in another list of the lane's. */
void lane_leave(struct lane *lane, struct tap *tap);

/* With the lane's lock held; a tap is in one list at most. */
void tap_list_open(struct tap_list *list);
void tap_list_add(struct tap_list *list, struct tap *tap);
/* Its first, which is in it no more; NULL: it is empty. */
struct tap *tap_list_take(struct tap_list *list);

#endif
