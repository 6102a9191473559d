/* needed.h - what a program or library says of the libraries it needs: names, and directories to look for them in.
 *
 * Read from a file (which may hold anything: nothing in it is believed) or from an object that the loader has in memory. It is
 * the kernel's memory that is used: a child of vfork(2) asks this too.
 */
#ifndef MIRRORD_NEEDED_H
#define MIRRORD_NEEDED_H

#include "shim.h"

#include <link.h>

enum { MOST_NEEDED = 256, NOT_OPEN = -1 };

struct needed {
	size_t bytes;
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
void needed_free(struct needed *it);

/* Somebody who needs libraries, and the one who needed that. */
struct search {
	const struct search *by;
	const char *path;
	/* LD_LIBRARY_PATH, or NULL. */
	const char *library_path;
	const struct needed *needed;
	/* A file of this machine: what its usual directories have is not looked for elsewhere. */
	bool is_here;
};

struct candidate {
	/* NOT_OPEN: it is this machine's. */
	int fd;
	char path[WIRE_PATH_BYTES];
};

/* This machine's, whatever else there is: two of them in one process would not know each other's threads and memory. */
bool needed_is_of_libc(const char *name);

/* Would what belongs to this machine find it without being told where? */
bool needed_is_usual(const char *name);

/* Is there a file with the candidate's path, here or at the target? */
bool needed_look(struct candidate *found);

/* In the loader's order, until it would look where only this machine is. */
bool needed_find(struct candidate *found, const struct search *it, const char *name);

/* How long the directory is that a path begins with. */
size_t needed_directory(const char *path);

#endif
