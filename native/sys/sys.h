/* sys.h - kernel calls for our own processes (CLI, intproxy, agent), loaded by Deno through FFI.
 *
 * Every function returns 0 or a positive result, or -errno. None prints, none keeps state between calls.
 * One file per concern; SYS marks what is exported.
 */
#ifndef MIRRORD_SYS_H
#define MIRRORD_SYS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdint.h>
#include <sys/types.h>

#define SYS __attribute__((visibility("default")))

/* The result of a system call as this library hands it on. */
static inline int64_t result(int64_t value)
{
	return value < 0 ? -errno : value;
}

#endif
