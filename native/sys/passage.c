/* passage.c - the hub: connections that are passed on to the target's own program, on a thread of their own
 *
 * TypeScript accepts a connection and starts it here (passage_start); from then on its bytes go both ways without
 * TypeScript, until both directions have ended, either side is reset, or it is somebody's who subscribed to it: then it
 * is handed over, and may be started again later. Each direction ends alone; a reset travels as a reset. With `taps` the
 * client's bytes are copied (taps.c); with filters they are HTTP/1 or looked at until they are not (passage_http.c).
 *
 * Memory of a connection is bounded: what was read and not sent yet is at most CHUNK_BYTES for each direction, and a head.
 * An idle one holds none. The thread is made by the main thread, so it dials in the target's network.
 */
#include "passage.h"
#include "hub.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_BYTES (64u << 10)
#define MOST_UNREAD (64u << 10) /* of bytes whose turn has not come */
#define MOST_ROUNDS 16		/* before others have their turn */
#define EVENTS 128
#define TARGET_SIDE 1ul /* in the pointer of an event */

struct hub {
	struct tellings tellings;
	struct lane lane;
	int poll_fd, wake_fd;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	struct connection *started;
	bool is_leaving, is_resetting, is_ending_idle;
	/* The thread's own: */
	struct connection *all, *dead;
	uint64_t next_deadline_ms;
	bool is_urgent; /* somebody has not come to an end */
	uint8_t chunk[CHUNK_BYTES];
};

struct lane *hub_lane(struct hub *hub)
{
	return &hub->lane;
}

struct tellings *hub_tellings(struct hub *hub)
{
	return &hub->tellings;
}

/* ---- the end of a connection ---- */

static void unlink_connection(struct hub *hub, struct connection *it)
{
	if (it->previous)
		it->previous->next = it->next;
	else
		hub->all = it->next;
	if (it->next)
		it->next->previous = it->previous;
	it->is_over = true;
	it->next_dead = hub->dead;
	hub->dead = it;
}

static void end_connection(struct hub *hub, struct connection *it)
{
	struct linger at_once = { 1, 0 };
	int fds[] = { it->there.from, it->back.from };
	for (int index = 0; index < 2; index++) {
		if (fds[index] < 0)
			continue;
		if (it->is_broken)
			setsockopt(fds[index], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
		close(fds[index]);
	}
	tell(&hub->tellings, (struct telling){ TOLD_CLOSED, it->id, -1, -1, 0 }, NULL);
	unlink_connection(hub, it);
}

static void free_connection(struct connection *it)
{
	taps_finish(it->taps);
	free(it->there.unread.bytes);
	free(it->there.unsent.bytes);
	free(it->back.unread.bytes);
	free(it->back.unsent.bytes);
	http_filters_release(it->filters);
	free(it);
}

void hand_over(struct hub *hub, struct connection *it, const uint8_t *bytes, size_t length)
{
	int client = it->there.from, target = it->back.from;
	epoll_ctl(hub->poll_fd, EPOLL_CTL_DEL, client, NULL);
	if (target >= 0)
		epoll_ctl(hub->poll_fd, EPOLL_CTL_DEL, target, NULL);
	tell(&hub->tellings, (struct telling){ TOLD_HANDED, it->id, client, target, (uint32_t)length }, bytes);
	unlink_connection(hub, it);
}

/* ---- bytes ---- */

static bool watch(struct hub *hub, int fd, struct connection *it, uintptr_t side)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
	event.data.ptr = (void *)((uintptr_t)it | side);
	return epoll_ctl(hub->poll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool reach_target(struct hub *hub, struct connection *it)
{
	if (it->back.from >= 0)
		return true;
	int fd = redirected_dial(it->family, it->host, it->port, it->mark);
	if (fd < 0)
		return false;
	it->there.to = it->back.from = fd;
	/* Within one host it stands by now, unless the listener's queue is full. */
	struct pollfd standing = { fd, POLLOUT, 0 };
	it->is_connecting = poll(&standing, 1, 0) <= 0;
	it->there.is_writable = !it->is_connecting;
	return watch(hub, fd, it, TARGET_SIDE);
}

/* How many were taken; -1: it is broken. */
static ssize_t send_some(struct flow *flow, const uint8_t *bytes, size_t length)
{
	if (!flow->is_writable || flow->to < 0)
		return 0;
	ssize_t count = send(flow->to, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (count < 0 && errno == EINTR)
		return 0;
	if (count < 0 && errno != EAGAIN)
		return -1;
	flow->is_writable = count == (ssize_t)length;
	return count < 0 ? 0 : count;
}

bool let_pass(struct hub *hub, struct connection *it, struct flow *flow, const uint8_t *bytes, size_t length)
{
	(void)hub;
	if (it->taps && flow == &it->there)
		taps_feed(it->taps, bytes, length);
	ssize_t count = held_count(&flow->unsent) == 0 ? send_some(flow, bytes, length) : 0;
	if (count < 0)
		return false;
	return (size_t)count == length || hold(&flow->unsent, bytes + count, length - (size_t)count);
}

static ssize_t look(struct hub *hub, struct connection *it, struct flow *flow, const uint8_t *bytes, size_t length)
{
	/* The next request waits until the client has all of the last answer: then it can be handed over. */
	if (flow == &it->there && it->phase == IDLE && held_count(&it->back.unsent) > 0)
		return 0;
	return flow == &it->there ? look_at_requests(hub, it, bytes, length) : look_at_answers(hub, it, bytes, length);
}

/* Bytes that were just read. */
static bool take_in(struct hub *hub, struct connection *it, struct flow *flow, size_t length)
{
	const uint8_t *at = hub->chunk, *end = at + length;
	while (at < end && held_count(&flow->unread) == 0) {
		ssize_t count = look(hub, it, flow, at, (size_t)(end - at));
		if (count < 0)
			return false;
		if (it->is_over)
			return true;
		if (count == 0)
			break;
		at += count;
	}
	return at == end || hold(&flow->unread, at, (size_t)(end - at));
}

/* Bytes that wait for their turn. `*has_moved` when some had it. */
static bool take_unread(struct hub *hub, struct connection *it, struct flow *flow, bool *has_moved)
{
	struct held *unread = &flow->unread;
	if (held_count(unread) == 0)
		return true;
	ssize_t count = look(hub, it, flow, unread->bytes + unread->at, held_count(unread));
	if (count < 0)
		return false;
	*has_moved = count > 0;
	if (count > 0 && !it->is_over)
		let_go(unread, (size_t)count);
	return true;
}

static bool send_unsent(struct flow *flow)
{
	while (held_count(&flow->unsent) > 0) {
		ssize_t count = send_some(flow, flow->unsent.bytes + flow->unsent.at, held_count(&flow->unsent));
		if (count <= 0)
			return count == 0;
		let_go(&flow->unsent, (size_t)count);
	}
	return true;
}

/* One read. False: it is broken. */
static bool receive(struct hub *hub, struct connection *it, struct flow *flow)
{
	ssize_t count = recv(flow->from, hub->chunk, CHUNK_BYTES, MSG_DONTWAIT);
	if (count < 0 && errno == EINTR)
		return true;
	if (count < 0) {
		flow->is_readable = false;
		return errno == EAGAIN;
	}
	if (count == 0) {
		flow->has_ended = true;
		return true;
	}
	/* Less than there is room for: the socket is empty, and says so when there is more (epoll(7)), its end included. */
	if (count < (ssize_t)CHUNK_BYTES && !flow->ends_soon)
		flow->is_readable = false;
	return take_in(hub, it, flow, (size_t)count);
}

/* `from` has said all. 1: look again at what waits, 0: that is all for now, -1: it is broken. */
static int pass_end(struct hub *hub, struct connection *it, struct flow *flow)
{
	bool is_client = flow == &it->there, is_between = it->phase == IDLE || it->phase == DETECT;
	struct held *unread = &flow->unread;
	if (flow->is_shut)
		return 0;
	if (is_between && is_client && held_count(unread) > 0) {
		hand_over(hub, it, unread->bytes + unread->at, held_count(unread));
		return 0;
	}
	/* After a request that is whole the answer is still looked at. */
	if (it->phase != PLAIN && (!is_client || is_between)) {
		it->phase = PLAIN;
		it->deadline_ms = 0;
		return reach_target(hub, it) ? 1 : -1;
	}
	if (held_count(unread) > 0 || it->is_connecting)
		return 0;
	flow->is_shut = true;
	return shutdown(flow->to, SHUT_WR) == 0 ? 0 : -1;
}

/* False: it is broken. */
static bool pump(struct hub *hub, struct connection *it, struct flow *flow)
{
	for (int round = 0; round < MOST_ROUNDS; round++) {
		bool has_moved = false;
		if (!send_unsent(flow) || (held_count(&flow->unsent) == 0 && !take_unread(hub, it, flow, &has_moved)))
			return false;
		if (it->is_over || held_count(&flow->unsent) > 0)
			return true;
		if (has_moved)
			continue;
		if (flow->has_ended) {
			int next = pass_end(hub, it, flow);
			if (next <= 0)
				return next == 0;
			continue;
		}
		if (!flow->is_readable || flow->from < 0 || held_count(&flow->unread) > MOST_UNREAD)
			return true;
		if (!receive(hub, it, flow))
			return false;
	}
	hub->is_urgent = true;
	return true;
}

static void run_connection(struct hub *hub, struct connection *it)
{
	bool is_sound = pump(hub, it, &it->back) && (it->is_over || pump(hub, it, &it->there));
	if (it->is_over)
		return;
	it->is_broken = !is_sound;
	if (!is_sound || (it->there.is_shut && it->back.is_shut))
		end_connection(hub, it);
}

/* ---- the thread ---- */

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void on_event(struct hub *hub, const struct epoll_event *event)
{
	uintptr_t pointer = (uintptr_t)event->data.ptr;
	struct connection *it = (struct connection *)(pointer & ~TARGET_SIDE);
	bool is_target = pointer & TARGET_SIDE;
	if (it->is_over)
		return;
	struct flow *in = is_target ? &it->back : &it->there, *out = is_target ? &it->there : &it->back;
	if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		in->is_readable = true;
	if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		in->ends_soon = true;
	if (event->events & EPOLLOUT) {
		out->is_writable = true;
		if (is_target)
			it->is_connecting = false;
	}
	run_connection(hub, it);
	if (it->is_over || !(event->events & EPOLLERR))
		return;
	it->is_broken = true;
	end_connection(hub, it);
}

/* New connections become the thread's. */
static void adopt_started(struct hub *hub)
{
	pthread_mutex_lock(&hub->lock);
	struct connection *started = hub->started;
	hub->started = NULL;
	pthread_mutex_unlock(&hub->lock);
	while (started) {
		struct connection *it = started;
		started = it->next;
		it->next = hub->all;
		it->previous = NULL;
		if (it->next)
			it->next->previous = it;
		hub->all = it;
		if (it->deadline_ms && (!hub->next_deadline_ms || it->deadline_ms < hub->next_deadline_ms))
			hub->next_deadline_ms = it->deadline_ms;
		bool is_watched = watch(hub, it->there.from, it, 0) &&
				  (it->back.from < 0 || watch(hub, it->back.from, it, TARGET_SIDE)) &&
				  (it->phase != PLAIN || reach_target(hub, it));
		if (is_watched) {
			run_connection(hub, it);
		} else {
			it->is_broken = true;
			end_connection(hub, it);
		}
	}
}

/* Who has not said what it speaks by now is not of HTTP. */
static void pass_late_ones(struct hub *hub)
{
	uint64_t now = now_ms();
	if (!hub->next_deadline_ms || now < hub->next_deadline_ms)
		return;
	hub->next_deadline_ms = 0;
	for (struct connection *it = hub->all, *next; it; it = next) {
		next = it->next;
		if (it->deadline_ms && it->deadline_ms <= now) {
			it->deadline_ms = 0;
			it->phase = PLAIN;
			it->is_broken = !reach_target(hub, it);
			if (it->is_broken)
				end_connection(hub, it);
			else
				run_connection(hub, it);
		} else if (it->deadline_ms && (!hub->next_deadline_ms || it->deadline_ms < hub->next_deadline_ms)) {
			hub->next_deadline_ms = it->deadline_ms;
		}
	}
}

static int wait_ms(const struct hub *hub)
{
	if (hub->is_urgent)
		return 0;
	if (!hub->next_deadline_ms)
		return -1;
	uint64_t now = now_ms();
	return now >= hub->next_deadline_ms ? 0 : (int)(hub->next_deadline_ms - now);
}

static void reset_all(struct hub *hub)
{
	while (hub->all) {
		hub->all->is_broken = true;
		end_connection(hub, hub->all);
	}
}

/* Between two requests anybody may end a connection of HTTP (RFC 9112 9.5). */
static void end_idle(struct hub *hub)
{
	for (struct connection *it = hub->all, *next; it; it = next) {
		next = it->next;
		if ((it->phase == IDLE || it->phase == DETECT) && held_count(&it->there.unread) == 0 &&
		    held_count(&it->back.unsent) == 0)
			end_connection(hub, it);
	}
}

static void free_dead(struct hub *hub)
{
	while (hub->dead) {
		struct connection *it = hub->dead;
		hub->dead = it->next_dead;
		free_connection(it);
	}
}

/* Those that have more than their turn was good for. */
static void run_urgent(struct hub *hub)
{
	if (!hub->is_urgent)
		return;
	hub->is_urgent = false;
	for (struct connection *it = hub->all, *next; it; it = next) {
		next = it->next;
		if (it->there.is_readable || it->back.is_readable)
			run_connection(hub, it);
	}
}

static void *run_hub(void *argument)
{
	struct hub *hub = argument;
	struct epoll_event events[EVENTS];
	bool is_leaving = false;
	while (!is_leaving) {
		int count = epoll_wait(hub->poll_fd, events, EVENTS, wait_ms(hub));
		bool is_woken = false;
		run_urgent(hub);
		for (int index = 0; index < count; index++) {
			if (events[index].data.ptr)
				on_event(hub, &events[index]);
			else
				is_woken = true;
		}
		pass_late_ones(hub);
		if (is_woken) {
			uint64_t counter;
			if (read(hub->wake_fd, &counter, sizeof counter) < 0)
				errno = 0;
			adopt_started(hub);
			pthread_mutex_lock(&hub->lock);
			is_leaving = hub->is_leaving;
			bool is_resetting = hub->is_resetting, is_ending_idle = hub->is_ending_idle;
			hub->is_ending_idle = false;
			pthread_mutex_unlock(&hub->lock);
			if (is_leaving || is_resetting)
				reset_all(hub);
			else if (is_ending_idle)
				end_idle(hub);
		}
		free_dead(hub);
	}
	return NULL;
}

/* ---- for TypeScript ---- */

static void wake(struct hub *hub)
{
	uint64_t one = 1;
	if (write(hub->wake_fd, &one, sizeof one) < 0)
		errno = 0; /* it is readable already */
}

static int start_thread(struct hub *hub)
{
	sigset_t all, before;
	sigfillset(&all);
	/* Signals are the runtime's. */
	pthread_sigmask(SIG_BLOCK, &all, &before);
	int error = pthread_create(&hub->thread, NULL, run_hub, hub);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}

/* Opens a hub whose connections are of the network of the calling thread. NULL, and -errno in `*error`. */
SYS struct hub *passage_open(int32_t *error)
{
	struct hub *hub = calloc(1, sizeof *hub);
	if (!hub) {
		*error = -ENOMEM;
		return NULL;
	}
	pthread_mutex_init(&hub->lock, NULL);
	hub->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	hub->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	*error = hub->poll_fd < 0 || hub->wake_fd < 0 ? -errno : tellings_open(&hub->tellings);
	struct epoll_event woken = { .events = EPOLLIN };
	if (!*error && epoll_ctl(hub->poll_fd, EPOLL_CTL_ADD, hub->wake_fd, &woken) != 0)
		*error = -errno;
	lane_open(&hub->lane, &hub->tellings);
	if (!*error)
		*error = start_thread(hub);
	if (!*error)
		return hub;
	close(hub->poll_fd);
	close(hub->wake_fd);
	free(hub);
	return NULL;
}

/* Readable when there is something to take. */
SYS int32_t passage_notice(struct hub *hub)
{
	return hub->tellings.notice_fd;
}

/* As src/sys/passage.ts writes it. */
struct start {
	uint32_t id;
	int32_t client, target; /* -1: dialled when it is needed */
	uint32_t family, port, mark;
	uint32_t detection_ms;	/* 0: it was found to be HTTP already */
	uint32_t length;	/* of what the client has said already */
	uint8_t host[16];
};

/* Takes a connection over, descriptors and `taps` included, whatever comes of it; without `filters` it is bytes. 0 or -errno. */
SYS int32_t passage_start(struct hub *hub, const struct start *start, const uint8_t *bytes, struct http_filters *filters,
			  struct tap *taps)
{
	struct connection *it = calloc(1, sizeof *it);
	if (!it || !hold(&it->there.unread, bytes, start->length)) {
		free(it);
		taps_finish(taps);
		tell(&hub->tellings, (struct telling){ TOLD_CLOSED, start->id, -1, -1, 0 }, NULL);
		close(start->client);
		if (start->target >= 0)
			close(start->target);
		return -ENOMEM;
	}
	it->id = start->id;
	it->phase = !filters ? PLAIN : start->detection_ms ? DETECT : IDLE;
	it->deadline_ms = it->phase == DETECT ? now_ms() + start->detection_ms : 0;
	it->there.from = it->back.to = start->client;
	it->there.to = it->back.from = start->target;
	it->there.is_readable = it->there.is_writable = it->back.is_readable = it->back.is_writable = true;
	it->family = start->family;
	it->port = start->port;
	it->mark = start->mark;
	memcpy(it->host, start->host, sizeof it->host);
	if (filters)
		http_filters_hold(filters);
	it->filters = filters;
	it->taps = taps;
	pthread_mutex_lock(&hub->lock);
	it->next = hub->started;
	hub->started = it;
	pthread_mutex_unlock(&hub->lock);
	wake(hub);
	return 0;
}

SYS uint32_t passage_take(struct hub *hub, struct telling *into, uint32_t room, uint8_t *bytes, uint32_t bytes_room)
{
	return tellings_take(&hub->tellings, into, room, bytes, bytes_room);
}

/* Ends the connections of HTTP on which nothing is under way. */
SYS void passage_end_idle(struct hub *hub)
{
	pthread_mutex_lock(&hub->lock);
	hub->is_ending_idle = true;
	pthread_mutex_unlock(&hub->lock);
	wake(hub);
}

/* Resets all connections, now and as they come. */
SYS void passage_reset_all(struct hub *hub)
{
	pthread_mutex_lock(&hub->lock);
	hub->is_resetting = true;
	pthread_mutex_unlock(&hub->lock);
	wake(hub);
}

/* Resets what is left and gives everything back; taps must have been given back before. */
SYS void passage_close(struct hub *hub)
{
	pthread_mutex_lock(&hub->lock);
	hub->is_leaving = true;
	pthread_mutex_unlock(&hub->lock);
	wake(hub);
	pthread_join(hub->thread, NULL);
	lane_close(&hub->lane);
	tellings_close(&hub->tellings);
	close(hub->poll_fd);
	close(hub->wake_fd);
	pthread_mutex_destroy(&hub->lock);
	free(hub);
}

/* See tap_new. The reader's part is given back by tap_close. */
SYS struct tap *passage_tap(struct hub *hub, uint32_t id, struct tap *next)
{
	return tap_new(&hub->lane, id, next);
}

SYS struct http_filters *passage_filters(const uint8_t *program, uint32_t length)
{
	return http_filters_make(program, length);
}

/* Connections keep theirs, and ask TypeScript about the next request. */
SYS void passage_filters_release(struct http_filters *filters)
{
	http_filters_retire(filters);
	http_filters_release(filters);
}
