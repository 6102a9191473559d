/* attempts.c - see attempts.h. Which sockets have begun to connect is known by their cookies; a table without locks, in which a
 * mark that was overwritten costs a true errno, and nothing else. */
#include "attempts.h"
#include "endpoints.h"
#include "wire.h"

#include <netinet/tcp.h>
#include <stdatomic.h>

enum { MARKS = 1024 };
static _Atomic uint64_t marks[MARKS];

void attempts_mark(int fd)
{
	uint64_t cookie = cookie_of(fd);
	atomic_store_explicit(&marks[cookie % MARKS], cookie, memory_order_relaxed);
}

static bool is_marked(int fd)
{
	uint64_t cookie = cookie_of(fd);
	return cookie && atomic_load_explicit(&marks[cookie % MARKS], memory_order_relaxed) == cookie;
}

static void unmark(int fd)
{
	uint64_t cookie = cookie_of(fd);
	atomic_compare_exchange_strong(&marks[cookie % MARKS], &cookie, 0);
}

static bool ask_status(const struct endpoint *local, struct wire_connect_status_reply *reply)
{
	struct wire_call call;
	struct wire_connect_status message = { .local_address = bytes_of(local), .local_port = local->port };
	size_t length = wire_put_connect_status(call.buffer, sizeof call.buffer, WIRE_ID, message);
	if (wire_ask(&call, length, WIRE_CONNECT_STATUS_REPLY))
		return false;
	return wire_finish(&call, wire_get_connect_status_reply(&call.in, reply)) == 0 && reply->is_known;
}

int attempts_true_error(int fd, int seen)
{
	struct endpoint local;
	struct wire_connect_status_reply reply = { 0 };
	int state = tcp_state(fd);
	if (state < 0 || state == TCP_SYN_SENT || state == TCP_SYN_RECV)
		return seen;
	bool is_ours = is_marked(fd);
	if (!local_endpoint(fd, &local) || (!is_ours && (seen == 0 || !is_loopback(&local))))
		return seen;
	if (!ask_status(&local, &reply) || reply.is_pending)
		return seen;
	unmark(fd);
	return reply.error > 0 ? reply.error : seen;
}

void attempts_correct(int fd)
{
	errno = is_marked(fd) ? attempts_true_error(fd, ECONNRESET) : ECONNRESET;
}
