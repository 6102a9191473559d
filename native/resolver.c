/* resolver.c - res_query(3) and its kin: questions of any kind, put to the target's name servers through its search list.
 *
 * The agent does the whole of it, one round trip. Queries are made (res_mkquery) and read by libc as ever. res_init(3) fills the state
 * with what the target's resolv.conf says; a program that puts name servers of its own there has those asked, from the target.
 * IPv6 servers are used, but not listed in the state, where there is room for IPv4 alone.
 */
#include "real.h"
#include "wire.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>

enum { SERVER_BYTES = 19, CONF_HEAD_BYTES = 4, NAME_BYTES = 1024 };

struct servers {
	struct sockaddr_in list[MAXNS];
	int count;
};

struct question {
	const char *name;
	int class, type;
	bool is_search;
	const uint8_t *query; /* instead of a name */
	size_t query_bytes;
};

/* ---- the state ---- */

/* What this machine's resolv.conf says: who has these in a state has not chosen them. */
static struct servers local_servers(void)
{
	struct servers found = { 0 };
	struct __res_state state = { 0 };
	if (real.__res_ninit(&state) != 0)
		return found;
	found.count = state.nscount;
	memcpy(found.list, state.nsaddr_list, sizeof found.list);
	res_nclose(&state);
	return found;
}

static bool is_same_server(const struct sockaddr_in *one, const struct sockaddr_in *other)
{
	return one->sin_addr.s_addr == other->sin_addr.s_addr && one->sin_port == other->sin_port;
}

/* The servers that the program has put there itself, as the wire has them: bytes in `packed`. */
static uint32_t pack_servers(const struct __res_state *state, uint8_t packed[MAXNS * SERVER_BYTES])
{
	uint32_t bytes = 0;
	struct servers local = local_servers();
	bool is_own = !(state->options & RES_INIT) || state->nscount == local.count;
	for (int at = 0; is_own && at < state->nscount && at < MAXNS; at++)
		is_own = is_same_server(&state->nsaddr_list[at], &local.list[at]);
	for (int at = 0; !is_own && at < state->nscount && at < MAXNS; at++) {
		const struct sockaddr_in *server = &state->nsaddr_list[at];
		if (server->sin_family != AF_INET)
			return 0;
		uint8_t *into = packed + bytes;
		memset(into, 0, SERVER_BYTES);
		into[0] = 4;
		memcpy(into + 1, &server->sin_addr, 4);
		memcpy(into + 17, &server->sin_port, 2);
		bytes += SERVER_BYTES;
	}
	return bytes;
}

static void take_search_list(struct __res_state *state, const char *list, size_t bytes)
{
	size_t used = 0;
	int count = 0;
	memset(state->dnsrch, 0, sizeof state->dnsrch);
	for (size_t at = 0; at < bytes && count < MAXDNSRCH;) {
		size_t length = strnlen(list + at, bytes - at);
		if (used + length + 1 > sizeof state->defdname)
			return;
		memcpy(state->defdname + used, list + at, length);
		state->defdname[used + length] = '\0';
		state->dnsrch[count++] = state->defdname + used;
		used += length + 1;
		at += length + 1;
	}
}

/* The state as libc would have filled it inside the target. It stays as it is when nobody answers. */
static void take_resolver(struct __res_state *state)
{
	struct wire_call call;
	struct wire_dns_answer reply = { 0 };
	size_t length = wire_put_get_resolver(call.buffer, sizeof call.buffer, WIRE_ID,
					      (struct wire_get_resolver){ .family = 0 });
	if (wire_ask(&call, length, WIRE_DNS_ANSWER) || wire_finish(&call, wire_get_dns_answer(&call.in, &reply)))
		return;
	const uint8_t *at = reply.answer.at;
	uint32_t bytes = reply.answer.length;
	if (bytes < CONF_HEAD_BYTES || bytes < CONF_HEAD_BYTES + at[0] * (uint32_t)SERVER_BYTES)
		return;
	state->ndots = at[1] & 15;
	state->retry = at[2];
	state->retrans = at[3];
	const uint8_t *server = at + CONF_HEAD_BYTES;
	state->nscount = 0;
	for (int index = 0; index < at[0]; index++, server += SERVER_BYTES) {
		if (server[0] != 4 || state->nscount == MAXNS)
			continue;
		struct sockaddr_in *into = &state->nsaddr_list[state->nscount++];
		*into = (struct sockaddr_in){ .sin_family = AF_INET };
		memcpy(&into->sin_addr, server + 1, 4);
		memcpy(&into->sin_port, server + 17, 2);
	}
	take_search_list(state, (const char *)server, (size_t)(at + bytes - server));
}

int hook___res_ninit(struct __res_state *state)
{
	int result = real.__res_ninit(state);
	if (result == 0 && shim.is_dns_remote)
		take_resolver(state);
	return result;
}

int hook___res_init(void)
{
	int result = real.__res_init();
	if (result == 0 && shim.is_dns_remote)
		take_resolver(__res_state());
	return result;
}

/* ---- questions ---- */

/* Before glibc 2.34 these had underscores in front, and were in a library of their own. */
#define REAL(name) ((__typeof__(real.__##name))(real.__##name ? (void *)real.__##name : real_named(#name)))

/* What no function of libc gives: this name is this machine's. */
enum { NAME_IS_LOCAL = -2 };

static int fail_with(struct __res_state *state, int h_error, int error)
{
	state->res_h_errno = h_errno = h_error;
	errno = error;
	return -1;
}

/* The length of the answer, which may be more than had room; or -1. */
static int take_answer(struct wire_call *call, struct __res_state *state, uint8_t *answer, int room, bool is_query)
{
	struct wire_dns_answer reply = { 0 };
	if (!wire_get_dns_answer(&call->in, &reply)) {
		wire_finish(call, false);
		return fail_with(state, NO_RECOVERY, EIO);
	}
	uint8_t dropped[512];
	size_t whole = reply.answer.length, have = whole - call->in.missing;
	size_t space = room > 0 ? (size_t)room : 0;
	memcpy(answer, reply.answer.at, have < space ? have : space);
	while (call->in.missing > 0) {
		bool has_room = have < space;
		size_t most = has_room ? space - have : sizeof dropped;
		size_t part = call->in.missing < most ? call->in.missing : most;
		if (wire_pull(call, has_room ? answer + have : dropped, part))
			return fail_with(state, TRY_AGAIN, EIO);
		have += part;
	}
	wire_finish(call, true);
	if (reply.is_local)
		return NAME_IS_LOCAL;
	if (whole == 0 || (is_query && reply.net_error))
		return fail_with(state, reply.net_error ? reply.net_error : TRY_AGAIN, reply.error ? reply.error : errno);
	state->res_h_errno = h_errno = NETDB_SUCCESS;
	/* As libc has it: what is cut off a datagram is lost, the length of a stream is told. */
	return (int)(whole > space && whole <= PACKETSZ ? space : whole);
}

static bool is_ascii(const char *name)
{
	size_t length = strnlen(name, NAME_BYTES);
	for (size_t at = 0; at < length; at++)
		if (name[at] & 0x80)
			return false;
	return length < NAME_BYTES;
}

static int ask(struct __res_state *state, struct question question, uint8_t *answer, int room)
{
	struct wire_call call;
	uint8_t servers[MAXNS * SERVER_BYTES];
	const char *name = question.name ? question.name : "";
	if (!is_ascii(name))
		return fail_with(state, NO_RECOVERY, EINVAL);
	if (!(state->options & RES_INIT) && hook___res_ninit(state) != 0)
		return fail_with(state, NETDB_INTERNAL, errno);
	struct wire_ask_dns message = {
		.name = wire_text(name),
		.record_type = (uint16_t)question.type,
		.record_class = (uint16_t)question.class,
		.is_search = question.is_search,
		.options = (uint32_t)state->options,
		.servers = { servers, pack_servers(state, servers) },
		.query = { question.query, (uint32_t)question.query_bytes },
	};
	int saved = errno;
	size_t length = wire_put_ask_dns(call.buffer, sizeof call.buffer, WIRE_ID, message);
	if (wire_ask(&call, length, WIRE_DNS_ANSWER))
		return fail_with(state, TRY_AGAIN, ETIMEDOUT);
	errno = saved;
	return take_answer(&call, state, answer, room, question.query_bytes == 0);
}

static struct question about(const char *name, int class, int type, bool is_search)
{
	return (struct question){ .name = name, .class = class, .type = type, .is_search = is_search };
}

int hook___res_nquery(struct __res_state *state, const char *name, int class, int type, unsigned char *answer, int room)
{
	int result = shim.is_dns_remote ? ask(state, about(name, class, type, false), answer, room) : NAME_IS_LOCAL;
	return result == NAME_IS_LOCAL ? REAL(res_nquery)(state, name, class, type, answer, room) : result;
}

int hook___res_query(const char *name, int class, int type, unsigned char *answer, int room)
{
	int result = shim.is_dns_remote ? ask(__res_state(), about(name, class, type, false), answer, room) : NAME_IS_LOCAL;
	return result == NAME_IS_LOCAL ? REAL(res_query)(name, class, type, answer, room) : result;
}

int hook___res_nsearch(struct __res_state *state, const char *name, int class, int type, unsigned char *answer, int room)
{
	int result = shim.is_dns_remote ? ask(state, about(name, class, type, true), answer, room) : NAME_IS_LOCAL;
	return result == NAME_IS_LOCAL ? REAL(res_nsearch)(state, name, class, type, answer, room) : result;
}

int hook___res_search(const char *name, int class, int type, unsigned char *answer, int room)
{
	int result = shim.is_dns_remote ? ask(__res_state(), about(name, class, type, true), answer, room) : NAME_IS_LOCAL;
	return result == NAME_IS_LOCAL ? REAL(res_search)(name, class, type, answer, room) : result;
}

/* "name.domain" in `into`; false when that is too long. */
static bool join(const char *name, const char *domain, char into[NAME_BYTES])
{
	size_t length = strnlen(name, NAME_BYTES), more = domain ? strnlen(domain, NAME_BYTES) : 0;
	if (length + more + 2 > NAME_BYTES)
		return false;
	char *end = stpcpy(into, name);
	if (domain)
		stpcpy(stpcpy(end, "."), domain);
	return true;
}

int hook___res_nquerydomain(struct __res_state *state, const char *name, const char *domain, int class, int type,
			  unsigned char *answer, int room)
{
	char joined[NAME_BYTES];
	if (!shim.is_dns_remote)
		return REAL(res_nquerydomain)(state, name, domain, class, type, answer, room);
	return join(name, domain, joined) ? hook___res_nquery(state, joined, class, type, answer, room) :
					    fail_with(state, NO_RECOVERY, EINVAL);
}

int hook___res_querydomain(const char *name, const char *domain, int class, int type, unsigned char *answer, int room)
{
	char joined[NAME_BYTES];
	if (!shim.is_dns_remote)
		return REAL(res_querydomain)(name, domain, class, type, answer, room);
	return join(name, domain, joined) ? hook___res_query(joined, class, type, answer, room) :
					    fail_with(__res_state(), NO_RECOVERY, EINVAL);
}

static int send_query(struct __res_state *state, const unsigned char *query, int bytes, unsigned char *answer, int room)
{
	struct question question = { .query = query, .query_bytes = (size_t)bytes };
	int result = ask(state, question, answer, room);
	return result < 0 ? -1 : result;
}

int hook___res_nsend(struct __res_state *state, const unsigned char *query, int bytes, unsigned char *answer, int room)
{
	if (!shim.is_dns_remote || bytes <= 0)
		return REAL(res_nsend)(state, query, bytes, answer, room);
	return send_query(state, query, bytes, answer, room);
}

int hook___res_send(const unsigned char *query, int bytes, unsigned char *answer, int room)
{
	if (!shim.is_dns_remote || bytes <= 0)
		return REAL(res_send)(query, bytes, answer, room);
	return send_query(__res_state(), query, bytes, answer, room);
}
