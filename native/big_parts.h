/* big_parts.h - what big.c and fresh.c share: a look at a descriptor of a remote file, and asking for its bytes. */
#ifndef MIRRORD_BIG_PARTS_H
#define MIRRORD_BIG_PARTS_H

#include "big.h"

enum { PAGE = 4096, MOST_BYTES = 256 << 10 };

/* One look at a descriptor; big_leave() when `again` may have been opened. */
struct big {
	int fd;
	/* The same file with a position of its own; -1: not opened yet, or it cannot be. */
	int again;
	bool is_whole, is_tried, can_store, is_unlimited;
	uint64_t inode, size, stored;
	int64_t handle;
};

/* False: it is not one of ours; or is whole, and that was not asked for. */
bool big_look(struct big *it, int fd, bool is_whole_too);
/* Opens `again`, once. -1: it cannot be. */
int big_again(struct big *it);
void big_leave(struct big *it);
/* At least `length` bytes (fewer: the file ends there), at most `most`, into memory of ours; their number or -errno. */
long big_ask(struct big *it, uint64_t offset, size_t length, size_t most, char *into);
/* Writes all of it. 0 or -errno. */
long big_write(int fd, const char *from, size_t length, uint64_t offset);
int64_t big_now_ms(void);

static inline uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

#endif
