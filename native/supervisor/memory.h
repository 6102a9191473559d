/* memory.h - the memory of the process that makes a call. 0 or -errno; what is not there is -EFAULT. */
#ifndef MIRRORD_SUPERVISOR_MEMORY_H
#define MIRRORD_SUPERVISOR_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

int memory_read(pid_t tid, uint64_t from, void *into, size_t length);
int memory_write(pid_t tid, uint64_t to, const void *from, size_t length);
/* A text with its NUL; -ENAMETOOLONG when `room` does not hold it. */
int memory_read_text(pid_t tid, uint64_t from, char *into, size_t room);

#endif
