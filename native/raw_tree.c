/* raw_tree.c - raw system calls that change the target's tree or its metadata: see raw.c. */
#include "cwd.h"
#include "fds.h"
#include "mapping.h"
#include "raw.h"
#include "real.h"

#include <fcntl.h>

#define P(argument) ((void *)(argument))
#define N(argument) ((int)(argument))

/* Since Linux 6.6. */
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static long raw_names(long number, const long *a, bool *is_known)
{
	switch (number) {
	case SYS_rename:
		return hook_rename(P(a[0]), P(a[1]));
	case SYS_renameat:
		return hook_renameat(N(a[0]), P(a[1]), N(a[2]), P(a[3]));
	case SYS_renameat2:
		return hook_renameat2(N(a[0]), P(a[1]), N(a[2]), P(a[3]), (unsigned)a[4]);
	case SYS_link:
		return hook_link(P(a[0]), P(a[1]));
	case SYS_linkat:
		return hook_linkat(N(a[0]), P(a[1]), N(a[2]), P(a[3]), N(a[4]));
	case SYS_symlink:
		return hook_symlink(P(a[0]), P(a[1]));
	case SYS_symlinkat:
		return hook_symlinkat(P(a[0]), N(a[1]), P(a[2]));
	case SYS_mkdir:
		return hook_mkdir(P(a[0]), (mode_t)a[1]);
	case SYS_mkdirat:
		return hook_mkdirat(N(a[0]), P(a[1]), (mode_t)a[2]);
	case SYS_mknod:
		return hook_mknod(P(a[0]), (mode_t)a[1], (dev_t)a[2]);
	case SYS_mknodat:
		return hook_mknodat(N(a[0]), P(a[1]), (mode_t)a[2], (dev_t)a[3]);
	case SYS_rmdir:
		return hook_rmdir(P(a[0]));
	case SYS_unlink:
		return hook_unlink(P(a[0]));
	case SYS_unlinkat:
		return hook_unlinkat(N(a[0]), P(a[1]), N(a[2]));
	default:
		*is_known = false;
		return 0;
	}
}

static long raw_metadata(long number, const long *a, bool *is_known)
{
	switch (number) {
	case SYS_chmod:
		return hook_chmod(P(a[0]), (mode_t)a[1]);
	case SYS_fchmod:
		return hook_fchmod(N(a[0]), (mode_t)a[1]);
	case SYS_fchmodat:
		return hook_fchmodat(N(a[0]), P(a[1]), (mode_t)a[2], 0);
	case SYS_fchmodat2:
		return hook_fchmodat(N(a[0]), P(a[1]), (mode_t)a[2], N(a[3]));
	case SYS_chown:
		return hook_chown(P(a[0]), (uid_t)a[1], (gid_t)a[2]);
	case SYS_lchown:
		return hook_lchown(P(a[0]), (uid_t)a[1], (gid_t)a[2]);
	case SYS_fchown:
		return hook_fchown(N(a[0]), (uid_t)a[1], (gid_t)a[2]);
	case SYS_fchownat:
		return hook_fchownat(N(a[0]), P(a[1]), (uid_t)a[2], (gid_t)a[3], N(a[4]));
	case SYS_utime:
		return hook_utime(P(a[0]), P(a[1]));
	case SYS_utimes:
		return hook_utimes(P(a[0]), P(a[1]));
	case SYS_futimesat:
		return hook_futimesat(N(a[0]), P(a[1]), P(a[2]));
	case SYS_utimensat: /* without a path it is futimens(3) */
		return a[1] ? hook_utimensat(N(a[0]), P(a[1]), P(a[2]), N(a[3])) : hook_futimens(N(a[0]), P(a[2]));
	case SYS_truncate:
		return hook_truncate(P(a[0]), a[1]);
	case SYS_statfs:
		return hook_statfs(P(a[0]), P(a[1]));
	case SYS_fstatfs:
		return hook_fstatfs(N(a[0]), P(a[1]));
	default:
		*is_known = false;
		return 0;
	}
}

static long raw_attributes(long number, const long *a, bool *is_known)
{
	switch (number) {
	case SYS_getxattr:
		return hook_getxattr(P(a[0]), P(a[1]), P(a[2]), (size_t)a[3]);
	case SYS_lgetxattr:
		return hook_lgetxattr(P(a[0]), P(a[1]), P(a[2]), (size_t)a[3]);
	case SYS_fgetxattr:
		return hook_fgetxattr(N(a[0]), P(a[1]), P(a[2]), (size_t)a[3]);
	case SYS_listxattr:
		return hook_listxattr(P(a[0]), P(a[1]), (size_t)a[2]);
	case SYS_llistxattr:
		return hook_llistxattr(P(a[0]), P(a[1]), (size_t)a[2]);
	case SYS_flistxattr:
		return hook_flistxattr(N(a[0]), P(a[1]), (size_t)a[2]);
	case SYS_setxattr:
		return hook_setxattr(P(a[0]), P(a[1]), P(a[2]), (size_t)a[3], N(a[4]));
	case SYS_lsetxattr:
		return hook_lsetxattr(P(a[0]), P(a[1]), P(a[2]), (size_t)a[3], N(a[4]));
	case SYS_fsetxattr:
		return hook_fsetxattr(N(a[0]), P(a[1]), P(a[2]), (size_t)a[3], N(a[4]));
	case SYS_removexattr:
		return hook_removexattr(P(a[0]), P(a[1]));
	case SYS_lremovexattr:
		return hook_lremovexattr(P(a[0]), P(a[1]));
	case SYS_fremovexattr:
		return hook_fremovexattr(N(a[0]), P(a[1]));
	default:
		*is_known = false;
		return 0;
	}
}

/* Which argument is a path, and which the descriptor that it is relative to (NONE: the working directory). */
enum { NONE = -1 };
struct paths {
	int path, dirfd, other, other_fd;
};

static struct paths paths_of(long number)
{
	switch (number) {
	case SYS_rename:
	case SYS_link:
		return (struct paths){ 0, NONE, 1, NONE };
	case SYS_renameat:
	case SYS_renameat2:
	case SYS_linkat:
		return (struct paths){ 1, 0, 3, 2 };
	case SYS_symlink:
		return (struct paths){ 1, NONE, NONE, NONE };
	case SYS_symlinkat:
		return (struct paths){ 2, 1, NONE, NONE };
	case SYS_mkdirat:
	case SYS_mknodat:
	case SYS_unlinkat:
	case SYS_fchmodat:
	case SYS_fchmodat2:
	case SYS_fchownat:
	case SYS_futimesat:
	case SYS_utimensat:
		return (struct paths){ 1, 0, NONE, NONE };
	case SYS_fchmod:
	case SYS_fchown:
	case SYS_fstatfs:
	case SYS_fgetxattr:
	case SYS_flistxattr:
	case SYS_fsetxattr:
	case SYS_fremovexattr:
		return (struct paths){ NONE, NONE, NONE, NONE };
	default:
		return (struct paths){ 0, NONE, NONE, NONE };
	}
}

static long known(long number, const long *a, bool *is_known)
{
	static long (*const families[])(long, const long *, bool *) = { raw_names, raw_metadata, raw_attributes };
	for (size_t at = 0; at < sizeof families / sizeof *families; at++) {
		*is_known = true;
		long result = families[at](number, a, is_known);
		if (*is_known)
			return result;
	}
	return 0;
}

static long elsewhere(int dirfd, long path, char *room)
{
	return (long)mapping_of(cwd_absolute(dirfd, P(path), room), room);
}

__attribute__((noinline)) static long from_elsewhere(long number, const long *given, bool *is_known)
{
	char first[WIRE_PATH_BYTES], second[WIRE_PATH_BYTES];
	long a[6];
	struct paths paths = paths_of(number);
	memcpy(a, given, sizeof a);
	if (paths.path != NONE)
		a[paths.path] = elsewhere(paths.dirfd == NONE ? AT_FDCWD : N(a[paths.dirfd]), a[paths.path], first);
	if (paths.other != NONE)
		a[paths.other] = elsewhere(paths.other_fd == NONE ? AT_FDCWD : N(a[paths.other_fd]), a[paths.other], second);
	return known(number, a, is_known);
}

/* Is it one of ours at all? What is not must not be looked at as a path. */
static bool is_of_tree(long number)
{
	switch (number) {
	case SYS_rename:
	case SYS_mkdir ... SYS_rmdir:
	case SYS_link ... SYS_symlink: /* unlink is between them */
	case SYS_chmod ... SYS_lchown:
	case SYS_truncate:
	case SYS_mknod:
	case SYS_utime:
	case SYS_statfs ... SYS_fstatfs:
	case SYS_setxattr ... SYS_fremovexattr:
	case SYS_utimes:
	case SYS_mkdirat ... SYS_futimesat:
	case SYS_unlinkat ... SYS_symlinkat:
	case SYS_fchmodat:
	case SYS_utimensat:
	case SYS_renameat2:
	case SYS_fchmodat2:
		return true;
	default:
		return false;
	}
}

long raw_tree(long number, const long *a, bool *is_known)
{
	*is_known = is_of_tree(number);
	if (!*is_known)
		return 0;
	bool may_be_elsewhere = cwd_may_be_away() || mapping_is_any() || fds_may_be_directory();
	return may_be_elsewhere ? from_elsewhere(number, a, is_known) : known(number, a, is_known);
}
