/* names.c - hooks of name resolution: the target's resolv.conf, hosts and DNS, asked in one message each way.
 *
 * What needs no resolver stays real: no node, AI_NUMERICHOST, numeric hosts, services (this machine's /etc/services).
 * Results are laid out as glibc does it, so its own freeaddrinfo() takes them.
 */
#include "numeric.h"
#include "real.h"
#include "wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

/* Beside AI_…, as the agent's Resolve has it: aliases follow the canonical name, with spaces between. */
enum { WITH_ALIASES = 0x40000000 };
enum { RECORD_BYTES = 17, NAME_BYTES = 1024, HOST_ADDRESSES = 256 };

static bool is_numeric(const char *name)
{
	struct in_addr any;
	/* "*" is libc's own word for no name. */
	return strchr(name, ':') || inet_aton(name, &any) || (name[0] == '*' && name[1] == '\0');
}

/* Bytes that follow the first one of a UTF-8 sequence, or -1. */
static int bytes_after(const uint8_t *at)
{
	/* Neither overlong forms nor surrogates nor what lies beyond Unicode. */
	if (at[0] < 0x80)
		return 0;
	if (at[0] >= 0xc2 && at[0] < 0xe0)
		return 1;
	if (at[0] >= 0xe0 && at[0] < 0xf0)
		return (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ? -1 : 2;
	if (at[0] >= 0xf0 && at[0] < 0xf5)
		return (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f) ? -1 : 3;
	return -1;
}

/* Text on the wire is UTF-8; a name that is not has no address anyway. */
static bool is_text(const char *name)
{
	size_t length = strnlen(name, NAME_BYTES);
	if (length == 0 || length == NAME_BYTES)
		return false;
	for (const uint8_t *at = (const uint8_t *)name; *at; at++) {
		int more = bytes_after(at);
		if (more < 0)
			return false;
		for (; more > 0; more--)
			if ((*++at & 0xc0) != 0x80)
				return false;
	}
	return true;
}

/* A code as libc itself would give it: programs end themselves over others. */
static int known_eai(int32_t code)
{
	switch (code) {
	case 0:
	case EAI_NONAME:
	case EAI_NODATA:
	case EAI_AGAIN:
	case EAI_FAMILY:
	case EAI_ADDRFAMILY:
	case EAI_MEMORY:
	case EAI_SYSTEM:
		return code == EAI_SYSTEM ? EAI_FAIL : code;
	default:
		return EAI_FAIL;
	}
}

struct answer {
	struct wire_call call;
	struct wire_resolve_reply reply;
	const uint8_t *records;
	size_t count;
};

/* This name is this machine's: no EAI_* is positive. */
enum { NAME_IS_LOCAL = 1 };

/* 0 and addresses, EAI_*, or NAME_IS_LOCAL. */
static int resolve(const char *name, int family, int flags, struct answer *answer)
{
	struct wire_call *call = &answer->call;
	if (!is_text(name))
		return EAI_NONAME;
	struct wire_resolve message = {
		.name = wire_text(name),
		.family = family == AF_INET ? 4 : family == AF_INET6 ? 6 : 0,
		.flags = (uint32_t)flags,
	};
	if (wire_ask(call, wire_put_resolve(call->buffer, sizeof call->buffer, WIRE_ID, message), WIRE_RESOLVE_REPLY))
		return EAI_AGAIN;
	if (!wire_get_resolve_reply(&call->in, &answer->reply)) {
		wire_finish(call, false);
		return EAI_FAIL;
	}
	answer->records = answer->reply.addresses.at;
	answer->count = (answer->reply.addresses.length - call->in.missing) / RECORD_BYTES;
	/* More addresses than the buffer holds: some hundred are enough. */
	while (call->in.missing > 0) {
		char dropped[512];
		size_t part = call->in.missing < sizeof dropped ? call->in.missing : sizeof dropped;
		if (wire_pull(call, dropped, part))
			return EAI_FAIL;
	}
	wire_finish(call, true);
	if (answer->reply.is_local)
		return NAME_IS_LOCAL;
	int code = known_eai(answer->reply.eai);
	return code == 0 && answer->count == 0 ? EAI_NONAME : code;
}

/* ---- getaddrinfo ---- */

static const int KNOWN_FLAGS = AI_PASSIVE | AI_CANONNAME | AI_NUMERICHOST | AI_V4MAPPED | AI_ALL | AI_ADDRCONFIG |
			       AI_IDN | AI_CANONIDN | AI_NUMERICSERV | 0x0100 | 0x0200; /* the deprecated AI_IDN_… */

/* Everything but the name: libc checks the hints and expands service and socket types, as it would for an address. */
static int expand_service(const char *service, const struct addrinfo *hints, struct addrinfo **into)
{
	struct addrinfo wanted = {
		.ai_flags = (hints->ai_flags & ~KNOWN_FLAGS) | (hints->ai_flags & AI_NUMERICSERV) | AI_NUMERICHOST,
		.ai_family = hints->ai_family == AF_UNSPEC || hints->ai_family == AF_INET6 ? AF_INET : hints->ai_family,
		.ai_socktype = hints->ai_socktype,
		.ai_protocol = hints->ai_protocol,
	};
	return real.getaddrinfo("127.0.0.1", service, &wanted, into);
}

/* One record and one expansion of the service as an addrinfo with its address behind it. */
static struct addrinfo *make_info(const uint8_t *record, const struct addrinfo *kind, bool is_mapped)
{
	bool is_v4 = record[0] == 4;
	bool as_v4 = is_v4 && !is_mapped;
	size_t length = as_v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	struct addrinfo *info = calloc(1, sizeof *info + length);
	if (!info)
		return NULL;
	info->ai_family = as_v4 ? AF_INET : AF_INET6;
	info->ai_socktype = kind->ai_socktype;
	info->ai_protocol = kind->ai_protocol;
	info->ai_addrlen = (socklen_t)length;
	info->ai_addr = (struct sockaddr *)(info + 1);
	info->ai_addr->sa_family = (sa_family_t)info->ai_family;
	in_port_t port = ((struct sockaddr_in *)kind->ai_addr)->sin_port;
	if (as_v4) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)info->ai_addr;
		v4->sin_port = port;
		memcpy(&v4->sin_addr, record + 1, 4);
		return info;
	}
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)info->ai_addr;
	v6->sin6_port = port;
	uint8_t *bytes = v6->sin6_addr.s6_addr;
	if (is_v4)
		bytes[10] = bytes[11] = 0xff;
	memcpy(bytes + (is_v4 ? 12 : 0), record + 1, is_v4 ? 4 : 16);
	return info;
}

static bool is_wanted(const uint8_t *record, int family, int flags)
{
	if (record[0] != 4 && record[0] != 6)
		return false;
	if (family == AF_INET)
		return record[0] == 4;
	return family == AF_UNSPEC || record[0] == 6 || (flags & AI_V4MAPPED);
}

static char *canonical_name(const struct answer *answer, const char *name)
{
	struct wire_bytes given = answer->reply.canonical_name;
	return given.length ? strndup(given.at, given.length) : strdup(name);
}

static int make_list(const struct answer *answer, const char *name, const struct addrinfo *hints,
		     const struct addrinfo *kinds, struct addrinfo **result)
{
	struct addrinfo *first = NULL;
	struct addrinfo **end = &first;
	for (size_t at = 0; at < answer->count; at++) {
		const uint8_t *record = answer->records + at * RECORD_BYTES;
		if (!is_wanted(record, hints->ai_family, hints->ai_flags))
			continue;
		for (const struct addrinfo *kind = kinds; kind; kind = kind->ai_next) {
			*end = make_info(record, kind, hints->ai_family == AF_INET6);
			if (!*end) {
				freeaddrinfo(first);
				return EAI_MEMORY;
			}
			(*end)->ai_flags = hints->ai_flags;
			end = &(*end)->ai_next;
		}
	}
	if (!first)
		return EAI_NONAME;
	if (hints->ai_flags & AI_CANONNAME) {
		first->ai_canonname = canonical_name(answer, name);
		if (!first->ai_canonname) {
			freeaddrinfo(first);
			return EAI_MEMORY;
		}
	}
	*result = first;
	return 0;
}

int hook_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	static const struct addrinfo usual = { .ai_flags = AI_V4MAPPED | AI_ADDRCONFIG };
	bool is_number_wanted = hints && (hints->ai_flags & AI_NUMERICHOST);
	if (!name || is_number_wanted || is_numeric(name))
		return numeric_addresses(name, service, hints, result);
	if (!shim.is_dns_remote)
		return real.getaddrinfo(name, service, hints, result);
	int saved = errno;
	if (!hints)
		hints = &usual;
	struct addrinfo *kinds;
	int code = expand_service(service, hints, &kinds);
	if (code)
		return code;
	struct answer answer;
	code = resolve(name, hints->ai_family, hints->ai_flags, &answer);
	if (code == 0)
		code = make_list(&answer, name, hints, kinds, result);
	freeaddrinfo(kinds);
	errno = saved;
	return code == NAME_IS_LOCAL ? real.getaddrinfo(name, service, hints, result) : code;
}

/* ---- gethostbyname and its kin ---- */

static int h_error_of(int code)
{
	switch (code) {
	case 0:
		return NETDB_SUCCESS;
	case EAI_NONAME:
		return HOST_NOT_FOUND;
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
		return NO_DATA;
	case EAI_AGAIN:
		return TRY_AGAIN;
	default:
		return NO_RECOVERY;
	}
}

/* Was it refused? As libc has it, h_errno too says so, and is left alone by what succeeds. */
static bool told(int code, int *h_error)
{
	*h_error = h_error_of(code);
	if (code)
		h_errno = *h_error;
	return code != 0;
}

/* A buffer of the caller's that is used up from the front. */
struct room {
	char *at;
	size_t left;
};

static void *carve(struct room *room, size_t bytes, size_t alignment)
{
	size_t skip = -(uintptr_t)room->at & (alignment - 1);
	if (room->left < skip + bytes)
		return NULL;
	void *result = room->at + skip;
	room->at += skip + bytes;
	room->left -= skip + bytes;
	return result;
}

static char *carve_text(struct room *room, const void *text, size_t length)
{
	char *into = carve(room, length + 1, 1);
	if (into) {
		memcpy(into, text, length);
		into[length] = '\0';
	}
	return into;
}

/* The names of a host: `names` are the official one and its aliases, with spaces between. False: there is no room. */
static bool make_names(struct wire_bytes names, struct room *room, struct hostent *host)
{
	const char *at = names.at, *end = at + names.length;
	size_t count = 0;
	for (const char *it = at; it < end; it++)
		count += *it == ' ';
	host->h_aliases = carve(room, (count + 1) * sizeof(char *), sizeof(char *));
	host->h_name = NULL;
	for (size_t used = 0; host->h_aliases && at <= end; used++) {
		const char *space = memchr(at, ' ', (size_t)(end - at));
		size_t length = (size_t)((space ? space : end) - at);
		char *name = carve_text(room, at, length);
		if (!name)
			return false;
		*(used == 0 ? &host->h_name : &host->h_aliases[used - 1]) = name;
		host->h_aliases[used] = NULL;
		at += length + 1;
	}
	return host->h_name != NULL;
}

/* `addresses` are `count` records of which those of `family` are used. 0 or ERANGE. */
static int make_host(struct wire_bytes name, int family, const uint8_t *records, size_t count, struct room room,
		     struct hostent *host)
{
	int length = family == AF_INET ? 4 : 16;
	host->h_addrtype = family;
	host->h_length = length;
	host->h_addr_list = carve(&room, (count + 1) * sizeof(char *), sizeof(char *));
	if (!host->h_addr_list || !make_names(name, &room, host))
		return ERANGE;
	size_t used = 0;
	for (size_t at = 0; at < count; at++) {
		const uint8_t *record = records + at * RECORD_BYTES;
		if (record[0] != (family == AF_INET ? 4 : 6))
			continue;
		char *address = carve(&room, (size_t)length, 4);
		if (!address)
			return ERANGE;
		memcpy(address, record + 1, (size_t)length);
		host->h_addr_list[used++] = address;
	}
	host->h_addr_list[used] = NULL;
	return 0;
}

static bool is_host_remote(const char *name, int family)
{
	return shim.is_dns_remote && name && (family == AF_INET || family == AF_INET6) && !is_numeric(name);
}

/* 0 or errno, as the functions with _r have it; -1 when the name is this machine's. */
static int find_host(const char *name, int family, struct hostent *host, struct room room, struct hostent **result,
		     int *h_error)
{
	struct answer answer;
	*result = NULL;
	int saved = errno;
	int code = name[0] ? resolve(name, family, AI_CANONNAME | WITH_ALIASES, &answer) : EAI_FAIL;
	errno = saved;
	if (code == NAME_IS_LOCAL)
		return -1;
	if (told(code, h_error))
		return code == EAI_AGAIN ? EAGAIN : 0;
	struct wire_bytes canonical = answer.reply.canonical_name;
	struct wire_bytes official = canonical.length ? canonical : wire_text(name);
	int error = make_host(official, family, answer.records, answer.count, room, host);
	if (error) {
		*h_error = NETDB_INTERNAL;
		return error;
	}
	if (!host->h_addr_list[0]) {
		*h_error = NO_DATA;
		return 0;
	}
	*result = host;
	return 0;
}

/* What the functions without _r return: one for all threads, as libc has it. */
static struct hostent static_host;
static char static_room[HOST_ADDRESSES * 32 + NAME_BYTES];

int hook_gethostbyname2_r(const char *name, int family, struct hostent *host, char *buffer, size_t length,
			  struct hostent **result, int *h_error)
{
	int found = -1;
	if (is_host_remote(name, family))
		found = find_host(name, family, host, (struct room){ buffer, length }, result, h_error);
	return found >= 0 ? found : real.gethostbyname2_r(name, family, host, buffer, length, result, h_error);
}

int hook_gethostbyname_r(const char *name, struct hostent *host, char *buffer, size_t length, struct hostent **result,
			 int *h_error)
{
	int found = -1;
	if (is_host_remote(name, AF_INET))
		found = find_host(name, AF_INET, host, (struct room){ buffer, length }, result, h_error);
	return found >= 0 ? found : real.gethostbyname_r(name, host, buffer, length, result, h_error);
}

struct hostent *hook_gethostbyname2(const char *name, int family)
{
	struct hostent *result;
	int h_error;
	struct room room = { static_room, sizeof static_room };
	if (!is_host_remote(name, family) || find_host(name, family, &static_host, room, &result, &h_error) < 0)
		return real.gethostbyname2(name, family);
	if (h_error)
		h_errno = h_error;
	return result;
}

struct hostent *hook_gethostbyname(const char *name)
{
	struct hostent *result;
	int h_error;
	struct room room = { static_room, sizeof static_room };
	if (!is_host_remote(name, AF_INET) || find_host(name, AF_INET, &static_host, room, &result, &h_error) < 0)
		return real.gethostbyname(name);
	if (h_error)
		h_errno = h_error;
	return result;
}

/* ---- addresses to names ---- */

/* 0 and the name in `into`, terminated; or EAI_*. */
static int reverse(const void *address, size_t length, char into[NAME_BYTES], bool with_aliases)
{
	struct wire_call call;
	struct wire_reverse_name message = { .address = { address, (uint32_t)length }, .with_aliases = with_aliases };
	size_t bytes = wire_put_reverse_name(call.buffer, sizeof call.buffer, WIRE_ID, message);
	if (wire_ask(&call, bytes, WIRE_NAME_REPLY))
		return EAI_AGAIN;
	struct wire_name_reply reply = { 0 };
	if (wire_finish(&call, wire_get_name_reply(&call.in, &reply)))
		return EAI_FAIL;
	if (reply.eai)
		return known_eai(reply.eai);
	if (reply.name.length == 0 || reply.name.length >= NAME_BYTES)
		return EAI_NONAME;
	memcpy(into, reply.name.at, reply.name.length);
	into[reply.name.length] = '\0';
	return 0;
}

static bool is_address_remote(const void *address, socklen_t length, int family)
{
	bool is_right = (family == AF_INET && length == 4) || (family == AF_INET6 && length == 16);
	return shim.is_dns_remote && address && is_right;
}

static int find_address(const void *address, socklen_t length, int family, struct hostent *host, struct room room,
			struct hostent **result, int *h_error)
{
	char name[NAME_BYTES];
	uint8_t record[RECORD_BYTES] = { family == AF_INET ? 4 : 6 };
	memcpy(record + 1, address, length);
	*result = NULL;
	int saved = errno;
	int code = reverse(address, length, name, true);
	errno = saved;
	if (told(code, h_error))
		return code == EAI_AGAIN ? EAGAIN : 0;
	int error = make_host(wire_text(name), family, record, 1, room, host);
	if (error)
		*h_error = NETDB_INTERNAL;
	else
		*result = host;
	return error;
}

int hook_gethostbyaddr_r(const void *address, socklen_t length, int family, struct hostent *host, char *buffer,
			 size_t room, struct hostent **result, int *h_error)
{
	if (!is_address_remote(address, length, family))
		return real.gethostbyaddr_r(address, length, family, host, buffer, room, result, h_error);
	return find_address(address, length, family, host, (struct room){ buffer, room }, result, h_error);
}

struct hostent *hook_gethostbyaddr(const void *address, socklen_t length, int family)
{
	if (!is_address_remote(address, length, family))
		return real.gethostbyaddr(address, length, family);
	struct hostent *result;
	int h_error;
	struct room room = { static_room, sizeof static_room };
	find_address(address, length, family, &static_host, room, &result, &h_error);
	if (h_error)
		h_errno = h_error;
	return result;
}

/* With the deprecated NI_IDN_…; others are refused by libc. */
static const int KNOWN_NI_FLAGS = NI_NUMERICHOST | NI_NUMERICSERV | NI_NOFQDN | NI_NAMEREQD | NI_DGRAM | NI_IDN | 0x40 | 0x80;

static bool is_hostname_remote(void)
{
	return shim.is_hostname_remote && shim.settings.hostname.length > 0;
}

/* A Unix address has the host's own name. */
static int name_of_this_host(const struct sockaddr *address, socklen_t length, char *host, socklen_t host_room,
			     char *service, socklen_t service_room, int flags)
{
	struct utsname self;
	int code = real.getnameinfo(address, length, host, host_room, service, service_room, flags);
	if ((code && code != EAI_OVERFLOW) || hook_uname(&self) != 0)
		return code;
	if (strlen(self.nodename) >= host_room)
		return EAI_OVERFLOW;
	strcpy(host, self.nodename);
	bool wants_service = service && service_room > 0;
	return wants_service ? real.getnameinfo(address, length, NULL, 0, service, service_room, flags & ~NI_NAMEREQD) : 0;
}

int hook_getnameinfo(const struct sockaddr *address, socklen_t length, char *host, socklen_t host_room, char *service,
		     socklen_t service_room, int flags)
{
	bool is_v4 = address && address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in);
	bool is_v6 = address && address->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6);
	bool wants_number = flags & NI_NUMERICHOST;
	if (address && address->sa_family == AF_UNIX && host && host_room > 0 && !wants_number && is_hostname_remote())
		return name_of_this_host(address, length, host, host_room, service, service_room, flags);
	if (!host || host_room == 0 || (!is_v4 && !is_v6) || (flags & ~KNOWN_NI_FLAGS))
		return real.getnameinfo(address, length, host, host_room, service, service_room, flags);
	if (!shim.is_dns_remote && !wants_number)
		return real.getnameinfo(address, length, host, host_room, service, service_room, flags);
	/* The host first, then the service, as libc has it. */
	const void *bytes = is_v4 ? (const void *)&((const struct sockaddr_in *)address)->sin_addr :
				    (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr;
	char name[NAME_BYTES];
	int saved = errno;
	int code = wants_number ? EAI_NONAME : reverse(bytes, is_v4 ? 4 : 16, name, false);
	errno = saved;
	if (code && (code == EAI_AGAIN || (flags & NI_NAMEREQD)))
		return code == EAI_AGAIN ? code : EAI_NONAME;
	if (code) /* "if the name cannot be determined, the numeric form is returned" */
		code = numeric_name(address, length, host, host_room, flags);
	else if (strlen(name) >= host_room)
		code = EAI_OVERFLOW;
	else
		strcpy(host, name);
	if (code || !service || service_room == 0)
		return code;
	return real.getnameinfo(address, length, NULL, 0, service, service_room, flags & ~NI_NAMEREQD);
}

/* ---- the host's own name ---- */

int hook_gethostname(char *into, size_t room)
{
	if (!is_hostname_remote())
		return real.gethostname(into, room);
	struct wire_bytes name = shim.settings.hostname;
	if (room > name.length) {
		memcpy(into, name.at, name.length);
		into[name.length] = '\0';
		return 0;
	}
	memcpy(into, name.at, room);
	return edge(-ENAMETOOLONG);
}

int hook___gethostname_chk(char *into, size_t room, size_t size)
{
	return size < room ? real.__gethostname_chk(into, room, size) : hook_gethostname(into, room);
}

int hook_uname(struct utsname *into)
{
	int result = real.uname(into);
	if (result == 0 && is_hostname_remote()) {
		struct wire_bytes name = shim.settings.hostname;
		size_t length = name.length < sizeof into->nodename ? name.length : sizeof into->nodename - 1;
		memcpy(into->nodename, name.at, length);
		into->nodename[length] = '\0';
	}
	return result;
}
