/* interface_calls.c - asks the kernel for the addresses of this network in all ways there are to send a question by netlink, and by ioctl. */
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
	struct nlmsghdr head;
	struct ifaddrmsg body;
} question = { { sizeof question, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 5, 0 }, { .ifa_family = AF_INET } };
static struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

static ssize_t ask_by_write(int fd)
{
	return write(fd, &question, sizeof question);
}

static ssize_t ask_by_send(int fd)
{
	return send(fd, &question, sizeof question, 0);
}

static ssize_t ask_by_sendto(int fd)
{
	return sendto(fd, &question, sizeof question, 0, (struct sockaddr *)&kernel, sizeof kernel);
}

static ssize_t ask_by_sendmsg(int fd)
{
	struct iovec part = { &question, sizeof question };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	return sendmsg(fd, &message, 0);
}

static void hear(int fd)
{
	char bytes[8192];
	for (int is_over = 0; !is_over;) {
		struct sockaddr_nl sender;
		socklen_t length = sizeof sender;
		ssize_t count = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&sender, &length);
		if (count <= 0)
			return perror("recvfrom");
		for (struct nlmsghdr *it = (void *)bytes; NLMSG_OK(it, count); it = NLMSG_NEXT(it, count)) {
			struct ifaddrmsg *address = NLMSG_DATA(it);
			is_over = it->nlmsg_type == NLMSG_DONE || it->nlmsg_type == NLMSG_ERROR;
			if (it->nlmsg_type == RTM_NEWADDR)
				printf("  from %u: %u/%u of %d\n", sender.nl_pid, address->ifa_index, address->ifa_prefixlen, address->ifa_family);
		}
	}
}

int main(void)
{
	static const struct {
		const char *name;
		ssize_t (*ask)(int);
	} ways[] = { { "write", ask_by_write }, { "send", ask_by_send }, { "sendto", ask_by_sendto }, { "sendmsg", ask_by_sendmsg } };
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t at = 0; at < sizeof ways / sizeof *ways; at++) {
		int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
		if (at > 1)
			bind(fd, (struct sockaddr *)&kernel, sizeof kernel);
		printf("%s %zd\n", ways[at].name, ways[at].ask(fd));
		hear(fd);
		close(fd);
	}
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char room[4096];
	struct ifconf list = { .ifc_len = sizeof room, .ifc_buf = room };
	printf("list %d\n", ioctl(fd, SIOCGIFCONF, &list));
	for (struct ifreq *it = (void *)room; (char *)it < room + list.ifc_len; it++) {
		struct ifreq other = *it;
		int result = ioctl(fd, SIOCGIFMTU, &other);
		printf("  %s mtu %d %d\n", it->ifr_name, result, other.ifr_mtu);
		/* One of several addresses of an interface is meant by saying it, as Java does. */
		other = *it;
		result = ioctl(fd, SIOCGIFNETMASK, &other);
		struct sockaddr_in *mask = (void *)&other.ifr_netmask;
		printf("  %s mask %d %08x\n", it->ifr_name, result, ntohl(mask->sin_addr.s_addr));
	}
	struct ifreq change = { .ifr_name = "pod0" };
	printf("change %d\n", ioctl(fd, SIOCSIFFLAGS, &change));
	return 0;
}
