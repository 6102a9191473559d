/* proc_net.c - see proc_net.h. */
#include "proc_net.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

struct rest {
	const char *at, *end;
};

static bool skip(struct rest *rest, const char *text)
{
	size_t length = strlen(text);
	if ((size_t)(rest->end - rest->at) < length || memcmp(rest->at, text, length) != 0)
		return false;
	rest->at += length;
	return true;
}

/* A number of a process or thread; 0: none. */
static unsigned long skip_number(struct rest *rest)
{
	enum { MOST = 1 << 22 }; /* PID_MAX_LIMIT */
	unsigned long number = 0;
	while (rest->at < rest->end && *rest->at >= '0' && *rest->at <= '9' && number <= MOST)
		number = number * 10 + (unsigned long)(*rest->at++ - '0');
	return number <= MOST ? number : 0;
}

static ssize_t network_of(const char *process, char name[64])
{
	char link[64];
	snprintf(link, sizeof link, "/proc/%s/ns/net", process);
	return kernel(SYS_readlink, link, name, 64);
}

/* Is the process in the network in which this one is? */
static bool shares_network(unsigned long process)
{
	char text[24], own[64], its[64];
	if (process == (unsigned long)kernel(SYS_getpid))
		return true;
	snprintf(text, sizeof text, "%lu", process);
	ssize_t length = network_of("self", own);
	return length > 0 && network_of(text, its) == length && memcmp(own, its, (size_t)length) == 0;
}

/* "self", "thread-self" or a number, and "/task/7"; with the slash behind them. */
static bool skip_process(struct rest *rest)
{
	if (skip(rest, "thread-self/"))
		return true;
	if (!skip(rest, "self/")) {
		unsigned long process = skip_number(rest);
		if (process == 0 || !skip(rest, "/") || !shares_network(process))
			return false;
	}
	return !skip(rest, "task/") || (skip_number(rest) != 0 && skip(rest, "/"));
}

size_t proc_net_span(const char *path, size_t length)
{
	struct rest rest = { path, path + length };
	if (length < sizeof PROC_NET - 1 || !skip(&rest, "/proc/"))
		return 0;
	/* Most of what is asked about in /proc is not this: no look at the kernel for it. */
	if (!memmem(rest.at - 1, length - 5, "/net", 4))
		return 0;
	struct rest direct = rest;
	if (!skip(&direct, "net")) {
		if (!skip_process(&rest) || !skip(&rest, "net"))
			return 0;
		direct = rest;
	}
	bool is_whole = direct.at == direct.end || *direct.at == '/';
	return is_whole ? (size_t)(direct.at - path) : 0;
}

bool proc_net_is_class(const char *path, size_t length)
{
	struct rest rest = { path, path + length };
	if (!skip(&rest, "/sys/class/net") && !skip(&rest, "/sys/devices/virtual/net"))
		return false;
	return rest.at == rest.end || *rest.at == '/';
}
