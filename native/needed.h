/* needed.h - what a library says of the libraries it needs: names, and directories to look for them in.
 *
 * Read from a file (which may hold anything: nothing in it is believed) or from an object that the loader has in memory.
 */
#ifndef MIRRORD_NEEDED_H
#define MIRRORD_NEEDED_H

#include "shim.h"

#include <link.h>

enum { MOST_NEEDED = 256 };

/* One block of memory, given back by free(3). */
struct needed {
	/* Each NULL when it has none. RPATH counts where there is no RUNPATH. */
	const char *soname, *rpath, *runpath;
	size_t count;
	const char *names[MOST_NEEDED];
	char texts[];
};

/* NULL: it is no library for this machine, as the loader will say. */
struct needed *needed_of_file(int fd);
/* Without `names`. */
struct needed *needed_of_loaded(const struct link_map *object);

#endif
