/* netlink.c - see netlink.h. */
#include "netlink.h"

#include <sys/socket.h>

int netlink_hear(int fd, netlink_heard *heard, void *context)
{
	_Alignas(struct nlmsghdr) char buffer[32768];
	while (1) {
		ssize_t length = recv(fd, buffer, sizeof buffer, 0);
		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			return length < 0 ? -errno : -EPROTO;
		for (struct nlmsghdr *head = (void *)buffer; NLMSG_OK(head, length); head = NLMSG_NEXT(head, length)) {
			if (head->nlmsg_type == NLMSG_DONE)
				return 0;
			if (head->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(head))->error;
			if (heard)
				heard(context, head);
			/* One message is an answer of its own. */
			if (!(head->nlmsg_flags & NLM_F_MULTI))
				return 0;
		}
	}
}
