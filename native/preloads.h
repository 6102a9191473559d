/* preloads.h - libraries that a program needs at its start and only the target has (decision 0054).
 *
 * Before a program is executed, what it needs of the target's is fetched into descriptors that it inherits, and named in its
 * LD_PRELOAD: the loader finds them loaded by the time it looks for them. The new program's shim then takes them out of the
 * environment, closes them, and gives the libraries their names.
 *
 * One that does not say by which name it is wanted (no SONAME) would not be known again: it lies as a link in a directory of the
 * session, which comes first in LD_LIBRARY_PATH until the new program's shim removes both.
 */
#ifndef MIRRORD_PRELOADS_H
#define MIRRORD_PRELOADS_H

#include "shim.h"

enum { MOST_PRELOADS = 64, PRELOADS_BYTES = 60 << 10 };

struct preloads {
	size_t length, names_length, count;
	int fds[MOST_PRELOADS];
	/* For LD_PRELOAD. */
	char list[PRELOADS_BYTES];
	/* Empty, or such a directory. */
	char directory[SHIM_PATH_BYTES];
	/* What was looked for already. */
	char names[PRELOADS_BYTES];
};

/* For the program in `file`; `shown`: its path at the target, NULL for one of this machine. NULL: it needs nothing of the
 * target's. A child of vfork(2) may ask. */
struct preloads *preloads_of(const char *file, const char *shown, char *const envp[]);
/* In the process that made it; `is_started`: there is a program now that has them. */
void preloads_free(struct preloads *it, bool is_started);

/* In the program that was started with them. */
void preloads_begin(void);

#endif
