/* netlink.h - hearing what the kernel answers to a request by netlink(7). */
#ifndef MIRRORD_NETLINK_H
#define MIRRORD_NETLINK_H

#include "sys.h"

#include <linux/netlink.h>

/* What is done with each message of an answer. */
typedef void netlink_heard(void *context, struct nlmsghdr *head);

/* Hears an answer to its end: the verdict on one request, or a dump. 0 or -errno. */
int netlink_hear(int fd, netlink_heard *heard, void *context);

#endif
