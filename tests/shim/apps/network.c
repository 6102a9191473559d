/* network.c - what a program asks about its network: the kernel by netlink and by ioctl of a socket, and for all hosts that are known. */
#include "calls.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* `ioctl NUMBER NAME`: the number in hexadecimal; prints what is in the ifreq afterwards, as an int, or of SIOCGIFCONF how long the list is. */
static int run_ioctl(const char *symbol, char **a)
{
	int (*call)(int, unsigned long, ...) = function(symbol);
	unsigned long request = strtoul(a[0], NULL, 16);
	int fd = a[2] ? 0 : socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq ifreq = { 0 };
	char room[8 * sizeof ifreq];
	struct ifconf list = { .ifc_len = sizeof room, .ifc_buf = room };
	strncpy(ifreq.ifr_name, a[1], sizeof ifreq.ifr_name - 1);
	if (call(fd, request, request == SIOCGIFCONF ? (void *)&list : (void *)&ifreq) < 0)
		return fail();
	if (request == SIOCGIFCONF)
		printf("%d bytes, %.16s\n", list.ifc_len, room);
	else
		printf("%.16s %d\n", ifreq.ifr_name, ifreq.ifr_ifindex);
	return 0;
}

static void hear(int fd)
{
	char bytes[16384];
	struct sockaddr_nl own, sender;
	socklen_t length = sizeof own;
	getsockname(fd, (struct sockaddr *)&own, &length);
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	while (poll(&wait, 1, 0) > 0) {
		length = sizeof sender;
		ssize_t whole = recv(fd, bytes, 1, MSG_PEEK | MSG_TRUNC);
		ssize_t count = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&sender, &length);
		printf("%zd %s from %u:", whole, whole == count ? "whole" : "cut", sender.nl_pid);
		for (struct nlmsghdr *it = (void *)bytes; NLMSG_OK(it, count); it = NLMSG_NEXT(it, count))
			printf(" type %d of %u %s", it->nlmsg_type, it->nlmsg_seq, it->nlmsg_pid == own.nl_pid ? "to us" : "to another");
		printf("\n");
	}
}

/* `netlink TYPE GROUPS PROTOCOL`: a dump of that type by a socket bound to those groups. */
static int run_netlink(const char *symbol, char **a)
{
	(void)symbol;
	int fd = socket(AF_NETLINK, SOCK_RAW, atoi(a[2])), protocol = -1, group = RTNLGRP_LINK;
	socklen_t length = sizeof protocol;
	struct sockaddr_nl own = { .nl_family = AF_NETLINK, .nl_groups = (unsigned)atoi(a[1]) };
	struct {
		struct nlmsghdr head;
		struct rtgenmsg body;
		char rest[64];
	} request = {
		.head = { .nlmsg_len = 32, .nlmsg_type = (unsigned short)atoi(a[0]), .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = 77 },
	};
	printf("bind %d\n", bind(fd, (struct sockaddr *)&own, sizeof own));
	getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length);
	printf("protocol %d\n", protocol);
	int (*set)(int, int, int, const void *, socklen_t) = function("setsockopt");
	printf("setsockopt %d\n", set(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
	printf("send %zd\n", send(fd, &request, request.head.nlmsg_len, 0));
	hear(fd);
	return 0;
}

/* Every host, and the first again. */
static int run_hosts(const char *symbol, char **a)
{
	(void)a;
	struct hostent *(*call)(void) = function(symbol), *host;
	void (*begin)(int) = function("sethostent");
	void (*end)(void) = function("endhostent");
	begin(1);
	while ((host = call())) {
		printf("%s", host->h_name);
		for (char **alias = host->h_aliases; *alias; alias++)
			printf(" %s", *alias);
		printf(" %08x\n", ntohl(*(unsigned *)(void *)host->h_addr_list[0]));
	}
	end();
	host = call();
	printf("again %s\n", host ? host->h_name : "none");
	end();
	return 0;
}

static const struct command commands[] = {
	{ "ioctl", run_ioctl }, { "netlink", run_netlink }, { "gethostent", run_hosts }, { NULL, NULL },
};

int main(int argc, char **argv)
{
	return run(commands, argc, argv);
}
