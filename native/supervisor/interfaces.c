/* interfaces.c - ioctl(2) of sockets about interfaces: what a struct holds, and what it leads to, is fetched and put back here.
 * ethtool's commands are refused, as by a device that has none.
 */
#include "../endpoints.h"
#include "../raw.h"
#include "answer.h"
#include "memory.h"
#include "reals.h"

#include <linux/sockios.h>
#include <net/if.h>

enum { MOST_LIST = 64 * 1024 };

static long call(struct asked *asked, void *argument)
{
	const long arguments[ARGUMENTS] = { asked->arguments[0], asked->arguments[1], (long)argument };
	reals_passed = false;
	long result = raw_call(SYS_ioctl, arguments);
	return reals_passed ? GO_ON : result < 0 ? -errno : result;
}

static long list_addresses(struct asked *asked, uint64_t at)
{
	struct ifconf theirs, own;
	if (memory_read(asked->tid, at, &theirs, sizeof theirs))
		return -EFAULT;
	own = theirs;
	if (own.ifc_len > MOST_LIST)
		own.ifc_len = MOST_LIST;
	own.ifc_buf = theirs.ifc_buf && own.ifc_len > 0 ? room_for(asked, (size_t)own.ifc_len) : NULL;
	long result = call(asked, &own);
	if (result < 0)
		return result;
	if (own.ifc_buf && memory_write(asked->tid, (uint64_t)theirs.ifc_buf, own.ifc_buf, (size_t)own.ifc_len))
		return -EFAULT;
	theirs.ifc_len = own.ifc_len;
	return memory_write(asked->tid, at, &theirs, sizeof theirs) ? -EFAULT : result;
}

long answer_interface(struct asked *asked)
{
	struct ifreq own;
	uint64_t at = (uint64_t)asked->arguments[2];
	if (option((int)asked->arguments[0], SOL_SOCKET, SO_DOMAIN) < 0 || !shim.is_tcp_remote)
		return GO_ON;
	if (asked->arguments[1] == SIOCETHTOOL)
		return -EOPNOTSUPP;
	if (asked->arguments[1] == SIOCGIFCONF)
		return list_addresses(asked, at);
	if (memory_read(asked->tid, at, &own, sizeof own))
		return GO_ON; /* others are about less than that */
	long result = call(asked, &own);
	if (result < 0)
		return result;
	return memory_write(asked->tid, at, &own, sizeof own) ? -EFAULT : result;
}
