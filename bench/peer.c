/* peer.c - both ends of the network benchmarks: a server for the pod and a client for this side.
 *
 *   peer server PORT              serves until killed; the first byte of a connection says what is wanted:
 *                                 'e' echo; with a count in 8 bytes behind it: 'd' send so many, 'u' swallow so many and answer one
 *                                 (an end of stream says nothing here: kubectl port-forward does not carry half-closes)
 *                                 datagrams to the same port come back
 *   peer http PORT                answers HTTP/1.1 requests without bodies
 *   peer sink PORT                takes connections and waits for their ends: what accepting costs at least
 *   peer delay MS COMMAND...      runs a command whose input and output pass through here, each MS later
 *   peer latency HOST PORT N      N echoes of 64 bytes; prints the median and the 99th percentile in microseconds
 *   peer udp HOST PORT N          the same with datagrams
 *   peer connects HOST PORT N     N non-blocking connects at once; prints the milliseconds until the last is there
 *   peer serial HOST PORT N       N blocking connects, one after the other; prints how many a second
 *   peer hold HOST PORT N         opens N connections, sends a byte to and fro on each; prints N, and holds them until its input ends
 *   peer down HOST PORT MB        reads so many megabytes; prints megabytes per second
 *   peer up HOST PORT MB          writes so many megabytes and waits for the answer; prints megabytes per second
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char block[256 << 10];

static double now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void write_all(int fd, const char *from, size_t count)
{
	while (count > 0) {
		ssize_t written = write(fd, from, count);

		if (written < 0)
			fail("write");
		from += written;
		count -= written;
	}
}

static void read_all(int fd, char *into, size_t count)
{
	while (count > 0) {
		ssize_t got = read(fd, into, count);

		if (got <= 0)
			fail("read");
		into += got;
		count -= got;
	}
}

static size_t piece(uint64_t left)
{
	return left < sizeof block ? left : sizeof block;
}

static void serve_one(int fd)
{
	char wanted;
	ssize_t got;
	uint64_t left;

	if (read(fd, &wanted, 1) != 1)
		return;
	if (wanted == 'e') {
		while ((got = read(fd, block, sizeof block)) > 0)
			write_all(fd, block, got);
		return;
	}
	read_all(fd, (char *)&left, sizeof left);
	for (; wanted == 'd' && left > 0; left -= piece(left))
		write_all(fd, block, piece(left));
	for (; wanted == 'u' && left > 0; left -= piece(left))
		read_all(fd, block, piece(left));
	if (wanted == 'u')
		write_all(fd, "!", 1);
}

static void serve_datagrams(const struct sockaddr_in6 *address)
{
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	if (bind(fd, (const struct sockaddr *)address, sizeof *address))
		fail("bind");
	for (;;) {
		struct sockaddr_in6 peer;
		socklen_t length = sizeof peer;
		ssize_t got = recvfrom(fd, block, sizeof block, 0, (struct sockaddr *)&peer, &length);

		if (got >= 0)
			sendto(fd, block, got, 0, (struct sockaddr *)&peer, length);
	}
}

static void serve_http(int fd)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";
	size_t have = 0;
	ssize_t got;

	while ((got = read(fd, block + have, sizeof block - 1 - have)) > 0) {
		char *from = block, *end;

		block[have += got] = 0;
		for (; (end = strstr(from, "\r\n\r\n")); from = end + 4)
			write_all(fd, answer, sizeof answer - 1);
		have -= from - block;
		memmove(block, from, have);
	}
}

static int listen_on(int port)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int listener = socket(AF_INET6, SOCK_STREAM, 0), one = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096))
		fail("listen");
	return listener;
}

static void serve(int port, void (*serve_connection)(int fd))
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int listener = listen_on(port), one = 1;

	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (fork() == 0)
		serve_datagrams(&address);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		if (fork() == 0) {
			serve_connection(fd);
			_exit(0);
		}
		close(fd);
	}
}

static void sink(int port)
{
	int listener = listen_on(port), all = epoll_create1(0);
	struct epoll_event wanted = { .events = EPOLLIN, .data.fd = listener }, ready;

	epoll_ctl(all, EPOLL_CTL_ADD, listener, &wanted);
	while (epoll_wait(all, &ready, 1, -1) >= 0) {
		int fd = ready.data.fd;

		if (fd == listener) {
			wanted.data.fd = accept(listener, NULL, NULL);
			epoll_ctl(all, EPOLL_CTL_ADD, wanted.data.fd, &wanted);
		} else if (read(fd, block, sizeof block) <= 0)
			close(fd);
	}
}

/* Bytes on their way, each with its time. */
struct way {
	int from, into;
	struct parcel {
		struct parcel *next;
		double due_us;
		size_t length;
		char bytes[];
	} *first, **last;
};

static void take(struct way *way, double delay_us)
{
	ssize_t got = read(way->from, block, sizeof block);

	if (got <= 0)
		exit(0);
	struct parcel *parcel = malloc(sizeof *parcel + got);
	*parcel = (struct parcel){ .due_us = now_us() + delay_us, .length = got };
	memcpy(parcel->bytes, block, got);
	*way->last = parcel;
	way->last = &parcel->next;
}

/* How long until the next one is due; below 0: there is none. */
static double give(struct way *way)
{
	struct parcel *parcel;

	while ((parcel = way->first) && parcel->due_us <= now_us()) {
		write_all(way->into, parcel->bytes, parcel->length);
		if (!(way->first = parcel->next))
			way->last = &way->first;
		free(parcel);
	}
	return parcel ? parcel->due_us - now_us() : -1;
}

static void delay(double delay_us, char **command)
{
	int there[2], back[2];

	if (pipe(there) || pipe(back))
		fail("pipe");
	signal(SIGPIPE, SIG_IGN);
	if (fork() == 0) {
		dup2(there[0], 0);
		dup2(back[1], 1);
		for (int fd = 3; fd < 32; fd++)
			close(fd);
		execvp(*command, command);
		fail(*command);
	}
	close(there[0]);
	close(back[1]);
	struct way ways[] = { { .from = 0, .into = there[1] }, { .from = back[0], .into = 1 } };
	for (int i = 0; i < 2; i++)
		ways[i].last = &ways[i].first;
	for (;;) {
		struct pollfd polls[] = { { ways[0].from, POLLIN, 0 }, { ways[1].from, POLLIN, 0 } };
		double first = give(&ways[0]), second = give(&ways[1]);
		double wait = first < 0 || (second >= 0 && second < first) ? second : first;
		struct timespec time = { .tv_sec = wait / 1e6, .tv_nsec = (long)(wait * 1e3) % 1000000000 };

		ppoll(polls, 2, wait < 0 ? NULL : &time, NULL);
		for (int i = 0; i < 2; i++)
			if (polls[i].revents)
				take(&ways[i], delay_us);
	}
}

static struct addrinfo *look_up(const char *host, const char *port, int type)
{
	struct addrinfo hints = { .ai_socktype = type }, *found;

	if (getaddrinfo(host, port, &hints, &found))
		fail("getaddrinfo");
	return found;
}

static int reach(const struct addrinfo *to)
{
	int one = 1, fd = socket(to->ai_family, to->ai_socktype, 0);

	if (connect(fd, to->ai_addr, to->ai_addrlen))
		fail("connect");
	if (to->ai_socktype == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

static int by_size(const void *a, const void *b)
{
	return *(const double *)a < *(const double *)b ? -1 : 1;
}

static void measure_latency(int fd, int rounds)
{
	double *times = calloc(rounds, sizeof *times);

	for (int i = -20; i < rounds; i++) { /* the first twenty warm up */
		double started = now_us();

		write_all(fd, block, 64);
		read_all(fd, block, 64);
		if (i >= 0)
			times[i] = now_us() - started;
	}
	qsort(times, rounds, sizeof *times, by_size);
	printf("%.1f %.1f\n", times[rounds / 2], times[rounds * 99 / 100]);
}

static void measure_bulk(int fd, char wanted, uint64_t bytes)
{
	double started = now_us();

	write_all(fd, &wanted, 1);
	write_all(fd, (char *)&bytes, sizeof bytes);
	for (uint64_t left = bytes; left > 0; left -= piece(left)) {
		if (wanted == 'd')
			read_all(fd, block, piece(left));
		else
			write_all(fd, block, piece(left));
	}
	if (wanted == 'u')
		read_all(fd, block, 1);
	printf("%.1f\n", bytes / (now_us() - started));
}

static void measure_connects(const struct addrinfo *to, int count)
{
	struct pollfd *polls = calloc(count, sizeof *polls);
	double started = now_us();

	for (int i = 0; i < count; i++) {
		polls[i].fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		polls[i].events = POLLOUT;
		if (connect(polls[i].fd, to->ai_addr, to->ai_addrlen) && errno != EINPROGRESS)
			fail("connect");
	}
	for (int left = count; left > 0;) {
		if (poll(polls, count, 30000) <= 0)
			fail("poll");
		for (int i = 0; i < count; i++) {
			int error = 0;
			socklen_t length = sizeof error;

			if (polls[i].fd < 0 || !polls[i].revents)
				continue;
			getsockopt(polls[i].fd, SOL_SOCKET, SO_ERROR, &error, &length);
			if ((errno = error))
				fail("connect");
			polls[i].fd = -1;
			left--;
		}
	}
	printf("%.1f\n", (now_us() - started) / 1e3);
}

static void measure_serial(const struct addrinfo *to, int count)
{
	double started = now_us();

	for (int i = 0; i < count; i++)
		close(reach(to));
	printf("%.1f\n", count / ((now_us() - started) / 1e6));
}

static void hold(const struct addrinfo *to, int count)
{
	struct rlimit files = { count + 100, count + 100 };

	setrlimit(RLIMIT_NOFILE, &files);
	for (int i = 0; i < count; i++) {
		int fd = reach(to);

		write_all(fd, "ee", 2);
		read_all(fd, block, 1);
	}
	printf("%d\n", count);
	fflush(stdout);
	while (read(0, block, sizeof block) > 0)
		;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "server"))
		serve(atoi(argv[2]), serve_one);
	if (argc == 3 && !strcmp(argv[1], "http"))
		serve(atoi(argv[2]), serve_http);
	if (argc == 3 && !strcmp(argv[1], "sink"))
		sink(atoi(argv[2]));
	if (argc > 3 && !strcmp(argv[1], "delay"))
		delay(atof(argv[2]) * 1e3, argv + 3);
	if (argc != 5)
		return 2;
	const char *mode = argv[1];
	const struct addrinfo *to = look_up(argv[2], argv[3], strcmp(mode, "udp") ? SOCK_STREAM : SOCK_DGRAM);
	long amount = atol(argv[4]);

	if (!strcmp(mode, "connects"))
		measure_connects(to, amount);
	else if (!strcmp(mode, "serial"))
		measure_serial(to, amount);
	else if (!strcmp(mode, "hold"))
		hold(to, amount);
	else if (!strcmp(mode, "udp"))
		measure_latency(reach(to), amount);
	else if (!strcmp(mode, "down") || !strcmp(mode, "up"))
		measure_bulk(reach(to), *mode, amount * 1000000ULL);
	else if (!strcmp(mode, "latency")) {
		int fd = reach(to);

		write_all(fd, "e", 1);
		measure_latency(fd, amount);
	} else
		return 2;
	return 0;
}
