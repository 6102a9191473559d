/* sockets.c - does to one socket what the words of the command line say, and prints what came of each. */
#include "calls.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static int fd = -1, epoll_fd = -1;

static socklen_t parse(char *text, struct sockaddr_storage *into)
{
	char *slash = strchr(text, '/');
	memset(into, 0, sizeof *into);
	struct sockaddr_in *v4 = (void *)into;
	struct sockaddr_in6 *v6 = (void *)into;
	*slash = '\0';
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)atoi(slash + 1));
		return sizeof *v4;
	}
	inet_pton(AF_INET6, text, &v6->sin6_addr);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)atoi(slash + 1));
	return sizeof *v6;
}

static void show(const char *what, int result)
{
	printf("%s %s\n", what, result < 0 ? strerrorname_np(errno) : "0");
}

static void show_address(const char *what, int result, const struct sockaddr_storage *address, socklen_t length)
{
	char text[64];
	const struct sockaddr_in *v4 = (void *)address;
	const struct sockaddr_in6 *v6 = (void *)address;
	if (result < 0) {
		show(what, result);
		return;
	}
	const void *bytes = address->ss_family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr;
	printf("%s %s %d length %u\n", what, inet_ntop(address->ss_family, bytes, text, sizeof text), ntohs(v4->sin_port),
	       length);
}

/* Asks, so that the test sees that the signal has come; and so that a call inside a call is tried. */
static void on_alarm(int number)
{
	(void)number;
	access("/data/alarm", F_OK);
}

static void set_alarm(int ms, int flags)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = flags };
	struct itimerval timer = { .it_value = { ms / 1000, ms % 1000 * 1000 } };
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void do_connect(char *argument, int is_raw)
{
	struct sockaddr_storage address;
	socklen_t length = parse(argument, &address);
	errno = 0;
	show("connect", is_raw ? (int)syscall(SYS_connect, fd, &address, length) :
				 connect(fd, (struct sockaddr *)&address, length));
}

/* Connects by sending. */
static void do_fast(char *argument, int is_message)
{
	struct sockaddr_storage address;
	socklen_t length = parse(argument, &address);
	struct iovec part = { "fast", 4 };
	struct msghdr message = { .msg_name = &address, .msg_namelen = length, .msg_iov = &part, .msg_iovlen = 1 };
	errno = 0;
	ssize_t sent = is_message ? sendmsg(fd, &message, MSG_FASTOPEN) :
				    sendto(fd, "fast", 4, MSG_FASTOPEN, (struct sockaddr *)&address, length);
	show("fast", sent == 4 ? 0 : -1);
}

static void do_socket(int family, int type)
{
	int one = 1;
	fd = socket(family, type, 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void do_name(const char *what, int (*get)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_storage address;
	socklen_t length = sizeof address;
	int result = get(fd, (struct sockaddr *)&address, &length);
	show_address(what, result, &address, length);
}

static void do_echo(void)
{
	char bytes[64];
	if (write(fd, "ping", 4) != 4) {
		show("write", -1);
		return;
	}
	ssize_t count = read(fd, bytes, sizeof bytes);
	if (count < 0)
		show("read", -1);
	else
		printf("echo %.*s\n", (int)count, bytes);
}

static void do_error(void)
{
	int error = -1;
	socklen_t length = sizeof error;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	printf("error %s\n", error ? strerrorname_np(error) : "0");
}

static void do_epoll(void)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
	epoll_fd = epoll_create1(0);
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void do_wait(void)
{
	struct epoll_event event;
	int count = epoll_wait(epoll_fd, &event, 1, 10000);
	printf("wait %s%s%s\n", count == 1 ? "" : "nothing", event.events & EPOLLOUT ? "out" : "",
	       event.events & EPOLLERR ? " err" : "");
}

static void do_poll(void)
{
	struct pollfd wait = { .fd = fd, .events = POLLOUT };
	int count = poll(&wait, 1, 10000);
	printf("poll %s%s\n", count == 1 && wait.revents & POLLOUT ? "out" : "nothing", wait.revents & POLLERR ? " err" : "");
}

/* One call that moves data, by its name. */
static void do_data(const char *call)
{
	char bytes[8];
	struct iovec part = { bytes, sizeof bytes };
	ssize_t (*recv_chk)(int, void *, size_t, size_t, int) = (ssize_t(*)(int, void *, size_t, size_t, int))function("__recv_chk");
	ssize_t result = !strcmp(call, "read")	 ? read(fd, bytes, sizeof bytes) :
			 !strcmp(call, "readv")	 ? readv(fd, &part, 1) :
			 !strcmp(call, "write")	 ? write(fd, bytes, sizeof bytes) :
			 !strcmp(call, "writev") ? writev(fd, &part, 1) :
			 !strcmp(call, "send")	 ? send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) :
			 !strcmp(call, "recv")	 ? recv(fd, bytes, sizeof bytes, 0) :
						   recv_chk(fd, bytes, sizeof bytes, sizeof bytes, 0);
	show(call, result < 0 ? -1 : 0);
}

static void do_interfaces(void)
{
	struct ifaddrs *all = NULL;
	char name[IF_NAMESIZE] = "";
	show("getifaddrs", getifaddrs(&all));
	for (struct ifaddrs *it = all; it; it = it->ifa_next)
		if (it->ifa_addr && it->ifa_addr->sa_family == AF_INET)
			printf("%s %08x/%08x\n", it->ifa_name, ntohl(((struct sockaddr_in *)it->ifa_addr)->sin_addr.s_addr),
			       ntohl(((struct sockaddr_in *)it->ifa_netmask)->sin_addr.s_addr));
	freeifaddrs(all);
	printf("if_nametoindex %u if_indextoname %s\n", if_nametoindex("pod0"), if_indextoname(7, name));
	struct if_nameindex *list = if_nameindex();
	for (struct if_nameindex *it = list; it && it->if_index; it++)
		printf("if_nameindex %u %s\n", it->if_index, it->if_name);
	if_freenameindex(list);
}

/* The socket gets another number, and the old one is closed. */
static void do_dup(void)
{
	int other = dup(fd);
	close(fd);
	fd = other;
}

static void do_unix(char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	show("connect", connect(fd, (struct sockaddr *)&address, sizeof address));
}

static void do_word(char *word)
{
	char *argument = strchr(word, '/');
	if (argument)
		*argument++ = '\0';
	struct sockaddr_storage address;
	int one = 1;
	if (!strcmp(word, "tcp4"))
		do_socket(AF_INET, SOCK_STREAM);
	else if (!strcmp(word, "tcp6"))
		do_socket(AF_INET6, SOCK_STREAM);
	else if (!strcmp(word, "udp4"))
		do_socket(AF_INET, SOCK_DGRAM);
	else if (!strcmp(word, "unix"))
		do_unix(argument);
	else if (!strcmp(word, "v6only"))
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	else if (!strcmp(word, "nonblock"))
		fcntl(fd, F_SETFL, O_NONBLOCK);
	else if (!strcmp(word, "block"))
		fcntl(fd, F_SETFL, 0);
	else if (!strcmp(word, "fastopen"))
		setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof one);
	else if (!strcmp(word, "timeout"))
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){ 0, atoi(argument) * 1000 }, sizeof(struct timeval));
	else if (!strcmp(word, "bind"))
		show("bind", bind(fd, (struct sockaddr *)&address, parse(argument, &address)));
	else if (!strcmp(word, "alarm"))
		set_alarm(atoi(argument), 0);
	else if (!strcmp(word, "alarm-restart"))
		set_alarm(atoi(argument), SA_RESTART);
	else if (!strcmp(word, "connect"))
		do_connect(argument, 0);
	else if (!strcmp(word, "sendto") || !strcmp(word, "sendmsg"))
		do_fast(argument, !strcmp(word, "sendmsg"));
	else if (!strcmp(word, "raw-connect"))
		do_connect(argument, 1);
	else if (!strcmp(word, "data"))
		do_data(argument);
	else if (!strcmp(word, "interfaces"))
		do_interfaces();
	else if (!strcmp(word, "listen"))
		show("listen", listen(fd, 5));
	else if (!strcmp(word, "dup"))
		do_dup();
	else if (!strcmp(word, "close"))
		show("close", close(fd));
	else if (!strcmp(word, "reuseport"))
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
	else if (!strcmp(word, "ask")) /* the test sees how far we are */
		access(argument, F_OK);
	else if (!strcmp(word, "error"))
		do_error();
	else if (!strcmp(word, "peer"))
		do_name("peer", getpeername);
	else if (!strcmp(word, "own"))
		do_name("own", getsockname);
	else if (!strcmp(word, "echo"))
		do_echo();
	else if (!strcmp(word, "epoll"))
		do_epoll();
	else if (!strcmp(word, "wait"))
		do_wait();
	else if (!strcmp(word, "poll"))
		do_poll();
	else
		printf("unknown word %s\n", word);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int at = 1; at < argc; at++)
		do_word(argv[at]);
	return 0;
}
