/* raw.c - syscall(2), the function: programs that step around libc's names (libuv's statx, Python's getdents64) come
 * through here. Those whose names we hook go to the hook; all else goes to the kernel.
 *
 * System calls made without libc (static programs, Go) are not seen here: supervisor/ is told of them by the kernel, and
 * calls the same hooks by raw_call().
 */
#include "cwd.h"
#include "fds.h"
#include "mapping.h"
#include "raw.h"
#include "real.h"
#include "remote.h"

#include <fcntl.h>
#include <linux/openat2.h>

/* Does the kernel say EINVAL before it looks at the path? */
static bool is_wrong_how(const struct open_how *how)
{
	enum {
		ALL_FLAGS = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_ASYNC | O_DIRECT |
			    0100000 | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE,
		ALL_RESTRICTIONS = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH |
				   RESOLVE_IN_ROOT | RESOLVE_CACHED,
		TWO_ROOTS = RESOLVE_BENEATH | RESOLVE_IN_ROOT,
		PATH_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
	};
	bool is_making = (how->flags & O_CREAT) || (how->flags & O_TMPFILE) == O_TMPFILE;
	return (how->flags & ~(uint64_t)ALL_FLAGS) || (how->resolve & ~(uint64_t)ALL_RESTRICTIONS) ||
	       (how->resolve & TWO_ROOTS) == TWO_ROOTS || (how->mode && !is_making) || (how->mode & ~07777ul) ||
	       ((how->flags & O_PATH) && (how->flags & ~(uint64_t)PATH_FLAGS));
}

/* openat2(2): how far a path of the target may lead is the agent's to watch over, which opens by whole paths. Programs that
 * restrict it know kernels that cannot (ENOSYS), and go step by step. */
static long raw_openat2(int dirfd, const char *path, const struct open_how *how, size_t size)
{
	struct place place;
	if (!how || !may_be_address(how) || size < sizeof *how || is_wrong_how(how))
		return real.syscall(SYS_openat2, dirfd, (long)path, (long)how, (long)size, 0, 0);
	if ((how->resolve & ~(uint64_t)RESOLVE_NO_MAGICLINKS) && locate(dirfd, path, false, &place) == REMOTE)
		return edge(how->resolve & RESOLVE_CACHED ? -EAGAIN : -ENOSYS);
	long result = try_create(dirfd, path, (int)how->flags, (mode_t)how->mode);
	if (result == BYPASS)
		return real.syscall(SYS_openat2, dirfd, (long)path, (long)how, (long)size, 0, 0);
	return edge(result);
}

/* getcwd(2) returns a length that counts the NUL. */
static long raw_getcwd(char *into, size_t room)
{
	if (!into)
		return edge(-EFAULT);
	return hook_getcwd(into, room) ? (long)strlen(into) + 1 : room == 0 ? edge(-ERANGE) : -1;
}

#define P(argument) ((void *)(argument))
#define N(argument) ((int)(argument))

static long raw_file(long number, const long *a, bool *is_known)
{
	switch (number) {
	case SYS_open:
		return hook_open(P(a[0]), N(a[1]), (mode_t)a[2]);
	case SYS_openat:
		return hook_openat(N(a[0]), P(a[1]), N(a[2]), (mode_t)a[3]);
	case SYS_creat:
		return hook_creat(P(a[0]), (mode_t)a[1]);
	case SYS_fallocate:
		return hook_fallocate(N(a[0]), N(a[1]), a[2], a[3]);
	case SYS_fsync:
		return hook_fsync(N(a[0]));
	case SYS_fdatasync:
		return hook_fdatasync(N(a[0]));
	case SYS_openat2:
		return raw_openat2(N(a[0]), P(a[1]), P(a[2]), (size_t)a[3]);
	case SYS_name_to_handle_at:
		return hook_name_to_handle_at(N(a[0]), P(a[1]), P(a[2]), P(a[3]), N(a[4]));
	case SYS_inotify_add_watch:
		return hook_inotify_add_watch(N(a[0]), P(a[1]), (uint32_t)a[2]);
	case SYS_chdir:
		return hook_chdir(P(a[0]));
	case SYS_getcwd:
		return raw_getcwd(P(a[0]), (size_t)a[1]);
	case SYS_fchdir:
		return hook_fchdir(N(a[0]));
	case SYS_access:
		return hook_access(P(a[0]), N(a[1]));
	case SYS_faccessat:
		return hook_faccessat(N(a[0]), P(a[1]), N(a[2]), 0);
	case SYS_faccessat2:
		return hook_faccessat(N(a[0]), P(a[1]), N(a[2]), N(a[3]));
	case SYS_readlink:
		return hook_readlink(P(a[0]), P(a[1]), (size_t)N(a[2]));
	case SYS_readlinkat:
		return hook_readlinkat(N(a[0]), P(a[1]), P(a[2]), (size_t)N(a[3]));
	case SYS_getdents64:
		return hook_getdents64(N(a[0]), P(a[1]), (unsigned)a[2]);
	case SYS_stat:
		return edge(stat_by_kernel(AT_FDCWD, P(a[0]), P(a[1]), 0));
	case SYS_lstat:
		return edge(stat_by_kernel(AT_FDCWD, P(a[0]), P(a[1]), AT_SYMLINK_NOFOLLOW));
	case SYS_fstat:
		return edge(stat_by_kernel(N(a[0]), "", P(a[1]), AT_EMPTY_PATH));
	case SYS_newfstatat:
		return edge(stat_by_kernel(N(a[0]), P(a[1]), P(a[2]), N(a[3])));
	case SYS_statx:
		return hook_statx(N(a[0]), P(a[1]), N(a[2]), (unsigned)a[3], P(a[4]));
	default:
		*is_known = false;
		return 0;
	}
}

static long raw_data(long number, const long *a, bool *is_known)
{
	switch (number) {
	case SYS_read:
		return hook_read(N(a[0]), P(a[1]), (size_t)a[2]);
	case SYS_pread64:
		return hook_pread(N(a[0]), P(a[1]), (size_t)a[2], a[3]);
	case SYS_readv:
		return hook_readv(N(a[0]), P(a[1]), N(a[2]));
	case SYS_preadv:
		return hook_preadv(N(a[0]), P(a[1]), N(a[2]), a[3]);
	case SYS_preadv2:
		return hook_preadv2(N(a[0]), P(a[1]), N(a[2]), a[3], N(a[5]));
	case SYS_lseek:
		return hook_lseek(N(a[0]), a[1], N(a[2]));
	case SYS_mmap:
		return (long)hook_mmap(P(a[0]), (size_t)a[1], N(a[2]), N(a[3]), N(a[4]), a[5]);
	case SYS_sendfile:
		return hook_sendfile(N(a[0]), N(a[1]), P(a[2]), (size_t)a[3]);
	case SYS_copy_file_range:
		return hook_copy_file_range(N(a[0]), P(a[1]), N(a[2]), P(a[3]), (size_t)a[4], (unsigned)a[5]);
	case SYS_splice:
		return hook_splice(N(a[0]), P(a[1]), N(a[2]), P(a[3]), (size_t)a[4], (unsigned)a[5]);
	case SYS_dup:
		return hook_dup(N(a[0]));
	case SYS_fcntl:
		return hook_fcntl(N(a[0]), N(a[1]), a[2]);
	case SYS_chroot:
		return hook_chroot(P(a[0]));
	default:
		*is_known = false;
		return 0;
	}
}

/* A ring would read where we do not see it. Programs that use one can do without (libuv, for one). */
static long raw_ring(long number, const long *a, bool *is_known)
{
	(void)a;
	*is_known = number == SYS_io_uring_setup && shim.fs_mode != FS_LOCAL;
	return *is_known ? edge(-ENOSYS) : 0;
}

static long raw_process(long number, const long *a, bool *is_known)
{
	switch (number) {
	case SYS_execve:
		return hook_execve(P(a[0]), P(a[1]), P(a[2]));
	case SYS_execveat:
		return hook_execveat(N(a[0]), P(a[1]), P(a[2]), P(a[3]), N(a[4]));
	case SYS_exit_group:
		hook__exit(N(a[0]));
		return 0;
	case SYS_close:
		return hook_close(N(a[0]));
	case SYS_close_range:
		return hook_close_range((unsigned)a[0], (unsigned)a[1], N(a[2]));
	case SYS_dup2:
		return hook_dup2(N(a[0]), N(a[1]));
	case SYS_dup3:
		return hook_dup3(N(a[0]), N(a[1]), N(a[2]));
	default:
		*is_known = false;
		return 0;
	}
}

static long raw_network(long number, const long *a, bool *is_known)
{
	switch (number) {
	case SYS_connect:
		return hook_connect(N(a[0]), P(a[1]), (socklen_t)a[2]);
	case SYS_socket:
		return hook_socket(N(a[0]), N(a[1]), N(a[2]));
	case SYS_bind:
		return hook_bind(N(a[0]), P(a[1]), (socklen_t)a[2]);
	case SYS_listen:
		return hook_listen(N(a[0]), N(a[1]));
	case SYS_accept:
		return hook_accept(N(a[0]), P(a[1]), P(a[2]));
	case SYS_accept4:
		return hook_accept4(N(a[0]), P(a[1]), P(a[2]), N(a[3]));
	case SYS_sendto:
		return hook_sendto(N(a[0]), P(a[1]), (size_t)a[2], N(a[3]), P(a[4]), (socklen_t)a[5]);
	case SYS_sendmsg:
		return hook_sendmsg(N(a[0]), P(a[1]), N(a[2]));
	case SYS_sendmmsg:
		return hook_sendmmsg(N(a[0]), P(a[1]), (unsigned)a[2], N(a[3]));
	case SYS_recvfrom:
		return hook_recvfrom(N(a[0]), P(a[1]), (size_t)a[2], N(a[3]), P(a[4]), P(a[5]));
	case SYS_recvmsg:
		return hook_recvmsg(N(a[0]), P(a[1]), N(a[2]));
	case SYS_recvmmsg:
		return hook_recvmmsg(N(a[0]), P(a[1]), (unsigned)a[2], N(a[3]), P(a[4]));
	case SYS_ioctl:
		return hook_ioctl(N(a[0]), (unsigned long)a[1], P(a[2]));
	case SYS_setsockopt:
		return hook_setsockopt(N(a[0]), N(a[1]), N(a[2]), P(a[3]), (socklen_t)a[4]);
	case SYS_getsockopt:
		return hook_getsockopt(N(a[0]), N(a[1]), N(a[2]), P(a[3]), P(a[4]));
	case SYS_getpeername:
		return hook_getpeername(N(a[0]), P(a[1]), P(a[2]));
	case SYS_getsockname:
		return hook_getsockname(N(a[0]), P(a[1]), P(a[2]));
	case SYS_uname:
		return hook_uname(P(a[0]));
	default:
		*is_known = false;
		return 0;
	}
}

long raw_call(long number, const long *a)
{
	static long (*const families[])(long, const long *, bool *) = {
		raw_file, raw_data, raw_tree, raw_process, raw_network, raw_ring,
	};
	for (size_t at = 0; at < sizeof families / sizeof *families; at++) {
		bool is_known = true;
		long result = families[at](number, a, &is_known);
		if (is_known)
			return result;
	}
	return real.syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* The first argument is a descriptor, the second a path relative to it. */
static bool is_relative_to_descriptor(long number)
{
	switch (number) {
	case SYS_openat:
	case SYS_openat2:
	case SYS_faccessat:
	case SYS_faccessat2:
	case SYS_readlinkat:
	case SYS_newfstatat:
	case SYS_statx:
	case SYS_name_to_handle_at:
	case SYS_execveat:
		return true;
	default:
		return false;
	}
}

/* The first argument is a path. */
static bool is_of_path(long number)
{
	switch (number) {
	case SYS_open:
	case SYS_chdir:
	case SYS_access:
	case SYS_readlink:
	case SYS_stat:
	case SYS_lstat:
	case SYS_execve:
		return true;
	default:
		return false;
	}
}

__attribute__((noinline)) static long away_from_home(long number, long *a)
{
	char room[WIRE_PATH_BYTES];
	if (is_relative_to_descriptor(number))
		a[1] = (long)mapping_of(cwd_absolute(N(a[0]), P(a[1]), room), room);
	else if (number == SYS_inotify_add_watch)
		a[1] = (long)mapping_of(cwd_absolute(AT_FDCWD, P(a[1]), room), room);
	else if (is_of_path(number))
		a[0] = (long)mapping_of(cwd_absolute(AT_FDCWD, P(a[0]), room), room);
	return raw_call(number, a);
}

long hook_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	long arguments[] = { a, b, c, d, e, f };
	bool may_be_elsewhere = cwd_may_be_away() || mapping_is_any() || fds_may_be_directory();
	return may_be_elsewhere ? away_from_home(number, arguments) : raw_call(number, arguments);
}
