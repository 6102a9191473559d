/* payload.h - what the build appends to the launcher, and where it is unpacked
 *
 * An executable made by tasks/build.ts is: this launcher, the files (each at a multiple of 4096, so that a file system
 * with reflinks shares their blocks), one struct entry for each, one struct trailer as the last bytes.
 */
#ifndef MIRRORD_PAYLOAD_H
#define MIRRORD_PAYLOAD_H

#include <limits.h>
#include <stdint.h>

#define PAYLOAD_MAGIC "mirrord-packed-1"

/* Little-endian, as the machine is. Written by tasks/build.ts with the same sizes. */
struct trailer {
	char magic[16];
	uint64_t index_offset;
	uint64_t count;
};

struct entry {
	char directory[64]; /* carries a hash of all that is in it: one name never has two contents */
	char name[48];
	uint64_t offset;
	uint64_t size;
	uint64_t mode;
	uint64_t reserved;
};

/* Where the two things to start are. */
struct runtime {
	char executable[PATH_MAX];
	char program[PATH_MAX];
	char cache[PATH_MAX]; /* directory for the runtime's own caches; may be unusable */
};

#define MAX_ENTRIES 512
#define RUNTIME_NAME "mirrord" /* what ps and top show */
#define PROGRAM_NAME "main.js"
#define BESIDE_NAME "mirrord.runtime"

struct payload {
	int fd; /* our own executable */
	uint64_t count;
	struct entry entries[MAX_ENTRIES];
};

/* Reads the index of our own executable: 0, -ENODATA when nothing is appended, or another -errno. */
int payload_open(struct payload *payload);

/* Makes sure all of the payload lies unpacked below `base` (made when missing), private to this user and whole:
 * 0 with `at` filled in, or -errno with `at->executable` naming what failed. Safe when several start at once. */
int payload_unpack(const struct payload *payload, const char *base, struct runtime *at);

/* Writes the launcher alone and mirrord.runtime/ into `directory`, readable by everybody: what the image holds. */
int payload_export(const struct payload *payload, const char *directory);

#endif
