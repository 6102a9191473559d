/* netlink_answers.c - the stand-ins of netlink.h in programs that have a supervisor. write(2) is no call that the kernel tells us of: so a
 * stand-in is connected to a socket of the supervisor, one for each protocol, and what the program writes comes there, to a thread that answers
 * it. Calls that the kernel does tell of are answered before they return, by the same socket.
 */
#include "../netlink.h"
#include "../wire.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

enum { STACK_BYTES = 256 * 1024, PATIENCE_S = 5, MOST_CONTROL = 128 };

static int route = -1, diagnosis = -1;
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

static bool start(void *(*body)(void *), void *argument)
{
	pthread_t thread;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	bool is_started = pthread_create(&thread, &attributes, body, argument) == 0;
	pthread_attr_destroy(&attributes);
	return is_started;
}

/* Anybody on this machine may send to the socket: who is not our user is not answered. */
static bool is_of_our_user(struct msghdr *message)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
		struct ucred sender;
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_CREDENTIALS)
			continue;
		memcpy(&sender, CMSG_DATA(part), sizeof sender);
		return sender.uid == getuid() || sender.uid == geteuid();
	}
	return false;
}

static void *serve(void *argument)
{
	struct asker asker = { .fd = -1, .sender = *(int *)argument, .protocol = argument == &route ? NETLINK_ROUTE : NETLINK_SOCK_DIAG };
	_Alignas(struct nlmsghdr) uint8_t bytes[NETLINK_REQUEST_BYTES];
	char control[MOST_CONTROL];
	while (1) {
		struct iovec part = { bytes, sizeof bytes };
		struct msghdr message = {
			.msg_name = &asker.self, .msg_namelen = sizeof asker.self,
			.msg_iov = &part, .msg_iovlen = 1,
			.msg_control = control, .msg_controllen = sizeof control,
		};
		ssize_t length = recvmsg(asker.sender, &message, 0);
		if (length < 0 && errno != EINTR && errno != ENOBUFS && errno != EAGAIN)
			return NULL;
		asker.self.nl_groups = 0;
		if (length > 0 && is_of_our_user(&message))
			netlink_treat(&asker, bytes, (size_t)length);
	}
}

/* The supervisor's socket for a protocol, with its thread. */
static int server_of(int protocol)
{
	int yes = 1, *server = protocol == NETLINK_ROUTE ? &route : &diagnosis;
	struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	pthread_mutex_lock(&making);
	if (*server < 0) {
		int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_USERSOCK);
		setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes);
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
		bool is_bound = fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any) == 0;
		if (is_bound)
			*server = fd;
		if (is_bound && !start(serve, server))
			*server = -1;
		if (fd >= 0 && *server < 0)
			close(fd);
	}
	pthread_mutex_unlock(&making);
	return *server;
}

void netlink_prepare(int fd, int protocol)
{
	struct sockaddr_nl server;
	socklen_t length = sizeof server;
	if (getsockname(server_of(protocol), (struct sockaddr *)&server, &length) == 0)
		connect(fd, (struct sockaddr *)&server, sizeof server);
}

int netlink_reach(struct asker *asker)
{
	socklen_t length = sizeof asker->self;
	asker->sender = server_of(asker->protocol);
	return asker->sender < 0 || getsockname(asker->fd, (struct sockaddr *)&asker->self, &length) < 0 ? -ENOBUFS : 0;
}

struct rest {
	struct asker asker;
	uint8_t *map;
	size_t at, length;
};

static void *send_rest(void *argument)
{
	struct rest *rest = argument;
	netlink_put(&rest->asker, rest->map + rest->at, rest->length - rest->at, 0);
	munmap(rest->map, rest->length);
	munmap(rest, sizeof *rest);
	return NULL;
}

bool netlink_keep(const struct asker *asker, uint8_t *map, size_t at, size_t length)
{
	struct rest *rest = mmap(NULL, sizeof *rest, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (rest == MAP_FAILED)
		return false;
	*rest = (struct rest){ *asker, map, at, length };
	if (start(send_rest, rest))
		return true;
	munmap(rest, sizeof *rest);
	return false;
}

void netlink_go_on(int fd)
{
	(void)fd; /* a thread does */
}
