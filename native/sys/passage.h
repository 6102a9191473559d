/* passage.h - connections that are passed on without TypeScript: what passage.c, passage_http.c and taps.c share.
 *
 * All of it belongs to the hub's thread, but: `taps` and `told` are locked; a connection is the maker's until it is
 * watched, and TypeScript's again once it is told of.
 */
#ifndef MIRRORD_PASSAGE_H
#define MIRRORD_PASSAGE_H

#include "http_filter.h"
#include "taps.h"

struct connection;

/* Bytes that wait for their turn. */
struct held {
	uint8_t *bytes;
	uint32_t at, end, room;
};

static inline uint32_t held_count(const struct held *held)
{
	return held->end - held->at;
}

/* False: memory is short. */
bool hold(struct held *held, const uint8_t *bytes, size_t length);
void let_go(struct held *held, size_t count);

/* One direction. Bytes that were read wait in `unread` until what they are is known, in `unsent` until they are taken. */
struct flow {
	int from, to;
	struct held unread, unsent;
	uint32_t looked; /* so many of `unread` hold no end of a head */
	bool is_readable, is_writable;
	bool ends_soon, has_ended; /* `from` says no more, or will when its bytes are read */
	bool is_shut;		   /* and `to` knows */
};

enum phase {
	DETECT, /* is it HTTP? */
	IDLE,	/* between an answer and the next request */
	BUSY,	/* between a request and the end of its answer */
	PLAIN,	/* bytes */
};

/* A body that is passing. */
struct body {
	enum http1_framing framing;
	uint64_t left;
	struct http1_chunks chunks;
};

struct connection {
	uint32_t id;
	enum phase phase;
	struct flow there, back; /* client to target, target to client */
	struct body request, answer;
	bool is_head, is_connect, awaits_head; /* of the request under way; of its answer no head is here yet */
	bool is_connecting, is_over, is_broken;
	uint64_t deadline_ms; /* of DETECT; 0: none */
	uint32_t mark, family, port; /* where the way on leads: see redirected_dial */
	uint8_t host[16];
	struct http_filters *filters;
	struct tap *taps;
	struct connection *previous, *next, *next_dead;
};

struct hub;

/* ---- passage.c ---- */

/* The way on is open, or about to be. False: it is not to be had. */
bool reach_target(struct hub *hub, struct connection *it);
/* So many bytes of `from` may pass. False: it is broken. */
bool let_pass(struct hub *hub, struct connection *it, struct flow *flow, const uint8_t *bytes, size_t length);
/* TypeScript goes on with it, and with these bytes of the client's. */
void hand_over(struct hub *hub, struct connection *it, const uint8_t *bytes, size_t length);

/* ---- passage_http.c ---- */

/* How many of these bytes are the body's. -1: it is none. */
ssize_t body_measure(struct body *body, const uint8_t *bytes, size_t length);

/* Looks at bytes of the client, or of the target, and lets pass what may. How many are done with, or -1: it is broken. */
ssize_t look_at_requests(struct hub *hub, struct connection *it, const uint8_t *bytes, size_t length);
ssize_t look_at_answers(struct hub *hub, struct connection *it, const uint8_t *bytes, size_t length);

/* ---- redirected.c ---- */

int32_t redirected_dial(uint32_t family, const uint8_t *host, uint32_t port, uint32_t mark);

#endif
