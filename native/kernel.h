/* kernel.h - system calls without libc between: no errno, no cancellation point, no hook on the way.
 *
 * That makes them fit for signal handlers, for children of vfork and for moments when libc is not started yet.
 * kernel(SYS_x, …) gives the result or -errno.
 */
#ifndef MIRRORD_KERNEL_H
#define MIRRORD_KERNEL_H

#include <sys/syscall.h>

#if !defined(__x86_64__)
#error "the shim knows the system calls of x86-64 only"
#endif

static inline long kernel6(long number, long a, long b, long c, long d, long e, long f)
{
	long result;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

#define KERNEL_PADDED(number, a, b, c, d, e, f, ...)                                                                   \
	kernel6(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define kernel(...) KERNEL_PADDED(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

#endif
