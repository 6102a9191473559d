/* fds.c - making and recognising the memfds of remote files. See fds.h. */
#include "fds.h"
#include "tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define FILE_PREFIX "mirrord-f-"
#define BIG_PREFIX "mirrord-b-" /* src/layer/intproxy/descriptors.ts knows it, too */
#define DIRECTORY_PREFIX "mirrord-d-"
#define WRITTEN_PREFIX "mirrord-w-"
enum { PREFIX_LENGTH = sizeof FILE_PREFIX - 1, NAME_BYTES = 249, FOOTER_MAGIC = 0x6d646972 };
/* Behind the stat stand the handle and the time of opening, or the number on the shelf. */
enum {
	HANDLE_AT = PREFIX_LENGTH + 2 * WIRE_STAT_BYTES,
	HANDLE_DIGITS = 8,
	TIME_AT = HANDLE_AT + HANDLE_DIGITS,
	TIME_DIGITS = 12,
	FILE_DIGITS = 16,
};
_Static_assert(TIME_AT + TIME_DIGITS <= NAME_BYTES, "a memfd's name holds all that");
_Static_assert(HANDLE_AT + FILE_DIGITS <= NAME_BYTES, "a memfd's name holds the stat and a number");

static _Atomic bool has_directories;

bool fds_may_be_directory(void)
{
	return atomic_load_explicit(&has_directories, memory_order_relaxed);
}

void fds_start(void)
{
	/* Inherited descriptors are few and low. */
	enum { FIRST = 3, COUNT = 61 };
	struct pollfd fds[COUNT];
	struct directory_footer footer;
	for (int at = 0; at < COUNT; at++)
		fds[at] = (struct pollfd){ .fd = FIRST + at };
	kernel(SYS_poll, fds, COUNT, 0);
	for (int at = 0; at < COUNT; at++)
		if (!(fds[at].revents & POLLNVAL))
			fds_directory(FIRST + at, &footer);
}

/* Of some directories, by the inode of the memory that stands for them. Losing one costs a question. */
enum { LISTED = 256 };
static struct {
	_Atomic uint64_t ino;
	_Atomic uint32_t changes;
} listed[LISTED];

static uint64_t inode_number(int fd)
{
	struct stat st;
	return kernel(SYS_fstat, fd, &st) == 0 ? st.st_ino : 0;
}

void fds_listed(int fd)
{
	uint64_t ino = inode_number(fd);
	atomic_store_explicit(&listed[ino % LISTED].changes, atomic_load(&tree_changes), memory_order_relaxed);
	atomic_store_explicit(&listed[ino % LISTED].ino, ino, memory_order_relaxed);
}

bool fds_listing_is_old(int fd)
{
	uint64_t ino = inode_number(fd);
	uint32_t now = atomic_load(&tree_changes);
	bool is_known = atomic_load_explicit(&listed[ino % LISTED].ino, memory_order_relaxed) == ino;
	return now != (is_known ? atomic_load_explicit(&listed[ino % LISTED].changes, memory_order_relaxed) : 0);
}

static const char hex_digits[] = "0123456789abcdef";

static char *put_digits(char *at, uint64_t value, int digits)
{
	for (int digit = digits - 1; digit >= 0; digit--)
		*at++ = hex_digits[value >> (4 * digit) & 15];
	return at;
}

int fds_make(const struct wire_stat *stat, uint64_t handle, bool is_big, int64_t opened_ms)
{
	uint8_t bytes[WIRE_STAT_BYTES];
	char name[NAME_BYTES + 1];
	struct wire_out out = { .at = bytes, .end = bytes + sizeof bytes };
	wire_put_stat(&out, *stat);
	const char *prefix = S_ISDIR(stat->mode) ? DIRECTORY_PREFIX : is_big ? BIG_PREFIX : FILE_PREFIX;
	memcpy(name, prefix, PREFIX_LENGTH);
	char *at = name + PREFIX_LENGTH;
	for (size_t byte = 0; byte < sizeof bytes; byte++) {
		*at++ = hex_digits[bytes[byte] >> 4];
		*at++ = hex_digits[bytes[byte] & 15];
	}
	if (handle)
		at = put_digits(put_digits(at, handle, HANDLE_DIGITS), (uint64_t)opened_ms, TIME_DIGITS);
	*at = '\0';
	return (int)kernel(SYS_memfd_create, name, MFD_CLOEXEC);
}

/* "/proc/self/fd/N", without stdio: it must work in signal handlers. */
static const char *link_of(int fd, char into[32])
{
	static const char prefix[] = "/proc/self/fd/";
	char *at = into + 31;
	*at = '\0';
	do
		*--at = (char)('0' + fd % 10);
	while ((fd /= 10) > 0);
	at -= sizeof prefix - 1;
	memcpy(at, prefix, sizeof prefix - 1);
	return at;
}

long fds_link(int fd, char *into, size_t room)
{
	char link[32];
	return kernel(SYS_readlink, link_of(fd, link), into, room);
}

int fds_lift_limit(struct rlimit *before, uint64_t end)
{
	if (kernel(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, before) < 0 || before->rlim_cur >= end)
		return 0;
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit hard = { before->rlim_max, before->rlim_max };
	if (before->rlim_max >= end)
		return kernel(SYS_prlimit64, 0, RLIMIT_FSIZE, &hard, NULL) == 0 ? 1 : -EFBIG;
	return kernel(SYS_prlimit64, 0, RLIMIT_FSIZE, &all, NULL) == 0 ? 1 : -EFBIG;
}

void fds_lower_limit(const struct rlimit *before)
{
	kernel(SYS_prlimit64, 0, RLIMIT_FSIZE, before, NULL);
}

int fds_open_again(int fd, int flags)
{
	char link[32];
	return (int)kernel(SYS_openat, AT_FDCWD, link_of(fd, link), flags | O_CLOEXEC);
}

int fds_seal(int fd, int flags, uint32_t mode)
{
	char link[32];
	long marked = kernel(SYS_fchmod, fd, mode);
	if (marked < 0)
		return (int)marked;
	int kept = flags & (O_NONBLOCK | O_PATH | O_APPEND | O_SYNC);
	int again = (int)kernel(SYS_openat, AT_FDCWD, link_of(fd, link), O_RDONLY | O_CLOEXEC | kept);
	if (again < 0) /* no /proc here: it stays writable, which harms nobody but its owner */
		return (int)kernel(SYS_fcntl, fd, F_SETFD, flags & O_CLOEXEC ? FD_CLOEXEC : 0);
	long placed = kernel(SYS_dup3, again, fd, flags & O_CLOEXEC);
	kernel(SYS_close, again);
	return placed < 0 ? (int)placed : 0;
}

static int nibble(char digit)
{
	return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

enum { NAME_ROOM = sizeof "/memfd:" + NAME_BYTES + sizeof " (deleted)" };

/* The memfd's name, from its prefix on, with `*length`; NULL when it is none of ours. */
static const char *name_of(int fd, char room[NAME_ROOM], size_t *length)
{
	static const char before[] = "/memfd:";
	static const char prefixes[][PREFIX_LENGTH + 1] = { FILE_PREFIX, BIG_PREFIX, DIRECTORY_PREFIX, WRITTEN_PREFIX };
	char link[32];
	long count = kernel(SYS_readlink, link_of(fd, link), room, NAME_ROOM);
	const char *at = room + sizeof before - 1;
	if (count < (long)(sizeof before - 1 + HANDLE_AT) || memcmp(room, before, sizeof before - 1))
		return NULL;
	*length = (size_t)count - (sizeof before - 1);
	for (size_t kind = 0; kind < sizeof prefixes / sizeof *prefixes; kind++)
		if (!memcmp(at, prefixes[kind], PREFIX_LENGTH))
			return at;
	return NULL;
}

bool fds_read_stat(const char *at, struct wire_stat *stat)
{
	uint8_t bytes[WIRE_STAT_BYTES];
	for (size_t byte = 0; byte < sizeof bytes; byte++, at += 2) {
		int high = nibble(at[0]), low = nibble(at[1]);
		if (high < 0 || low < 0)
			return false;
		bytes[byte] = (uint8_t)(high << 4 | low);
	}
	struct wire_in in = { .at = bytes, .end = bytes + sizeof bytes };
	return wire_get_stat(&in, stat);
}

int fds_stat(int fd, struct wire_stat *stat)
{
	char room[NAME_ROOM];
	size_t length;
	const char *name = name_of(fd, room, &length);
	return name && fds_read_stat(name + PREFIX_LENGTH, stat) ? 0 : -EBADF;
}

/* The number of so many digits in the name, or -EBADF. */
static int64_t number_in(const char *name, size_t length, int at, int digits)
{
	uint64_t number = 0;
	if (length < (size_t)(at + digits))
		return -EBADF;
	for (int digit = 0; digit < digits; digit++) {
		int value = nibble(name[at + digit]);
		if (value < 0)
			return -EBADF;
		number = number << 4 | (unsigned)value;
	}
	return (int64_t)number;
}

int fds_written(int fd, uint64_t *file, struct wire_stat *stat)
{
	struct stat st;
	char room[NAME_ROOM];
	size_t length;
	if (kernel(SYS_fstat, fd, &st) < 0 || !fds_is_written(st.st_mode, st.st_nlink))
		return -EBADF;
	const char *name = name_of(fd, room, &length);
	int64_t number = name && !memcmp(name, WRITTEN_PREFIX, PREFIX_LENGTH) ? number_in(name, length, HANDLE_AT, FILE_DIGITS) : -1;
	if (number <= 0 || (stat && !fds_read_stat(name + PREFIX_LENGTH, stat)))
		return -EBADF;
	*file = (uint64_t)number;
	return 0;
}

int64_t fds_handle(int fd, int64_t *opened_ms)
{
	char room[NAME_ROOM];
	size_t length;
	const char *name = name_of(fd, room, &length);
	if (!name)
		return -EBADF;
	bool is_file = !memcmp(name, BIG_PREFIX, PREFIX_LENGTH) || !memcmp(name, FILE_PREFIX, PREFIX_LENGTH);
	/* Without a handle, what follows is " (deleted)". */
	if (!is_file || length < TIME_AT + TIME_DIGITS)
		return 0;
	*opened_ms = number_in(name, length, TIME_AT, TIME_DIGITS);
	return number_in(name, length, HANDLE_AT, HANDLE_DIGITS);
}

/* Both are struct linux_dirent64: offset at byte 8, length of the record at byte 16. */
static bool renumber(char *entries, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes;) {
		uint16_t length;
		if (bytes - at < 20)
			return false;
		memcpy(&length, entries + at + 16, sizeof length);
		if (length < 20 || length % 8 != 0 || length > bytes - at ||
		    !memchr(entries + at + 19, '\0', length - 19u))
			return false;
		int64_t next = DIRECTORY_BASE + (int64_t)(at + length);
		memcpy(entries + at + 8, &next, sizeof next);
		at += length;
	}
	return true;
}

int fds_finish_directory(int fd, uint64_t entries_bytes, struct wire_bytes path)
{
	struct directory_footer footer = { entries_bytes, path.length, FOOTER_MAGIC };
	if (entries_bytes > 0) {
		void *map = (void *)kernel(SYS_mmap, 0, entries_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if ((unsigned long)map >= -4095UL)
			return -ENOMEM;
		bool is_right = renumber(map, entries_bytes);
		kernel(SYS_munmap, map, entries_bytes);
		if (!is_right)
			return -EIO;
	}
	uint64_t at = entries_bytes;
	if (kernel(SYS_pwrite64, fd, path.at, path.length, at) != (long)path.length ||
	    kernel(SYS_pwrite64, fd, &footer, sizeof footer, at + path.length) != sizeof footer)
		return -ENOMEM;
	atomic_store_explicit(&has_directories, true, memory_order_relaxed);
	return 0;
}

int fds_directory(int fd, struct directory_footer *footer)
{
	struct stat st;
	struct wire_stat stat;
	if (kernel(SYS_fstat, fd, &st) < 0 || !fds_is_ours(st.st_mode, st.st_nlink) || fds_stat(fd, &stat) < 0)
		return -EBADF;
	if (!S_ISDIR(stat.mode))
		return -ENOTDIR;
	int readable = fd;
	long flags = kernel(SYS_fcntl, fd, F_GETFL);
	if ((flags & O_PATH) != 0 || (flags & O_ACCMODE) == FDS_NEITHER) {
		char link[32];
		readable = (int)kernel(SYS_openat, AT_FDCWD, link_of(fd, link), O_RDONLY | O_CLOEXEC);
	}
	long count = kernel(SYS_pread64, readable, footer, sizeof *footer, st.st_size - (off_t)sizeof *footer);
	if (readable != fd && readable >= 0)
		kernel(SYS_close, readable);
	bool is_right = count == sizeof *footer && footer->magic == FOOTER_MAGIC &&
			footer->entries_bytes + footer->path_bytes + sizeof *footer == (uint64_t)st.st_size;
	if (is_right)
		atomic_store_explicit(&has_directories, true, memory_order_relaxed);
	return is_right ? 0 : -EBADF;
}

ssize_t fds_directory_path(int fd, char *into, size_t room)
{
	struct directory_footer footer;
	if (!atomic_load_explicit(&has_directories, memory_order_relaxed) || fds_directory(fd, &footer) < 0)
		return -1;
	if (footer.path_bytes == 0 || footer.path_bytes >= room)
		return -1;
	char link[32];
	int again = (int)kernel(SYS_openat, AT_FDCWD, link_of(fd, link), O_RDONLY | O_CLOEXEC);
	if (again < 0)
		return -1;
	long count = kernel(SYS_pread64, again, into, footer.path_bytes, footer.entries_bytes);
	kernel(SYS_close, again);
	if (count != (long)footer.path_bytes)
		return -1;
	while (count > 1 && into[count - 1] == '/')
		count--;
	return unlikely(tree_has_renamed()) ? tree_path_now(fd, into, room, count) : count;
}
