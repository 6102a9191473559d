/* writing.c - files of the target that this program writes: opened, and synchronized with. See writing.h. */
#include "big_parts.h"
#include "writing.h"
#include "real.h"
#include "remote.h"
#include "tree.h"
#include "wire.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

_Atomic bool writing_met, writing_met_synchronous;

static void meet(int fd)
{
	big_mark_as(fd, WRITTEN_MARK);
	atomic_store_explicit(&writing_met, true, memory_order_relaxed);
	if (kernel(SYS_fcntl, fd, F_GETFL) & O_DSYNC)
		atomic_store_explicit(&writing_met_synchronous, true, memory_order_relaxed);
}

void writing_start(void)
{
	/* Inherited descriptors are few and low. */
	enum { COUNT = 64 };
	struct pollfd fds[COUNT];
	uint64_t file;
	for (int fd = 0; fd < COUNT; fd++)
		fds[fd] = (struct pollfd){ .fd = fd };
	kernel(SYS_poll, fds, COUNT, 0);
	for (int fd = 0; fd < COUNT; fd++)
		if (!(fds[fd].revents & POLLNVAL) && fds_written(fd, &file, NULL) == 0)
			meet(fd);
}

/* ---- fetching a descriptor ---- */

/* What the shelf is asked: see native/sys/shelf.c. */
struct request {
	uint64_t number;
	uint32_t flags;
	uint32_t zero;
};

static long send_request(int to, const struct request *request, int answer, const struct sockaddr_un *address)
{
	struct iovec part = { (void *)request, sizeof *request };
	char control[CMSG_SPACE(sizeof answer)] = { 0 };
	struct msghdr message = { .msg_name = (void *)address, .msg_namelen = sizeof *address };
	message.msg_iov = &part;
	message.msg_iovlen = 1;
	message.msg_control = control;
	message.msg_controllen = sizeof control;
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	*head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	head->cmsg_len = CMSG_LEN(sizeof answer);
	memcpy(CMSG_DATA(head), &answer, sizeof answer);
	long count;
	do
		count = kernel(SYS_sendmsg, to, &message, MSG_NOSIGNAL);
	while (count == -EINTR);
	return count;
}

static int receive_descriptor(int from)
{
	int32_t error = -EIO;
	int fd = -1;
	struct iovec part = { &error, sizeof error };
	char control[CMSG_SPACE(sizeof fd)];
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control };
	message.msg_controllen = sizeof control;
	long count;
	do
		count = kernel(SYS_recvmsg, from, &message, MSG_CMSG_CLOEXEC);
	while (count == -EINTR);
	struct cmsghdr *head = count == sizeof error ? CMSG_FIRSTHDR(&message) : NULL;
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(head), sizeof fd);
	if (fd >= 0)
		return fd;
	/* Sent, but not received: no number was free for it. */
	return count != sizeof error ? -EIO : error < 0 ? error : -EMFILE;
}

static int fetch(const struct request *request)
{
	int ends[2];
	long error = kernel(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
	if (error < 0)
		return (int)error;
	int to = (int)kernel(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	error = to < 0 ? to : -EIO;
	for (int way = 0; to >= 0 && error < 0 && wire_place_address(WIRE_SHELF, way, &address); way++)
		error = send_request(to, request, ends[1], &address);
	if (to >= 0)
		kernel(SYS_close, to);
	kernel(SYS_close, ends[1]);
	int fd = error < 0 ? (int)error : receive_descriptor(ends[0]);
	kernel(SYS_close, ends[0]);
	return fd;
}

/* To the lowest free number, as open(2) has it. */
static int place(int fd, int flags)
{
	int lowest = (int)kernel(SYS_fcntl, fd, flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
	if (lowest >= 0 && lowest < fd) {
		kernel(SYS_close, fd);
		return lowest;
	}
	if (lowest >= 0)
		kernel(SYS_close, lowest);
	if (!(flags & O_CLOEXEC))
		kernel(SYS_fcntl, fd, F_SETFD, 0);
	return fd;
}

/* When the intproxy was asked last about some of the files, by their numbers. Losing an entry costs a question. */
enum { ASKED = 64, FRESH_MS = 200 };
static struct {
	_Atomic uint64_t file;
	_Atomic int64_t at_ms;
} asked[ASKED];

static void note_asked(uint64_t file)
{
	atomic_store_explicit(&asked[file % ASKED].file, file, memory_order_relaxed);
	atomic_store_explicit(&asked[file % ASKED].at_ms, big_now_ms(), memory_order_relaxed);
}

int writing_take(uint64_t file, int flags)
{
	enum { KEPT = O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_PATH };
	struct request request = { .number = file, .flags = (uint32_t)(flags & KEPT) };
	int fd = fetch(&request);
	if (fd < 0)
		return fd;
	fd = place(fd, flags);
	meet(fd);
	note_asked(file);
	return fd;
}

/* The number of a file on the shelf, or -errno. */
static int64_t ask_number(struct wire_call *call, size_t length)
{
	int error = wire_ask(call, length, WIRE_ON_SHELF);
	if (error)
		return error;
	struct wire_on_shelf reply = { 0 };
	if (wire_finish(call, wire_get_on_shelf(&call->in, &reply)))
		return -EIO;
	if (reply.error == ENXIO && call->was_interrupted)
		return -EINTR; /* of a FIFO: it would wait now */
	return reply.error ? refused(reply.error) : (int64_t)reply.file;
}

int64_t writing_find(uint64_t dev, uint64_t ino, bool is_to_take)
{
	struct wire_call call;
	struct wire_find_writing message = { .dev = dev, .ino = ino, .is_to_take = is_to_take };
	size_t length = wire_put_find_writing(call.buffer, sizeof call.buffer, WIRE_ID, message);
	return ask_number(&call, length);
}

int writing_borrow(uint64_t file)
{
	return fetch(&(struct request){ .number = file, .flags = O_RDONLY });
}

int writing_open(struct wire_bytes path, int flags, mode_t mode)
{
	struct wire_call call;
	bool may_create = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
	struct wire_open_writing message = {
		.path = path,
		.flags = (uint32_t)flags,
		.mode = may_create ? mode & 07777 : 0,
		.umask = may_create ? umask_of_program() : 0,
	};
	if (flags & O_CREAT)
		atomic_fetch_add_explicit(&tree_changes, 1, memory_order_relaxed);
	size_t length = wire_put_open_writing(call.buffer, sizeof call.buffer, WIRE_ID, message);
	int64_t file = ask_number(&call, length);
	return file < 0 ? (int)file : writing_take((uint64_t)file, flags);
}

/* ---- synchronizing ---- */

uint64_t writing_file_of(int fd)
{
	uint64_t file = 0;
	return writing_may_be() && fds_written(fd, &file, NULL) == 0 ? file : 0;
}

int writing_sync(uint64_t file, int how)
{
	struct wire_call call;
	struct wire_sync_writing message = { .file = file, .how = (uint32_t)how };
	size_t length = wire_put_sync_writing(call.buffer, sizeof call.buffer, WIRE_ID, message);
	return remote_done(&call, wire_ask(&call, length, WIRE_DONE));
}

int writing_check(int fd, long length, uint64_t *size)
{
	struct stat st;
	struct wire_call call;
	if (kernel(SYS_fstat, fd, &st) < 0 || likely(!fds_is_asking(st.st_mode, st.st_nlink)))
		return 0;
	struct wire_check_writing message = { .file = writing_file_of(fd), .length = (uint64_t)length };
	if (!message.file)
		return 0;
	struct wire_wrote reply = { 0 };
	size_t bytes = wire_put_check_writing(call.buffer, sizeof call.buffer, WIRE_ID, message);
	int error = wire_ask(&call, bytes, WIRE_WROTE);
	if (error)
		return error;
	if (wire_finish(&call, wire_get_wrote(&call.in, &reply)))
		return -EIO;
	*size = reply.size;
	return reply.error ? refused(reply.error) : 0;
}

int writing_allocate(uint64_t file, int mode, off_t offset, off_t length)
{
	struct wire_call call;
	struct wire_allocate_writing message = {
		.file = file,
		.mode = (uint32_t)mode,
		.offset = (uint64_t)offset,
		.length = (uint64_t)length,
	};
	size_t bytes = wire_put_allocate_writing(call.buffer, sizeof call.buffer, WIRE_ID, message);
	return remote_done(&call, wire_ask(&call, bytes, WIRE_DONE));
}

/* The number that a name in /proc/self/fd is, or -1. */
static int number_of(const char *name)
{
	int number = 0;
	for (; *name >= '0' && *name <= '9'; name++)
		number = number * 10 + (*name - '0');
	return *name ? -1 : number;
}

void writing_sync_open(void)
{
	char entries[4096];
	if (!writing_may_be() || wire_is_in_borrowed_memory())
		return;
	int list = (int)kernel(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t before = 0, file;
	for (long count; list >= 0 && (count = kernel(SYS_getdents64, list, entries, sizeof entries)) > 0;) {
		for (long at = 0; at < count;) {
			const struct dirent *entry = (const struct dirent *)(entries + at);
			int fd = number_of(entry->d_name);
			if (fd >= 0 && fds_written(fd, &file, NULL) == 0 && file != before) {
				writing_sync(file, WRITING_SYNC);
				before = file;
			}
			at += entry->d_reclen;
		}
	}
	if (list >= 0)
		kernel(SYS_close, list);
}

bool writing_freshen(int fd)
{
	struct wire_stat stat;
	uint64_t file = writing_file_of(fd);
	bool is_known = atomic_load_explicit(&asked[file % ASKED].file, memory_order_relaxed) == file;
	if (!file || (is_known && big_now_ms() - atomic_load_explicit(&asked[file % ASKED].at_ms, memory_order_relaxed) < FRESH_MS))
		return false;
	return writing_stat(fd, &stat) == 0;
}

int writing_stat_of(uint64_t file, struct wire_stat *stat)
{
	struct wire_call call;
	struct wire_stat_writing message = { .file = file };
	struct wire_stat_reply reply = { 0 };
	note_asked(file);
	size_t length = wire_put_stat_writing(call.buffer, sizeof call.buffer, WIRE_ID, message);
	int error = wire_ask(&call, length, WIRE_STAT_REPLY);
	if (error)
		return error;
	if (wire_finish(&call, wire_get_stat_reply(&call.in, &reply)))
		return -EIO;
	if (reply.error)
		return refused(reply.error);
	*stat = reply.stat;
	return 0;
}

int writing_stat(int fd, struct wire_stat *stat)
{
	struct stat st;
	uint64_t file;
	int error = fds_written(fd, &file, stat);
	if (error)
		return error;
	if (writing_stat_of(file, stat) && kernel(SYS_fstat, fd, &st) == 0) { /* nobody writes it any more: as it was left */
		stat->size = st.st_size;
		stat->mtime_sec = st.st_mtim.tv_sec;
		stat->mtime_nsec = (uint32_t)st.st_mtim.tv_nsec;
	}
	return 0;
}

/* ---- the end ---- */

/* Streams that exit(3) will flush only after everybody else is done, so that nobody could wait for it: flushed before. */
enum { STREAMS = 64 };
static _Atomic(FILE *) streams[STREAMS];

FILE *writing_known(FILE *stream)
{
	FILE *none = NULL;
	if (likely(!writing_may_be()) || !stream || writing_file_of(fileno(stream)) == 0)
		return stream;
	for (int at = 0; at < STREAMS; at++, none = NULL)
		if (atomic_compare_exchange_strong(&streams[at], &none, stream))
			break;
	return stream;
}

static void forget_stream(FILE *stream)
{
	for (int at = 0; at < STREAMS; at++) {
		FILE *it = stream;
		atomic_compare_exchange_strong(&streams[at], &it, NULL);
	}
}

/* One that another thread holds is left: waiting for it could last for ever. */
static void flush(FILE *stream)
{
	if (!stream || ftrylockfile(stream) != 0)
		return;
	if (writing_file_of(fileno(stream)) != 0)
		real.fflush_unlocked(stream);
	funlockfile(stream);
}

__attribute__((destructor)) static void leave(void)
{
	if (!writing_may_be() || wire_is_in_borrowed_memory())
		return;
	int saved = errno;
	flush(stdout);
	flush(stderr);
	for (int at = 0; at < STREAMS; at++)
		flush(atomic_load(&streams[at]));
	writing_sync_open();
	errno = saved;
}

void hook__exit(int status)
{
	writing_sync_open();
	real._exit(status);
}

void hook_quick_exit(int status)
{
	writing_sync_open();
	real.quick_exit(status);
}

/* ---- hooks ---- */

static int synced(int result, int fd, int how)
{
	if (likely(result < 0 || !writing_may_be()))
		return result;
	uint64_t file = writing_file_of(fd);
	return file ? edge(writing_sync(file, how)) : result;
}

int hook_fsync(int fd)
{
	return synced(real.fsync(fd), fd, WRITING_SYNC_ALL);
}

int hook_fdatasync(int fd)
{
	return synced(real.fdatasync(fd), fd, WRITING_SYNC_DATA);
}

int hook_sync_file_range(int fd, off_t from, off_t length, unsigned flags)
{
	return synced(real.sync_file_range(fd, from, length, flags), fd, WRITING_SYNC);
}

int hook_syncfs(int fd)
{
	return synced(real.syncfs(fd), fd, WRITING_SYNC_ALL);
}

/* Which file a mapping belongs to is known to the kernel alone: all of them. */
int hook_msync(void *at, size_t length, int flags)
{
	int result = real.msync(at, length, flags);
	if (likely(result < 0 || !writing_may_be() || !(flags & MS_SYNC)))
		return result;
	return edge(writing_sync(0, WRITING_SYNC));
}

void writing_mapped(int fd)
{
	struct wire_call call;
	struct wire_mapped_writing message = { .file = writing_file_of(fd) };
	int saved = errno;
	if (message.file)
		wire_tell(&call, wire_put_mapped_writing(call.buffer, sizeof call.buffer, WIRE_ID, message));
	errno = saved;
}

/* write(2) within libc, which tells of no error of the target: the stream's own means say it. */
static int flushed(FILE *stream, int result)
{
	enum { ERROR_SEEN = 0x20 }; /* _IO_ERR_SEEN of glibc: ferror(3) */
	uint64_t size = UINT64_MAX;
	int fd = result == 0 ? fileno(stream) : -1;
	if (likely(fd < 0 || big_mark_of(fd) != WRITTEN_MARK))
		return result;
	int error = writing_check(fd, 0, &size);
	if (!error)
		return result;
	if (kernel(SYS_lseek, fd, 0, SEEK_CUR) > (long)size)
		kernel(SYS_lseek, fd, size, SEEK_SET);
	stream->_flags |= ERROR_SEEN;
	errno = -error;
	return EOF;
}

int hook_fflush(FILE *stream)
{
	int result = real.fflush(stream);
	return likely(!writing_may_be()) || !stream ? result : flushed(stream, result);
}

int hook_fflush_unlocked(FILE *stream)
{
	int result = real.fflush_unlocked(stream);
	return likely(!writing_may_be()) || !stream ? result : flushed(stream, result);
}

int hook_fclose(FILE *stream)
{
	if (likely(!writing_may_be()))
		return real.fclose(stream);
	uint64_t file = writing_file_of(fileno(stream));
	forget_stream(stream);
	int result = real.fclose(stream);
	if (!file)
		return result;
	int saved = errno;
	int error = writing_sync(file, WRITING_SYNC);
	errno = result == 0 && error ? -error : saved;
	return error ? EOF : result;
}
