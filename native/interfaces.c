/* interfaces.c - the target's network interfaces, for programs that look for their own address.
 *
 * What getifaddrs(3) gives is one block, as libc makes it: its own freeifaddrs() takes it. What an interface's name means to
 * setsockopt(2) is this machine's matter: here are none of those devices.
 */
#include "endpoints.h"
#include "real.h"
#include "wire.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdlib.h>

/* As native/sys/interfaces.c makes them. */
struct interface {
	char name[IF_NAMESIZE];
	uint32_t flags, index;
	uint32_t family; /* 4, 6, AF_PACKET, or 0: none */
	uint32_t scope;
	uint8_t address[16], mask[16], other[16];
};

union place {
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_ll link;
};

struct entry {
	struct ifaddrs head;
	char name[IF_NAMESIZE];
	union place address, mask, other;
};

enum { RECORDS_BYTES = 256 << 10, ETHERNET_BYTES = 6 };

static void fill(union place *place, const struct interface *from, const uint8_t bytes[16])
{
	*place = (union place){ 0 };
	if (from->family == 4) {
		place->v4.sin_family = AF_INET;
		memcpy(&place->v4.sin_addr, bytes, 4);
	} else if (from->family == 6) {
		place->v6.sin6_family = AF_INET6;
		place->v6.sin6_scope_id = from->scope;
		memcpy(&place->v6.sin6_addr, bytes, 16);
	} else {
		place->link.sll_family = AF_PACKET;
		place->link.sll_ifindex = (int)from->index;
		place->link.sll_hatype = (unsigned short)from->scope;
		place->link.sll_halen = ETHERNET_BYTES;
		memcpy(place->link.sll_addr, bytes, 8);
	}
}

/* Of links, and of IPv4: who is at the other end, or all at once. */
static bool has_other(const struct interface *from)
{
	static const uint8_t none[4];
	return from->family == AF_PACKET || (from->family == 4 && memcmp(from->other, none, sizeof none) != 0);
}

static void make_entry(struct entry *entry, const struct interface *from, struct entry *next)
{
	memcpy(entry->name, from->name, sizeof entry->name);
	entry->name[sizeof entry->name - 1] = '\0';
	entry->head = (struct ifaddrs){ .ifa_next = next ? &next->head : NULL,
					.ifa_name = entry->name,
					.ifa_flags = from->flags };
	if (from->family == 0)
		return;
	fill(&entry->address, from, from->address);
	entry->head.ifa_addr = (struct sockaddr *)&entry->address;
	if (from->family != AF_PACKET) {
		fill(&entry->mask, from, from->mask);
		entry->head.ifa_netmask = (struct sockaddr *)&entry->mask;
		if (from->family == 6)
			entry->mask.v6.sin6_scope_id = 0;
	}
	if (has_other(from)) {
		fill(&entry->other, from, from->other);
		entry->head.ifa_broadaddr = (struct sockaddr *)&entry->other;
	}
}

/* The records in memory of their own, or NULL: this machine's are to be had. */
static struct interface *ask_for_records(size_t *count)
{
	struct wire_call call;
	struct wire_interfaces reply;
	if (!shim.is_tcp_remote)
		return NULL;
	size_t length = wire_put_get_interfaces(call.buffer, sizeof call.buffer, WIRE_ID,
						(struct wire_get_interfaces){ .family = 0 });
	if (wire_ask(&call, length, WIRE_INTERFACES))
		return NULL;
	if (!wire_get_interfaces(&call.in, &reply) || reply.records.length > RECORDS_BYTES) {
		wire_finish(&call, false);
		return NULL;
	}
	size_t here = reply.records.length - call.in.missing;
	char *records = malloc(reply.records.length + 1);
	if (!records) {
		wire_finish(&call, false);
		return NULL;
	}
	memcpy(records, reply.records.at, here);
	if (call.in.missing > 0 && wire_pull(&call, records + here, call.in.missing)) {
		free(records);
		return NULL;
	}
	*count = reply.records.length / sizeof(struct interface);
	if (wire_finish(&call, true) == 0 && *count > 0)
		return (struct interface *)(void *)records;
	free(records);
	return NULL;
}

/* Those that are left, in place. */
static size_t without_ipv6(struct interface *records, size_t count)
{
	size_t kept = 0;
	for (size_t at = 0; at < count; at++)
		if (records[at].family != 6)
			records[kept++] = records[at];
	return kept;
}

/* What libc listed is one block: what is left out stays in it, unlinked. The first entry is a link or loopback, never IPv6. */
static int without_local_ipv6(struct ifaddrs *list)
{
	for (struct ifaddrs *it = list; it && it->ifa_next;) {
		const struct sockaddr *address = it->ifa_next->ifa_addr;
		if (address && address->sa_family == AF_INET6)
			it->ifa_next = it->ifa_next->ifa_next;
		else
			it = it->ifa_next;
	}
	return 0;
}

int hook_getifaddrs(struct ifaddrs **into)
{
	size_t count;
	struct interface *records = ask_for_records(&count);
	if (!records) {
		int result = real.getifaddrs(into);
		return result == 0 && shim.is_ipv6_hidden ? without_local_ipv6(*into) : result;
	}
	if (shim.is_ipv6_hidden)
		count = without_ipv6(records, count);
	struct entry *entries = calloc(count, sizeof *entries);
	for (size_t at = 0; entries && at < count; at++)
		make_entry(&entries[at], &records[at], at + 1 < count ? &entries[at + 1] : NULL);
	free(records);
	if (!entries)
		return edge(-ENOMEM);
	*into = &entries->head;
	return 0;
}

/* The first record that is this interface: 1, 0 where there is none, or -1 where they are this machine's. */
static int find(const char *name, unsigned index, struct interface *into)
{
	size_t count;
	int is_found = 0;
	struct interface *records = shim.is_tcp_remote ? ask_for_records(&count) : NULL;
	if (!records)
		return -1;
	for (size_t at = 0; at < count && !is_found; at++) {
		is_found = name ? strncmp(name, records[at].name, sizeof records[at].name) == 0 : records[at].index == index;
		if (is_found)
			*into = records[at];
	}
	free(records);
	return is_found;
}

unsigned hook_if_nametoindex(const char *name)
{
	struct interface found;
	int is_found = name ? find(name, 0, &found) : -1;
	if (is_found < 0)
		return real.if_nametoindex(name);
	if (is_found)
		return found.index;
	errno = ENODEV;
	return 0;
}

char *hook_if_indextoname(unsigned index, char *into)
{
	struct interface found;
	int is_found = find(NULL, index, &found);
	if (is_found < 0)
		return real.if_indextoname(index, into);
	if (is_found)
		return memcpy(into, found.name, sizeof found.name);
	errno = ENXIO;
	return NULL;
}

/* A link has one entry; where links are not listed, its first address stands for it. */
static bool is_first(const struct interface *records, size_t at)
{
	for (size_t before = 0; before < at; before++)
		if (records[before].index == records[at].index)
			return false;
	return true;
}

/* libc's own if_freenameindex() frees each name, and the list. */
struct if_nameindex *hook_if_nameindex(void)
{
	size_t count;
	struct interface *records = ask_for_records(&count);
	if (!records)
		return real.if_nameindex();
	struct if_nameindex *list = calloc(count + 1, sizeof *list);
	size_t used = 0;
	for (size_t at = 0; list && at < count; at++) {
		if (!is_first(records, at))
			continue;
		list[used].if_index = records[at].index;
		list[used].if_name = strndup(records[at].name, sizeof records[at].name);
		used += list[used].if_name != NULL;
	}
	free(records);
	return list;
}
