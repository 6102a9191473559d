/* wire.c - the pool of connections to the intproxy. Speaks frames, knows no hook.
 *
 * A connection serves one call at a time, so there is nothing to lock and nobody waits behind somebody else: a call
 * takes an idle one, or opens another. A signal handler that interrupts a call simply takes the next one.
 *
 * Slot		event			action > next
 * EMPTY	wanted			connect, Hello > BUSY
 * IDLE		wanted			is it still our socket? else connect anew > BUSY
 * BUSY		answer complete		> IDLE
 * BUSY		anything malformed	close > EMPTY
 * BUSY		broken off by a signal	close > EMPTY; the lifeline stays open, unused > INHERITED
 * any		fork, in the child	close > EMPTY; the lifeline stays open, unused > INHERITED
 * INHERITED	(also the door)		nothing: held for its own sake
 *
 * Slot 0 is the lifeline: opened at start, kept over fork, closed by exec and exit like every descriptor. Its end tells
 * the intproxy that this process image and all its forks are gone.
 *
 * Slot 1 is the door: the intproxy's socket as a file, opened at start (O_PATH). Through it a process that has given up
 * its user, or left our root, still reaches the socket in a directory that it could not enter any more. Slots 2 to 4 are the same
 * for what lies beside it: the shelf, from which files that are written come, and the relays for Unix sockets.
 *
 * Who forked without telling us (clone, a raw fork) is found by a page that the kernel wipes in a forked child. A child
 * that shares our memory (vfork) sees the page as it was, but has another pid: it uses a connection of its own for each
 * call and changes nothing here.
 */
#include "wire.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

enum { SLOTS = 64, LIFELINE = 0, DOOR = 1, FIRST_PLACE = 2 };
/* Below the lowest usual RLIMIT_NOFILE (1024), and high enough to be in nobody's way. A table reaching further up would
 * make every fork copy it. */
enum { USUAL_FILES = 1024, OWN_FILES = 128, LEAST_FLOOR = 64 };

enum state { EMPTY, IDLE, BUSY, INHERITED };

static struct connection {
	_Atomic int state;
	_Atomic int fd;
	/* Tells our socket from whatever the app put at its number behind our back. */
	uint64_t inode;
} pool[SLOTS];

static _Atomic int owner_pid_without_page;
static _Atomic int *owner_pid = &owner_pid_without_page; /* later: on the page that fork wipes */
static _Atomic int guard_floor = 1 << 30;

static void forget_parent(void);

static int current_pid(void)
{
	return (int)kernel(SYS_getpid);
}

bool wire_is_in_borrowed_memory(void)
{
	int pid = current_pid();
	int owner = atomic_load_explicit(owner_pid, memory_order_relaxed);
	if (likely(owner == pid))
		return false;
	if (owner != 0)
		return true;
	forget_parent();
	return false;
}

static uint64_t inode_of(int fd)
{
	struct stat st;
	return kernel(SYS_fstat, fd, &st) == 0 && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

/* An inode of 0 is none: the slot is being filled, or empty. */
static bool is_still_ours(const struct connection *connection, int fd)
{
	return connection->inode != 0 && inode_of(fd) == connection->inode;
}

/* Only if its number is not the app's by now. */
static void hang_up(struct connection *connection)
{
	int fd = atomic_load(&connection->fd);
	if (is_still_ours(connection, fd))
		kernel(SYS_close, fd);
	connection->inode = 0;
	atomic_store(&connection->state, EMPTY);
}

static int floor_for_descriptors(void)
{
	struct rlimit limit;
	if (kernel(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, &limit) < 0)
		return LEAST_FLOOR;
	rlim_t soft = limit.rlim_cur < USUAL_FILES ? limit.rlim_cur : USUAL_FILES;
	return soft > 2 * OWN_FILES ? (int)soft - OWN_FILES : (int)soft / 2;
}

/* Moves a fresh descriptor up, out of the numbers an app expects to get. Keeps it where it is when there is no room. */
static int move_up(int fd)
{
	int up = (int)kernel(SYS_fcntl, fd, F_DUPFD_CLOEXEC, floor_for_descriptors());
	if (up < 0)
		return fd;
	kernel(SYS_close, fd);
	return up;
}

static int lower_guard_to(int fd)
{
	int floor = atomic_load_explicit(&guard_floor, memory_order_relaxed);
	while (fd < floor && !atomic_compare_exchange_weak(&guard_floor, &floor, fd))
		;
	return fd;
}

static bool send_all(int fd, const void *from, size_t length)
{
	for (size_t sent = 0; sent < length;) {
		long count = kernel(SYS_sendto, fd, (const char *)from + sent, length - sent, MSG_NOSIGNAL);
		if (count == -EINTR)
			continue;
		if (count == -EAGAIN) {
			/* Someone set O_NONBLOCK on a descriptor that is not theirs. */
			struct pollfd wait = { .fd = fd, .events = POLLOUT };
			kernel(SYS_poll, &wait, 1, -1);
			continue;
		}
		if (count <= 0)
			return false;
		sent += (size_t)count;
	}
	return true;
}

/* "/proc/self/fd/N", without stdio. */
static void name_descriptor(int fd, char *into)
{
	char digits[12];
	char *at = digits + sizeof digits - 1;
	*at = '\0';
	do
		*--at = (char)('0' + fd % 10);
	while ((fd /= 10) > 0);
	strcpy(stpcpy(into, "/proc/self/fd/"), at);
}

static long connect_restarting(int fd, const struct sockaddr_un *address)
{
	long connected;
	do
		connected = kernel(SYS_connect, fd, address, sizeof *address);
	while (connected == -EINTR);
	return connected;
}

static long connect_through_door(int fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int door = atomic_load(&pool[DOOR].fd);
	if (atomic_load(&pool[DOOR].state) == EMPTY || !is_still_ours(&pool[DOOR], door))
		return -EACCES;
	name_descriptor(door, address.sun_path);
	return connect_restarting(fd, &address);
}

/* A connected socket that has said Hello, or -errno. */
static int dial(bool is_lifeline)
{
	int fd = (int)kernel(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	fd = move_up(fd);
	long connected = connect_restarting(fd, &shim.socket);
	if (connected == -EACCES || connected == -ENOENT)
		connected = connect_through_door(fd);
	uint8_t frame[512];
	char program[128] = "";
	long length = kernel(SYS_readlink, "/proc/self/exe", program, sizeof program);
	/* A text field must be UTF-8: a cut or odd name is left out. */
	for (long at = 0; at < length; at++)
		if (program[at] & 0x80)
			length = 0;
	struct wire_hello hello = {
		.build = shim.settings.build,
		.pid = (uint32_t)current_pid(),
		.is_lifeline = is_lifeline,
		.program = { program, length > 0 ? (uint32_t)length : 0 },
	};
	size_t bytes = wire_put_hello(frame, sizeof frame, 0, hello);
	if (connected < 0 || !bytes || !send_all(fd, frame, bytes)) {
		kernel(SYS_close, fd);
		return -EIO;
	}
	return fd;
}

/* 0 or -errno. */
static int open_slot(struct connection *connection, bool is_lifeline)
{
	int fd = dial(is_lifeline);
	if (fd < 0)
		return fd;
	connection->inode = inode_of(fd);
	atomic_store(&connection->fd, lower_guard_to(fd));
	return 0;
}

/* In a forked child: the parent's conversations are not ours. */
static void forget_parent(void)
{
	for (int at = 0; at < SLOTS; at++) {
		struct connection *connection = &pool[at];
		if (atomic_load(&connection->state) == EMPTY || atomic_load(&connection->state) == INHERITED)
			continue;
		if (at == LIFELINE) {
			atomic_store(&connection->state, INHERITED);
			continue;
		}
		hang_up(connection);
	}
	atomic_store(owner_pid, current_pid());
}

static void after_fork_in_child(void)
{
	if (atomic_load(owner_pid) != current_pid())
		forget_parent();
}

static void open_door(int slot, const char *path)
{
	int fd = (int)kernel(SYS_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return;
	fd = move_up(fd);
	pool[slot].inode = inode_of(fd);
	atomic_store(&pool[slot].fd, lower_guard_to(fd));
	atomic_store(&pool[slot].state, INHERITED);
}

static void path_of(enum wire_place place, struct sockaddr_un *address)
{
	static const char *const names[] = { "/shelf", "/streams", "/packets" };
	*address = shim.socket;
	strcpy(strrchr(address->sun_path, '/'), names[place]);
}

bool wire_place_address(enum wire_place place, int way, struct sockaddr_un *address)
{
	struct connection *door = &pool[FIRST_PLACE + (int)place];
	int fd = atomic_load(&door->fd);
	if (way == 0)
		path_of(place, address);
	if (way != 1 || atomic_load(&door->state) != INHERITED || !is_still_ours(door, fd))
		return way == 0;
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	name_descriptor(fd, address->sun_path);
	return true;
}

static void open_place(enum wire_place place)
{
	struct sockaddr_un address;
	path_of(place, &address);
	open_door(FIRST_PLACE + (int)place, address.sun_path);
}

void wire_start(void)
{
	void *page = (void *)kernel(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool is_wiped = (unsigned long)page < -4095UL && kernel(SYS_madvise, page, 4096, MADV_WIPEONFORK) == 0;
	if (is_wiped)
		owner_pid = page;
	atomic_store(owner_pid, current_pid());
	pthread_atfork(NULL, NULL, after_fork_in_child);
	open_door(DOOR, shim.socket.sun_path);
	if (shim.settings.fs_mode != FS_LOCAL)
		open_place(WIRE_SHELF);
	if (shim.settings.unix_sockets.length > 0) {
		open_place(WIRE_STREAMS);
		open_place(WIRE_PACKETS);
	}
	atomic_store(&pool[LIFELINE].state, BUSY);
	int error = open_slot(&pool[LIFELINE], true);
	atomic_store(&pool[LIFELINE].state, error ? EMPTY : IDLE);
}

/* ---- one call ---- */

static bool claim(struct connection *connection, int from)
{
	return atomic_load_explicit(&connection->state, memory_order_relaxed) == from &&
	       atomic_compare_exchange_strong(&connection->state, &from, BUSY);
}

/* Connects a slot that was claimed for this call. 0 or -errno. */
static int fill_slot(struct wire_call *call, int at)
{
	int error = open_slot(&pool[at], at == LIFELINE);
	if (error)
		atomic_store(&pool[at].state, EMPTY);
	else
		call->slot = at;
	return error;
}

/* Takes a connection for this call; on failure (-EIO, or -EMFILE and the like) nothing is taken. A call that may be broken off half-way never takes the
 * lifeline, whose end means more. */
static int take(struct wire_call *call, bool may_break)
{
	call->slot = -1;
	call->is_fresh = true;
	if (wire_is_in_borrowed_memory()) {
		call->fd = dial(false);
		return call->fd < 0 ? call->fd : 0;
	}
	int first = may_break ? LIFELINE + 1 : LIFELINE;
	for (int at = first; at < SLOTS; at++) {
		if (!claim(&pool[at], IDLE))
			continue;
		if (!is_still_ours(&pool[at], atomic_load(&pool[at].fd)))
			return fill_slot(call, at);
		call->slot = at;
		call->is_fresh = false;
		return 0;
	}
	for (int at = first; at < SLOTS; at++) {
		if (!claim(&pool[at], EMPTY))
			continue;
		return fill_slot(call, at);
	}
	/* Everything is taken (or was leaked by calls that a longjmp left): one for this call alone. */
	call->slot = -1;
	call->fd = dial(false);
	return call->fd < 0 ? call->fd : 0;
}

/* Read at each use: the guard may have moved it meanwhile. */
static int fd_of(const struct wire_call *call)
{
	return call->slot < 0 ? call->fd : atomic_load(&pool[call->slot].fd);
}

int wire_finish(struct wire_call *call, bool is_intact)
{
	if (call->in.missing > 0)
		is_intact = false;
	if (call->slot < 0) {
		kernel(SYS_close, call->fd);
	} else if (is_intact) {
		atomic_store(&pool[call->slot].state, IDLE);
	} else {
		hang_up(&pool[call->slot]);
	}
	return is_intact ? 0 : -EIO;
}

static int give_up(struct wire_call *call, int error)
{
	/* The lifeline's end means more than the end of a call: the answer that is under way is left in it. */
	if (error == -EINTR && call->slot == LIFELINE)
		atomic_store(&pool[LIFELINE].state, INHERITED);
	else
		wire_finish(call, false);
	return error;
}

/* What a signal means to a call that waits, when its handler does not ask for SA_RESTART. */
enum hearing {
	DEAF, /* nothing, as on a disk */
	PATIENT, /* its end, if there is no answer within PATIENCE_MS: as on a file server that hangs */
	ALERT, /* its end */
};
enum { PATIENCE_MS = 200 };

static int64_t now_ms(void)
{
	struct timespec now;
	kernel(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A signal has come. Programs that never met EINTR on a disk shall not meet it because an answer takes its usual time.
 * Who is cancelled meanwhile leaves its connection, as in receive_once. */
static bool comes_soon(const struct wire_call *call)
{
	struct pollfd wait = { .fd = fd_of(call), .events = POLLIN };
	int64_t deadline = now_ms() + PATIENCE_MS;
	long count = -EINTR;
	for (int64_t left = PATIENCE_MS; left > 0 && count == -EINTR; left = deadline - now_ms()) {
		int before;
		bool is_deaf = pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before) != 0;
		count = kernel(SYS_poll, &wait, 1, left);
		if (!is_deaf)
			pthread_setcanceltype(before, &before);
	}
	return count > 0;
}

/* recvfrom(2), and a cancellation point when one may be: a thread that is cancelled there leaves its connection. */
static long receive_once(const struct wire_call *call, void *into, size_t room, enum hearing hearing)
{
	int before;
	if (hearing != PATIENT || pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before) != 0)
		return kernel(SYS_recvfrom, fd_of(call), into, room, 0, 0, 0);
	long count = kernel(SYS_recvfrom, fd_of(call), into, room, 0, 0, 0);
	pthread_setcanceltype(before, &before);
	return count;
}

/* Some bytes into place: their number, or -errno. -EPIPE: the peer has closed. */
static long receive(struct wire_call *call, void *into, size_t room, enum hearing hearing)
{
	bool is_interruptible = hearing == ALERT;
	while (true) {
		long count = receive_once(call, into, room, hearing);
		if (count > 0)
			return count;
		if (count == 0 || count == -ECONNRESET)
			return -EPIPE;
		call->was_interrupted |= count == -EINTR;
		if (count == -EINTR && (hearing == DEAF || (hearing == PATIENT && comes_soon(call))))
			continue;
		if (count == -EAGAIN && !is_interruptible) {
			struct pollfd wait = { .fd = fd_of(call), .events = POLLIN };
			kernel(SYS_poll, &wait, 1, -1);
			continue;
		}
		return count == -EINTR ? -EINTR : count == -EAGAIN ? -ETIMEDOUT : -EIO;
	}
}

static bool is_head_right(const struct wire_call *call, enum wire_type reply, uint32_t *length)
{
	uint32_t id;
	memcpy(length, call->buffer, sizeof *length);
	memcpy(&id, call->buffer + 5, sizeof id);
	bool is_length_right = *length >= WIRE_HEAD_BYTES - 4 && *length <= WIRE_FRAME_BYTES;
	return is_length_right && call->buffer[4] == reply && id == WIRE_ID;
}

/* Reads a frame's head and as much of the rest as the buffer holds. `is_alone`: no frame follows this one, so whatever
 * is there may be read at once. Once a frame has begun it is not interruptible. */
static int receive_frame(struct wire_call *call, enum wire_type reply, enum hearing hearing, bool is_alone)
{
	size_t have = 0;
	size_t want = WIRE_HEAD_BYTES;
	uint32_t length = 0;
	while (have < want) {
		size_t room = (is_alone ? WIRE_BUFFER_BYTES : want) - have;
		long count = receive(call, call->buffer + have, room, have == 0 ? hearing : DEAF);
		if (count < 0)
			return (int)(have > 0 ? -EIO : count);
		have += (size_t)count;
		if (length > 0 || have < WIRE_HEAD_BYTES)
			continue;
		if (!is_head_right(call, reply, &length))
			return -EIO;
		want = length + 4 < WIRE_BUFFER_BYTES ? length + 4 : WIRE_BUFFER_BYTES;
	}
	if (have > length + 4)
		return -EIO;
	call->in = (struct wire_in){
		.at = call->buffer + WIRE_HEAD_BYTES,
		.end = call->buffer + have,
		.missing = length + 4 - have,
	};
	return 0;
}

static void set_timeout(struct wire_call *call, int64_t timeout_us)
{
	struct timeval timeout = { timeout_us / 1000000, timeout_us % 1000000 };
	kernel(SYS_setsockopt, fd_of(call), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
}

struct manner {
	enum hearing hearing;
	bool is_alone;
	int64_t timeout_us;
	struct wire_bytes rest;
};

static int ask_once(struct wire_call *call, size_t length, enum wire_type reply, struct manner manner)
{
	int error = take(call, manner.hearing == ALERT);
	if (error)
		return error;
	call->in = (struct wire_in){ 0 };
	if (!send_all(fd_of(call), call->buffer, length) ||
	    !send_all(fd_of(call), manner.rest.at, manner.rest.length))
		return give_up(call, -EPIPE);
	if (manner.timeout_us)
		set_timeout(call, manner.timeout_us);
	error = receive_frame(call, reply, manner.hearing, manner.is_alone);
	if (error)
		return give_up(call, error);
	if (manner.timeout_us)
		set_timeout(call, 0);
	return 0;
}

static int ask(struct wire_call *call, size_t length, enum wire_type reply, struct manner manner)
{
	if (length == 0)
		return -ENAMETOOLONG;
	int error;
	call->was_interrupted = false;
	do {
		/* An idle connection that the peer has closed says nothing of this request, and took nothing of it. */
		error = ask_once(call, length, reply, manner);
	} while (error == -EPIPE && !call->is_fresh);
	return error == -EPIPE ? -EIO : error;
}

int wire_ask(struct wire_call *call, size_t length, enum wire_type reply)
{
	return ask(call, length, reply, (struct manner){ .is_alone = true });
}

int wire_ask_with(struct wire_call *call, size_t length, struct wire_bytes rest, enum wire_type reply)
{
	uint32_t frame_length = (uint32_t)length - 4 + rest.length;
	if (length > 0) {
		memcpy(call->buffer, &frame_length, sizeof frame_length);
		memcpy(call->buffer + length - sizeof rest.length, &rest.length, sizeof rest.length);
	}
	return ask(call, length, reply, (struct manner){ .is_alone = true, .rest = rest });
}

int wire_ask_for_many(struct wire_call *call, size_t length, enum wire_type reply)
{
	return ask(call, length, reply, (struct manner){ 0 });
}

int wire_ask_patiently(struct wire_call *call, size_t length, enum wire_type reply, int64_t timeout_us)
{
	struct manner manner = { .hearing = ALERT, .is_alone = true, .timeout_us = timeout_us };
	return ask(call, length, reply, manner);
}

int wire_ask_like_open(struct wire_call *call, size_t length, enum wire_type reply)
{
	return ask(call, length, reply, (struct manner){ .hearing = PATIENT, .is_alone = true });
}

int wire_next(struct wire_call *call, enum wire_type reply)
{
	int error = receive_frame(call, reply, DEAF, false);
	return error ? give_up(call, -EIO) : 0;
}

int wire_pull(struct wire_call *call, void *into, size_t length)
{
	for (size_t have = 0; have < length;) {
		long count = receive(call, (char *)into + have, length - have, DEAF);
		if (count < 0)
			return give_up(call, -EIO);
		have += (size_t)count;
		call->in.missing -= (size_t)count;
	}
	return 0;
}

int wire_tell(struct wire_call *call, size_t length)
{
	if (length == 0)
		return -ENAMETOOLONG;
	bool is_sent;
	do {
		int error = take(call, false);
		if (error)
			return error;
		call->in = (struct wire_in){ 0 };
		is_sent = send_all(fd_of(call), call->buffer, length);
		wire_finish(call, is_sent);
	} while (!is_sent && !call->is_fresh);
	return is_sent ? 0 : -EIO;
}

/* Text on the wire is UTF-8: other bytes become question marks. */
static size_t add_text(char *line, size_t at, size_t room, const char *text)
{
	for (; *text && at < room; text++)
		line[at++] = *text & 0x80 ? '?' : *text;
	return at;
}

void wire_note(const char *act, const char *subject, const char *reason)
{
	struct wire_call call;
	char line[512];
	const char *const parts[] = { act, " \"", subject, "\": it ", reason };
	size_t length = 0;
	for (size_t at = 0; at < sizeof parts / sizeof *parts; at++)
		length = add_text(line, length, sizeof line, parts[at]);
	struct wire_note note = { .text = { line, (uint32_t)length } };
	wire_tell(&call, wire_put_note(call.buffer, sizeof call.buffer, 0, note));
}

/* ---- the guard ---- */

bool wire_owns(int fd)
{
	if (likely(fd < atomic_load_explicit(&guard_floor, memory_order_relaxed)))
		return false;
	return wire_first_owned((unsigned)fd, (unsigned)fd) == fd;
}

int wire_first_owned(unsigned first, unsigned last)
{
	if (last < (unsigned)atomic_load_explicit(&guard_floor, memory_order_relaxed))
		return -1;
	if (!shim.has_session || wire_is_in_borrowed_memory())
		return -1;
	int lowest = -1;
	for (int at = 0; at < SLOTS; at++) {
		if (atomic_load_explicit(&pool[at].state, memory_order_relaxed) == EMPTY)
			continue;
		int fd = atomic_load_explicit(&pool[at].fd, memory_order_relaxed);
		bool is_inside = (unsigned)fd >= first && (unsigned)fd <= last;
		if (is_inside && (lowest < 0 || fd < lowest) && is_still_ours(&pool[at], fd))
			lowest = fd;
	}
	return lowest;
}

void wire_make_way(int fd)
{
	for (int at = 0; at < SLOTS; at++) {
		if (atomic_load(&pool[at].state) == EMPTY || atomic_load(&pool[at].fd) != fd)
			continue;
		int up = (int)kernel(SYS_fcntl, fd, F_DUPFD_CLOEXEC, fd + 1);
		if (up < 0)
			up = (int)kernel(SYS_fcntl, fd, F_DUPFD_CLOEXEC, floor_for_descriptors());
		if (up < 0)
			return; /* the app has its way; the slot finds out by the inode */
		atomic_store(&pool[at].fd, lower_guard_to(up));
		/* The old number stays open: the app's dup2 replaces it in one step. */
	}
}
