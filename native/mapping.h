/* mapping.h - paths that stand for other paths: `feature.fs.mapping`.
 *
 * Whether one does is decided here, by a table (patterns.h); which one it stands for, the intproxy tells. It happens at the
 * edge, before a hook looks at the path: what follows, rules and the real function alike, sees the other path.
 */
#ifndef MIRRORD_MAPPING_H
#define MIRRORD_MAPPING_H

#include "shim.h"

/* Are there mappings? For almost all runs there are none, and this is one load. */
static inline bool mapping_is_any(void)
{
	return unlikely(patterns_are_any(&shim.mappings));
}

/* `path`, or what it stands for, in `room`, where `path` may lie itself. Only absolute paths stand for others. */
const char *mapping_of(const char *path, char room[WIRE_PATH_BYTES]);

#endif
