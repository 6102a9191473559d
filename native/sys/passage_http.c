/* passage_http.c - connections of HTTP/1 whose requests nobody wants: they pass as they came, a request at a time.
 *
 * State      event                                       action > next
 * DETECT     no HTTP                                     > PLAIN
 * DETECT     HTTP/2                                      hand over
 * DETECT     nothing that tells for long                 > PLAIN (passage.c)
 * IDLE       head of a request that somebody may want    hand over
 * IDLE       head that cannot be read                    hand over: TypeScript has the last word
 * IDLE       a head, and the subscriptions have changed  hand over
 * IDLE       head that nobody wants                      to the target > BUSY
 * IDLE       the target speaks                           > PLAIN: its last word
 * BUSY       101, or 2xx to CONNECT                      > PLAIN
 * BUSY       an answer, or chunks, that cannot be read   > PLAIN
 * BUSY       request and answer are complete             > IDLE
 * any        the target's end                            > PLAIN (passage.c)
 *
 * Who ends a connection is for the two of them: nothing here closes one.
 */
#include "passage.h"

/* What follows the head of a message. */
static void begin_body(struct body *body, const struct http1_head *head)
{
	*body = (struct body){ .framing = head->framing, .left = head->length };
}

static bool is_complete(const struct body *body)
{
	return body->framing == BODY_NONE;
}

ssize_t body_measure(struct body *body, const uint8_t *bytes, size_t length)
{
	bool is_over = false;
	ssize_t count = (ssize_t)length;
	if (body->framing == BODY_CHUNKED) {
		count = http1_chunks(&body->chunks, bytes, length, &is_over);
	} else if (body->framing == BODY_LENGTH) {
		if ((uint64_t)count > body->left)
			count = (ssize_t)body->left;
		body->left -= (uint64_t)count;
		is_over = body->left == 0;
	}
	if (is_over)
		body->framing = BODY_NONE;
	return count;
}

static void finish_exchange(struct connection *it)
{
	if (it->phase == BUSY && !it->awaits_head && is_complete(&it->request) && is_complete(&it->answer))
		it->phase = IDLE;
}

static ssize_t pass_all(struct hub *hub, struct connection *it, struct flow *flow, const uint8_t *bytes, size_t length)
{
	it->phase = PLAIN;
	it->deadline_ms = 0;
	return let_pass(hub, it, flow, bytes, length) ? (ssize_t)length : -1;
}

static ssize_t pass_body(struct hub *hub, struct connection *it, struct flow *flow, struct body *body,
			 const uint8_t *bytes, size_t length)
{
	ssize_t count = body_measure(body, bytes, length);
	if (count < 0) /* where it ends is for the two of them */
		return pass_all(hub, it, flow, bytes, length);
	if (count > 0 && !let_pass(hub, it, flow, bytes, (size_t)count))
		return -1;
	finish_exchange(it);
	return count;
}

/* Undecided: 0 bytes. */
static ssize_t detect(struct hub *hub, struct connection *it, const uint8_t *bytes, size_t length)
{
	enum http1_looks looks = http1_looks(bytes, length);
	if (looks == LOOKS_OTHER) {
		if (!reach_target(hub, it))
			return -1;
		return pass_all(hub, it, &it->there, bytes, length);
	}
	if (looks == LOOKS_HTTP1) {
		it->phase = IDLE;
		it->deadline_ms = 0;
	} else if (looks == LOOKS_HTTP2) {
		hand_over(hub, it, bytes, length);
		return (ssize_t)length;
	}
	return 0;
}

/* A request that nobody wants is passed on. */
static ssize_t take_request(struct hub *hub, struct connection *it, const uint8_t *bytes, size_t length)
{
	struct http1_head head;
	size_t end = http1_head_end(bytes, length, it->there.looked);
	if (end == 0 && length <= HTTP1_MOST_HEAD) {
		it->there.looked = (uint32_t)length;
		return 0;
	}
	it->there.looked = 0;
	if (end == 0 || http_filters_are_retired(it->filters) || !http1_request(bytes, end, &head) || head.offers_http2 ||
	    http_filters_run(it->filters, &head) != FILTER_NO) {
		hand_over(hub, it, bytes, length);
		return (ssize_t)length;
	}
	it->is_head = head.method.length == 4 && __builtin_memcmp(head.method.at, "HEAD", 4) == 0;
	it->is_connect = head.method.length == 7 && __builtin_memcmp(head.method.at, "CONNECT", 7) == 0;
	it->awaits_head = true;
	it->phase = BUSY;
	begin_body(&it->request, &head);
	it->answer = (struct body){ 0 };
	if (!reach_target(hub, it) || !let_pass(hub, it, &it->there, bytes, end))
		return -1;
	return (ssize_t)end;
}

ssize_t look_at_requests(struct hub *hub, struct connection *it, const uint8_t *bytes, size_t length)
{
	if (it->phase == PLAIN)
		return pass_all(hub, it, &it->there, bytes, length);
	if (it->phase == BUSY) {
		if (is_complete(&it->request))
			return 0;
		return pass_body(hub, it, &it->there, &it->request, bytes, length);
	}
	size_t empty = http1_empty_lines(bytes, length);
	if (empty > 0)
		return (ssize_t)empty;
	if (it->phase == DETECT) {
		ssize_t count = detect(hub, it, bytes, length);
		if (count != 0 || it->phase == DETECT)
			return count;
	}
	return take_request(hub, it, bytes, length);
}

ssize_t look_at_answers(struct hub *hub, struct connection *it, const uint8_t *bytes, size_t length)
{
	struct http1_head head;
	if (it->phase != BUSY)
		return pass_all(hub, it, &it->back, bytes, length);
	if (!it->awaits_head) {
		if (is_complete(&it->answer)) /* an answer to a request that is still being said, and more */
			return pass_all(hub, it, &it->back, bytes, length);
		return pass_body(hub, it, &it->back, &it->answer, bytes, length);
	}
	size_t end = http1_head_end(bytes, length, it->back.looked);
	if (end == 0 && length <= HTTP1_MOST_HEAD) {
		it->back.looked = (uint32_t)length;
		return 0;
	}
	it->back.looked = 0;
	if (end == 0 || !http1_response(bytes, end, it->is_head, &head))
		return pass_all(hub, it, &it->back, bytes, length);
	if (head.status == 101 || (it->is_connect && head.status >= 200 && head.status < 300))
		return pass_all(hub, it, &it->back, bytes, length);
	if (head.status >= 200) {
		it->awaits_head = false;
		begin_body(&it->answer, &head);
	}
	if (!let_pass(hub, it, &it->back, bytes, end))
		return -1;
	finish_exchange(it);
	return (ssize_t)end;
}
