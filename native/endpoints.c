/* endpoints.c - addresses of TCP sockets: as sockaddr has them, as the wire has them, as the kernel tells them. */
#include "endpoints.h"

#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/stat.h>

bool endpoint_of(const struct sockaddr *address, socklen_t length, struct endpoint *into)
{
	if (!may_be_address(address) || length > sizeof(struct sockaddr_storage))
		return false; /* EFAULT, EINVAL: the kernel's word */
	if (address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
		into->length = 4;
		into->port = ntohs(v4->sin_port);
		memcpy(into->bytes, &v4->sin_addr, 4);
		return true;
	}
	/* Without the scope at the end it is as long as it was in RFC 2133. */
	if (address->sa_family != AF_INET6 || length < offsetof(struct sockaddr_in6, sin6_scope_id))
		return false;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	bool is_mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
	into->length = is_mapped ? 4 : 16;
	into->port = ntohs(v6->sin6_port);
	memcpy(into->bytes, v6->sin6_addr.s6_addr + (is_mapped ? 12 : 0), into->length);
	return true;
}

bool is_zero(const struct endpoint *it)
{
	static const uint8_t zero[16];
	return memcmp(it->bytes, zero, it->length) == 0;
}

bool is_loopback(const struct endpoint *it)
{
	static const uint8_t loopback6[16] = { [15] = 1 };
	return it->length == 4 ? it->bytes[0] == 127 : memcmp(it->bytes, loopback6, 16) == 0;
}

bool is_link_local(const struct endpoint *it)
{
	return it->length == 16 && it->bytes[0] == 0xfe && (it->bytes[1] & 0xc0) == 0x80;
}

bool is_for_many(const struct endpoint *it)
{
	return it->length == 4 ? it->bytes[0] >= 224 : it->bytes[0] == 0xff;
}

uint64_t inode_of(int fd)
{
	struct stat st;
	return kernel(SYS_fstat, fd, &st) == 0 ? st.st_ino : 0;
}

uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof cookie;
	kernel(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &cookie, &length);
	return cookie;
}

/* 127.0.0.1 or ::1, by the length of the bytes. */
struct endpoint loopback(uint32_t length, uint16_t port)
{
	struct endpoint it = { .length = length, .port = port };
	if (length == 4)
		it.bytes[0] = 127;
	it.bytes[length - 1] = 1;
	return it;
}

/* As the socket's own family has it. */
struct any_address address_of(const struct endpoint *it, sa_family_t family)
{
	struct any_address address = { .length = sizeof(struct sockaddr_in) };
	if (family == AF_INET) {
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons(it->port);
		memcpy(&address.v4.sin_addr, it->bytes, 4);
		return address;
	}
	address.length = sizeof(struct sockaddr_in6);
	address.v6.sin6_family = AF_INET6;
	address.v6.sin6_port = htons(it->port);
	uint8_t *bytes = address.v6.sin6_addr.s6_addr;
	if (it->length == 4)
		bytes[10] = bytes[11] = 0xff;
	memcpy(bytes + 16 - it->length, it->bytes, it->length);
	return address;
}

struct wire_bytes bytes_of(const struct endpoint *it)
{
	return (struct wire_bytes){ it->bytes, it->length };
}

int option(int fd, int level, int name)
{
	int value = 0;
	socklen_t length = sizeof value;
	long result = kernel(SYS_getsockopt, fd, level, name, &value, &length);
	return result < 0 ? -1 : value;
}

/* TCP_CLOSE for a fresh or failed socket; negative when it is no TCP socket. */
int tcp_state(int fd)
{
	uint8_t state; /* the first byte of struct tcp_info */
	socklen_t length = sizeof state;
	long result = kernel(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &state, &length);
	return result < 0 ? -1 : state;
}

bool local_endpoint(int fd, struct endpoint *into)
{
	struct any_address address = { .length = sizeof address.storage };
	long result = kernel(SYS_getsockname, fd, &address.plain, &address.length);
	return result == 0 && endpoint_of(&address.plain, address.length, into);
}

bool to_endpoint(struct wire_bytes bytes, uint16_t port, struct endpoint *into)
{
	if (bytes.length != 4 && bytes.length != 16)
		return false;
	*into = (struct endpoint){ .length = bytes.length, .port = port };
	memcpy(into->bytes, bytes.at, bytes.length);
	return true;
}

bool peer_endpoint(int fd, struct endpoint *into)
{
	struct any_address address = { .length = sizeof address.storage };
	long result = kernel(SYS_getpeername, fd, &address.plain, &address.length);
	return result == 0 && endpoint_of(&address.plain, address.length, into);
}

bool put_name(int fd, const struct endpoint *it, struct sockaddr *name, socklen_t *length, socklen_t room)
{
	sa_family_t family = (sa_family_t)option(fd, SOL_SOCKET, SO_DOMAIN);
	if (family == AF_INET && it->length != 4)
		return false;
	struct any_address address = address_of(it, family);
	memcpy(name, &address.plain, room < address.length ? room : address.length);
	*length = address.length;
	return true;
}
