/* attempts.c - see attempts.h. Sockets are known by their cookies, in tables without locks: what was overwritten there costs a
 * true errno, or another question. */
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

/* Sockets that their program has not bound. */
static _Atomic uint64_t bound[MARKS];

void attempts_bound(int fd)
{
	uint64_t cookie = cookie_of(fd);
	atomic_store_explicit(&bound[cookie % MARKS], cookie, memory_order_relaxed);
}

bool attempts_has_bound(int fd)
{
	uint64_t cookie = cookie_of(fd);
	return cookie && atomic_load_explicit(&bound[cookie % MARKS], memory_order_relaxed) == cookie;
}

void attempts_bound_by_program(int fd)
{
	uint64_t cookie = cookie_of(fd);
	atomic_compare_exchange_strong(&bound[cookie % MARKS], &cookie, 0);
}

/* ---- names: an odd version, or one that changes while we look, means "not known" ---- */

struct entry {
	_Atomic uint32_t version;
	_Atomic uint64_t words[6];
};

enum { ENTRIES = 1024, WORDS = 6 };
static struct entry entries[ENTRIES];

static void store(uint64_t cookie, const struct endpoint *own, const struct endpoint *peer)
{
	uint64_t words[WORDS] = { cookie };
	struct entry *entry = &entries[cookie % ENTRIES];
	uint32_t version = atomic_load_explicit(&entry->version, memory_order_relaxed);
	if ((version & 1) || !atomic_compare_exchange_strong(&entry->version, &version, version + 1))
		return;
	memcpy(&words[1], own->bytes, own->length);
	memcpy(&words[3], peer->bytes, peer->length);
	words[5] = (uint64_t)own->length << 40 | (uint64_t)peer->length << 32 | (uint64_t)own->port << 16 | peer->port;
	for (int at = 0; at < WORDS; at++)
		atomic_store_explicit(&entry->words[at], words[at], memory_order_relaxed);
	atomic_store_explicit(&entry->version, version + 2, memory_order_release);
}

static bool load(uint64_t cookie, uint64_t words[WORDS])
{
	struct entry *entry = &entries[cookie % ENTRIES];
	uint32_t version = atomic_load_explicit(&entry->version, memory_order_acquire);
	for (int at = 0; at < WORDS; at++)
		words[at] = atomic_load_explicit(&entry->words[at], memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	bool is_whole = !(version & 1) && atomic_load_explicit(&entry->version, memory_order_relaxed) == version;
	return is_whole && cookie != 0 && words[0] == cookie;
}

void attempts_begin(int fd)
{
	static const struct endpoint none;
	store(cookie_of(fd), &none, &none);
}

bool attempts_has(int fd)
{
	uint64_t words[WORDS];
	return load(cookie_of(fd), words);
}

bool attempts_names(int fd, struct endpoint *own, struct endpoint *peer)
{
	uint64_t words[WORDS];
	if (!load(cookie_of(fd), words) || words[5] == 0)
		return false;
	*own = (struct endpoint){ .length = words[5] >> 40, .port = (uint16_t)(words[5] >> 16) };
	*peer = (struct endpoint){ .length = words[5] >> 32 & 0xff, .port = (uint16_t)words[5] };
	memcpy(own->bytes, &words[1], own->length);
	memcpy(peer->bytes, &words[3], peer->length);
	return true;
}

void attempts_learn_names(int fd, const struct endpoint *own, const struct endpoint *peer)
{
	store(cookie_of(fd), own, peer);
}

/* Own name: the port alone. No peer. */
void attempts_dissolve(int fd)
{
	static const struct endpoint none;
	struct endpoint own = { .length = option(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6 ? 16 : 4 }, local;
	own.port = local_endpoint(fd, &local) ? local.port : 0;
	unmark(fd);
	store(cookie_of(fd), &own, &none);
}

bool attempts_has_dissolved(int fd)
{
	uint64_t words[WORDS];
	return load(cookie_of(fd), words) && words[5] >> 40 != 0 && (words[5] >> 32 & 0xff) == 0;
}

/* ---- how it ended ---- */

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
	/* What fails is never connected before. */
	if (is_ours && seen == 0 && state != TCP_CLOSE) {
		unmark(fd);
		return 0;
	}
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
