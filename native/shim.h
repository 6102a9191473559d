/* shim.h - what all parts of the shim share: the settings of the run, and the way from -errno to errno.
 *
 * Everything here is written once, while the shim starts, and read freely afterwards: no locks.
 */
#ifndef MIRRORD_SHIM_H
#define MIRRORD_SHIM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include "kernel.h"
#include "patterns.h"
#include "wire.gen.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Below vm.mmap_min_addr, as it is everywhere, and in the kernel's half there is nothing: calls say EFAULT. Other wrong
 * addresses are not found out: that would cost a system call for each path. */
static inline bool may_be_address(const void *at)
{
	return likely((intptr_t)at >= 65536);
}

enum { MAX_MOUNTS = 256, SHIM_PATH_BYTES = WIRE_PATH_BYTES };

struct text {
	const char *at;
	size_t length;
};

enum fs_mode { FS_LOCAL, FS_LOCAL_WITH_OVERRIDES, FS_READ, FS_WRITE };

/* Without a session, and in processes that are skipped, all is zero: every hook bypasses. */
struct shim {
	enum fs_mode fs_mode;
	bool is_dns_remote, is_hostname_remote, is_tcp_remote, is_udp_remote, is_incoming_remote, is_ipv6_off, is_ipv6_hidden, is_tracing;
	/* There is a session: children get its variables. */
	bool has_session;
	struct wire_settings settings;
	struct text mounts[MAX_MOUNTS];
	int mount_count;
	/* The user's patterns: which paths are whose, and which are other paths. */
	struct patterns rules, mappings, unix_sockets;
	struct text home, launch_directory, temporary_directory, program;
	struct sockaddr_un socket;
	/* "MIRRORD_SESSION_DIR=…" and the shim's own path, terminated. */
	char session_variable[SHIM_PATH_BYTES + 32];
	char path[SHIM_PATH_BYTES];
};

extern struct shim shim;

/* Finds the session that the environment names, and takes part in it. */
void shim_begin(void);

/* Does the user want this program, by the name of its file or argv[0], to be left alone? */
bool shim_skips(const char *executable, const char *invocation);

/* Takes the frame of the file `settings`, which stays where it is, and then the values in it. */
bool shim_read_settings(const uint8_t *frame, size_t size);
void shim_adopt_settings(void);

/* The edge: what a hook returns to the app when a function of ours gave 0, a positive result or -errno.
 * errno is left alone on success. */
static inline int edge(long result)
{
	if (unlikely(result < 0)) {
		errno = (int)-result;
		return -1;
	}
	return (int)result;
}

#endif
