/* network_questions.c - what a program of the run asks the kernel of its network, asked in the target's: by netlink(7) and by
 * ioctl(2) (netdevice(7)).
 *
 * Only questions: of rtnetlink those that the kernel answers to anybody (its own rule: the two lowest bits of the type), of
 * sock_diag those about sockets, of ioctls a list. What would change something is EPERM before the kernel sees it.
 */
#include "sys.h"

#include <linux/ethtool.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bits of `options`: those of setsockopt(2) that change what is answered. */
enum { STRICT = 1, EXTENDED = 2, CAPPED = 4 };

enum { GET = 2, KINDS = 3, RECEIVE_BYTES = 64 << 10 };

static bool is_question(int32_t protocol, uint16_t type)
{
	if (protocol == NETLINK_ROUTE)
		return type >= RTM_BASE && (type & KINDS) == GET;
	return protocol == NETLINK_SOCK_DIAG && type >= TCPDIAG_GETSOCK && type <= SOCK_DIAG_BY_FAMILY;
}

static int open_netlink(int32_t protocol, uint32_t options)
{
	int yes = 1, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		return -errno;
	if (options & STRICT)
		setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &yes, sizeof yes);
	if (options & EXTENDED)
		setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &yes, sizeof yes);
	if (options & CAPPED)
		setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &yes, sizeof yes);
	return fd;
}

/* The kernel answers within send(2), and goes on within recv(2) with what did not fit: nothing is waited for. */
static int64_t take_answers(int fd, uint8_t *into, uint32_t room)
{
	static uint8_t buffer[RECEIVE_BYTES]; /* of the main thread, which alone is in the target's network */
	uint32_t used = 0;
	while (1) {
		ssize_t count = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT | MSG_TRUNC);
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return count == 0 || errno == EAGAIN ? (int64_t)used : -errno;
		uint32_t aligned = NLMSG_ALIGN((uint32_t)count);
		if (count > (ssize_t)sizeof buffer || aligned > room - used)
			return -ENOBUFS;
		memset(into + used, 0, aligned);
		memcpy(into + used, buffer, (size_t)count);
		used += aligned;
	}
}

/* `request` is one message. Bytes of the kernel's messages in `into`, one behind the other; or -errno. */
SYS int32_t network_ask_netlink(int32_t protocol, uint32_t options, const uint8_t *request, uint32_t length, uint8_t *into,
				uint32_t room)
{
	struct nlmsghdr head;
	if (length < sizeof head)
		return -EINVAL;
	memcpy(&head, request, sizeof head);
	if (head.nlmsg_len < sizeof head || head.nlmsg_len > length)
		return -EINVAL;
	if (!is_question(protocol, head.nlmsg_type))
		return -EPERM;
	int fd = open_netlink(protocol, options);
	if (fd < 0)
		return fd;
	int64_t count = send(fd, request, head.nlmsg_len, 0) < 0 ? -errno : take_answers(fd, into, room);
	close(fd);
	return (int32_t)count;
}

/* ---- ioctl ---- */

static const uint32_t about_interface[] = {
	SIOCGIFFLAGS, SIOCGIFADDR,   SIOCGIFDSTADDR, SIOCGIFBRDADDR, SIOCGIFNETMASK, SIOCGIFMETRIC,
	SIOCGIFMTU,   SIOCGIFHWADDR, SIOCGIFINDEX,   SIOCGIFTXQLEN,  SIOCGIFMAP,
};

/* What is told of an interface, as the intproxy keeps it and the shim reads it. */
struct told {
	uint32_t request;
	int32_t error;
	uint8_t ifreq[sizeof(struct ifreq)];
};

static uint32_t tell(int fd, uint32_t request, const struct ifreq *asked, struct told *into)
{
	struct ifreq own = *asked;
	int error = ioctl(fd, request, &own) < 0 ? errno : 0;
	*into = (struct told){ .request = request, .error = error };
	memcpy(into->ifreq, &own, sizeof own);
	return sizeof *into;
}

/* Everything of the interface at once: who asks one thing asks the others. */
static int32_t tell_all(int fd, const struct ifreq *asked, uint8_t *into, uint32_t room)
{
	uint32_t used = 0;
	for (size_t at = 0; at < sizeof about_interface / sizeof *about_interface; at++)
		if (used + sizeof(struct told) <= room)
			used += tell(fd, about_interface[at], asked, (struct told *)(void *)(into + used));
	return (int32_t)used;
}

static int32_t list_addresses(int fd, uint8_t *into, uint32_t room)
{
	struct ifconf list = { .ifc_len = (int)room, .ifc_buf = (char *)into };
	return ioctl(fd, SIOCGIFCONF, &list) < 0 ? -errno : list.ifc_len;
}

static uint32_t ethtool_bytes(uint32_t command)
{
	switch (command) {
	case ETHTOOL_GSET:
		return sizeof(struct ethtool_cmd);
	case ETHTOOL_GDRVINFO:
		return sizeof(struct ethtool_drvinfo);
	case ETHTOOL_GLINK:
		return sizeof(struct ethtool_value);
	default:
		return 0;
	}
}

static int32_t ask_ethtool(int fd, struct ifreq *asked, uint32_t command, uint8_t *into, uint32_t room)
{
	uint32_t bytes = ethtool_bytes(command);
	if (bytes == 0 || bytes > room)
		return -EOPNOTSUPP;
	memset(into, 0, bytes);
	memcpy(into, &command, sizeof command);
	asked->ifr_data = (char *)into;
	return ioctl(fd, SIOCETHTOOL, asked) < 0 ? -errno : (int32_t)bytes;
}

/* `family` is that of the program's socket; `ifreq` what it gave; `command` of SIOCETHTOOL. Bytes in `into`, or -errno. */
SYS int32_t network_ask_interface(int32_t family, uint32_t request, uint32_t command, const uint8_t *ifreq, uint8_t *into,
				  uint32_t room)
{
	struct ifreq asked;
	memcpy(&asked, ifreq, sizeof asked);
	asked.ifr_name[sizeof asked.ifr_name - 1] = '\0';
	bool is_known = family == AF_INET || family == AF_INET6 || family == AF_UNIX;
	int fd = socket(is_known ? family : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int32_t count;
	if (request == SIOCGIFCONF)
		count = list_addresses(fd, into, room);
	else if (request == SIOCETHTOOL)
		count = ask_ethtool(fd, &asked, command, into, room);
	else if (request == SIOCGIFNAME)
		count = room < sizeof(struct told) ? -EINVAL : (int32_t)tell(fd, request, &asked, (struct told *)(void *)into);
	else
		count = tell_all(fd, &asked, into, room);
	close(fd);
	return count;
}
