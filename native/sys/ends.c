/* ends.c - the two ends of a connection, as a key and as a question to the kernel: see sniff.h. */
#include "sniff.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

_Static_assert(sizeof(struct ends) % 8 == 0, "it is hashed by words, and has no gaps");

uint64_t ends_hash(const struct ends *ends, uint64_t seed)
{
	uint64_t words[sizeof *ends / 8], hash = seed;
	memcpy(words, ends, sizeof words);
	for (size_t index = 0; index < sizeof words / 8; index++) {
		hash = (hash ^ words[index]) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 29;
	}
	return hash;
}

int ends_ask(int fd, const struct ends *ends, uint32_t interface, uint8_t extensions, netlink_heard *heard, void *context)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 body;
	} request = {
		.head = { .nlmsg_len = sizeof request, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST },
		.body = { .sdiag_family = ends->family == 4 ? AF_INET : AF_INET6,
			  .sdiag_protocol = IPPROTO_TCP,
			  .idiag_ext = extensions,
			  .idiag_states = UINT32_MAX },
	};
	struct inet_diag_sockid *id = &request.body.id;
	size_t length = ends->family == 4 ? 4 : 16;
	memcpy(id->idiag_src, ends->own, length);
	memcpy(id->idiag_dst, ends->peer, length);
	id->idiag_sport = htons(ends->own_port);
	id->idiag_dport = htons(ends->peer_port);
	id->idiag_if = interface;
	id->idiag_cookie[0] = id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	if (send(fd, &request, sizeof request, 0) < 0)
		return -errno;
	return netlink_hear(fd, heard, context);
}
