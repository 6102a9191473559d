/* explain.c - asks the shim about a path without running anything under it: `mirrord explain` loads the library into its own
 * process, where no hook is in anybody's way, and calls this. So what is explained is what is decided.
 */
#include "paths.h"

#include <fcntl.h>

struct explanation {
	int32_t outcome, rule;
	uint32_t length;
	/* What the agent would be asked for. */
	char path[SHIM_PATH_BYTES];
};

#define EXPORT __attribute__((visibility("default")))

EXPORT int32_t mirrord_explain_path(const uint8_t *settings, uint32_t size, const char *path, int32_t is_write,
				    struct explanation *into);

/* `settings`: a frame as in the file. `path` is absolute. 0, or -EINVAL when the settings are none. */
int32_t mirrord_explain_path(const uint8_t *settings, uint32_t size, const char *path, int32_t is_write,
			     struct explanation *into)
{
	struct place place;
	if (!shim_read_settings(settings, size))
		return -EINVAL;
	shim_adopt_settings();
	into->outcome = (int32_t)locate(AT_FDCWD, path, is_write != 0, &place);
	into->rule = (int32_t)place.rule;
	into->length = place.outcome == REMOTE ? place.path.length : 0;
	if (into->length > sizeof into->path)
		return -EINVAL;
	if (into->length > 0)
		memcpy(into->path, place.path.at, into->length);
	return 0;
}
