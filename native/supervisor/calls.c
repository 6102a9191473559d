/* calls.c - the table of system calls that are looked at. See calls.h.
 *
 * Not in it: what moves data (read, write, mmap, poll and their kin), because the descriptors that a program gets are the
 * kernel's own and hold all that belongs to them.
 */
#include "calls.h"

#include <stddef.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

/* Since Linux 6.6. */
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

#define _ { VALUE, 0 }
#define F { FD, 0 }
#define D { DIRFD, 0 }
#define P { PATH, 0 }
#define T { TEXT, 0 }
#define IN(size) { FIXED, size }
#define OUT_OF(type) { OUT, sizeof(type) }
#define BYTES_BY(at) { BYTES, at }
#define ROOM_BY(at) { ROOM, at }
#define A { ADDRESS, 0 }
#define N { NAME, 0 }
#define L { LENGTH, 0 }

enum { TIMES = 2 * 16, OPEN_HOW = 24 };

const struct call calls[] = {
	/* files: */
	{ SYS_open, OF_FILES, true, { P, _, _ } },
	{ SYS_openat, OF_FILES, true, { D, P, _, _ } },
	{ SYS_openat2, OF_FILES, true, { D, P, IN(OPEN_HOW), _ } },
	{ SYS_creat, OF_FILES, true, { P, _ } },
	{ SYS_stat, OF_FILES, false, { P, OUT_OF(struct stat) } },
	{ SYS_lstat, OF_FILES, false, { P, OUT_OF(struct stat) } },
	{ SYS_fstat, OF_FILES, false, { F, OUT_OF(struct stat) } },
	{ SYS_newfstatat, OF_FILES, false, { D, P, OUT_OF(struct stat), _ } },
	{ SYS_statx, OF_FILES, false, { D, P, _, _, OUT_OF(struct statx) } },
	{ SYS_access, OF_FILES, false, { P, _ } },
	{ SYS_faccessat, OF_FILES, false, { D, P, _ } },
	{ SYS_faccessat2, OF_FILES, false, { D, P, _, _ } },
	{ SYS_readlink, OF_FILES, false, { P, ROOM_BY(2), _ } },
	{ SYS_readlinkat, OF_FILES, false, { D, P, ROOM_BY(3), _ } },
	{ SYS_getdents64, OF_FILES, false, { F, ROOM_BY(2), _ } },
	{ SYS_statfs, OF_FILES, false, { P, OUT_OF(struct statfs) } },
	{ SYS_fstatfs, OF_FILES, false, { F, OUT_OF(struct statfs) } },
	{ SYS_getxattr, OF_FILES, false, { P, T, ROOM_BY(3), _ } },
	{ SYS_lgetxattr, OF_FILES, false, { P, T, ROOM_BY(3), _ } },
	{ SYS_fgetxattr, OF_FILES, false, { F, T, ROOM_BY(3), _ } },
	{ SYS_listxattr, OF_FILES, false, { P, ROOM_BY(2), _ } },
	{ SYS_llistxattr, OF_FILES, false, { P, ROOM_BY(2), _ } },
	{ SYS_flistxattr, OF_FILES, false, { F, ROOM_BY(2), _ } },
	{ SYS_chdir, OF_FILES, false, { P } },
	{ SYS_fchdir, OF_FILES, false, { F } },
	{ SYS_getcwd, OF_FILES, false, { ROOM_BY(1), _ } },
	{ SYS_inotify_add_watch, OF_FILES, false, { F, P, _ } },
	{ SYS_name_to_handle_at, OF_FILES, false, { D, P, _, _, _ } },

	/* the tree: */
	{ SYS_rename, OF_FILES, false, { P, P } },
	{ SYS_renameat, OF_FILES, false, { D, P, D, P } },
	{ SYS_renameat2, OF_FILES, false, { D, P, D, P, _ } },
	{ SYS_link, OF_FILES, false, { P, P } },
	{ SYS_linkat, OF_FILES, false, { D, P, D, P, _ } },
	{ SYS_symlink, OF_FILES, false, { T, P } },
	{ SYS_symlinkat, OF_FILES, false, { T, D, P } },
	{ SYS_mkdir, OF_FILES, false, { P, _ } },
	{ SYS_mkdirat, OF_FILES, false, { D, P, _ } },
	{ SYS_mknod, OF_FILES, false, { P, _, _ } },
	{ SYS_mknodat, OF_FILES, false, { D, P, _, _ } },
	{ SYS_rmdir, OF_FILES, false, { P } },
	{ SYS_unlink, OF_FILES, false, { P } },
	{ SYS_unlinkat, OF_FILES, false, { D, P, _ } },
	{ SYS_chmod, OF_FILES, false, { P, _ } },
	{ SYS_fchmodat, OF_FILES, false, { D, P, _ } },
	{ SYS_fchmodat2, OF_FILES, false, { D, P, _, _ } },
	{ SYS_chown, OF_FILES, false, { P, _, _ } },
	{ SYS_lchown, OF_FILES, false, { P, _, _ } },
	{ SYS_fchownat, OF_FILES, false, { D, P, _, _, _ } },
	{ SYS_utime, OF_FILES, false, { P, IN(16) } },
	{ SYS_utimes, OF_FILES, false, { P, IN(TIMES) } },
	{ SYS_futimesat, OF_FILES, false, { D, P, IN(TIMES) } },
	{ SYS_utimensat, OF_FILES, false, { D, P, IN(TIMES), _ } },
	{ SYS_truncate, OF_FILES, false, { P, _ } },
	{ SYS_setxattr, OF_FILES, false, { P, T, BYTES_BY(3), _, _ } },
	{ SYS_lsetxattr, OF_FILES, false, { P, T, BYTES_BY(3), _, _ } },
	{ SYS_removexattr, OF_FILES, false, { P, T } },
	{ SYS_lremovexattr, OF_FILES, false, { P, T } },

	/* descriptors of what is written: */
	{ SYS_fchmod, OF_WRITING, false, { F, _ } },
	{ SYS_fchown, OF_WRITING, false, { F, _, _ } },
	{ SYS_fsetxattr, OF_WRITING, false, { F, T, BYTES_BY(3), _, _ } },
	{ SYS_fremovexattr, OF_WRITING, false, { F, T } },
	{ SYS_fsync, OF_WRITING, false, { F } },
	{ SYS_fdatasync, OF_WRITING, false, { F } },
	{ SYS_fallocate, OF_WRITING, false, { F, _, _, _ } },
	{ SYS_close, OF_WRITING, false, { F } },
	{ SYS_dup2, OF_WRITING, false, { _, F } },
	{ SYS_dup3, OF_WRITING, false, { _, F, _ } },
	{ SYS_exit_group, OF_WRITING, false, { _ } },

	/* sockets: */
	{ SYS_connect, OF_SOCKETS, false, { F, A, _ } },
	{ SYS_bind, OF_SOCKETS, false, { F, A, _ } },
	{ SYS_listen, OF_SOCKETS, false, { F, _ } },
	{ SYS_accept, OF_SOCKETS, true, { F, N, L } },
	{ SYS_accept4, OF_SOCKETS, true, { F, N, L, _ } },
	{ SYS_getsockname, OF_SOCKETS, false, { F, N, L } },
	{ SYS_getpeername, OF_SOCKETS, false, { F, N, L } },
	{ SYS_getsockopt, OF_SOCKETS, false, { F, _, _, N, L } },
	{ SYS_sendto, OF_SOCKETS, false, { F, BYTES_BY(2), _, _, A, _ } },
	{ SYS_recvfrom, OF_SOCKETS, false, { F, ROOM_BY(2), _, _, N, L } },
	{ SYS_sendmsg, OF_SOCKETS, false, { F, _, _ } },
	{ SYS_sendmmsg, OF_SOCKETS, false, { F, _, _, _ } },
	{ SYS_recvmsg, OF_SOCKETS, false, { F, _, _ } },
	{ SYS_recvmmsg, OF_SOCKETS, false, { F, _, _, _, _ } },
	{ SYS_socket, OF_SOCKETS, true, { _, _, _ } },
	{ SYS_ioctl, OF_SOCKETS, false, { F, _, _ } },

	{ SYS_uname, OF_HOSTNAME, false, { OUT_OF(struct utsname) } },

	{ SYS_execve, OF_PROCESSES, false, { _, _, _ } },
	{ SYS_execveat, OF_PROCESSES, false, { _, _, _, _, _ } },
	{ SYS_clone, OF_CHILDREN, false, { _, _, _, _, _ } },
	{ SYS_clone3, OF_CHILDREN, false, { _, _ } },
	{ SYS_fork, OF_CHILDREN, false, { _ } },
	{ SYS_vfork, OF_CHILDREN, false, { _ } },
	{ SYS_prctl, OF_CHILDREN, false, { _, _ } },
	{ 0 },
};

enum { NUMBERS = 512 };

const struct call *call_of(long number)
{
	static uint8_t index[NUMBERS]; /* written by whoever comes first, always the same */
	if (number < 0 || number >= NUMBERS)
		return NULL;
	if (!index[SYS_openat])
		for (size_t at = 0; calls[at].concern; at++)
			index[calls[at].number] = (uint8_t)(at + 1);
	return index[number] ? &calls[index[number] - 1] : NULL;
}
