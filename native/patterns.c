/* patterns.c - see patterns.h. The layout of the table is said in src/config/regex/dfa.ts. */
#include "patterns.h"

enum {
	RESTING = 5, /* in a state below this one no byte changes anything */
	HEAD_BYTES = 8,
	CLASSES = 256,
};

static bool is_sound(const struct patterns *it, uint32_t states)
{
	for (uint32_t at = 0; at < states << it->shift; at++)
		if (it->next[at] >= states)
			return false;
	uint32_t classes = 1u << it->shift;
	for (size_t byte = 0; byte < CLASSES; byte++)
		if (it->class_of[byte] >= classes)
			return false;
	return it->start < states;
}

bool patterns_adopt(struct patterns *patterns, struct wire_bytes table)
{
	*patterns = (struct patterns){ 0 };
	const uint8_t *at = table.at;
	uint32_t states;
	if (table.length < HEAD_BYTES + CLASSES)
		return false;
	memcpy(&states, at, sizeof states);
	uint32_t shift = at[4];
	if (states > UINT16_MAX || shift > 8)
		return false;
	size_t next = (HEAD_BYTES + CLASSES + states + 1u) & ~1ul;
	if (table.length != next + 2ul * ((size_t)states << shift))
		return false;
	struct patterns found = {
		.class_of = at + HEAD_BYTES,
		.rank_of = at + HEAD_BYTES + CLASSES,
		.next = (const patterns_u16 *)(at + next),
		.start = (uint32_t)(at[6] | at[7] << 8),
		.shift = shift,
	};
	if (!is_sound(&found, states))
		return false;
	*patterns = found;
	return true;
}

static inline uint32_t run(const struct patterns *patterns, const char *path, size_t length)
{
	const uint8_t *at = (const uint8_t *)path;
	const uint8_t *end = at + length;
	uint32_t state = patterns->start;
	for (; at < end && state >= RESTING; at++)
		state = patterns->next[(state << patterns->shift) + patterns->class_of[*at]];
	return state;
}

unsigned patterns_match(const struct patterns *patterns, const char *path, size_t length)
{
	return patterns->next ? patterns->rank_of[run(patterns, path, length)] : 0;
}

bool patterns_may_match_below(const struct patterns *patterns, const char *path, size_t length)
{
	return patterns->next && run(patterns, path, length) != 0;
}
