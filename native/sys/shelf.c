/* shelf.c - the files that a run's programs write, as memory files that the intproxy holds and hands out.
 *
 * A shim asks by a datagram that carries the number of a file, the flags it wants it with, and a socket for the answer;
 * the answer carries the descriptor. A thread of our own serves (Deno cannot pass descriptors) and never waits for a shim.
 *
 * The descriptor that stays here can only read. So the kernel tells whether anybody is left who can write: it then grants
 * no lease (fcntl(2), F_SETLEASE), whatever became of the descriptors by dup, fork, exec, SCM_RIGHTS or mmap. The thread
 * and the lease keep out of each other's way by the lock; a program that opens /proc/self/fd/N in just that moment waits
 * for it, and what the kernel tells the lease's holder of that (SIGIO) is ignored.
 */
#include "sys.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shelf.h"

struct item {
	struct item *next;
	uint64_t number;
	int fd;
	uint64_t handed;
	uint32_t slot;
	struct sums sums;
};

struct shelf {
	pthread_mutex_t lock;
	pthread_t thread;
	int socket;
	struct item *items;
	struct sum_keys keys;
	/* The file `written` beside the socket, which every shim maps; or NULL. */
	_Atomic uint32_t *table;
};

/* Who has a file of the target open for reading learns from this that the run writes it now, or did: for each slot, which
 * many files share, how often one of them came here or went; and in the first how often any did. As native/fresh.c has it. */
enum { TABLE_BYTES = 4096, SLOTS = TABLE_BYTES / 4 - 1 };

static void open_table(struct shelf *shelf, const char *path)
{
	char name[PATH_MAX];
	const char *slash = strrchr(path, '/');
	snprintf(name, sizeof name, "%.*s/written", (int)(slash ? slash - path : 0), path);
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || ftruncate(fd, TABLE_BYTES) < 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	void *table = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	shelf->table = table == MAP_FAILED ? NULL : table;
}

/* The kernel's name begins with device and inode, each 8 bytes in hexadecimal, the lowest first (native/fds.c). */
static uint32_t slot_of(const char *name)
{
	uint64_t words[2] = { 0, 0 };
	const char *at = strrchr(name, '-');
	at = at && strlen(at) > 32 ? at + 1 : NULL;
	for (int byte = 0; at && byte < 16; byte++) {
		char digits[3] = { at[2 * byte], at[2 * byte + 1], 0 };
		words[byte / 8] |= strtoull(digits, NULL, 16) << (8 * (byte % 8));
	}
	return 1 + (uint32_t)((words[0] * 31 + words[1]) % SLOTS);
}

static void tell(struct shelf *shelf, uint32_t slot)
{
	if (!shelf->table)
		return;
	atomic_fetch_add(&shelf->table[slot], 1);
	atomic_fetch_add(&shelf->table[0], 1);
}

/* What a shim asks: see native/writing.c. */
struct request {
	uint64_t number;
	uint32_t flags;
	uint32_t zero;
};

/* With the lock held. */
static struct item *find(struct shelf *shelf, uint64_t number)
{
	struct item *item = shelf->items;
	while (item && item->number != number)
		item = item->next;
	return item;
}

static struct item *locked_find(struct shelf *shelf, uint64_t number)
{
	pthread_mutex_lock(&shelf->lock);
	struct item *item = find(shelf, number);
	pthread_mutex_unlock(&shelf->lock);
	return item;
}

static int reopen(int fd, int flags)
{
	char link[32];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	int again = open(link, flags | O_CLOEXEC);
	return again < 0 ? -errno : again;
}

static void answer(int to, int fd)
{
	int32_t error = fd < 0 ? fd : 0;
	struct iovec part = { &error, sizeof error };
	char control[CMSG_SPACE(sizeof fd)] = { 0 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	if (fd >= 0) {
		message.msg_control = control;
		message.msg_controllen = sizeof control;
		struct cmsghdr *head = CMSG_FIRSTHDR(&message);
		*head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		head->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(head), &fd, sizeof fd);
	}
	sendmsg(to, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void serve(struct shelf *shelf, const struct request *request, int to)
{
	pthread_mutex_lock(&shelf->lock);
	struct item *item = find(shelf, request->number);
	int fd = item ? reopen(item->fd, (int)request->flags) : -ENOENT;
	if (item)
		item->handed++;
	pthread_mutex_unlock(&shelf->lock);
	answer(to, fd);
	if (fd >= 0)
		close(fd);
}

/* The socket for the answer, or -1. Descriptors too many are closed. */
static int received_socket(struct msghdr *message)
{
	int found = -1;
	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t at = 0; at < count; at++) {
			int fd;
			memcpy(&fd, CMSG_DATA(head) + at * sizeof fd, sizeof fd);
			if (found >= 0)
				close(fd);
			else
				found = fd;
		}
	}
	return found;
}

static void *serve_all(void *argument)
{
	struct shelf *shelf = argument;
	while (true) {
		struct request request;
		struct iovec part = { &request, sizeof request };
		char control[CMSG_SPACE(4 * sizeof(int))];
		struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control };
		message.msg_controllen = sizeof control;
		ssize_t count = recvmsg(shelf->socket, &message, MSG_CMSG_CLOEXEC);
		if (count == 0 || (count < 0 && errno != EINTR && errno != EMFILE && errno != ENFILE))
			return NULL; /* shelf_close() has shut the socket down */
		int to = count > 0 ? received_socket(&message) : -1;
		if (to >= 0 && count == sizeof request)
			serve(shelf, &request, to);
		if (to >= 0)
			close(to);
	}
}

/* bind(2) without the directory's name: /proc/net/unix shows its argument to everybody. */
static int bind_unnamed(int fd, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *slash = strrchr(path, '/');
	char directory[PATH_MAX];
	snprintf(directory, sizeof directory, "%.*s", (int)(slash ? slash - path : 0), path);
	int above = open(slash ? directory : "", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (above < 0)
		return -1;
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d%s", above, slash);
	int result = bind(fd, (struct sockaddr *)&address, sizeof address);
	int saved = errno;
	close(above);
	errno = saved;
	return result;
}

/* A socket at `path` that is served until shelf_close(); NULL and `*error`. */
SYS void *shelf_open(const char *path, int32_t *error)
{
	struct shelf *shelf = calloc(1, sizeof *shelf);
	*error = shelf ? sums_start(&shelf->keys) : -ENOMEM;
	if (*error == 0 && strlen(path) >= sizeof ((struct sockaddr_un *)0)->sun_path)
		*error = -ENAMETOOLONG;
	if (*error < 0) {
		free(shelf);
		return NULL;
	}
	signal(SIGIO, SIG_IGN);
	open_table(shelf, path);
	pthread_mutex_init(&shelf->lock, NULL);
	shelf->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (shelf->socket < 0 || bind_unnamed(shelf->socket, path) < 0 ||
	    chmod(path, 0666) < 0 || (errno = pthread_create(&shelf->thread, NULL, serve_all, shelf)) != 0) {
		*error = -errno;
		if (shelf->socket >= 0)
			close(shelf->socket);
		free(shelf);
		return NULL;
	}
	return shelf;
}

static void drop(struct item *item)
{
	close(item->fd);
	sums_free(&item->sums);
	free(item);
}

SYS void shelf_close(struct shelf *shelf)
{
	shutdown(shelf->socket, SHUT_RDWR);
	pthread_join(shelf->thread, NULL);
	close(shelf->socket);
	for (struct item *item = shelf->items, *next; item; item = next) {
		next = item->next;
		drop(item);
	}
	pthread_mutex_destroy(&shelf->lock);
	if (shelf->table)
		munmap(shelf->table, TABLE_BYTES);
	free(shelf);
}

/* A new file of this name and number, empty. Its mode marks it as one that is written (native/fds.h). 0 or -errno. */
SYS int32_t shelf_put(struct shelf *shelf, uint64_t number, const char *name)
{
	int whole = memfd_create(name, MFD_CLOEXEC);
	if (whole < 0)
		return -errno;
	struct item *item = calloc(1, sizeof *item);
	int fd = !item ? -ENOMEM : fchmod(whole, S_ISVTX | 0666) < 0 ? -errno : reopen(whole, O_RDONLY);
	close(whole);
	if (fd < 0) {
		free(item);
		return fd;
	}
	item->number = number;
	item->fd = fd;
	item->slot = slot_of(name);
	tell(shelf, item->slot);
	pthread_mutex_lock(&shelf->lock);
	item->next = shelf->items;
	shelf->items = item;
	pthread_mutex_unlock(&shelf->lock);
	return 0;
}

/* Nobody gets it any more; who has it keeps it. */
SYS void shelf_drop(struct shelf *shelf, uint64_t number)
{
	pthread_mutex_lock(&shelf->lock);
	struct item *item = find(shelf, number);
	for (struct item **at = &shelf->items; item && *at; at = &(*at)->next) {
		if (*at != item)
			continue;
		*at = item->next;
		break;
	}
	pthread_mutex_unlock(&shelf->lock);
	if (!item)
		return;
	tell(shelf, item->slot);
	drop(item);
}

/* Is ours the only descriptor, or does the kernel not tell? A lease for writing is granted then. */
static bool is_only_ours(int fd)
{
	bool is_granted = fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
	bool is_told = is_granted || errno == EAGAIN;
	if (is_granted)
		fcntl(fd, F_SETLEASE, F_UNLCK);
	return is_granted || !is_told;
}

/* `words`: size, time of change in nanoseconds, how often it was handed out; with `asks_writers` also whether somebody can
 * write it (0 nobody, 1 somebody or the kernel does not tell), and whether somebody has it open at all. 0 or -errno. */
SYS int32_t shelf_look(struct shelf *shelf, uint64_t number, uint32_t asks_writers, int64_t *words)
{
	struct stat st;
	pthread_mutex_lock(&shelf->lock);
	struct item *item = find(shelf, number);
	/* First who can write, then what was written: what nobody can write any more does not change. */
	bool is_granted = item && asks_writers && fcntl(item->fd, F_SETLEASE, F_RDLCK) == 0;
	if (is_granted)
		fcntl(item->fd, F_SETLEASE, F_UNLCK);
	bool is_open = is_granted && !is_only_ours(item->fd);
	int32_t status = !item ? -ENOENT : fstat(item->fd, &st) < 0 ? -errno : 0;
	uint64_t handed = item ? item->handed : 0;
	pthread_mutex_unlock(&shelf->lock);
	if (status < 0)
		return status;
	words[0] = st.st_size;
	words[1] = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	words[2] = (int64_t)handed;
	words[3] = !is_granted;
	words[4] = !is_granted || is_open;
	return 0;
}

/* Changes the file itself; the sums know it as the target's. 0 or -errno. */
SYS int32_t shelf_fill(struct shelf *shelf, uint64_t number, uint64_t offset, const uint8_t *data, uint32_t length)
{
	struct item *item = locked_find(shelf, number);
	int fd = item ? reopen(item->fd, O_WRONLY) : -ENOENT;
	if (fd < 0)
		return fd;
	int32_t status = 0;
	for (uint32_t done = 0; done < length && status == 0;) {
		ssize_t count = pwrite(fd, data + done, length - done, (off_t)(offset + done));
		if (count < 0 && errno != EINTR)
			status = -errno;
		done += count > 0 ? (uint32_t)count : 0;
	}
	close(fd);
	return status < 0 ? status : sums_learn(&item->sums, &shelf->keys, offset, data, length);
}

/* Gives the file this size, here alone. */
SYS int32_t shelf_resize(struct shelf *shelf, uint64_t number, uint64_t size)
{
	struct item *item = locked_find(shelf, number);
	int fd = item ? reopen(item->fd, O_WRONLY) : -ENOENT;
	if (fd < 0)
		return fd;
	int32_t status = ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
	close(fd);
	return status;
}

/* What the target's file is known to be: see shelf.h. One of these at a time for a file. */
SYS int32_t shelf_scan(struct shelf *shelf, uint64_t number, uint64_t from, uint64_t until, uint8_t *into,
		       uint32_t capacity, uint64_t *words)
{
	struct item *item = locked_find(shelf, number);
	return item ? sums_scan(&item->sums, &shelf->keys, item->fd, from, until, into, capacity, words) : -ENOENT;
}

/* Bytes as they are, without sums; fewer than asked for only at the end. */
SYS int32_t shelf_read(struct shelf *shelf, uint64_t number, uint64_t from, uint8_t *into, uint32_t capacity)
{
	struct item *item = locked_find(shelf, number);
	if (!item)
		return -ENOENT;
	ssize_t count;
	do
		count = pread(item->fd, into, capacity, (off_t)from);
	while (count < 0 && errno == EINTR);
	return count < 0 ? -errno : (int32_t)count;
}

SYS void shelf_cut(struct shelf *shelf, uint64_t number, uint64_t size)
{
	struct item *item = locked_find(shelf, number);
	if (item)
		sums_cut(&item->sums, &shelf->keys, size);
}

SYS void shelf_doubt(struct shelf *shelf, uint64_t number, uint64_t from, uint64_t until)
{
	struct item *item = locked_find(shelf, number);
	if (item)
		sums_doubt(&item->sums, from, until);
}

/* The target has these bytes, by others: they become the file's where no program of the run has written. 0 or -errno. */
SYS int32_t shelf_merge(struct shelf *shelf, uint64_t number, uint64_t offset, const uint8_t *data, uint32_t length)
{
	struct item *item = locked_find(shelf, number);
	int fd = item ? reopen(item->fd, O_RDWR) : -ENOENT;
	if (fd < 0)
		return fd;
	int32_t status = sums_merge(&item->sums, &shelf->keys, fd, offset, data, length);
	close(fd);
	return status;
}

/* Puts bytes behind all others of the file, whoever else appends at the same time. The file's size before, or -errno. */
SYS int64_t shelf_append(struct shelf *shelf, uint64_t number, const uint8_t *data, uint32_t length)
{
	struct item *item = locked_find(shelf, number);
	int fd = item ? reopen(item->fd, O_WRONLY | O_APPEND) : -ENOENT;
	if (fd < 0)
		return fd;
	ssize_t count = write(fd, data, length);
	int64_t end = count == (ssize_t)length ? (int64_t)lseek(fd, 0, SEEK_CUR) : count < 0 ? -errno : -EIO;
	close(fd);
	return end < 0 ? end : end - length;
}

/* Whether a program that has written to it is to ask afterwards: see SHELF_ASKING in native/fds.h. */
SYS void shelf_mark(struct shelf *shelf, uint64_t number, uint32_t is_asking)
{
	struct item *item = locked_find(shelf, number);
	if (item)
		fchmod(item->fd, S_ISVTX | 0666 | (is_asking ? S_IXOTH : 0));
}
