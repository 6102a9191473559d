/* interfaces.c - prints what getifaddrs(3) and its kin tell of the network interfaces. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <sys/socket.h>

static void show(const char *what, const struct sockaddr *address)
{
	char text[100] = "-";
	sa_family_t family = address ? address->sa_family : AF_UNSPEC;
	const struct sockaddr_ll *link = (const void *)address;
	if (family == AF_INET || family == AF_INET6) {
		socklen_t size = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
		getnameinfo(address, size, text, sizeof text, NULL, 0, NI_NUMERICHOST);
	} else if (family == AF_PACKET) {
		sprintf(text, "link %d type %d length %d %02x…%02x", link->sll_ifindex, link->sll_hatype, link->sll_halen,
			link->sll_addr[0], link->sll_addr[5]);
	}
	printf(" %s %d %s", what, address ? family : -1, text);
}

int main(void)
{
	struct ifaddrs *all;
	char name[IF_NAMESIZE];
	printf("getifaddrs %d\n", getifaddrs(&all));
	for (struct ifaddrs *it = all; it; it = it->ifa_next) {
		printf("%s %x", it->ifa_name, it->ifa_flags);
		show("address", it->ifa_addr);
		show("mask", it->ifa_netmask);
		show("other", it->ifa_broadaddr);
		printf("\n");
	}
	freeifaddrs(all);
	struct if_nameindex *list = if_nameindex();
	for (struct if_nameindex *it = list; it && it->if_index; it++)
		printf("%u %s\n", it->if_index, it->if_name);
	if_freenameindex(list);
	printf("lo %u, none %u, ", if_nametoindex("lo"), if_nametoindex("nosuch"));
	printf("1 is %s, ", if_indextoname(1, name));
	printf("999 is %p: %m\n", (void *)if_indextoname(999, name));
	return 0;
}
