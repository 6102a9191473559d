/* messages.c - sendmsg(2), recvmsg(2) and their forms for many, when they name somebody on the network: whom a datagram goes to,
 * or who sent it. All others are the kernel's. Of many messages one is sent or received, which those calls may do.
 */
#include "../endpoints.h"
#include "../netlink.h"
#include "../raw.h"
#include "answer.h"
#include "memory.h"

#include <string.h>
#include <sys/socket.h>

enum { MOST_PARTS = 64, MOST_DATAGRAM = 65536, MOST_CONTROL = 4096, MOST_ADDRESS = 128 };

/* The process's message, and ours. */
struct message {
	struct msghdr theirs, own;
	struct iovec parts[MOST_PARTS];
	struct iovec whole;
	size_t bytes;
};

/* False: it is not for us, which it may be without a name only if `is_for_all`. */
static bool take_message(struct asked *asked, uint64_t at, struct message *it, bool is_for_all)
{
	if (memory_read(asked->tid, at, &it->theirs, sizeof it->theirs))
		return false;
	if (!is_for_all && (!it->theirs.msg_name || !it->theirs.msg_namelen))
		return false;
	if (it->theirs.msg_iovlen > MOST_PARTS || it->theirs.msg_controllen > MOST_CONTROL)
		return false;
	if (memory_read(asked->tid, (uint64_t)it->theirs.msg_iov, it->parts, it->theirs.msg_iovlen * sizeof *it->parts))
		return false;
	for (size_t part = 0; part < it->theirs.msg_iovlen; part++)
		it->bytes += it->parts[part].iov_len < MOST_DATAGRAM ? it->parts[part].iov_len : MOST_DATAGRAM;
	it->bytes = it->bytes < MOST_DATAGRAM ? it->bytes : MOST_DATAGRAM;
	it->whole = (struct iovec){ room_for(asked, it->bytes), it->bytes };
	it->own = (struct msghdr){
		.msg_name = room_for(asked, MOST_ADDRESS),
		.msg_namelen = it->theirs.msg_namelen < MOST_ADDRESS ? it->theirs.msg_namelen : MOST_ADDRESS,
		.msg_iov = &it->whole,
		.msg_iovlen = 1,
		.msg_control = it->theirs.msg_control ? room_for(asked, MOST_CONTROL) : NULL,
		.msg_controllen = it->theirs.msg_control ? it->theirs.msg_controllen : 0,
	};
	return it->whole.iov_base && it->own.msg_name;
}

/* Bytes between our whole and their parts. */
static bool move(const struct asked *asked, const struct message *it, size_t bytes, bool is_out)
{
	char *at = it->whole.iov_base;
	for (size_t part = 0; part < it->theirs.msg_iovlen && bytes > 0; part++) {
		size_t length = it->parts[part].iov_len < bytes ? it->parts[part].iov_len : bytes;
		uint64_t there = (uint64_t)it->parts[part].iov_base;
		if (is_out ? memory_write(asked->tid, there, at, length) : memory_read(asked->tid, there, at, length))
			return false;
		at += length;
		bytes -= length;
	}
	return true;
}

static long send_one(struct asked *asked, struct message *it, int flags)
{
	bool is_named = it->theirs.msg_name != NULL;
	if (!is_named)
		it->own.msg_name = NULL;
	bool is_had = move(asked, it, it->bytes, false) &&
		      (!is_named || memory_read(asked->tid, (uint64_t)it->theirs.msg_name, it->own.msg_name, it->own.msg_namelen) == 0) &&
		      memory_read(asked->tid, (uint64_t)it->theirs.msg_control, it->own.msg_control, it->own.msg_controllen) == 0;
	long arguments[ARGUMENTS] = { asked->arguments[0], (long)&it->own, flags };
	if (!is_had)
		return -EFAULT;
	long result = raw_call(SYS_sendmsg, arguments);
	return result < 0 ? -errno : result;
}

static long receive_one(struct asked *asked, struct message *it, uint64_t at, int flags)
{
	long error = wait_until_ready(asked, (int)asked->arguments[0], !(flags & (MSG_DONTWAIT | MSG_ERRQUEUE)));
	long arguments[ARGUMENTS] = { asked->arguments[0], (long)&it->own, flags };
	if (error)
		return error;
	long result = raw_call(SYS_recvmsg, arguments);
	if (result < 0)
		return -errno;
	size_t name = it->own.msg_namelen < it->theirs.msg_namelen ? it->own.msg_namelen : it->theirs.msg_namelen;
	struct msghdr told = it->theirs;
	told.msg_namelen = it->own.msg_namelen;
	told.msg_controllen = it->own.msg_controllen;
	told.msg_flags = it->own.msg_flags;
	bool is_told = move(asked, it, (size_t)result < it->bytes ? (size_t)result : it->bytes, true) &&
		       memory_write(asked->tid, (uint64_t)it->theirs.msg_name, it->own.msg_name, name) == 0 &&
		       memory_write(asked->tid, (uint64_t)it->theirs.msg_control, it->own.msg_control, told.msg_controllen) == 0 &&
		       memory_write(asked->tid, at, &told, sizeof told) == 0;
	return is_told ? result : -EFAULT;
}

long answer_message(struct asked *asked)
{
	struct message message = { 0 };
	long number = asked->call->number;
	bool is_many = number == SYS_sendmmsg || number == SYS_recvmmsg;
	uint64_t at = (uint64_t)asked->arguments[1];
	int flags = (int)asked->arguments[is_many ? 3 : 2];
	int family = option((int)asked->arguments[0], SOL_SOCKET, SO_DOMAIN);
	bool is_out = number == SYS_sendmsg || number == SYS_sendmmsg;
	bool is_question = family == AF_NETLINK && netlink_may_be((int)asked->arguments[0]);
	if ((family != AF_INET && family != AF_INET6 && !is_question) || (is_many && asked->arguments[2] < 1) ||
	    !take_message(asked, at, &message, is_question && is_out))
		return GO_ON;
	long result = is_out ? send_one(asked, &message, flags) : receive_one(asked, &message, at, flags & ~MSG_WAITFORONE);
	if (!is_many || result < 0)
		return result;
	unsigned length = (unsigned)result;
	memory_write(asked->tid, at + sizeof(struct msghdr), &length, sizeof length);
	return 1;
}
