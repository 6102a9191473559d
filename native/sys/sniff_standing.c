/* sniff_standing.c - whether the target still has its socket of a connection, by sock_diag(7).
 *
 * What the target sends is not looked at (sniff.c), so that its resets are not seen: who is silent is asked after. The kernel looks a connection
 * up as for a segment that comes in by this interface. Connections are of the network of the thread that opened it.
 */
#include "sniff.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void take(void *context, struct nlmsghdr *head)
{
	const struct inet_diag_msg *message = NLMSG_DATA(head);
	*(uint8_t *)context = message->idiag_state;
}

/* It is asked of a listener that is there. */
static bool is_sound(int fd)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof address;
	struct ends ends = { .family = 4 };
	uint8_t state = 0;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0)
		return false;
	if (bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 0) == 0 &&
	    getsockname(listener, (struct sockaddr *)&address, &length) == 0) {
		memcpy(ends.own, &address.sin_addr, 4);
		ends.own_port = ntohs(address.sin_port);
		if (ends_ask(fd, &ends, 0, 0, take, &state) != 0)
			state = 0;
	}
	close(listener);
	return state == TCP_LISTEN;
}

int standing_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return -errno;
	if (is_sound(fd))
		return fd;
	close(fd);
	return -EOPNOTSUPP;
}

bool standing_ask(int fd, const struct ends *ends, uint32_t interface)
{
	/* Where there is no connection, it finds who would accept one. */
	uint8_t state = TCP_LISTEN;
	int error = ends_ask(fd, ends, interface, 0, take, &state);
	return error ? error != -ENOENT : state != TCP_LISTEN;
}
