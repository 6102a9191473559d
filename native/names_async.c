/* names_async.c - getaddrinfo_a(3): several names looked up at once, waited for or announced.
 *
 * libc's own would call its own getaddrinfo(3), past the hook. A thread of ours looks up each name, with all signals blocked; where
 * there are no threads to be had, the caller does it. What is finished is told by the request's own error, and by a count on
 * which whoever waits sleeps.
 */
#include "real.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

struct batch {
	_Atomic int left;
	struct sigevent event;
};

struct task {
	struct gaicb *request;
	struct batch *batch;
};

/* Counts what has been finished in this process. */
static _Atomic int finished;

static int state_of(const struct gaicb *request)
{
	return __atomic_load_n(&request->__return, __ATOMIC_ACQUIRE);
}

/* The last of a batch to be finished. */
static void announce(struct batch *batch)
{
	const struct sigevent *event = &batch->event;
	if (event->sigev_notify == SIGEV_SIGNAL)
		sigqueue((pid_t)kernel(SYS_getpid), event->sigev_signo, event->sigev_value);
	else if (event->sigev_notify == SIGEV_THREAD && event->sigev_notify_function)
		event->sigev_notify_function(event->sigev_value);
	free(batch);
}

static void look_up(struct gaicb *request, struct batch *batch)
{
	struct addrinfo *found = NULL;
	int code = hook_getaddrinfo(request->ar_name, request->ar_service, request->ar_request, &found);
	request->ar_result = found;
	__atomic_store_n(&request->__return, code, __ATOMIC_RELEASE);
	atomic_fetch_add(&finished, 1);
	kernel(SYS_futex, &finished, FUTEX_WAKE_PRIVATE, INT_MAX, 0, 0, 0);
	if (atomic_fetch_sub(&batch->left, 1) == 1)
		announce(batch);
}

static void *run(void *argument)
{
	struct task task = *(struct task *)argument;
	free(argument);
	look_up(task.request, task.batch);
	return NULL;
}

/* False: nobody does it. */
static bool start_thread(struct gaicb *request, struct batch *batch)
{
	typedef int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	create create_thread = (create)real_named("pthread_create");
	int (*detach)(pthread_t) = (int (*)(pthread_t))real_named("pthread_detach");
	struct task *task = create_thread && detach ? malloc(sizeof *task) : NULL;
	if (!task)
		return false;
	*task = (struct task){ request, batch };
	uint64_t all = ~0ull, before;
	pthread_t thread;
	kernel(SYS_rt_sigprocmask, SIG_BLOCK, &all, &before, sizeof all);
	bool is_started = create_thread(&thread, NULL, run, task) == 0;
	kernel(SYS_rt_sigprocmask, SIG_SETMASK, &before, 0, sizeof before);
	if (is_started)
		detach(thread);
	else
		free(task);
	return is_started;
}

static bool is_any_open(const struct gaicb *const list[], int count)
{
	for (int at = 0; at < count; at++)
		if (list[at] && state_of(list[at]) == EAI_INPROGRESS)
			return true;
	return false;
}

int hook_getaddrinfo_a(int mode, struct gaicb *list[], int count, struct sigevent *event)
{
	if (!shim.is_dns_remote || (mode != GAI_WAIT && mode != GAI_NOWAIT))
		return real.getaddrinfo_a(mode, list, count, event);
	struct batch *batch = calloc(1, sizeof *batch);
	if (!batch)
		return EAI_MEMORY;
	batch->event.sigev_notify = SIGEV_NONE;
	if (event && mode == GAI_NOWAIT)
		batch->event = *event;
	/* One more than there are: nothing is announced before all have begun. */
	atomic_store(&batch->left, count + 1);
	for (int at = 0; at < count; at++)
		if (list[at])
			list[at]->__return = EAI_INPROGRESS;
	for (int at = 0; at < count; at++) {
		if (!list[at])
			atomic_fetch_sub(&batch->left, 1);
		else if (!start_thread(list[at], batch))
			look_up(list[at], batch);
	}
	if (atomic_fetch_sub(&batch->left, 1) == 1)
		announce(batch);
	while (mode == GAI_WAIT && is_any_open((const struct gaicb *const *)list, count)) {
		int seen = atomic_load(&finished);
		if (is_any_open((const struct gaicb *const *)list, count))
			kernel(SYS_futex, &finished, FUTEX_WAIT_PRIVATE, seen, 0, 0, 0);
	}
	return 0;
}

static bool is_all_open(const struct gaicb *const list[], int count)
{
	for (int at = 0; at < count; at++)
		if (list[at] && state_of(list[at]) != EAI_INPROGRESS)
			return false;
	return true;
}

/* Until one of them is finished. */
int hook_gai_suspend(const struct gaicb *const list[], int count, const struct timespec *timeout)
{
	if (!shim.is_dns_remote)
		return real.gai_suspend(list, count, timeout);
	if (!is_any_open(list, count))
		return EAI_ALLDONE;
	int seen = atomic_load(&finished);
	while (is_all_open(list, count)) {
		long result = kernel(SYS_futex, &finished, FUTEX_WAIT_PRIVATE, seen, timeout, 0, 0);
		if (result == -ETIMEDOUT)
			return EAI_AGAIN;
		if (result == -EINTR)
			return EAI_INTR;
		seen = atomic_load(&finished);
	}
	return 0;
}

int hook_gai_cancel(struct gaicb *request)
{
	if (!shim.is_dns_remote)
		return real.gai_cancel(request);
	return state_of(request) == EAI_INPROGRESS ? EAI_NOTCANCELED : EAI_ALLDONE;
}
