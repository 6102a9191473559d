/* patterns.h - the user's regular expressions over paths, as one table that src/config/regex/dfa.ts made of them.
 *
 * One look-up a byte, no allocation, no lock. What the table says is decided there; here it is only run.
 */
#ifndef MIRRORD_PATTERNS_H
#define MIRRORD_PATTERNS_H

#include "wire_fields.h"

typedef uint16_t patterns_u16 __attribute__((aligned(1)));

/* Without a table all is zero, and nothing matches. */
struct patterns {
	const uint8_t *class_of, *rank_of;
	const patterns_u16 *next;
	uint32_t start, shift;
};

/* False, and no table, when the bytes are none. They are used where they lie. */
bool patterns_adopt(struct patterns *patterns, struct wire_bytes table);

/* The rank of the expressions that match, the first one first; 0 when none does. */
unsigned patterns_match(const struct patterns *patterns, const char *path, size_t length);

/* Could a path that begins so match? */
bool patterns_may_match_below(const struct patterns *patterns, const char *path, size_t length);

static inline bool patterns_are_any(const struct patterns *patterns)
{
	return patterns->next != NULL;
}

#endif
