/* lane.c - see lane.h. A mirror must not slow the target, and whoever reads it may run on the same processors.
 *
 * The lane's thread runs when nothing else wants to (SCHED_IDLE). How late it wakes from a short sleep tells whether there was
 * anything else. If not, as much may be read as there is; the later it is, the less, down to a trickle: what waits in the
 * taps meanwhile is bounded there.
 */
#include "lane.h"
#include "taps.h"

#include <sched.h>
#include <signal.h>
#include <time.h>

#define TURN_NS 2000000
/* As late as a thread is on processors with nothing else to do, and some. */
#define LATE_NS 700000
#define MOST_BYTES_A_TURN (8 << 20)
#define LEAST_BYTES_A_SECOND (128 << 10)

static int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* How much may be read in this turn; `*rate`, in bytes a second, follows how late it came. */
static int64_t allowance_of(int64_t late_ns, int64_t turn_ns, int64_t *rate)
{
	const int64_t most = MOST_BYTES_A_TURN * (1000000000ll / TURN_NS);
	*rate = late_ns < LATE_NS ? *rate * 2 : *rate / 2;
	if (*rate > most)
		*rate = most;
	if (*rate < LEAST_BYTES_A_SECOND)
		*rate = LEAST_BYTES_A_SECOND;
	int64_t bytes = (int64_t)((double)*rate * (double)turn_ns / 1e9);
	return bytes < MOST_BYTES_A_TURN ? bytes : MOST_BYTES_A_TURN;
}

static void *run_lane(void *argument)
{
	struct lane *lane = argument;
	struct sched_param none = { 0 };
	pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
	int64_t rate = MOST_BYTES_A_TURN;
	pthread_mutex_lock(&lane->lock);
	while (!lane->is_leaving) {
		while (!lane->first && !lane->is_leaving)
			pthread_cond_wait(&lane->has_work, &lane->lock);
		pthread_mutex_unlock(&lane->lock);
		int64_t before = now_ns();
		nanosleep(&(struct timespec){ .tv_nsec = TURN_NS }, NULL);
		int64_t turn = now_ns() - before;
		atomic_store(&lane->allowance, allowance_of(turn - TURN_NS, turn, &rate));
		pthread_mutex_lock(&lane->lock);
		while (lane->first)
			tap_wake(lane, lane->first);
	}
	pthread_mutex_unlock(&lane->lock);
	return NULL;
}

void lane_open(struct lane *lane, struct tellings *tellings)
{
	*lane = (struct lane){ .tellings = tellings };
	lane->last = &lane->first;
	pthread_mutex_init(&lane->lock, NULL);
	pthread_cond_init(&lane->has_work, NULL);
}

void lane_close(struct lane *lane)
{
	pthread_mutex_lock(&lane->lock);
	lane->is_leaving = true;
	pthread_cond_signal(&lane->has_work);
	pthread_mutex_unlock(&lane->lock);
	if (lane->is_started)
		pthread_join(lane->thread, NULL);
	pthread_cond_destroy(&lane->has_work);
	pthread_mutex_destroy(&lane->lock);
}

/* With the lock held: its thread begins when it is needed first. */
static void start(struct lane *lane)
{
	sigset_t all, before;
	sigfillset(&all);
	/* Signals are the runtime's. */
	pthread_sigmask(SIG_BLOCK, &all, &before);
	lane->is_started = pthread_create(&lane->thread, NULL, run_lane, lane) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void lane_enter(struct lane *lane, struct tap *tap)
{
	pthread_mutex_lock(&lane->lock);
	if (!lane->is_started && !lane->is_leaving)
		start(lane);
	bool was_empty = !lane->first;
	tap->is_in_lane = true;
	tap->next_in_lane = NULL;
	*lane->last = tap;
	lane->last = &tap->next_in_lane;
	if (was_empty)
		pthread_cond_signal(&lane->has_work);
	pthread_mutex_unlock(&lane->lock);
}

void lane_leave(struct lane *lane, struct tap *tap)
{
	pthread_mutex_lock(&lane->lock);
	if (tap->is_in_lane) {
		struct tap **at = &lane->first;
		while (*at != tap)
			at = &(*at)->next_in_lane;
		*at = tap->next_in_lane;
		if (!*at)
			lane->last = at;
		tap->is_in_lane = false;
	}
	pthread_mutex_unlock(&lane->lock);
}
