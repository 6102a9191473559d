/* files.h - what files.c and files_listing.c share, and the shapes src/sys/files.ts fills and reads. */
#ifndef MIRRORD_FILES_H
#define MIRRORD_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

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

/* errno and stat of an entry as a StatReply of the layer wire has them: packed, little-endian as this machine is. */
struct entry_record {
	int32_t error;
	uint64_t dev, ino;
	uint32_t mode, nlink, uid, gid;
	uint64_t rdev, size;
	uint32_t blksize;
	uint64_t blocks;
	uint64_t atime_sec;
	uint32_t atime_nsec;
	uint64_t mtime_sec;
	uint32_t mtime_nsec;
	uint64_t ctime_sec;
	uint32_t ctime_nsec;
	uint64_t btime_sec;
	uint32_t btime_nsec;
} __attribute__((packed));

/* What files_list tells beside its bytes. */
struct listed {
	int32_t handle;	      /* -1 when all entries are in the buffer, else a descriptor for files_read_at */
	uint32_t entry_bytes; /* bytes of entries in the buffer; what follows are records */
	uint32_t is_all;      /* any other name in the directory is ENOENT */
};

/* lstat(2) without an errno of its own: 0 or -errno. The empty name means the object itself. */
int stat_object(int fd, const char *name, struct file_stat *into);

/* An O_PATH descriptor for what `path` leads to inside `root`; flags: O_NOFOLLOW, O_DIRECTORY. Or -errno. */
int find_object(int root, const char *path, uint64_t flags);

/* Bytes of the path below `root` of an open object, in `into`; or -errno. */
int64_t path_below(int root, int found, char *into, uint32_t capacity);

/* The calling thread takes the target's file-system rights (NULL: stays as it is), and lays them down. */
void rights_take(const uint32_t *words);
void rights_lay_down(const uint32_t *words);

/* The calling thread's own umask from now on: what it was before. See files_tree.c. */
mode_t umask_take(uint32_t mask);

/* See files_entries.c. */
void entry_stat(int directory, const char *name, struct entry_record *into);
uint64_t entries_stat_listed(int directory, const uint8_t *entries, uint64_t size, uint32_t most, uint8_t *data,
			     uint64_t capacity);
int64_t entries_stat_named(int directory, const char *names, uint64_t size, uint8_t *data, uint64_t capacity);
bool entries_are_all(int directory, const struct file_stat *before, bool is_watched);

/* The entries of an open directory: see files_listing.c. */
int64_t listing_read(int directory, uint8_t *data, uint32_t capacity, int32_t *handle);

#endif
