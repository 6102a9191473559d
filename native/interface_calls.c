/* interface_calls.c - ioctl(2) of sockets about interfaces (netdevice(7)): the target's. What would change one is refused, as the
 * kernel refuses a process without CAP_NET_ADMIN.
 *
 * ioctl is called for each key that somebody types: everything else is told apart by the number alone.
 */
#include "endpoints.h"
#include "real.h"
#include "remote.h"
#include "wire.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>

/* As native/sys/network_questions.c makes them. */
struct told {
	uint32_t request;
	int32_t error;
	uint8_t ifreq[sizeof(struct ifreq)];
};

enum { SOCKET_REQUESTS = 0x8900, MOST_ETHTOOL = sizeof(struct ethtool_drvinfo) };

static bool is_change(unsigned long request)
{
	switch (request) {
	case SIOCADDRT:
	case SIOCDELRT:
	case SIOCSIFLINK:
	case SIOCSIFFLAGS:
	case SIOCSIFADDR:
	case SIOCSIFDSTADDR:
	case SIOCSIFBRDADDR:
	case SIOCSIFNETMASK:
	case SIOCSIFMETRIC:
	case SIOCSIFMEM:
	case SIOCSIFMTU:
	case SIOCSIFNAME:
	case SIOCSIFHWADDR:
	case SIOCSIFPFLAGS:
	case SIOCDIFADDR:
	case SIOCSIFHWBROADCAST:
	case SIOCSIFTXQLEN:
	case SIOCSIFMAP:
	case SIOCADDMULTI:
	case SIOCDELMULTI:
	case SIOCDARP:
	case SIOCSARP:
		return true;
	default:
		return false;
	}
}

static bool is_question(unsigned long request)
{
	switch (request) {
	case SIOCGIFNAME:
	case SIOCGIFCONF:
	case SIOCGIFFLAGS:
	case SIOCGIFADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFBRDADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFMETRIC:
	case SIOCGIFMTU:
	case SIOCGIFHWADDR:
	case SIOCGIFINDEX:
	case SIOCGIFTXQLEN:
	case SIOCGIFMAP:
	case SIOCETHTOOL:
		return true;
	default:
		return false;
	}
}

/* The answer's bytes, as far as there is room; how many there are, or -errno. */
static long ask(int family, unsigned long request, uint32_t command, const struct ifreq *given, void *into, size_t room)
{
	struct wire_call call;
	struct wire_network_answer reply;
	struct wire_ask_interface message = {
		.family = (uint8_t)family,
		.request = (uint32_t)request,
		.command = command,
		.ifreq = { given, given ? sizeof *given : 0 },
	};
	size_t length = wire_put_ask_interface(call.buffer, sizeof call.buffer, WIRE_ID, message);
	int error = wire_ask(&call, length, WIRE_NETWORK_ANSWER);
	if (error)
		return error;
	if (!wire_get_network_answer(&call.in, &reply)) {
		wire_finish(&call, false);
		return -EIO;
	}
	size_t whole = reply.data.length, done = whole - call.in.missing;
	memcpy(into, reply.data.at, done < room ? done : room);
	while (call.in.missing > 0) {
		char dropped[512];
		bool has_room = done < room;
		size_t most = has_room ? room - done : sizeof dropped;
		size_t part = call.in.missing < most ? call.in.missing : most;
		if (wire_pull(&call, has_room ? (char *)into + done : dropped, part))
			return -EIO;
		done += part;
	}
	if (wire_finish(&call, true))
		return -EIO;
	return reply.error ? refused(reply.error) : (long)whole;
}

static long list_addresses(int family, struct ifconf *list)
{
	size_t room = list->ifc_buf && list->ifc_len > 0 ? (size_t)list->ifc_len : 0;
	room -= room % sizeof(struct ifreq);
	char none;
	long length = ask(family, SIOCGIFCONF, 0, NULL, list->ifc_buf ? list->ifc_buf : &none, room);
	if (length < 0)
		return length;
	list->ifc_len = list->ifc_buf && (size_t)length > room ? (int)room : (int)length;
	return 0;
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

static long ask_ethtool(int family, const struct ifreq *given)
{
	uint32_t command;
	char told[MOST_ETHTOOL];
	if (!may_be_address(given->ifr_data))
		return -EFAULT;
	memcpy(&command, given->ifr_data, sizeof command);
	size_t bytes = ethtool_bytes(command);
	if (bytes == 0)
		return -EOPNOTSUPP;
	long length = ask(family, SIOCETHTOOL, command, given, told, sizeof told);
	if (length < 0)
		return length;
	if ((size_t)length != bytes)
		return -EIO;
	memcpy(given->ifr_data, told, bytes);
	return 0;
}

__attribute__((noinline, cold)) static long try_interface(int fd, unsigned long request, void *argument)
{
	struct told told;
	if (!shim.is_tcp_remote || (!is_question(request) && !is_change(request)))
		return BYPASS;
	int family = option(fd, SOL_SOCKET, SO_DOMAIN);
	if (family < 0)
		return BYPASS;
	if (!may_be_address(argument))
		return -EFAULT;
	if (is_change(request))
		return -EPERM;
	if (request == SIOCGIFCONF)
		return list_addresses(family, argument);
	if (request == SIOCETHTOOL)
		return ask_ethtool(family, argument);
	long length = ask(family, request, 0, argument, &told, sizeof told);
	if (length < 0)
		return length;
	if (length != sizeof told)
		return -EIO;
	if (told.error)
		return refused(told.error);
	memcpy(argument, told.ifreq, sizeof told.ifreq);
	return 0;
}

int hook_ioctl(int fd, unsigned long request, void *argument)
{
	if (likely((request & ~0xfful) != SOCKET_REQUESTS))
		return real.ioctl(fd, request, argument);
	long result = try_interface(fd, request, argument);
	return result == BYPASS ? real.ioctl(fd, request, argument) : edge(result);
}
