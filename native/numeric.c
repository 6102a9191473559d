/* numeric.c - names that are addresses already: libc's own work, but for what it would look up about this machine's interfaces.
 *
 * Which families AI_ADDRCONFIG leaves, and which interface a zone (fe80::1%eth0) names, the target's interfaces say.
 */
#include "numeric.h"
#include "real.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>

enum { NUMERIC_BYTES = INET6_ADDRSTRLEN + IF_NAMESIZE + 2 };

static bool is_zoned(const struct in6_addr *address)
{
	return IN6_IS_ADDR_LINKLOCAL(address) || IN6_IS_ADDR_MC_LINKLOCAL(address);
}

/* The address with the interface's number in the target as its zone, where it has one by name; else the name itself. */
static const char *with_zone(const char *name, char into[NUMERIC_BYTES])
{
	struct in6_addr address;
	const char *zone = name ? strchr(name, '%') : NULL;
	size_t length = zone ? (size_t)(zone - name) : 0;
	if (!zone || length >= INET6_ADDRSTRLEN)
		return name;
	memcpy(into, name, length);
	into[length] = '\0';
	if (inet_pton(AF_INET6, into, &address) != 1 || !is_zoned(&address) || zone[1] == '\0')
		return name;
	unsigned index = hook_if_nametoindex(zone + 1);
	if (index == 0 && zone[1 + strspn(zone + 1, "0123456789")] == '\0')
		return name;
	/* No interface has a name with a slash: libc refuses it, though this machine may have one of the given name. */
	snprintf(into + length, NUMERIC_BYTES - length, index ? "%%%u" : "%%/", index);
	return into;
}

/* `has_v4`, `has_v6`: as libc has it, 127.0.0.1 and ::1 alone do not count. */
struct families {
	bool has_v4, has_v6, has_loopback_v6;
};

static struct families see_families(void)
{
	struct families seen = { 0 };
	struct ifaddrs *list;
	if (hook_getifaddrs(&list) != 0)
		return seen;
	for (const struct ifaddrs *it = list; it; it = it->ifa_next) {
		if (!it->ifa_addr)
			continue;
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)it->ifa_addr;
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)it->ifa_addr;
		bool is_v6 = it->ifa_addr->sa_family == AF_INET6, is_loopback = is_v6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
		seen.has_v4 |= it->ifa_addr->sa_family == AF_INET && v4->sin_addr.s_addr != htonl(INADDR_LOOPBACK);
		seen.has_v6 |= is_v6 && !is_loopback;
		seen.has_loopback_v6 |= is_loopback;
	}
	freeifaddrs(list);
	return seen;
}

/* No name is ::1 and 127.0.0.1, the one first that can be reached: those of `family` go ahead. */
static struct addrinfo *with_first(int family, struct addrinfo *list)
{
	struct addrinfo *first = NULL, *last = NULL, **end_of_first = &first, **end_of_last = &last;
	for (struct addrinfo *it = list; it; it = it->ai_next) {
		struct addrinfo ***end = it->ai_family == family ? &end_of_first : &end_of_last;
		**end = it;
		*end = &it->ai_next;
	}
	*end_of_last = NULL;
	*end_of_first = last;
	return first;
}

static bool is_of_both(const struct addrinfo *list)
{
	const struct addrinfo *it = list;
	while (it && it->ai_family == list->ai_family)
		it = it->ai_next;
	return it != NULL;
}

/* Takes AI_ADDRCONFIG out of the hints, for what it leaves; false: that is nothing. */
static bool restrict_families(struct addrinfo *hints)
{
	hints->ai_flags &= ~AI_ADDRCONFIG;
	if (hints->ai_family != AF_UNSPEC && hints->ai_family != AF_INET && hints->ai_family != AF_INET6)
		return true;
	struct families seen = see_families();
	if (hints->ai_family != AF_UNSPEC)
		return hints->ai_family == AF_INET ? seen.has_v4 : seen.has_v6;
	if (seen.has_v4 != seen.has_v6)
		hints->ai_family = seen.has_v4 ? AF_INET : AF_INET6;
	return true;
}

static int name_anew(struct addrinfo *list, const char *name)
{
	char *canonical = list->ai_canonname ? strdup(name) : NULL;
	if (!canonical)
		return list->ai_canonname ? EAI_MEMORY : 0;
	free(list->ai_canonname);
	list->ai_canonname = canonical;
	return 0;
}

/* `hints` without AI_ADDRCONFIG, which the results have all the same. */
static int expand(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	char text[NUMERIC_BYTES];
	const char *numeric = with_zone(name, text);
	int code = real.getaddrinfo(numeric, service, hints, result);
	if (code == 0 && numeric != name && (code = name_anew(*result, name)) != 0)
		freeaddrinfo(*result);
	if (code == 0 && !name && !(hints && hints->ai_flags & AI_PASSIVE) && shim.is_tcp_remote && is_of_both(*result)) {
		int saved = errno;
		*result = with_first(see_families().has_loopback_v6 ? AF_INET6 : AF_INET, *result);
		errno = saved;
	}
	return code;
}

int numeric_addresses(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	static const struct addrinfo usual = { .ai_flags = AI_V4MAPPED | AI_ADDRCONFIG };
	struct addrinfo wanted = hints ? *hints : usual;
	if (!(wanted.ai_flags & AI_ADDRCONFIG))
		return expand(name, service, hints, result);
	int saved = errno;
	bool is_possible = restrict_families(&wanted);
	errno = saved;
	struct addrinfo *found;
	int code = expand(name, service, &wanted, &found);
	if (!is_possible && code != EAI_BADFLAGS) {
		if (code == 0)
			freeaddrinfo(found);
		return EAI_NONAME;
	}
	if (code)
		return code;
	for (struct addrinfo *it = found; it; it = it->ai_next)
		it->ai_flags |= AI_ADDRCONFIG;
	*result = found;
	return 0;
}

int numeric_name(const struct sockaddr *address, socklen_t length, char *host, socklen_t room, int flags)
{
	struct sockaddr_in6 plain = { 0 };
	if (address->sa_family == AF_INET6 && length >= sizeof plain)
		memcpy(&plain, address, sizeof plain);
	if (plain.sin6_scope_id == 0 || !is_zoned(&plain.sin6_addr))
		return real.getnameinfo(address, length, host, room, NULL, 0, flags | NI_NUMERICHOST);
	char zone[IF_NAMESIZE + 1] = "%";
	unsigned index = plain.sin6_scope_id;
	int saved = errno;
	if (!hook_if_indextoname(index, zone + 1))
		snprintf(zone + 1, sizeof zone - 1, "%u", index);
	errno = saved;
	plain.sin6_scope_id = 0;
	int code = real.getnameinfo((struct sockaddr *)&plain, sizeof plain, host, room, NULL, 0, flags | NI_NUMERICHOST);
	/* As libc has it: there must be room for the longest name. */
	if (code == 0 && room - strlen(host) < IF_NAMESIZE + 1)
		code = EAI_OVERFLOW;
	if (code == 0)
		strcpy(host + strlen(host), zone);
	return code;
}
