/* unix.c - Unix sockets of another process's world: connected as it would be, for the agent; and sockets that keep the bounds of
 * messages as streams, for agent and intproxy.
 *
 * A path is found inside the target's root (find_object), and what was found is connected to through /proc/self/fd, so
 * neither the length of a path nor a link leads elsewhere. Who serves there may ask who has come (SO_PEERCRED): it is told the target's
 * user and groups, so the calling thread is that user for the time of connect(2), not only where files are concerned.
 *
 * Deno has no words for SOCK_SEQPACKET. Two threads of ours carry each such socket to a stream and back, where a message is
 * its length (u32, as this machine has it) and its bytes. A half-close stays one, a broken end breaks the other. Datagrams are carried
 * so in one direction: who sends them has no name, so nobody answers.
 */
#include "sys.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "files.h"

/* A message is no longer than a socket's buffer, and nobody makes one this big. */
#define MOST_MESSAGE_BYTES (16u << 20)
#define KEEP ((uint32_t)-1)

/* A socket that streams, one that keeps the bounds of messages, one for datagrams to who serves at the target, one to which programs send theirs. */
enum kind { STREAM, PACKETS, DATAGRAMS, RELAYED_DATAGRAMS };

/* This thread alone: libc's own would change all threads of the process. */
static void become(const struct rights *rights, const uint32_t *groups)
{
	syscall(SYS_setgroups, rights->group_count, groups);
	syscall(SYS_setresgid, KEEP, rights->gid, KEEP);
	syscall(SYS_setresuid, KEEP, rights->uid, KEEP);
}

static void be_oneself_again(const uint32_t *words)
{
	const uint32_t *own = words + RIGHTS_WORDS + ((const struct rights *)words)->group_count;
	const struct rights *rights = (const struct rights *)own;
	/* The user first: with it the right to change groups comes back. */
	syscall(SYS_setresuid, KEEP, rights->uid, KEEP);
	syscall(SYS_setresgid, KEEP, rights->gid, KEEP);
	syscall(SYS_setgroups, rights->group_count, own + RIGHTS_WORDS);
}

/* A socket in the network of the calling thread, to which abstract names belong; never waits. Or -errno. */
SYS int32_t unix_socket(uint32_t kind)
{
	int type = kind == PACKETS ? SOCK_SEQPACKET : kind == STREAM ? SOCK_STREAM : SOCK_DGRAM;
	return (int32_t)result(socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

static int32_t connect_abstract(int fd, const char *name, uint32_t length)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (length > sizeof address.sun_path)
		return -EINVAL;
	memcpy(address.sun_path, name, length);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	return (int32_t)result(connect(fd, (struct sockaddr *)&address, size));
}

static int32_t connect_path(int fd, int root, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int found = find_object(root, path, 0);
	if (found < 0)
		return found;
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", found);
	int32_t error = (int32_t)result(connect(fd, (struct sockaddr *)&address, sizeof address));
	close(found);
	return error;
}

/* Connects to `name`: a path (terminated), or with a NUL in front an abstract name of `length` bytes. 0 or -errno; -EAGAIN: who
 * serves there has too many waiting. */
SYS int32_t unix_connect(int32_t fd, int32_t root, const char *name, uint32_t length, const uint32_t *rights)
{
	if (rights)
		become((const struct rights *)rights, rights + RIGHTS_WORDS);
	int32_t error = name[0] == '\0' ? connect_abstract(fd, name, length) : connect_path(fd, root, name);
	if (rights)
		be_oneself_again(rights);
	return error;
}

/* Who is at the other end: pid, uid, gid; and by which name it listens, in `name`, which has room for any. The bytes of the
 * name, or -errno. */
SYS int32_t unix_peer(int32_t fd, int32_t *into, char *name)
{
	struct ucred peer;
	struct sockaddr_un address;
	socklen_t length = sizeof peer;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return -errno;
	into[0] = peer.pid;
	into[1] = (int32_t)peer.uid;
	into[2] = (int32_t)peer.gid;
	length = sizeof address;
	if (getpeername(fd, (struct sockaddr *)&address, &length) < 0)
		return -errno;
	uint32_t bytes = length > offsetof(struct sockaddr_un, sun_path) ?
				 length - (uint32_t)offsetof(struct sockaddr_un, sun_path) :
				 0;
	bytes = bytes > sizeof address.sun_path ? sizeof address.sun_path : bytes;
	memcpy(name, address.sun_path, bytes);
	/* The NUL at the end of a path is none of it. */
	return (int32_t)(bytes > 0 && name[0] ? strnlen(name, bytes) : bytes);
}

SYS int32_t unix_close(int32_t fd)
{
	return (int32_t)result(close(fd));
}

/* ---- messages as a stream ---- */

struct carriage {
	int packets, stream;
	enum kind kind;
	_Atomic int threads;
};

static void leave(struct carriage *it)
{
	if (atomic_fetch_sub(&it->threads, 1) > 1)
		return;
	close(it->packets);
	close(it->stream);
	free(it);
}

static void break_off(struct carriage *it)
{
	shutdown(it->packets, SHUT_RDWR);
	shutdown(it->stream, SHUT_RDWR);
}

static bool write_all(int fd, const void *from, size_t length)
{
	for (size_t sent = 0; sent < length;) {
		ssize_t count = send(fd, (const char *)from + sent, length - sent, MSG_NOSIGNAL);
		if (count < 0 && errno != EINTR)
			return false;
		sent += count < 0 ? 0 : (size_t)count;
	}
	return true;
}

/* False at the end, too. */
static bool read_all(int fd, void *into, size_t length)
{
	ssize_t count;
	do
		count = recv(fd, into, length, MSG_WAITALL);
	while (count < 0 && errno == EINTR);
	return count == (ssize_t)length;
}

/* Makes room for the next message, which has `length` bytes. */
static bool has_room(char **buffer, size_t *room, size_t length)
{
	if (length <= *room)
		return true;
	char *bigger = length > MOST_MESSAGE_BYTES ? NULL : realloc(*buffer, length);
	if (!bigger)
		return false;
	*buffer = bigger;
	*room = length;
	return true;
}

/* An empty message and the end look the same to recv(2). */
static bool is_at_end(int fd)
{
	struct pollfd it = { .fd = fd, .events = POLLRDHUP };
	return poll(&it, 1, 0) > 0 && (it.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static void *carry_out(void *argument)
{
	struct carriage *it = argument;
	char *buffer = NULL;
	size_t room = 0;
	char nothing;
	while (true) {
		ssize_t length = recv(it->packets, &nothing, 0, MSG_PEEK | MSG_TRUNC);
		if (length < 0 && errno == EINTR)
			continue;
		if (length == 0 && is_at_end(it->packets)) {
			shutdown(it->stream, SHUT_WR);
			break;
		}
		uint32_t head = (uint32_t)length;
		if (length < 0 || !has_room(&buffer, &room, (size_t)length) ||
		    recv(it->packets, buffer ? buffer : &nothing, (size_t)length, 0) != length ||
		    !write_all(it->stream, &head, sizeof head) || !write_all(it->stream, buffer, (size_t)length)) {
			break_off(it);
			break;
		}
	}
	free(buffer);
	leave(it);
	return NULL;
}

/* The whole message or nothing. The other end may have been given more room than ours has. */
static bool send_message(int fd, const char *from, size_t length)
{
	bool is_grown = false;
	while (true) {
		ssize_t count = send(fd, from, length, MSG_NOSIGNAL | MSG_EOR);
		if (count >= 0)
			return true;
		int bytes = (int)(2 * length);
		if (errno == EMSGSIZE && !is_grown) {
			is_grown = true;
			if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) < 0)
				setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
		} else if (errno != EINTR) {
			return false;
		}
	}
}

static void *carry_in(void *argument)
{
	struct carriage *it = argument;
	char *buffer = NULL;
	size_t room = 0;
	uint32_t length;
	char nothing = 0;
	while (read_all(it->stream, &length, sizeof length)) {
		if (!has_room(&buffer, &room, length) || !read_all(it->stream, buffer ? buffer : &nothing, length) ||
		    (it->kind != RELAYED_DATAGRAMS && !send_message(it->packets, buffer ? buffer : &nothing, length))) {
			break_off(it);
			break;
		}
	}
	/* Who hears datagrams would wait for ever. */
	shutdown(it->packets, it->kind == PACKETS ? SHUT_WR : SHUT_RDWR);
	free(buffer);
	leave(it);
	return NULL;
}

/* Owns `packets`, a connected socket, from now on. Returns the stream that stands for it, or -errno. */
SYS int32_t unix_as_stream(int32_t packets, uint32_t kind)
{
	int pair[2];
	pthread_t thread;
	pthread_attr_t detached;
	struct carriage *it = malloc(sizeof *it);
	if (!it || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		free(it);
		close(packets);
		return -EMFILE;
	}
	fcntl(packets, F_SETFL, fcntl(packets, F_GETFL) & ~O_NONBLOCK);
	*it = (struct carriage){ .packets = packets, .stream = pair[0], .kind = kind, .threads = 2 };
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&detached, 64 << 10);
	bool is_out = pthread_create(&thread, &detached, carry_out, it) == 0;
	bool is_in = is_out && pthread_create(&thread, &detached, carry_in, it) == 0;
	pthread_attr_destroy(&detached);
	if (is_in)
		return pair[1];
	close(pair[1]);
	break_off(it); /* which ends the one thread, if there is one */
	leave(it);
	if (!is_out)
		leave(it);
	return -EAGAIN;
}

/* ---- where programs come ---- */

static int bind_at(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd < 0 ? -errno : fd;
	int error = errno;
	close(fd);
	return -error;
}

/* Is sent datagrams at `path`. A descriptor for unix_as_stream, and another of the same socket in `*other`; or -errno. */
SYS int32_t unix_listen_datagrams(const char *path, int32_t *other)
{
	int fd = bind_at(path, SOCK_DGRAM);
	*other = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0 || *other >= 0)
		return fd;
	close(fd);
	return -EMFILE;
}

/* Nobody sends any more: the stream ends behind what has come. */
SYS int32_t unix_end_datagrams(int32_t fd)
{
	return (int32_t)result(shutdown(fd, SHUT_RD));
}

/* Listens at `path` for sockets that keep the bounds of messages. A descriptor, or -errno. */
SYS int32_t unix_listen_packets(const char *path)
{
	int fd = bind_at(path, SOCK_SEQPACKET);
	if (fd < 0 || listen(fd, SOMAXCONN) == 0)
		return fd;
	int error = errno;
	close(fd);
	return -error;
}

/* The next one that comes within `timeout_ms`, as a stream; or -errno. */
SYS int32_t unix_accept_packets(int32_t fd, int32_t timeout_ms)
{
	struct pollfd waiting = { .fd = fd, .events = POLLIN };
	if (poll(&waiting, 1, timeout_ms) <= 0)
		return -ETIMEDOUT;
	int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	return accepted < 0 ? -errno : unix_as_stream(accepted, PACKETS);
}
