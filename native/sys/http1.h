/* http1.h - as much of HTTP/1 (RFC 9112) as it takes to find where a message ends, in bytes that anybody may have sent.
 *
 * Nothing is allocated, changed or kept; a function reads at most the bytes that it is given. Says the same as
 * src/agent/incoming/http/message.ts, or that it is odd: then that one judges.
 */
#ifndef MIRRORD_HTTP1_H
#define MIRRORD_HTTP1_H

#include "sys.h"

#include <stdbool.h>
#include <stddef.h>

/* Longest head that is looked at. */
#define HTTP1_MOST_HEAD (256u << 10)

enum http1_looks { LOOKS_OTHER, LOOKS_HTTP1, LOOKS_HTTP2, LOOKS_UNSURE };

/* How long a body is. */
enum http1_framing { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_TO_END };

struct http1_span {
	const uint8_t *at;
	size_t length;
};

struct http1_head {
	struct http1_span method, target; /* of requests */
	struct http1_span headers;	  /* what follows the first line, for http1_header() */
	unsigned status;		  /* of responses */
	enum http1_framing framing;
	uint64_t length; /* of a body of BODY_LENGTH */
	bool offers_http2;
};

/* Could these be the first bytes of a request? */
enum http1_looks http1_looks(const uint8_t *bytes, size_t length);

/* How many bytes of empty lines stand before a request (RFC 9112 2.2). */
size_t http1_empty_lines(const uint8_t *bytes, size_t length);

/* Where a head ends, its empty line included; 0: not yet. `from`: there is no end before it. */
size_t http1_head_end(const uint8_t *bytes, size_t length, size_t from);

/* False: it is none, or two readers could disagree about where it ends. */
bool http1_request(const uint8_t *bytes, size_t length, struct http1_head *head);

/* `is_bodiless`: it answers HEAD. */
bool http1_response(const uint8_t *bytes, size_t length, bool is_bodiless, struct http1_head *head);

/* The next header of `rest`, which becomes what follows it. False when there is none. */
bool http1_header(struct http1_span *rest, struct http1_span *header);

/* A header's name and its value, without the blanks around that. False: it has no colon. */
bool http1_field(struct http1_span header, struct http1_span *name, struct http1_span *value);

/* A body in chunks, as far as it was read. Begins as zeros. */
struct http1_chunks {
	uint64_t left;
	uint8_t state, digits;
	uint16_t line;
};

/* How many of these bytes belong to the body; `*is_over` when it ends with them. -1: it is none. */
ssize_t http1_chunks(struct http1_chunks *chunks, const uint8_t *bytes, size_t length, bool *is_over);
/* The next bytes are not to be seen. True: they are a chunk's own, and were passed over. */
bool http1_pass_over(struct http1_chunks *chunks, size_t length);

#endif
