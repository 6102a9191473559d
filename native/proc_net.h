/* proc_net.h - /proc/net and its other names: the target's network, as the kernel tells it in files.
 *
 * /proc/net is a link to self/net; /proc/self/net, /proc/thread-self/net and /proc/7/net mean the network of one process.
 * They are the target's where that process is in the network in which this program runs: so it is in what stands for it, too.
 * Beside them /sys/class/net, where shells look for interfaces; which network that tells of is a matter of the target's mounts.
 */
#ifndef MIRRORD_PROC_NET_H
#define MIRRORD_PROC_NET_H

#include "shim.h"

/* False for sure costs a look at the first letters. `path` is terminated. */
static inline bool proc_net_may_begin(const char *path)
{
	return unlikely(path[0] == '/' && ((path[1] == 'p' && path[2] == 'r') || (path[1] == 's' && path[2] == 'y'))) &&
	       shim.is_tcp_remote;
}

/* How many letters of `path` name such a directory, or 0. `path` is absolute and plain, and need not be terminated. */
size_t proc_net_span(const char *path, size_t length);

bool proc_net_is_class(const char *path, size_t length);

/* By this name the agent knows it. */
#define PROC_NET "/proc/net"

#endif
