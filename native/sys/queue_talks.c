/* queue_talks.c - what clients say on ports with filters, from their packets, before the target hears it.
 *
 * Stage      event                                          verdict > next
 * -          SYN                                            pass; where it begins is noted
 * -          the first bytes of a connection                as those of REQUESTS
 * -          bytes in the middle of one; the target began   pass > IGNORED
 * REQUESTS   head of a request that nobody wants            pass > REQUESTS, BODY
 * REQUESTS   a part of a head                               pass, and keep a copy
 * REQUESTS   head of a request that somebody may want, or that TypeScript or the passage have to look at (odd, HTTP/2, several
 *            at once)                                       drop, and keep it > WANTED
 * REQUESTS   an upgrade that nobody wants                   pass, copy what the target says > UPGRADE
 * UPGRADE    more bytes, after it was refused, or agreed    as those of REQUESTS, or pass > IGNORED
 * REQUESTS   no HTTP                                        pass > IGNORED
 * BODY       its end                                        pass > REQUESTS
 * BODY       its end, and more                              pass the body alone > WANTED
 * WANTED     more bytes                                     keep them, drop
 * WANTED     the target is done with what was before        take over (queue_take.c) > TAKEN
 * WANTED     that cannot be had                             pass all > IGNORED
 * any        bytes of before                                pass
 * any        bytes after a gap                              drop, but for bodies: nothing may reach the target unseen
 * any        FIN, RST                                       pass > gone
 *
 * Servers of HTTP/2 may speak before their clients do. As long as a port may be one of those, what the target says is looked at too:
 * -          SETTINGS                                       drop, the client is not to hear them > REQUESTS, held back
 * WANTED     anything, when the client speaks HTTP/2        drop
 * REQUESTS   no HTTP/2 from its client, or nothing for long pass > IGNORED
 *
 * To drop is always safe: what nobody has acknowledged is said again. Everything is bounded: talks (who was silent longest goes, and is
 * IGNORED then), what is kept of each and of all.
 */
#include "queue.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#define BUCKETS 8192u
#define MOST_TALKS 32768u
#define MOST_WANTED 4096u
#define MOST_UPGRADES 128u
#define MOST_PUT_OFF_MS 10000
/* The part of the time that it has waited. */
#define PATIENCE 32
#define MOST_KEPT (64u << 20)
#define MOST_KEPT_EACH (HTTP1_MOST_HEAD + (256u << 10))
/* Sets of them: connections that begin together may be of one set. */
#define BEGINNINGS 4096u
#define BEGINNINGS_EACH 4
/* What the target said is on its way for so long at most. */
#define LINGERING_MS 2000
/* Who speaks HTTP/2 does not wait for its server. */
#define MOST_HELD_BACK_MS 10000
/* What came before its turn, so long ago: has the target got what stands before it? */
#define LATE_MS 300
/* A window of TCP is at most 1 GiB (RFC 7323 2.2). */
#define MOST_AHEAD (1 << 30)

/* Where a connection begins; a later one may take its place. */
struct beginning {
	uint64_t hash;
	uint32_t sequence;
};

struct talks {
	struct queue *queue;
	uint64_t seed;
	uint32_t count, wanted_count, upgrade_count;
	uint64_t kept;
	struct talk *oldest, *newest, *wanted;
	struct talk *buckets[BUCKETS];
	struct beginning beginnings[BEGINNINGS][BEGINNINGS_EACH]; /* the last one first */
};

/* ---- the table ---- */

static struct talk *find(struct talks *it, const struct ends *ends, uint64_t hash)
{
	struct talk *talk = it->buckets[hash % BUCKETS];
	while (talk && memcmp(&talk->ends, ends, sizeof *ends) != 0)
		talk = talk->next;
	return talk;
}

static void leave_age(struct talks *it, struct talk *talk)
{
	*(talk->older ? &talk->older->newer : &it->oldest) = talk->newer;
	*(talk->newer ? &talk->newer->older : &it->newest) = talk->older;
}

static void become_newest(struct talks *it, struct talk *talk)
{
	talk->older = it->newest;
	talk->newer = NULL;
	*(it->newest ? &it->newest->newer : &it->oldest) = talk;
	it->newest = talk;
}

static void forget_kept(struct talks *it, struct talk *talk)
{
	it->kept -= talk->head.room;
	free(talk->head.bytes);
	talk->head = (struct held){ 0 };
	talk->looked = 0;
}

static bool keep(struct talks *it, struct talk *talk, const uint8_t *bytes, uint32_t length)
{
	if (it->kept > MOST_KEPT || held_count(&talk->head) + length > MOST_KEPT_EACH)
		return false;
	it->kept -= talk->head.room;
	bool is_kept = hold(&talk->head, bytes, length);
	it->kept += talk->head.room;
	return is_kept;
}

static void forget_answers(struct talks *it, struct talk *talk)
{
	if (talk->answers < 0)
		return;
	close(talk->answers);
	talk->answers = -1;
	it->upgrade_count--;
}

static void forget(struct talks *it, struct talk *talk)
{
	forget_answers(it, talk);
	if (talk->stage == WANTED) {
		struct talk **at = &it->wanted;
		while (*at != talk)
			at = &(*at)->next_wanted;
		*at = talk->next_wanted;
		it->wanted_count--;
	}
	struct talk **at = &it->buckets[ends_hash(&talk->ends, it->seed) % BUCKETS];
	while (*at != talk)
		at = &(*at)->next;
	*at = talk->next;
	leave_age(it, talk);
	forget_kept(it, talk);
	free(talk);
	it->count--;
}

static void ignore(struct talks *it, struct talk *talk)
{
	forget_kept(it, talk);
	talk->stage = IGNORED;
}

/* ---- its beginning ---- */

/* NULL: it is not known, or was long ago. */
static struct beginning *find_beginning(struct talks *it, uint64_t hash)
{
	struct beginning *set = it->beginnings[hash % BEGINNINGS];
	for (int index = 0; index < BEGINNINGS_EACH; index++)
		if (set[index].hash == hash)
			return &set[index];
	return NULL;
}

static void note_beginning(struct talks *it, const struct segment *segment, uint64_t hash)
{
	struct beginning *known = find_beginning(it, hash), *set = it->beginnings[hash % BEGINNINGS];
	struct beginning *last = known ? known : &set[BEGINNINGS_EACH - 1];
	memmove(set + 1, set, (size_t)(last - set) * sizeof *set);
	*set = (struct beginning){ hash, segment->sequence + 1 };
}

/* Who was silent longest goes, but for those that are being taken over: they are few. */
static void make_room(struct talks *it)
{
	struct talk *talk = it->oldest;
	while (talk && talk->stage == WANTED)
		talk = talk->newer;
	if (talk)
		forget(it, talk);
}

static uint32_t word_at(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Nobody has heard anything. */
static bool is_fresh(const struct talk *talk, const struct target_socket *socket)
{
	if (socket->state == SOCKET_YOUNG)
		return true;
	/* What it said and we have not seen yet will come to us. */
	return socket->state == SOCKET_OPEN && socket->received == 0 && socket->acked == 0 &&
	       (talk->is_watched || socket->unacked == 0);
}

static void note_first(struct talks *it, struct talk *talk, const struct packet *packet, uint64_t hash)
{
	const struct segment *segment = &packet->segment;
	const struct beginning *beginning = find_beginning(it, hash);
	uint32_t sequence = segment->sequence, ack = word_at(segment->head + 8);
	talk->first = packet->is_out ? ack : sequence;
	talk->first_ack = talk->ack = packet->is_out ? sequence : ack;
	if (beginning)
		talk->first = beginning->sequence;
	talk->expected = talk->first;
	talk->is_watched = beginning && !(queue_spoken(it->queue, segment->ends.own_port) & SPOKEN_HTTP1);
}

/* Bytes of a connection that is not known. NULL: there is none, or no room for it. */
static struct talk *begin(struct talks *it, const struct packet *packet, uint64_t hash)
{
	const struct segment *segment = &packet->segment;
	if (it->count >= MOST_TALKS)
		make_room(it);
	struct talk *talk = it->count < MOST_TALKS ? calloc(1, sizeof *talk) : NULL;
	if (!talk)
		return NULL;
	talk->ends = segment->ends;
	talk->interface = packet->interface;
	talk->answers = -1;
	struct target_socket socket;
	look_up_socket(queue_diagnosis(it->queue), talk, &socket);
	if (socket.state == SOCKET_NONE) {
		free(talk);
		return NULL;
	}
	note_first(it, talk, packet, hash);
	talk->stage = is_fresh(talk, &socket) ? REQUESTS : IGNORED;
	/* The next ones are to be seen from their beginning on. */
	if (talk->stage == IGNORED && http1_looks(segment->bytes, segment->length - packet->cut) == LOOKS_HTTP2)
		queue_note_spoken(it->queue, segment->ends.own_port, SPOKEN_HTTP2);
	talk->next = it->buckets[hash % BUCKETS];
	it->buckets[hash % BUCKETS] = talk;
	become_newest(it, talk);
	it->count++;
	return talk;
}

/* ---- requests ---- */

static bool is_connect(const struct http1_head *head)
{
	return head->method.length == 7 && memcmp(head->method.at, "CONNECT", 7) == 0;
}

static bool asks_to_upgrade(const struct http1_head *head)
{
	static const char name[] = "upgrade:";
	struct http1_span rest = head->headers, header;
	while (http1_header(&rest, &header))
		if (header.length >= sizeof name - 1 && strncasecmp((const char *)header.at, name, sizeof name - 1) == 0)
			return true;
	return false;
}

enum looked { LOOKED_WANTED, LOOKED_NOT_WANTED, LOOKED_UNSURE, LOOKED_OTHER };

/* At a head. `*end`: where it ends, when nobody wants it. */
static enum looked look_at_head(struct talks *it, struct talk *talk, const uint8_t *bytes, size_t length, size_t *end)
{
	struct http1_head head;
	if (!talk->is_http) {
		enum http1_looks looks = http1_looks(bytes, length);
		if (looks == LOOKS_UNSURE)
			return LOOKED_UNSURE;
		if (looks == LOOKS_HTTP2) {
			queue_note_spoken(it->queue, talk->ends.own_port, SPOKEN_HTTP2);
			return LOOKED_WANTED;
		}
		if (looks == LOOKS_OTHER || talk->is_held_back)
			return LOOKED_OTHER;
		talk->is_http = true;
	}
	*end = http1_head_end(bytes, length, talk->looked);
	if (*end == 0 && length <= HTTP1_MOST_HEAD) {
		talk->looked = (uint32_t)length;
		return LOOKED_UNSURE;
	}
	struct http_filters *filters = queue_filters(it->queue, talk->ends.own_port);
	if (!filters)
		return LOOKED_OTHER;
	if (*end == 0 || !http1_request(bytes, *end, &head) || head.offers_http2 ||
	    http_filters_run(filters, &head) != FILTER_NO)
		return LOOKED_WANTED;
	talk->is_connect = is_connect(&head);
	talk->is_upgrade = talk->is_connect || asks_to_upgrade(&head);
	talk->body = (struct body){ .framing = head.framing, .left = head.length };
	return head.framing == BODY_TO_END ? LOOKED_OTHER : LOOKED_NOT_WANTED;
}

/* A request after which the connection may be of another protocol: it has to be the last for now. */
static bool await_answer(struct talks *it, struct talk *talk, bool is_last)
{
	if (!is_last || talk->body.framing != BODY_NONE || talk->is_piped || it->upgrade_count >= MOST_UPGRADES)
		return false;
	talk->answers = answers_watch(&talk->ends);
	if (talk->answers < 0)
		return false;
	it->upgrade_count++;
	return true;
}

/* Its peer goes on: with what? */
static void hear_answer(struct talks *it, struct talk *talk)
{
	unsigned status = answers_read(talk->answers, &talk->ends);
	bool is_refused = status >= 200 && !(talk->is_connect && status < 300);
	forget_answers(it, talk);
	talk->stage = is_refused ? REQUESTS : IGNORED;
}

/* Bytes of a head; what was kept of it stands before them. How many are done with; -1: somebody may want it. */
static ssize_t follow_head(struct talks *it, struct talk *talk, const uint8_t *bytes, uint32_t length)
{
	size_t end, before = held_count(&talk->head);
	if (before == 0) {
		size_t empty = http1_empty_lines(bytes, length);
		if (empty > 0)
			return (ssize_t)empty;
		/* Once is for ever: how many answers are still to come is not known any more. */
		talk->is_piped |= talk->has_asked && talk->ack == talk->asked_ack;
	} else if (!keep(it, talk, bytes, length)) {
		ignore(it, talk);
		return (ssize_t)length;
	}
	const uint8_t *head = before ? talk->head.bytes + talk->head.at : bytes;
	switch (look_at_head(it, talk, head, before + length, &end)) {
	case LOOKED_WANTED:
		return -1;
	case LOOKED_OTHER:
		ignore(it, talk);
		return (ssize_t)length;
	case LOOKED_UNSURE:
		if (before == 0 && !keep(it, talk, bytes, length))
			ignore(it, talk);
		return (ssize_t)length;
	case LOOKED_NOT_WANTED:
		break;
	}
	if (talk->is_upgrade && !await_answer(it, talk, end == before + length))
		return -1;
	forget_kept(it, talk);
	talk->has_asked = true;
	talk->is_plain = !talk->is_upgrade && talk->body.framing == BODY_NONE;
	talk->asked_ack = talk->ack;
	talk->stage = talk->is_upgrade ? UPGRADE : talk->body.framing == BODY_NONE ? REQUESTS : BODY;
	return (ssize_t)(end - before);
}

/* The next bytes. True: somebody may want what begins at `*boundary`, with what was kept before it. Who asks again before the request
 * before can have been answered is wanted too: from its first one on, where that has not begun to pass. */
static bool follow(struct talks *it, struct talk *talk, const uint8_t *bytes, uint32_t length, uint32_t *boundary)
{
	uint32_t at = 0;
	bool has_passed = talk->stage == BODY || held_count(&talk->head) > 0, has_ended = false;
	*boundary = 0;
	while (at < length && talk->stage != IGNORED) {
		ssize_t count;
		if (talk->stage == BODY) {
			count = body_measure(&talk->body, bytes + at, length - at);
			if (count < 0) {
				ignore(it, talk);
				return false;
			}
			if (talk->body.framing == BODY_NONE) {
				talk->stage = REQUESTS;
				talk->asked_ack = talk->ack;
			}
		} else {
			if (has_ended && http1_empty_lines(bytes + at, length - at) < length - at)
				return true;
			count = follow_head(it, talk, bytes + at, length - at);
			if (count < 0)
				return true;
		}
		at += (uint32_t)count;
		has_ended = talk->stage == REQUESTS && talk->has_asked && held_count(&talk->head) == 0;
		if (has_ended && has_passed)
			*boundary = at;
	}
	return false;
}

/* ---- who is wanted ---- */

/* From `boundary` of these bytes on, with what was kept. False: there is no room. */
static bool become_wanted(struct talks *it, struct talk *talk, const uint8_t *bytes, uint32_t length, uint32_t boundary,
			  bool is_kept)
{
	if (it->wanted_count >= MOST_WANTED)
		return false;
	if (!is_kept && !keep(it, talk, bytes + boundary, length - boundary))
		return false;
	talk->stage = WANTED;
	talk->given = talk->expected + boundary;
	talk->expected += length;
	talk->since_ms = talk->quiet_ms = queue_now_ms();
	talk->leaving = RESTING;
	talk->next_ms = 0;
	talk->has_part = is_kept;
	talk->next_wanted = it->wanted;
	it->wanted = talk;
	it->wanted_count++;
	return true;
}

/* Bytes of a body whose length is known need not be seen, nor in their order. True: all of the segment are. */
static bool pass_body(struct talk *talk, const struct segment *segment)
{
	int32_t end = (int32_t)(segment->sequence + segment->length - talk->expected);
	if (talk->stage != BODY || talk->body.framing != BODY_LENGTH || end <= 0)
		return false;
	bool is_more = (uint64_t)end > talk->body.left;
	if (is_more && (int32_t)(segment->sequence - talk->expected) > (int32_t)talk->body.left)
		return false;
	uint32_t passed = is_more ? (uint32_t)talk->body.left : (uint32_t)end;
	talk->expected += passed;
	talk->body.left -= passed;
	talk->asked_ack = talk->ack;
	if (talk->body.left == 0)
		talk->stage = REQUESTS;
	return !is_more;
}

/* Bytes from `known` of the packet on. `is_after_body`: before them stands the end of a body, which is to pass. */
static enum verdict take_fresh(struct talks *it, struct talk *talk, const struct packet *packet, uint32_t known,
			       bool is_after_body, uint32_t *part)
{
	const uint8_t *bytes = packet->segment.bytes + known;
	uint32_t length = packet->segment.length - packet->cut - known, boundary, asked_ack = talk->asked_ack;
	bool is_kept = held_count(&talk->head) > 0, was_piped = talk->is_piped || (talk->has_asked && asked_ack == talk->ack);
	bool is_wanted = is_after_body && http1_empty_lines(bytes, length) < length;
	boundary = 0;
	if (!is_wanted && !follow(it, talk, bytes, length, &boundary)) {
		talk->expected += length;
		if (packet->cut == 0)
			return PASS;
		/* What we have not got is a body's, or it is to be said again. */
		if (talk->body.framing == BODY_LENGTH && talk->body.left >= packet->cut && pass_body(talk, &packet->segment))
			return PASS;
		if (talk->stage == BODY && talk->body.framing == BODY_CHUNKED && http1_pass_over(&talk->body.chunks, packet->cut)) {
			talk->expected += packet->cut;
			return PASS;
		}
		*part = known + length;
		return PASS_PART;
	}
	if (boundary > 0 || is_wanted) {
		talk->is_piped = true;
	} else if (!is_kept) {
		talk->is_piped = was_piped;
		talk->asked_ack = asked_ack;
		forget_kept(it, talk);
	}
	if (!become_wanted(it, talk, bytes, length, boundary, is_kept && boundary == 0)) {
		ignore(it, talk);
		return PASS;
	}
	if (boundary == 0 && !is_wanted)
		return DROP;
	*part = known + boundary;
	return PASS_PART;
}

static enum verdict take_more(struct talks *it, struct talk *talk, const struct packet *packet)
{
	const struct segment *segment = &packet->segment;
	uint32_t known = talk->expected - segment->sequence, length = segment->length - packet->cut;
	if (known < length && keep(it, talk, segment->bytes + known, length - known))
		talk->expected += length - known;
	return DROP;
}

/* ---- packets ---- */

/* The timestamp that it echoes (RFC 7323 3.2). */
static void read_echo(struct talk *talk, const uint8_t *head)
{
	uint32_t at = 20, end = (uint32_t)(head[12] >> 4) * 4;
	while (at + 10 <= end && head[at] != 0) {
		if (head[at] == 8 && head[at + 1] == 10) {
			talk->has_timestamp = true;
			talk->echo = word_at(head + at + 6);
			return;
		}
		if (head[at] != 1 && head[at + 1] < 2)
			return;
		at += head[at] == 1 ? 1 : head[at + 1];
	}
}

static void note_acknowledged(struct talk *talk, const struct segment *segment)
{
	uint32_t ack = word_at(segment->head + 8);
	if (!(segment->flags & FLAG_ACK) || (int32_t)(ack - talk->ack) < 0)
		return;
	talk->ack = ack;
	talk->window = (uint32_t)(segment->head[14] << 8 | segment->head[15]);
	read_echo(talk, segment->head);
}

/* The kernel could not ask us about something: the target has it. */
static bool has_missed(const struct talks *it, const struct talk *talk)
{
	struct target_socket socket;
	look_up_socket(queue_diagnosis(it->queue), talk, &socket);
	return socket.has_details && (int32_t)(talk->first + socket.received - talk->expected) > 0;
}

/* It comes before its turn. What has no turn for long, because we have miscounted or somebody plays with us, is the target's. */
static enum verdict put_off(struct talks *it, struct talk *talk)
{
	uint64_t now = queue_now_ms();
	if (talk->put_off_at != talk->expected || talk->put_off_ms == 0) {
		talk->put_off_at = talk->expected;
		talk->put_off_ms = now;
	}
	uint64_t past_ms = now - talk->put_off_ms;
	if (past_ms < MOST_PUT_OFF_MS && (past_ms < LATE_MS || !has_missed(it, talk)))
		return DROP;
	ignore(it, talk);
	return PASS;
}

/* What stands before it the kernel may have let pass: requests as a whole, to the target's socket. */
static void skip_plain(const struct talks *it, struct talk *talk)
{
	struct target_socket socket;
	look_up_socket(queue_diagnosis(it->queue), talk, &socket);
	uint32_t received = talk->first + socket.received;
	if (!socket.has_details || (int32_t)(received - talk->expected) <= 0)
		return;
	talk->expected = received;
	talk->has_skipped = true;
	/* What its last request acknowledged is not known. */
	talk->asked_ack = talk->ack - 1;
}

static enum verdict take_bytes(struct talks *it, struct talk *talk, const struct packet *packet, uint32_t *part)
{
	const struct segment *segment = &packet->segment;
	int32_t ahead = (int32_t)(segment->sequence - talk->expected);
	if (talk->stage == WANTED)
		return ahead > 0 ? DROP : take_more(it, talk, packet);
	bool was_body = talk->stage == BODY;
	if (pass_body(talk, segment))
		return PASS;
	if (ahead > 0 && talk->is_settled)
		skip_plain(it, talk);
	ahead = (int32_t)(segment->sequence - talk->expected);
	uint32_t known = talk->expected - segment->sequence;
	if (ahead > 0)
		return put_off(it, talk);
	if (known >= segment->length)
		return PASS;
	talk->is_settled = false;
	if (talk->stage == UPGRADE)
		hear_answer(it, talk);
	if (talk->stage == IGNORED)
		return PASS;
	if (known + packet->cut > segment->length)
		return put_off(it, talk);
	return take_fresh(it, talk, packet, known, was_body && talk->stage == REQUESTS && known > 0, part);
}

/* What the target still says: its client does not hear it when we are about to take its place, or have. What our own
 * socket says acknowledges what the target's has not seen. */
static bool is_last_word(const struct talk *talk, const struct segment *segment)
{
	if (!talk || (talk->stage == WANTED && talk->leaving == RESTING))
		return false;
	bool is_theirs = !(segment->flags & FLAG_ACK) || (int32_t)(word_at(segment->head + 8) - talk->given) <= 1;
	return talk->stage == WANTED || (talk->stage == TAKEN && is_theirs && queue_now_ms() - talk->since_ms < LINGERING_MS);
}

/* RFC 9113 3.4: a server begins with SETTINGS; those are of six bytes each. */
static bool begins_http2(const uint8_t *bytes, uint32_t length)
{
	return length >= 9 && bytes[0] == 0 && bytes[1] < 4 && (bytes[1] << 8 | bytes[2]) % 6 == 0 && bytes[3] == 4 &&
	       bytes[4] == 0 && word_at(bytes + 5) == 0;
}

/* What the target says, on a port where it may speak first. */
static enum verdict judge_words(struct talks *it, struct talk *talk, const struct packet *packet, uint64_t hash)
{
	const struct segment *segment = &packet->segment;
	uint32_t length = segment->length - packet->cut;
	const struct beginning *beginning = talk ? NULL : find_beginning(it, hash);
	bool is_http2 = begins_http2(segment->bytes, length);
	if (beginning && beginning->sequence == word_at(segment->head + 8)) {
		talk = begin(it, packet, hash);
		if (talk && !is_http2)
			ignore(it, talk);
	}
	if (!talk)
		return PASS;
	if (talk->stage == WANTED && !talk->is_http && talk->is_watched)
		return DROP;
	if (talk->stage == REQUESTS && is_http2 && !talk->is_http && !talk->is_held_back &&
	    segment->sequence == talk->first_ack) {
		talk->is_held_back = true;
		talk->since_ms = queue_now_ms();
	}
	if (talk->stage == REQUESTS && talk->is_held_back) {
		if (queue_now_ms() - talk->since_ms < MOST_HELD_BACK_MS)
			return DROP;
		ignore(it, talk);
	}
	if (talk->has_asked && length >= 7 && memcmp(segment->bytes, "HTTP/1.", 7) == 0)
		queue_note_spoken(it->queue, segment->ends.own_port, SPOKEN_HTTP1);
	return PASS;
}

/* It answers a SYN, which will be said again: by then connections are redirected. Once only: somebody may refuse them for another reason. */
static bool is_refusal(struct talks *it, const struct segment *segment, uint64_t hash)
{
	struct beginning *beginning = find_beginning(it, hash);
	if (!(segment->flags & FLAG_RST) || segment->sequence != 0 || !beginning ||
	    beginning->sequence != word_at(segment->head + 8))
		return false;
	*beginning = (struct beginning){ 0 };
	queue_note_refused(it->queue, segment->ends.own_port);
	return true;
}

static enum verdict judge_out(struct talks *it, const struct packet *packet)
{
	const struct segment *segment = &packet->segment;
	uint64_t hash = ends_hash(&segment->ends, it->seed);
	struct talk *talk = find(it, &segment->ends, hash);
	if (!talk && is_refusal(it, segment, hash))
		return DROP;
	if (is_last_word(talk, segment))
		return DROP;
	bool has_words = segment->length > 0 && !(segment->flags & FLAG_RST);
	return has_words ? judge_words(it, talk, packet, hash) : PASS;
}

/* Between two requests, and nobody is asked about anything else of it. */
static bool is_settled(const struct talks *it, const struct talk *talk, const struct packet *packet)
{
	const struct segment *segment = &packet->segment;
	return talk->stage == REQUESTS && talk->is_http && talk->has_asked && talk->is_plain && !talk->is_piped &&
	       !talk->is_held_back && held_count(&talk->head) == 0 && packet->cut == 0 && !packet->is_marked &&
	       segment->length > 0 && segment->sequence + segment->length == talk->expected &&
	       queue_settles(it->queue, segment->ends.own_port);
}

enum verdict talks_judge(struct talks *it, const struct packet *packet, uint32_t *part)
{
	const struct segment *segment = &packet->segment;
	if (!queue_filters(it->queue, segment->ends.own_port))
		return PASS;
	if (packet->is_out)
		return judge_out(it, packet);
	uint64_t hash = ends_hash(&segment->ends, it->seed);
	struct talk *talk = find(it, &segment->ends, hash);
	if (segment->flags & FLAG_SYN) {
		if (talk && talk->stage != WANTED)
			forget(it, talk);
		if (segment->length == 0)
			note_beginning(it, segment, hash);
		return PASS;
	}
	if (talk && (uint32_t)(segment->sequence - talk->expected + MOST_AHEAD) > 2u * MOST_AHEAD) {
		if (talk->stage == WANTED)
			return PASS;
		forget(it, talk);
		talk = NULL;
	}
	bool is_end = segment->flags & (FLAG_FIN | FLAG_RST);
	if (!talk && segment->length > 0 && !(segment->flags & FLAG_RST))
		talk = begin(it, packet, hash);
	if (!talk)
		return PASS;
	note_acknowledged(talk, segment);
	talk->interface = packet->interface;
	if (talk->stage == TAKEN || talk->stage == IGNORED)
		talk->expected = segment->sequence + segment->length;
	leave_age(it, talk);
	become_newest(it, talk);
	bool is_looked_at = talk->stage != IGNORED && talk->stage != TAKEN;
	enum verdict verdict = talk->stage == TAKEN ? PASS_OURS : PASS;
	if (is_looked_at && segment->length > 0)
		verdict = take_bytes(it, talk, packet, part);
	if (verdict == PASS && !is_end && is_settled(it, talk, packet)) {
		talk->is_settled = true;
		return PASS_SETTLED;
	}
	if (talk->stage == WANTED && !(segment->flags & FLAG_RST) && segment->length == 0)
		return is_end || talk->leaving != RESTING ? DROP : PASS;
	if (talk->stage == WANTED && !(segment->flags & FLAG_RST))
		return verdict;
	if (is_end && (!is_looked_at || segment->sequence + segment->length == talk->expected))
		forget(it, talk);
	return verdict;
}

int talks_take_wanted(struct talks *it)
{
	struct talk **at = &it->wanted;
	int wait_ms = -1;
	while (*at) {
		struct talk *talk = *at;
		/* Who has waited long may wait longer. */
		uint64_t now_ms = queue_now_ms(), pause_ms = (now_ms - talk->since_ms) / PATIENCE;
		enum taking taking = now_ms < talk->next_ms ? TAKING_WAITS : take_over(it->queue, talk);
		if (taking == TAKING_WAITS) {
			if (now_ms >= talk->next_ms)
				talk->next_ms = now_ms + (pause_ms > 0 ? pause_ms : 1);
			int left_ms = (int)(talk->next_ms - now_ms);
			wait_ms = wait_ms < 0 || left_ms < wait_ms ? left_ms : wait_ms;
			at = &talk->next_wanted;
			continue;
		}
		*at = talk->next_wanted;
		it->wanted_count--;
		talk->stage = taking == TAKING_DONE ? TAKEN : IGNORED;
		forget_kept(it, talk);
	}
	return wait_ms;
}

bool talks_are_wanted(const struct talks *it, uint16_t port)
{
	for (const struct talk *talk = it->wanted; talk; talk = talk->next_wanted)
		if (talk->ends.own_port == port)
			return true;
	return false;
}

struct talks *talks_open(struct queue *queue)
{
	struct talks *it = calloc(1, sizeof *it);
	if (!it)
		return NULL;
	it->queue = queue;
	if (getrandom(&it->seed, sizeof it->seed, 0) < 0)
		it->seed = (uint64_t)(uintptr_t)it;
	return it;
}

void talks_close(struct talks *it)
{
	while (it->oldest)
		forget(it, it->oldest);
	free(it);
}
