/* interfaces.c - the network interfaces of the calling thread's network, as getifaddrs(3) lists them.
 *
 * Shapes are those of struct interface in native/interfaces.c: the bytes go to the shim as they are.
 */
#include "sys.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <string.h>
#include <sys/socket.h>

/* One entry; `family` is 4, 6, 17 (AF_PACKET: `address` is the hardware's, `scope` its type) or 0 (none). */
struct interface {
	char name[16];
	uint32_t flags, index;
	uint32_t family;
	uint32_t scope;
	uint8_t address[16], mask[16], other[16];
};

static void put_address(uint8_t into[16], const struct sockaddr *from)
{
	if (from && from->sa_family == AF_INET)
		memcpy(into, &((const struct sockaddr_in *)from)->sin_addr, 4);
	if (from && from->sa_family == AF_INET6)
		memcpy(into, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
	if (from && from->sa_family == AF_PACKET)
		memcpy(into, ((const struct sockaddr_ll *)from)->sll_addr, 8);
}

static void put_interface(struct interface *into, const struct ifaddrs *from)
{
	memset(into, 0, sizeof *into);
	strncpy(into->name, from->ifa_name, sizeof into->name - 1);
	into->flags = from->ifa_flags;
	into->index = if_nametoindex(from->ifa_name);
	const struct sockaddr *address = from->ifa_addr;
	put_address(into->address, address);
	put_address(into->mask, from->ifa_netmask);
	put_address(into->other, from->ifa_broadaddr);
	if (address && address->sa_family == AF_INET)
		into->family = 4;
	if (address && address->sa_family == AF_INET6) {
		into->family = 6;
		into->scope = ((const struct sockaddr_in6 *)address)->sin6_scope_id;
	}
	if (address && address->sa_family == AF_PACKET) {
		into->family = AF_PACKET;
		into->scope = ((const struct sockaddr_ll *)address)->sll_hatype;
		into->index = (uint32_t)((const struct sockaddr_ll *)address)->sll_ifindex;
	}
}

/* Up to `room` bytes of entries go to `into`. Returns how many, or -errno. */
SYS int32_t interfaces_list(struct interface *into, uint32_t room)
{
	struct ifaddrs *all;
	if (getifaddrs(&all) < 0)
		return -errno;
	uint32_t count = 0;
	for (const struct ifaddrs *it = all; it && (count + 1) * sizeof *into <= room; it = it->ifa_next)
		put_interface(&into[count++], it);
	freeifaddrs(all);
	return (int32_t)(count * sizeof *into);
}
