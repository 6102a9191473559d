/* http_filter.c - see http_filter.h. A program is a row of nodes, little-endian: u32 kind, u32 bytes of what follows.
 *
 * HEADER, PATH, METHOD: the table of a regular expression (src/config/regex/dfa.ts says its layout), filled up to 4 bytes.
 * ALL, ANY: a row of nodes. LATER: nothing; it is for TypeScript to decide. It comes from the agent's client, so all of it is
 * looked at before it is run; tables are run one look-up a byte.
 */
#include "http_filter.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MOST_NESTED 8

enum kind { HEADER = 1, PATH, METHOD, ALL, ANY, LATER };

struct http_filters {
	_Atomic uint32_t owners;
	_Atomic bool is_retired;
	uint32_t length;
	_Alignas(8) uint8_t program[];
};

struct node {
	uint32_t kind, length;
	const uint8_t *body;
};

/* ---- tables ---- */

enum { RESTING = 5, TABLE_HEAD = 8 + 256, CLASSES = 256 };

struct table {
	const uint8_t *class_of, *rank_of;
	const uint16_t *next;
	uint32_t states, start, shift;
};

static bool read_table(const uint8_t *at, uint32_t length, struct table *table)
{
	if (length < TABLE_HEAD)
		return false;
	memcpy(&table->states, at, sizeof table->states);
	table->shift = at[4];
	table->start = (uint32_t)(at[6] | at[7] << 8);
	if (table->states > UINT16_MAX || table->shift > 8)
		return false;
	uint64_t next = (TABLE_HEAD + table->states + 1u) & ~1u;
	uint64_t end = next + 2 * ((uint64_t)table->states << table->shift);
	if (end > length || length - end > 3)
		return false;
	table->class_of = at + 8;
	table->rank_of = at + TABLE_HEAD;
	table->next = (const uint16_t *)(at + next);
	return true;
}

static bool is_sound_table(const uint8_t *at, uint32_t length)
{
	struct table table;
	if (!read_table(at, length, &table) || table.start >= table.states)
		return false;
	for (uint32_t index = 0; index < table.states << table.shift; index++)
		if (table.next[index] >= table.states)
			return false;
	for (uint32_t byte = 0; byte < CLASSES; byte++)
		if (table.class_of[byte] >= 1u << table.shift)
			return false;
	return true;
}

static uint32_t follow(const struct table *table, uint32_t state, struct http1_span text)
{
	for (size_t at = 0; at < text.length && state >= RESTING; at++)
		state = table->next[(state << table->shift) + table->class_of[text.at[at]]];
	return state;
}

static bool matches(const struct table *table, struct http1_span text)
{
	return table->rank_of[follow(table, table->start, text)] > 0;
}

/* As "Name: value", however many blanks stand around the value. */
static bool matches_header(const struct table *table, struct http1_span header)
{
	struct http1_span name, value;
	if (!http1_field(header, &name, &value))
		return matches(table, header);
	uint32_t state = follow(table, table->start, name);
	state = follow(table, state, (struct http1_span){ (const uint8_t *)": ", 2 });
	return table->rank_of[follow(table, state, value)] > 0;
}

/* ---- nodes ---- */

/* The next node of a row, which becomes what follows it. */
static bool take_node(const uint8_t **row, const uint8_t *end, struct node *node)
{
	if (end - *row < 8)
		return false;
	memcpy(&node->kind, *row, 4);
	memcpy(&node->length, *row + 4, 4);
	node->body = *row + 8;
	if (node->length % 4 != 0 || node->length > (size_t)(end - node->body))
		return false;
	*row = node->body + node->length;
	return true;
}

static bool is_sound_row(const uint8_t *row, const uint8_t *end, unsigned depth)
{
	struct node node;
	while (row < end) {
		if (!take_node(&row, end, &node))
			return false;
		bool is_table = node.kind == HEADER || node.kind == PATH || node.kind == METHOD;
		bool is_row = node.kind == ALL || node.kind == ANY;
		if (!is_table && !is_row && node.kind != LATER)
			return false;
		if (is_table && !is_sound_table(node.body, node.length))
			return false;
		if (is_row && (depth == 0 || !is_sound_row(node.body, node.body + node.length, depth - 1)))
			return false;
	}
	return true;
}

static enum http_verdict run_table(const struct node *node, const struct http1_head *head)
{
	struct table table;
	struct http1_span rest = head->headers, text = head->target;
	if (!read_table(node->body, node->length, &table))
		return FILTER_NO;
	if (node->kind == METHOD)
		return matches(&table, head->method) ? FILTER_YES : FILTER_NO;
	if (node->kind == HEADER) {
		while (http1_header(&rest, &text))
			if (matches_header(&table, text))
				return FILTER_YES;
		return FILTER_NO;
	}
	if (matches(&table, text))
		return FILTER_YES;
	const uint8_t *query = memchr(text.at, '?', text.length);
	if (query)
		text.length = (size_t)(query - text.at);
	return query && matches(&table, text) ? FILTER_YES : FILTER_NO;
}

static enum http_verdict run_node(const struct node *node, const struct http1_head *head)
{
	if (node->kind == LATER)
		return FILTER_MAYBE;
	if (node->kind < ALL)
		return run_table(node, head);
	bool is_all = node->kind == ALL;
	enum http_verdict verdict = is_all ? FILTER_YES : FILTER_NO;
	const uint8_t *row = node->body, *end = row + node->length;
	struct node inner;
	while (take_node(&row, end, &inner)) {
		enum http_verdict found = run_node(&inner, head);
		if (is_all ? found < verdict : found > verdict)
			verdict = found;
	}
	return verdict;
}

/* ---- */

struct http_filters *http_filters_make(const uint8_t *program, size_t length)
{
	if (length > UINT32_MAX || !is_sound_row(program, program + length, MOST_NESTED))
		return NULL;
	struct http_filters *filters = malloc(sizeof *filters + length);
	if (!filters)
		return NULL;
	atomic_init(&filters->owners, 1);
	atomic_init(&filters->is_retired, false);
	filters->length = (uint32_t)length;
	memcpy(filters->program, program, length);
	return filters;
}

void http_filters_hold(struct http_filters *filters)
{
	atomic_fetch_add(&filters->owners, 1);
}

void http_filters_release(struct http_filters *filters)
{
	if (filters && atomic_fetch_sub(&filters->owners, 1) == 1)
		free(filters);
}

void http_filters_retire(struct http_filters *filters)
{
	atomic_store(&filters->is_retired, true);
}

bool http_filters_are_retired(const struct http_filters *filters)
{
	return atomic_load_explicit(&filters->is_retired, memory_order_relaxed);
}

enum http_verdict http_filters_run(const struct http_filters *filters, const struct http1_head *head)
{
	enum http_verdict verdict = FILTER_NO;
	const uint8_t *row = filters->program, *end = row + filters->length;
	struct node node;
	while (verdict != FILTER_YES && take_node(&row, end, &node)) {
		enum http_verdict found = run_node(&node, head);
		if (found > verdict)
			verdict = found;
	}
	return verdict;
}
