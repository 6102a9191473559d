/* only_there.h - programs and scripts that only the target has. */
#ifndef MIRRORD_ONLY_THERE_H
#define MIRRORD_ONLY_THERE_H

#include "shim.h"

/* What stands for a program that this machine does not have. */
struct only_there {
	enum {
		/* It is local, or there is no such program there either: as the kernel says. */
		NOT_ONLY_THERE,
		/* A link to a program of this machine, in `path`. */
		HERE_AFTER_ALL,
		/* A copy in memory; `path` leads to it in this process and its children, `fd` is closed by exec. */
		FETCHED,
		/* A script: the program to start instead is `interpreter`, before it its `argument`, NULL for none. */
		SCRIPT,
		/* Neither nor: a shell reads it, or `error` is ENOEXEC. */
		UNKNOWN_FORM,
		/* `error` says why not. */
		REFUSED,
	} what;
	int error;
	int fd;
	const char *interpreter, *argument;
	char path[WIRE_PATH_BYTES];
};

/* Looks for the program. True unless NOT_ONLY_THERE. `path` is relative to the working directory. */
bool only_there(struct only_there *found, const char *path);

/* Memory with the bytes of this open file of the target, to be executed or loaded: a descriptor for reading, close-on-exec; or
 * -errno. Its name carries the path. */
int only_there_copy(int from, const char *path);

#endif
