/* files_listing.c - all entries of a directory in one piece
 *
 * The result are linux_dirent64 records as getdents64(2) gives them, "." and ".." among them, but d_off, a cookie of the
 * file system, is replaced by the offset of the next record: so the bytes mean something wherever they are kept.
 * What does not fit into the caller's buffer goes into a memfd: a snapshot, read like a file, gone when it is closed.
 */
#include "sys.h"

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "files.h"

/* Bytes of entries one directory may have: about a million names. More is ENOMEM, memory here is counted. */
#define LISTING_BYTES (64u << 20)

struct record {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

struct listing {
	uint8_t *data;
	uint64_t capacity;
	uint64_t kept;	/* bytes in data */
	uint64_t total; /* bytes in all */
	int snapshot;	/* -1 until data is full; then holds everything */
	bool has_dot, has_dot_dot;
};

static int write_all(int fd, const uint8_t *bytes, uint64_t count)
{
	while (count > 0) {
		ssize_t put = write(fd, bytes, count);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		bytes += put;
		count -= (uint64_t)put;
	}
	return 0;
}

static int begin_snapshot(struct listing *to)
{
	to->snapshot = memfd_create("listing", MFD_CLOEXEC);
	return to->snapshot < 0 ? -errno : write_all(to->snapshot, to->data, to->kept);
}

/* Takes over `size` bytes of records. The caller's buffer gets what fits, be it half a record: it is only the beginning. */
static int append(struct listing *to, const uint8_t *records, uint64_t size)
{
	if (to->total + size > LISTING_BYTES)
		return -ENOMEM;
	uint64_t fitting = size < to->capacity - to->kept ? size : to->capacity - to->kept;
	if (fitting < size && to->snapshot < 0) {
		int status = begin_snapshot(to);
		if (status < 0)
			return status;
	}
	memcpy(to->data + to->kept, records, fitting);
	to->kept += fitting;
	to->total += size;
	return to->snapshot < 0 ? 0 : write_all(to->snapshot, records, size);
}

/* Gives the records in `buffer` their new d_off and notes whether the dots are among them. */
static void renumber(struct listing *to, uint8_t *buffer, uint64_t size)
{
	for (uint64_t at = 0; at < size;) {
		struct record *entry = (struct record *)(buffer + at);
		at += entry->reclen;
		entry->off = (int64_t)(to->total + at);
		to->has_dot |= strcmp(entry->name, ".") == 0;
		to->has_dot_dot |= strcmp(entry->name, "..") == 0;
	}
}

/* Some file systems (FUSE) leave the dots out; programs count on them. */
static int add_dot(struct listing *to, const char *name, uint64_t ino)
{
	union {
		struct record entry;
		uint8_t bytes[24];
	} dot = { .bytes = { 0 } };
	dot.entry.ino = ino;
	dot.entry.off = (int64_t)(to->total + sizeof dot);
	dot.entry.reclen = sizeof dot;
	dot.entry.type = DT_DIR;
	strcpy((char *)dot.bytes + offsetof(struct record, name), name);
	return append(to, dot.bytes, sizeof dot);
}

static int add_missing_dots(struct listing *to, int directory)
{
	if (to->has_dot && to->has_dot_dot)
		return 0;
	struct stat own;
	if (fstat(directory, &own) < 0)
		return -errno;
	int status = to->has_dot ? 0 : add_dot(to, ".", own.st_ino);
	return status < 0 || to->has_dot_dot ? status : add_dot(to, "..", own.st_ino);
}

static int read_entries(struct listing *to, int directory)
{
	_Alignas(struct record) uint8_t buffer[32 << 10];
	while (true) {
		long size = syscall(SYS_getdents64, directory, buffer, sizeof buffer);
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			return -errno;
		if (size == 0)
			return add_missing_dots(to, directory);
		renumber(to, buffer, (uint64_t)size);
		int status = append(to, buffer, (uint64_t)size);
		if (status < 0)
			return status;
	}
}

/* Bytes of entries put into `data`, or -errno. `*handle` stays as it is when they are all, else it is the snapshot. */
int64_t listing_read(int directory, uint8_t *data, uint32_t capacity, int32_t *handle)
{
	struct listing to = { .data = data, .capacity = capacity, .snapshot = -1 };
	int status = read_entries(&to, directory);
	if (status < 0) {
		if (to.snapshot >= 0)
			close(to.snapshot);
		return status;
	}
	if (to.snapshot >= 0)
		*handle = to.snapshot;
	return (int64_t)to.kept;
}
