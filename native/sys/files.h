/* files.h - what files.c and files_listing.c share, and the shapes src/sys/files.ts fills and reads. */
#ifndef MIRRORD_FILES_H
#define MIRRORD_FILES_H

#include <stdint.h>

/* PATH_MAX of Linux, the NUL included. */
#define FILES_PATH_BYTES 4096

/* File-system rights of a process; its supplementary groups follow, one word each. */
struct rights {
	uint32_t uid;
	uint32_t gid;
	uint32_t group_count;
};
#define RIGHTS_WORDS (sizeof(struct rights) / sizeof(uint32_t))

/* Fields in the order of STAT_FIELDS of src/proto/schema.ts, all of 64 bits: unpacked by src/agent/files.ts. */
struct file_stat {
	uint64_t dev, ino, mode, nlink, uid, gid, rdev, size, blksize, blocks;
	uint64_t atime_sec, atime_nsec, mtime_sec, mtime_nsec, ctime_sec, ctime_nsec, btime_sec, btime_nsec;
};

/* The entries of an open directory: see files_listing.c. */
int64_t listing_read(int directory, uint8_t *data, uint32_t capacity, int32_t *handle);

#endif
