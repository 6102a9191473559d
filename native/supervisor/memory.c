/* memory.c - the memory of the process that makes a call. See memory.h. */
#include "../kernel.h"
#include "memory.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

enum { PAGE = 4096 };

int memory_read(pid_t tid, uint64_t from, void *into, size_t length)
{
	struct iovec own = { into, length }, other = { (void *)from, length };
	if (length == 0)
		return 0;
	long count = kernel(SYS_process_vm_readv, tid, &own, 1, &other, 1, 0);
	return count == (long)length ? 0 : count < 0 ? (int)count : -EFAULT;
}

int memory_write(pid_t tid, uint64_t to, const void *from, size_t length)
{
	struct iovec own = { (void *)from, length }, other = { (void *)to, length };
	if (length == 0)
		return 0;
	long count = kernel(SYS_process_vm_writev, tid, &own, 1, &other, 1, 0);
	return count == (long)length ? 0 : count < 0 ? (int)count : -EFAULT;
}

/* What lies behind the text need not be there: each page is a part of its own. */
int memory_read_text(pid_t tid, uint64_t from, char *into, size_t room)
{
	struct iovec own = { into, room }, parts[3];
	size_t count = 0;
	for (uint64_t at = from, end = from + room; at < end && count < 3; count++) {
		uint64_t next = (at | (PAGE - 1)) + 1;
		size_t length = (next < end ? next : end) - at;
		parts[count] = (struct iovec){ (void *)at, length };
		at = next;
	}
	long had = kernel(SYS_process_vm_readv, tid, &own, 1, parts, count, 0);
	if (had <= 0)
		return had < 0 ? (int)had : -EFAULT;
	if (memchr(into, '\0', (size_t)had))
		return 0;
	return (size_t)had < room ? -EFAULT : -ENAMETOOLONG;
}
