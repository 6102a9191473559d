/* datagrams.c - sends one datagram with each call that can, hears the answer with another, and prints who is said to have sent it. */
#include "calls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct sockaddr_in peer = { .sin_family = AF_INET };

static struct sockaddr_in at_peer(void)
{
	struct sockaddr_in address = peer;
	inet_pton(AF_INET, "10.1.2.3", &address.sin_addr);
	address.sin_port = htons(5353);
	return address;
}

static void show(const char *call, long result, const char *text, const struct sockaddr_in *from, socklen_t length)
{
	char host[32];
	if (result < 0)
		printf("%s %s\n", call, strerrorname_np(errno));
	else
		printf("%s %.*s %s %d length %u\n", call, (int)result, text,
		       inet_ntop(AF_INET, &from->sin_addr, host, sizeof host), ntohs(from->sin_port), length);
}

int main(void)
{
	struct sockaddr_in to = at_peer(), from = { 0 };
	socklen_t length = sizeof from;
	char text[64];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	sendto(fd, "a", 1, 0, (struct sockaddr *)&to, sizeof to);
	show("recvfrom", recvfrom(fd, text, sizeof text, 0, (struct sockaddr *)&from, &length), text, &from, length);

	struct iovec part = { "b", 1 };
	struct msghdr message = { .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &part, .msg_iovlen = 1 };
	sendmsg(fd, &message, 0);
	part = (struct iovec){ text, sizeof text };
	from = (struct sockaddr_in){ 0 };
	message = (struct msghdr){ .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1 };
	long count = recvmsg(fd, &message, 0);
	show("recvmsg", count, text, &from, message.msg_namelen);

	struct iovec two[] = { { "c", 1 }, { "d", 1 } };
	struct mmsghdr both[2] = {
		{ .msg_hdr = { .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &two[0], .msg_iovlen = 1 } },
		{ .msg_hdr = { .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &two[1], .msg_iovlen = 1 } },
	};
	int sent = sendmmsg(fd, both, 2, 0);
	printf("sendmmsg %d %u %u\n", sent, both[0].msg_len, both[1].msg_len);
	struct sockaddr_in senders[2] = { 0 };
	for (int at = 0; at < 2; at++) {
		two[at] = (struct iovec){ text + 32 * at, 32 };
		both[at].msg_hdr.msg_name = &senders[at];
	}
	int heard = 0;
	while (heard < 2) {
		int more = recvmmsg(fd, both + heard, (unsigned)(2 - heard), MSG_WAITFORONE, NULL);
		if (more < 0)
			return fail();
		heard += more;
	}
	for (int at = 0; at < 2; at++)
		show("recvmmsg", both[at].msg_len, text + 32 * at, &senders[at], both[at].msg_hdr.msg_namelen);

	ssize_t (*checked)(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *) = function("__recvfrom_chk");
	sendto(fd, "e", 1, 0, (struct sockaddr *)&to, sizeof to);
	from = (struct sockaddr_in){ 0 };
	length = sizeof from;
	count = checked(fd, text, sizeof text, sizeof text, 0, (struct sockaddr *)&from, &length);
	show("__recvfrom_chk", count, text, &from, length);
	return 0;
}
