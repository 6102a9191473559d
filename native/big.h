/* big.h - remote files that fill on demand: what is there, what has to be fetched first, and how to fetch it.
 *
 * Theory of operation. The memfd of a big file has its true size from the start, and holes where nothing has been fetched.
 * The memfd itself is the map: a page that is present is filled, and stays for as long as the memfd lives. So dup, fork,
 * exec and any number of processes share one truth without tables. Pages are written whole, by pwrite(2), which shows a
 * page only when its bytes are in it.
 *
 *	a page		event				action > next
 *	HOLE		a data call wants it		fetch, pwrite > PRESENT
 *	HOLE		wanted, KEPT_BYTES are there	fetch into the caller's memory > HOLE
 *	PRESENT		anything			the kernel's own call
 *	all PRESENT					mode WHOLE_MODE: nobody asks any more
 *
 * What is not seen by our hooks would read zeros from a hole: never may it. libc's stdio reads within libc; a program
 * without the shim, or on the other end of a Unix socket, has no hooks. So before a descriptor goes to any of them
 * (fdopen, dup2, numbers 0 to 2, sendmsg, exec of what the shim cannot enter, asynchronous I/O, chroot) the file is made whole.
 *
 * A byte per descriptor number says "look closer", so that read(2) of everything else costs a load and a branch. It is set
 * before anybody knows the number, and cleared by close(2) alone; where it is wrong, fstat(2) tells.
 */
#ifndef MIRRORD_BIG_H
#define MIRRORD_BIG_H

#include "remote.h"

#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum { BIG_MARKS = 1 << 20 };
/* Perhaps a remote file that is not all there; one that is, and may have grown at the target (fresh.h); a directory; one that
 * is written (writing.h). */
enum { BIG_MARK = 1, WHOLE_MARK = 2, DIRECTORY_MARK = 3, WRITTEN_MARK = 4 };
extern _Atomic uint8_t big_marks[BIG_MARKS];

static inline int big_mark_of(int fd)
{
	return unlikely((unsigned)fd >= BIG_MARKS) ? 0 : atomic_load_explicit(&big_marks[fd], memory_order_relaxed);
}

static inline bool big_may_be(int fd)
{
	return unlikely(big_mark_of(fd) == BIG_MARK);
}

/* Makes the memfd `fd`, which holds the file's first `there` bytes, one that fills on demand; not yet sealed.
 * False: not here, or not this file. Then it has to be made whole. */
bool big_begin(int fd, uint64_t there, uint64_t size);

/* Has fd's number looked at closer from now on. */
void big_mark(int fd);
void big_mark_as(int fd, int mark);
/* Has this process ever had such a file? */
bool big_has_any(void);
/* A descriptor that came from the kernel, and may be any: looks, and marks it. 0; or -errno: it must not be used. */
int big_met(int fd);
/* Before close(2) of a marked one. */
void big_closing(int fd);
/* Looks which descriptors this program was started with. */
void big_start(void);

/* Fetches all that is missing: from then on it is the kernel's alone. 0, also for what is no big file; or -errno. */
int big_make_whole(int fd);
/* The same for all descriptors that live on when another program is executed (with `is_every`, for all). */
int big_make_all_whole(bool is_every);

/* pread(2) and its kin: BYPASS, or bytes read, or -errno. */
long big_read_at(int fd, void *into, size_t room, int64_t offset);
long big_readv_at(int fd, const struct iovec *parts, int count, int64_t offset);
/* read(2): at the descriptor's own position, which moves on. */
long big_read(int fd, void *into, size_t room);
long big_readv(int fd, const struct iovec *parts, int count);
/* What is mapped from `offset` on must be there, with all that follows unless it `may_be_part`: BYPASS when it is, or
 * -errno. `*is_part`: something is missing behind it. */
long big_map(int fd, int64_t offset, size_t length, bool may_be_part, bool *is_part);
/* lseek(2) with SEEK_DATA and SEEK_HOLE: BYPASS, or the position. */
long big_seek(int fd, int64_t offset, int whence);

/* Lends a descriptor that holds the bytes from *offset (NULL: the position) on, for calls that move bytes within the kernel:
 * at most `*length` bytes from `at` on in `fd`. BYPASS: the call as it is will do; or -errno. */
struct big_loan {
	int fd;
	int64_t at;
	/* For big_lent(). */
	int owner, lent;
	int64_t *offset;
	int64_t from;
};
long big_lend(struct big_loan *loan, int fd, int64_t *offset, size_t *length);
/* The call has moved `result` bytes (or failed): moves *offset or the position. */
void big_lent(struct big_loan *loan, long result);

#endif
