/* lane.c - see lane.h. A mirror must not slow the target, and whoever reads it may run on the same processors.
 *
 * A scout that runs when nothing else wants to (SCHED_IDLE) takes short sleeps. When it wakes in time there is time to spare, and as much
 * may be read as there is. When it does not, a twentieth of a processor is what all that this process does may take, and a little that was
 * to spare before: readers wait until that has been saved up, and all of them get their turn then. What waits in the taps meanwhile is bounded there.
 */
#include "lane.h"
#include "taps.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SCOUT_NS 2000000
/* As late as a thread is on processors with nothing else to do, and some. */
#define LATE_NS 700000
/* The lane looks a little after the scout has. */
#define STEP_NS 2400000
/* What the scout found is believed for so long. */
#define FRESH_NS 4000000
/* Turns of a busy machine: the more is read at once, the less it costs. */
#define BUSY_STEP_NS 10000000
#define BUSY_TURN_NS 20000000
#define BUSY_BYTES_A_TURN (2 << 20)
#define SPARE_BYTES_A_TURN (16 << 20)
/* A new connection costs a twentieth of a millisecond before the first byte of it is read. */
#define BUSY_ANNOUNCEMENTS_A_TURN 16u
#define SPARE_ANNOUNCEMENTS_A_TURN 24u
#define MOST_ANNOUNCEMENTS 2048u
/* Of a processor's time, one in so many. */
#define SHARE 20
/* What has been to spare lately may be taken in a busy moment. */
#define MOST_SAVED_NS 50000000
/* Who has taken more (a burst; other work of the agent's) gets his next turn within a second. */
#define MOST_OWED_NS 45000000

struct announcement {
	struct announcement *next;
	struct tap *tap;
	struct telling telling;
	uint8_t bytes[];
};

static int64_t now_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void pause_for(int64_t ns)
{
	nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
}

/* Takes no lock: who holds one and gets no processor would keep others. */
static void *run_scout(void *argument)
{
	struct lane *lane = argument;
	struct sched_param none = { 0 };
	pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
	while (1) {
		while (sem_wait(&lane->turns) != 0 || sem_trywait(&lane->turns) == 0)
			;
		if (atomic_load(&lane->is_leaving))
			return NULL;
		int64_t before = now_ns(CLOCK_MONOTONIC);
		pause_for(SCOUT_NS);
		int64_t now = now_ns(CLOCK_MONOTONIC);
		if (now - before < SCOUT_NS + LATE_NS)
			atomic_store(&lane->spare_at, now);
	}
}

/* Time of processors that may be taken on a busy machine. */
struct budget {
	int64_t saved, at, used;
};

static void save(struct budget *it, bool is_spare)
{
	int64_t now = now_ns(CLOCK_MONOTONIC), used = now_ns(CLOCK_PROCESS_CPUTIME_ID), saved = it->saved;
	/* What nobody wanted is not owed. */
	if (is_spare)
		saved = (saved < 0 ? 0 : saved) + now - it->at;
	else
		saved += (now - it->at) / SHARE - (used - it->used);
	it->saved = saved > MOST_SAVED_NS ? MOST_SAVED_NS : saved < -MOST_OWED_NS ? -MOST_OWED_NS : saved;
	it->at = now;
	it->used = used;
}

/* How much may be read in the turn that begins when this returns. */
static int64_t wait_for_turn(struct lane *lane, struct budget *budget)
{
	int64_t began = now_ns(CLOCK_MONOTONIC), step = STEP_NS;
	while (!atomic_load(&lane->is_leaving)) {
		sem_post(&lane->turns);
		pause_for(step);
		int64_t now = now_ns(CLOCK_MONOTONIC);
		bool is_spare = now - atomic_load(&lane->spare_at) < FRESH_NS;
		save(budget, is_spare);
		if (is_spare)
			return SPARE_BYTES_A_TURN;
		if (now - began >= BUSY_TURN_NS && budget->saved > 0)
			return BUSY_BYTES_A_TURN;
		if (now - began >= BUSY_STEP_NS)
			step = BUSY_STEP_NS;
	}
	return 0;
}

void tap_list_open(struct tap_list *list)
{
	*list = (struct tap_list){ NULL, &list->first };
}

void tap_list_add(struct tap_list *list, struct tap *tap)
{
	tap->list = list;
	tap->next_in_list = NULL;
	*list->last = tap;
	list->last = &tap->next_in_list;
}

struct tap *tap_list_take(struct tap_list *list)
{
	struct tap *tap = list->first;
	if (!tap)
		return NULL;
	list->first = tap->next_in_list;
	if (!list->first)
		list->last = &list->first;
	tap->list = NULL;
	return tap;
}

/* With the lock held. Who has not heard the last ones yet has no time for more. */
static void announce(struct lane *lane, uint32_t most)
{
	if (!lane->next || !tellings_are_heard(lane->tellings))
		return;
	for (; lane->next && most > 0; most--) {
		struct announcement *it = lane->next;
		lane->next = it->next;
		tell(lane->tellings, it->telling, it->bytes);
		free(it);
		lane->announcements--;
	}
	if (!lane->next)
		lane->end = &lane->next;
}

static void *run_lane(void *argument)
{
	struct lane *lane = argument;
	struct budget budget = { MOST_SAVED_NS, now_ns(CLOCK_MONOTONIC), now_ns(CLOCK_PROCESS_CPUTIME_ID) };
	pthread_mutex_lock(&lane->lock);
	while (!lane->is_leaving) {
		while (!lane->waiting.first && !lane->next && !lane->is_leaving)
			pthread_cond_wait(&lane->has_work, &lane->lock);
		pthread_mutex_unlock(&lane->lock);
		int64_t allowance = wait_for_turn(lane, &budget);
		atomic_store(&lane->allowance, allowance);
		pthread_mutex_lock(&lane->lock);
		bool is_spare = allowance == SPARE_BYTES_A_TURN;
		if (!lane->is_leaving)
			announce(lane, is_spare ? SPARE_ANNOUNCEMENTS_A_TURN : BUSY_ANNOUNCEMENTS_A_TURN);
		for (struct tap *tap; (tap = tap_list_take(&lane->waiting)) != NULL;)
			tap_wake(lane, tap);
	}
	pthread_mutex_unlock(&lane->lock);
	return NULL;
}

void lane_open(struct lane *lane, struct tellings *tellings)
{
	*lane = (struct lane){ .tellings = tellings };
	tap_list_open(&lane->waiting);
	lane->end = &lane->next;
	pthread_mutex_init(&lane->lock, NULL);
	pthread_cond_init(&lane->has_work, NULL);
	sem_init(&lane->turns, 0, 0);
}

void lane_close(struct lane *lane)
{
	pthread_mutex_lock(&lane->lock);
	lane->is_leaving = true;
	pthread_cond_signal(&lane->has_work);
	pthread_mutex_unlock(&lane->lock);
	if (lane->is_started) {
		sem_post(&lane->turns);
		pthread_join(lane->thread, NULL);
		pthread_join(lane->scout, NULL);
	}
	while (lane->next) {
		struct announcement *it = lane->next;
		lane->next = it->next;
		tap_close(it->tap); /* nobody else will */
		free(it);
	}
	sem_destroy(&lane->turns);
	pthread_cond_destroy(&lane->has_work);
	pthread_mutex_destroy(&lane->lock);
}

/* With the lock held: its threads begin when they are needed first. */
static void start(struct lane *lane)
{
	sigset_t all, before;
	sigfillset(&all);
	/* Signals are the runtime's. */
	pthread_sigmask(SIG_BLOCK, &all, &before);
	lane->is_started = pthread_create(&lane->scout, NULL, run_scout, lane) == 0;
	if (lane->is_started && pthread_create(&lane->thread, NULL, run_lane, lane) != 0) {
		lane->is_started = false; /* the scout waits for ever: it has to go */
		pthread_cancel(lane->scout);
		pthread_join(lane->scout, NULL);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* With the lock held. */
static void begin_work(struct lane *lane, bool had_work)
{
	if (!lane->is_started && !lane->is_leaving)
		start(lane);
	if (!had_work)
		pthread_cond_signal(&lane->has_work);
}

bool lane_announce(struct lane *lane, struct tap *tap, struct telling telling, const uint8_t *bytes)
{
	struct announcement *it = malloc(sizeof *it + telling.length);
	if (!it)
		return false;
	*it = (struct announcement){ NULL, tap, telling };
	memcpy(it->bytes, bytes, telling.length);
	pthread_mutex_lock(&lane->lock);
	bool has_room = lane->announcements < MOST_ANNOUNCEMENTS && !lane->is_leaving;
	if (has_room) {
		begin_work(lane, lane->waiting.first || lane->next);
		*lane->end = it;
		lane->end = &it->next;
		lane->announcements++;
	}
	pthread_mutex_unlock(&lane->lock);
	if (!has_room)
		free(it);
	return has_room;
}

void lane_enter(struct lane *lane, struct tap *tap)
{
	pthread_mutex_lock(&lane->lock);
	begin_work(lane, lane->waiting.first || lane->next);
	tap_list_add(&lane->waiting, tap);
	pthread_mutex_unlock(&lane->lock);
}

void lane_leave(struct lane *lane, struct tap *tap)
{
	pthread_mutex_lock(&lane->lock);
	struct tap_list *list = tap->list;
	if (list) {
		struct tap **at = &list->first;
		while (*at != tap)
			at = &(*at)->next_in_list;
		*at = tap->next_in_list;
		if (!*at)
			list->last = at;
		tap->list = NULL;
	}
	pthread_mutex_unlock(&lane->lock);
}
