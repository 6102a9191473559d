/* fds.h - remote files as descriptors: memfds that know what they stand for.
 *
 * The memfd's name carries the remote stat in hexadecimal, so whoever holds the descriptor (after dup, fork, exec, or
 * from another process) can ask the kernel what it is: there is no table, hence no lock and nothing to keep in step. A
 * mode no other nameless file has marks ours, so that telling them apart costs nothing in fstat().
 *
 * A directory's memfd holds its entries as struct linux_dirent64, then its path, then a footer. Its file position is
 * counted from DIRECTORY_BASE: beyond the end, where read(2) finds nothing.
 */
#ifndef MIRRORD_FDS_H
#define MIRRORD_FDS_H

#include "shim.h"

#include <sys/stat.h>

#define DIRECTORY_BASE ((int64_t)1 << 40)

struct directory_footer {
	uint64_t entries_bytes;
	uint32_t path_bytes;
	uint32_t magic;
};

/* Looks whether this program was started with remote directories open. */
void fds_start(void);

/* The modes of our memfds: of those that hold all they will ever hold, and of those that fill on demand (big.h), which
 * their owner can open for writing. */
/* Neither to be read nor to be written: a directory of a program under the supervisor, whose read(2) nobody looks at. */
enum { FDS_NEITHER = 3 /* O_ACCMODE */ };
enum { WHOLE_MODE = S_ISVTX | 0444, BIG_MODE = S_ISVTX | 0604 };

/* In the time of opening: this file does not know its size (/proc, sysfs), and is new each time it is read. */
#define FDS_ENDLESS ((int64_t)1 << 47)

/* An empty memfd for a file or directory with this stat, close-on-exec, readable and writable. Or -errno.
 * `handle` is the intproxy's number of the file, or 0; `is_big`: it will fill on demand. */
int fds_make(const struct wire_stat *stat, uint64_t handle, bool is_big, int64_t opened_ms);

/* The handle of a file of ours, 0 when it has none; or -EBADF. `*opened_ms`: when it was opened (CLOCK_MONOTONIC). */
int64_t fds_handle(int fd, int64_t *opened_ms);

/* Makes the filled memfd what the app gets: read-only, at its number, with the open flags `flags` and one of the modes
 * above. 0 or -errno. */
int fds_seal(int fd, int flags, uint32_t mode);

/* Memory that we fill is not what RLIMIT_FSIZE is about: lifts it for a file that ends at `end`. 0; 1: lifted, give it back;
 * -EFBIG: it cannot be, and writing would end the program (SIGXFSZ). */
struct rlimit;
int fds_lift_limit(struct rlimit *before, uint64_t end);
void fds_lower_limit(const struct rlimit *before);

/* The same file opened once more, with a position of its own. Close-on-exec. Or -errno. */
int fds_open_again(int fd, int flags);

/* Rewrites the entries' offsets and adds path and footer. 0 or -errno. */
int fds_finish_directory(int fd, uint64_t entries_bytes, struct wire_bytes path);

/* Is a file with this mode and link count one of ours? Then fds_stat() tells what it stands for. */
static inline bool fds_is_ours(uint32_t mode, uint64_t links)
{
	return unlikely((mode == (S_IFREG | WHOLE_MODE) || mode == (S_IFREG | BIG_MODE)) && links == 0);
}

/* Is it one that is written (writing.h)? */
static inline bool fds_is_written(uint32_t mode, uint64_t links)
{
	return unlikely((mode & ~(uint32_t)S_IXOTH) == (S_IFREG | S_ISVTX | 0666) && links == 0);
}

/* And one of which the intproxy has to be asked after each write: there is little room at the target, or something went wrong. */
static inline bool fds_is_asking(uint32_t mode, uint64_t links)
{
	return fds_is_written(mode, links) && (mode & S_IXOTH);
}

/* 0, the number on the shelf, and what stat said when it was opened (unless NULL); or -EBADF: it is none of those. */
int fds_written(int fd, uint64_t *file, struct wire_stat *stat);

/* 0 and the remote stat; or -errno: not ours after all, or the kernel does not tell (no /proc). */
int fds_stat(int fd, struct wire_stat *stat);

/* A stat in hexadecimal. */
bool fds_read_stat(const char *at, struct wire_stat *stat);

/* 0 and the footer of a directory of ours; -ENOTDIR when it is a file of ours; -EBADF when it is not ours. */
int fds_directory(int fd, struct directory_footer *footer);

/* Has the process changed names at the target since it opened this directory? One that it does not know: if ever. */
bool fds_listing_is_old(int fd);
void fds_listed(int fd);

/* Has this process opened, inherited or met a directory of ours? What came by SCM_RIGHTS is met when it is read. */
bool fds_may_be_directory(void);

/* The remote path of a directory of ours: its length (no NUL), or -1. Costs nothing in a process that has opened and
 * inherited none; one that came by SCM_RIGHTS into such a process is not seen until it is read as a directory. */
ssize_t fds_directory_path(int fd, char *into, size_t room);

/* What the kernel tells of any descriptor: the text of /proc/self/fd/N, cut at `room`; its length or -errno. */
long fds_link(int fd, char *into, size_t room);

/* A position in a directory as an offset into its entries: both countings are understood. */
static inline uint64_t fds_entries_offset(int64_t position)
{
	return (uint64_t)(position >= DIRECTORY_BASE ? position - DIRECTORY_BASE : position < 0 ? 0 : position);
}

#endif
