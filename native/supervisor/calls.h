/* calls.h - what the arguments of a system call are, so that they can be fetched from the process that makes it, and what
 * it gave put back there.
 */
#ifndef MIRRORD_SUPERVISOR_CALLS_H
#define MIRRORD_SUPERVISOR_CALLS_H

#include <stdbool.h>
#include <stdint.h>

enum { ARGUMENTS = 6 };

enum kind {
	VALUE,
	FD,
	DIRFD, /* which the next argument is relative to */
	PATH,
	TEXT, /* of no file */
	FIXED, /* in: `size` bytes */
	OUT, /* out: `size` bytes */
	BYTES, /* in: as many bytes as the argument `size` says */
	ROOM, /* out: room for as many bytes as the argument `size` says; the result is how many there are */
	ADDRESS, /* in: a socket's address, whose length is the next argument */
	NAME, /* out: a socket's address; the next argument points to its length */
	LENGTH, /* that pointer */
};

struct argument {
	uint8_t kind;
	uint16_t size;
};

/* What has to be the target's for a call to be looked at: nothing of a run that leaves it alone is slowed down. */
enum concern {
	OF_FILES = 1,
	OF_WRITING = 2,
	OF_SOCKETS = 4,
	OF_HOSTNAME = 8,
	OF_PROCESSES = 16, /* always */
	OF_CHILDREN = 32, /* where processes have to name us: permission.h */
};

struct call {
	uint16_t number;
	uint8_t concern;
	bool gives_descriptor;
	struct argument arguments[ARGUMENTS];
};

/* NULL: it is not looked at. */
const struct call *call_of(long number);
/* All of them, ended by one with no concern. */
extern const struct call calls[];

#endif
