/* pages.c - see pages.h. */
#include "pages.h"
#include "kernel.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* Who is given what another thread gave back comes after that: the kernel sees to it, but ThreadSanitizer does not see the kernel. */
static _Atomic unsigned times_given;

void *pages_take(size_t bytes)
{
	long at = kernel(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	atomic_load_explicit(&times_given, memory_order_acquire);
	return (unsigned long)at >= -4095UL ? NULL : (void *)at;
}

void pages_give(void *at, size_t bytes)
{
	if (!at)
		return;
	atomic_fetch_add_explicit(&times_given, 1, memory_order_release);
	kernel(SYS_munmap, at, bytes);
}
