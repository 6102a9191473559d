/* http1.c - see http1.h. */
#include "http1.h"

#include <string.h>
#include <strings.h>

#define MOST_LENGTH_DIGITS 15
#define MOST_CHUNK_DIGITS 12
#define MOST_CHUNK_LINE 8192

static const char PREFACE[] = "PRI * HTTP/2.0\r\n";

/* RFC 9110 5.6.2: tchar. */
static bool is_token(uint8_t byte)
{
	static const char others[] = "!#$%&'*+.^_`|~-";
	if ((byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z'))
		return true;
	return byte != 0 && memchr(others, byte, sizeof others - 1);
}

static size_t min_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The line that begins here, without its end; `*next` is what follows. False: it does not end. */
static bool take_line(const uint8_t *bytes, size_t length, struct http1_span *line, size_t *next)
{
	const uint8_t *end = memchr(bytes, '\n', length);
	if (!end)
		return false;
	*next = (size_t)(end - bytes) + 1;
	*line = (struct http1_span){ bytes, (size_t)(end - bytes) };
	if (line->length > 0 && bytes[line->length - 1] == '\r')
		line->length--;
	return true;
}

/* METHOD SP TARGET SP HTTP/1.x */
static bool read_request_line(struct http1_span line, struct http1_head *head)
{
	size_t at = 0;
	while (at < line.length && is_token(line.at[at]))
		at++;
	head->method = (struct http1_span){ line.at, at };
	if (at == 0 || at >= line.length || line.at[at] != ' ')
		return false;
	size_t from = ++at;
	while (at < line.length && line.at[at] != ' ' && line.at[at] != '\r')
		at++;
	head->target = (struct http1_span){ line.at + from, at - from };
	if (at == from || line.length - at != 9 || memcmp(line.at + at, " HTTP/1.", 8) != 0)
		return false;
	return line.at[at + 8] == '0' || line.at[at + 8] == '1';
}

enum http1_looks http1_looks(const uint8_t *bytes, size_t length)
{
	struct http1_span line;
	struct http1_head head;
	size_t next;
	if (memcmp(bytes, PREFACE, min_of(length, sizeof PREFACE - 1)) == 0)
		return length >= sizeof PREFACE - 1 ? LOOKS_HTTP2 : LOOKS_UNSURE;
	if (take_line(bytes, length, &line, &next))
		return read_request_line(line, &head) ? LOOKS_HTTP1 : LOOKS_OTHER;
	size_t at = 0;
	while (at < length && is_token(bytes[at]))
		at++;
	if (at == length)
		return at <= 64 ? LOOKS_UNSURE : LOOKS_OTHER;
	if (at == 0 || bytes[at] != ' ')
		return LOOKS_OTHER;
	for (at++; at < length && bytes[at] != ' ' && bytes[at] != '\r'; at++)
		;
	if (at == length)
		return length <= HTTP1_MOST_HEAD ? LOOKS_UNSURE : LOOKS_OTHER;
	static const char version[] = " HTTP/1.";
	if (memcmp(bytes + at, version, min_of(length - at, sizeof version - 1)) != 0)
		return LOOKS_OTHER;
	return length - at <= sizeof version + 1 ? LOOKS_UNSURE : LOOKS_OTHER;
}

size_t http1_empty_lines(const uint8_t *bytes, size_t length)
{
	size_t at = 0;
	while (at + 1 < length && bytes[at] == '\r' && bytes[at + 1] == '\n')
		at += 2;
	return at;
}

size_t http1_head_end(const uint8_t *bytes, size_t length, size_t from)
{
	/* The line end before its empty line may lie before `from`. */
	size_t at = from > 3 ? from - 3 : 0;
	while (at < length) {
		const uint8_t *end = memchr(bytes + at, '\n', length - at);
		if (!end)
			return 0;
		at = (size_t)(end - bytes) + 1;
		if (at < length && bytes[at] == '\n')
			return at + 1;
		if (at + 1 < length && bytes[at] == '\r' && bytes[at + 1] == '\n')
			return at + 2;
	}
	return 0;
}

bool http1_header(struct http1_span *rest, struct http1_span *header)
{
	size_t next;
	while (take_line(rest->at, rest->length, header, &next)) {
		rest->at += next;
		rest->length -= next;
		if (header->length > 0)
			return true;
	}
	return false;
}

static bool is_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\t';
}

static struct http1_span trimmed(struct http1_span text)
{
	while (text.length > 0 && is_blank(text.at[0])) {
		text.at++;
		text.length--;
	}
	while (text.length > 0 && is_blank(text.at[text.length - 1]))
		text.length--;
	return text;
}

bool http1_field(struct http1_span header, struct http1_span *name, struct http1_span *value)
{
	const uint8_t *colon = memchr(header.at, ':', header.length);
	if (!colon)
		return false;
	*name = (struct http1_span){ header.at, (size_t)(colon - header.at) };
	*value = trimmed((struct http1_span){ colon + 1, header.length - name->length - 1 });
	return true;
}

static bool is_word(struct http1_span text, const char *word)
{
	return text.length == strlen(word) && strncasecmp((const char *)text.at, word, text.length) == 0;
}

/* The next element of a list, which becomes what follows it. */
static bool take_element(struct http1_span *list, struct http1_span *element)
{
	if (!list->at)
		return false;
	const uint8_t *comma = memchr(list->at, ',', list->length);
	size_t length = comma ? (size_t)(comma - list->at) : list->length;
	*element = trimmed((struct http1_span){ list->at, length });
	if (comma)
		*list = (struct http1_span){ comma + 1, list->length - length - 1 };
	else
		list->at = NULL;
	return true;
}

struct framing_facts {
	bool has_coding, is_chunked, has_length;
	uint64_t length;
	bool offers_http2;
};

/* RFC 9112 6.3: lengths that differ, or are no numbers, are errors. */
static bool read_length(struct http1_span value, struct framing_facts *facts)
{
	struct http1_span element;
	while (take_element(&value, &element)) {
		if (element.length == 0 || element.length > MOST_LENGTH_DIGITS)
			return false;
		uint64_t length = 0;
		for (size_t at = 0; at < element.length; at++) {
			if (element.at[at] < '0' || element.at[at] > '9')
				return false;
			length = length * 10 + (uint64_t)(element.at[at] - '0');
		}
		if (facts->has_length && facts->length != length)
			return false;
		facts->has_length = true;
		facts->length = length;
	}
	return true;
}

/* RFC 9112 2.2, 5: anything else than these in a request, and somebody reads another header. */
static bool is_clear(struct http1_span headers)
{
	struct http1_span line, name, value;
	while (http1_header(&headers, &line)) {
		if (!http1_field(line, &name, &value) || name.length == 0)
			return false;
		for (size_t at = 0; at < name.length; at++)
			if (!is_token(name.at[at]))
				return false;
		if (memchr(value.at, '\r', value.length) || memchr(value.at, 0, value.length))
			return false;
	}
	return true;
}

/* What these headers say of the body. False: two readers could disagree (RFC 9112 6.3, 5.1). */
static bool read_framing(struct http1_span headers, struct framing_facts *facts)
{
	struct http1_span line, element;
	*facts = (struct framing_facts){ 0 };
	while (http1_header(&headers, &line)) {
		if (is_blank(line.at[0]))
			return false;
		const uint8_t *colon = memchr(line.at, ':', line.length);
		if (!colon)
			return false;
		struct http1_span name = { line.at, (size_t)(colon - line.at) };
		struct http1_span value = { colon + 1, line.length - name.length - 1 };
		if (name.length == 0 || is_blank(name.at[name.length - 1]))
			return false;
		if (is_word(name, "content-length") && !read_length(value, facts))
			return false;
		if (is_word(name, "http2-settings"))
			facts->offers_http2 = true;
		if (!is_word(name, "transfer-encoding"))
			continue;
		facts->has_coding = true;
		while (take_element(&value, &element))
			facts->is_chunked = is_word(element, "chunked");
	}
	return !(facts->has_coding && facts->has_length);
}

static bool read_head(const uint8_t *bytes, size_t length, struct http1_span *line, struct http1_head *head,
		      struct framing_facts *facts)
{
	size_t next;
	*head = (struct http1_head){ 0 };
	*line = (struct http1_span){ 0 };
	*facts = (struct framing_facts){ 0 };
	if (!take_line(bytes, length, line, &next))
		return false;
	head->headers = (struct http1_span){ bytes + next, length - next };
	return read_framing(head->headers, facts);
}

bool http1_request(const uint8_t *bytes, size_t length, struct http1_head *head)
{
	struct http1_span line;
	struct framing_facts facts;
	if (!read_head(bytes, length, &line, head, &facts) || !read_request_line(line, head))
		return false;
	if (!is_clear(head->headers))
		return false;
	/* RFC 9112 6.1: chunks are of HTTP/1.1. */
	if (facts.has_coding && (!facts.is_chunked || line.at[line.length - 1] == '0'))
		return false;
	head->framing = facts.has_coding ? BODY_CHUNKED : facts.length > 0 ? BODY_LENGTH : BODY_NONE;
	head->length = facts.length;
	head->offers_http2 = facts.offers_http2;
	return true;
}

bool http1_response(const uint8_t *bytes, size_t length, bool is_bodiless, struct http1_head *head)
{
	struct http1_span line;
	struct framing_facts facts;
	bool is_sound = read_head(bytes, length, &line, head, &facts);
	if (!line.at || line.length < 12 || memcmp(line.at, "HTTP/1.", 7) != 0 || (line.at[7] | 1) != '1' ||
	    line.at[8] != ' ' || (line.length > 12 && line.at[12] != ' '))
		return false;
	for (size_t at = 9; at < 12; at++) {
		if (line.at[at] < '0' || line.at[at] > '9')
			return false;
		head->status = head->status * 10 + (unsigned)(line.at[at] - '0');
	}
	if (is_bodiless || head->status < 200 || head->status == 204 || head->status == 304) {
		head->framing = BODY_NONE;
		return true;
	}
	if (!is_sound)
		return false;
	head->length = facts.length;
	if (facts.has_coding)
		head->framing = facts.is_chunked ? BODY_CHUNKED : BODY_TO_END;
	else if (!facts.has_length)
		head->framing = BODY_TO_END;
	else
		head->framing = facts.length > 0 ? BODY_LENGTH : BODY_NONE;
	return true;
}

enum chunk_state { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_BYTES, CHUNK_RETURN, CHUNK_FEED, CHUNK_TRAILER };

static int digit_of(uint8_t byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* A byte of the line that says how long a chunk is. */
static bool read_size(struct http1_chunks *it, uint8_t byte)
{
	int digit = it->state == CHUNK_SIZE ? digit_of(byte) : -1;
	if (++it->line > MOST_CHUNK_LINE || (digit < 0 && it->digits == 0))
		return false;
	if (digit >= 0) {
		it->left = it->left << 4 | (unsigned)digit;
		return ++it->digits <= MOST_CHUNK_DIGITS;
	}
	if (byte == '\n') {
		it->state = it->left > 0 ? CHUNK_BYTES : CHUNK_TRAILER;
		it->line = it->digits = 0;
		return true;
	}
	if (it->state == CHUNK_SIZE && byte != ';' && byte != '\r' && !is_blank(byte))
		return false;
	it->state = CHUNK_EXTENSION;
	return true;
}

/* RFC 9112 7.1: chunks until the one of size 0, then trailers until an empty line. */
ssize_t http1_chunks(struct http1_chunks *it, const uint8_t *bytes, size_t length, bool *is_over)
{
	*is_over = false;
	for (size_t at = 0; at < length;) {
		if (it->state == CHUNK_BYTES) {
			size_t count = min_of(it->left, length - at);
			it->left -= count;
			at += count;
			if (it->left == 0)
				it->state = CHUNK_RETURN;
			continue;
		}
		uint8_t byte = bytes[at++];
		if (it->state == CHUNK_RETURN || it->state == CHUNK_FEED) {
			if (byte != (it->state == CHUNK_RETURN ? '\r' : '\n'))
				return -1;
			it->state = it->state == CHUNK_RETURN ? CHUNK_FEED : CHUNK_SIZE;
		} else if (it->state != CHUNK_TRAILER) {
			if (!read_size(it, byte))
				return -1;
		} else if (byte == '\n') {
			if (it->line == 0) {
				*is_over = true;
				return (ssize_t)at;
			}
			it->line = 0;
		} else if (byte != '\r' && ++it->line == UINT16_MAX) {
			return -1;
		}
	}
	return (ssize_t)length;
}

bool http1_pass_over(struct http1_chunks *it, size_t length)
{
	if (it->state != CHUNK_BYTES || it->left < length)
		return false;
	it->left -= length;
	if (it->left == 0)
		it->state = CHUNK_RETURN;
	return true;
}
