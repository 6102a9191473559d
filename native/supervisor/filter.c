/* filter.c - the seccomp filter that has the kernel tell us of system calls. See filter.h.
 *
 * What is not in the table of calls is let through by a bitmap that the kernel makes of the filter (since 5.11): read and
 * write cost what they cost without it. Of another architecture we are told all: a program of 32 bits goes on unseen, as one beside the shim
 * does; one of 64 that makes such calls is refused.
 */
#include "calls.h"
#include "filter.h"
#include "permission.h"
#include "../kernel.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* Since Linux 5.19: once we have it, only what kills the program takes a call away from us. */
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1ul << 5)
#endif

/* Since Linux 6.13. */
enum { SETXATTRAT = 463, GETXATTRAT, LISTXATTRAT, REMOVEXATTRAT };

/* The bit of calls of the x32 ABI, which hardly a kernel has, and no program needs. */
#define X32 0x40000000u

enum { MOST_STEPS = 512 };

struct steps {
	struct sock_filter at[MOST_STEPS];
	unsigned short count;
};

static void add(struct steps *steps, struct sock_filter step)
{
	steps->at[steps->count++] = step;
}

#define LOAD(member) (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define ANSWER(action) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, action)
#define UNLESS(value, skipped) (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skipped)
#define IF(value, skipped) (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, skipped, 0)

#define HALF(argument, is_high) \
	(struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + (argument) * 8 + (is_high) * 4)

/* Bytes that a short question by netlink has (musl's getifaddrs), which names nobody. */
enum { NETLINK_QUESTION = 20, NO_LENGTH = -1 };

/* Only with a pointer in the fifth argument, whose halves are looked at one by one; or of that length, in the third. */
static void add_if_named(struct steps *steps, unsigned number, int length)
{
	add(steps, UNLESS(number, 8));
	add(steps, HALF(4, 0));
	add(steps, UNLESS(0, 4));
	add(steps, HALF(4, 1));
	add(steps, UNLESS(0, 2));
	add(steps, LOAD(args[2]));
	add(steps, UNLESS((unsigned)length, 1));
	add(steps, ANSWER(SECCOMP_RET_USER_NOTIF));
	add(steps, ANSWER(SECCOMP_RET_ALLOW));
}

/* ioctl: of sockets; a terminal's are not looked at. */
static void add_controls(struct steps *steps)
{
	enum { SOCKET_REQUESTS = 0x8900 };
	add(steps, UNLESS(SYS_ioctl, 5));
	add(steps, LOAD(args[1]));
	add(steps, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~0xffu));
	add(steps, UNLESS(SOCKET_REQUESTS, 1));
	add(steps, ANSWER(SECCOMP_RET_USER_NOTIF));
	add(steps, ANSWER(SECCOMP_RET_ALLOW));
}

/* getsockopt: the error of a socket, and who is at the other end of a Unix socket. */
static void add_options(struct steps *steps)
{
	add(steps, UNLESS(SYS_getsockopt, 7));
	add(steps, LOAD(args[1]));
	add(steps, UNLESS(SOL_SOCKET, 4));
	add(steps, LOAD(args[2]));
	add(steps, IF(SO_ERROR, 1));
	add(steps, UNLESS(SO_PEERCRED, 1));
	add(steps, ANSWER(SECCOMP_RET_USER_NOTIF));
	add(steps, ANSWER(SECCOMP_RET_ALLOW));
}

/* What has not been looked at yet: the rest of the steps for one call. */
static void add_unmarked(struct steps *steps)
{
	add(steps, HALF(5, 0));
	add(steps, UNLESS((unsigned)PERMISSION_MARK, 2));
	add(steps, HALF(5, 1));
	add(steps, IF((unsigned)(PERMISSION_MARK >> 32), 1));
	add(steps, ANSWER(SECCOMP_RET_USER_NOTIF));
	add(steps, ANSWER(SECCOMP_RET_ALLOW));
}

/* Of clone(2) only who begins a process, not a thread; of prctl(2) only who names its tracer. */
static void add_family(struct steps *steps, unsigned number)
{
	bool is_limited = number == SYS_clone || number == SYS_prctl;
	add(steps, UNLESS(number, is_limited ? 8 : 6));
	if (is_limited)
		add(steps, LOAD(args[0]));
	if (number == SYS_clone)
		add(steps, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 5, 0));
	if (number == SYS_prctl)
		add(steps, UNLESS(PR_SET_PTRACER, 5));
	add_unmarked(steps);
}

/* A ring would read where nobody sees it; the others are too new for anybody to need them. */
static void add_refused(struct steps *steps)
{
	static const unsigned short numbers[] = { SYS_io_uring_setup, SETXATTRAT, GETXATTRAT, LISTXATTRAT, REMOVEXATTRAT };
	for (size_t at = 0; at < sizeof numbers / sizeof *numbers; at++) {
		add(steps, UNLESS(numbers[at], 1));
		add(steps, ANSWER(SECCOMP_RET_ERRNO | ENOSYS));
	}
}

static void build(struct steps *steps, unsigned concerns)
{
	add(steps, LOAD(arch));
	add(steps, IF(AUDIT_ARCH_X86_64, 1));
	add(steps, ANSWER(SECCOMP_RET_USER_NOTIF));
	add(steps, LOAD(nr));
	add(steps, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1));
	add(steps, ANSWER(SECCOMP_RET_ERRNO | ENOSYS));
	add_refused(steps);
	for (const struct call *call = calls; call->concern; call++) {
		if (!(call->concern & concerns))
			continue;
		if (call->number == SYS_sendto || call->number == SYS_recvfrom) {
			add_if_named(steps, call->number, call->number == SYS_sendto ? NETLINK_QUESTION : NO_LENGTH);
		} else if (call->number == SYS_getsockopt) {
			add_options(steps);
		} else if (call->concern & (OF_CHILDREN | OF_PROCESSES)) {
			add_family(steps, call->number);
		} else if (call->number == SYS_ioctl) {
			add_controls(steps);
		} else {
			add(steps, UNLESS(call->number, 1));
			add(steps, ANSWER(SECCOMP_RET_USER_NOTIF));
		}
	}
	add(steps, ANSWER(SECCOMP_RET_ALLOW));
}

int filter_install(unsigned concerns)
{
	static struct steps steps;
	build(&steps, concerns);
	struct sock_fprog program = { .len = steps.count, .filter = steps.at };
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	long result = kernel(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	if (result == -EACCES) { /* without CAP_SYS_ADMIN, set-id programs must lose their meaning */
		kernel(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		result = kernel(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	}
	if (result == -EINVAL)
		result = kernel(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	return (int)result;
}
