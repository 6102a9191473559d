/* metadata.c - hooks of calls that change what a name leads to: modes, owners, times, the length of a file. */
#include "real.h"
#include "tree.h"

#include <fcntl.h>

/* BYPASS, or 0 and the subject, or -errno. `flags` are those of the *at calls. */
static long locate_subject(int dirfd, const char *path, int flags, struct place *place, struct subject *subject)
{
	if (is_of_descriptor(path, flags) && dirfd != AT_FDCWD)
		return subject_of(dirfd, place, subject);
	long linked = flags & AT_SYMLINK_NOFOLLOW ? BYPASS : subject_of_link(path, place, subject);
	if (linked != BYPASS)
		return linked;
	switch (locate_change(dirfd, path, place)) {
	case LOCAL:
		return BYPASS;
	case ABSENT:
		return -ENOENT;
	default:
		*subject = (struct subject){ .path = place->path, .is_following = !(flags & AT_SYMLINK_NOFOLLOW) };
		return 0;
	}
}

static long try_set_mode(int dirfd, const char *path, mode_t mode, int flags)
{
	struct place place;
	struct subject subject;
	if (unlikely(flags & ~AT_SYMLINK_NOFOLLOW))
		return BYPASS; /* which refuses it */
	long result = locate_subject(dirfd, path, flags, &place, &subject);
	return result ? result : remote_set_mode(&subject, mode);
}

static long try_set_owner(int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
	struct place place;
	struct subject subject;
	if (unlikely(flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
		return BYPASS;
	long result = locate_subject(dirfd, path, flags, &place, &subject);
	return result ? result : remote_set_owner(&subject, uid, gid);
}

static long try_set_times(int dirfd, const char *path, const struct timespec times[2], int flags)
{
	struct place place;
	struct subject subject;
	if (unlikely(flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
		return BYPASS;
	long result = locate_subject(dirfd, path, flags, &place, &subject);
	return result ? result : remote_set_times(&subject, times);
}

/* Microseconds out of range become nanoseconds out of range. */
static const struct timespec *to_timespecs(const struct timeval times[2], struct timespec both[2])
{
	for (int at = 0; times && at < 2; at++) {
		bool is_wrong = times[at].tv_usec < 0 || times[at].tv_usec > 999999;
		both[at] = (struct timespec){ times[at].tv_sec, is_wrong ? -1 : times[at].tv_usec * 1000 };
	}
	return times ? both : NULL;
}

static long try_set_timevals(int dirfd, const char *path, const struct timeval times[2], int flags)
{
	struct timespec both[2];
	return try_set_times(dirfd, path, to_timespecs(times, both), flags);
}

int hook_fchmod(int fd, mode_t mode)
{
	struct place place;
	struct subject subject;
	long result = subject_of_open(fd, &place, &subject);
	if (result == BYPASS)
		return real.fchmod(fd, mode);
	return edge(result ? result : remote_set_mode(&subject, mode));
}

int hook_fchown(int fd, uid_t uid, gid_t gid)
{
	struct place place;
	struct subject subject;
	long result = subject_of_open(fd, &place, &subject);
	if (result == BYPASS)
		return real.fchown(fd, uid, gid);
	return edge(result ? result : remote_set_owner(&subject, uid, gid));
}

static long try_set_times_of(int fd, const struct timespec times[2])
{
	struct place place;
	struct subject subject;
	long result = subject_of_open(fd, &place, &subject);
	return result ? result : remote_set_times(&subject, times);
}

int hook_futimens(int fd, const struct timespec times[2])
{
	long result = try_set_times_of(fd, times);
	return result == BYPASS ? real.futimens(fd, times) : edge(result);
}

int hook_futimes(int fd, const struct timeval times[2])
{
	struct timespec both[2];
	long result = try_set_times_of(fd, to_timespecs(times, both));
	return result == BYPASS ? real.futimes(fd, times) : edge(result);
}

int hook_chmod(const char *path, mode_t mode)
{
	long result = try_set_mode(AT_FDCWD, path, mode, 0);
	return result == BYPASS ? real.chmod(path, mode) : edge(result);
}

int hook_lchmod(const char *path, mode_t mode)
{
	long result = try_set_mode(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW);
	return result == BYPASS ? real.lchmod(path, mode) : edge(result);
}

int hook_fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
	long result = try_set_mode(dirfd, path, mode, flags);
	return result == BYPASS ? real.fchmodat(dirfd, path, mode, flags) : edge(result);
}

int hook_chown(const char *path, uid_t uid, gid_t gid)
{
	long result = try_set_owner(AT_FDCWD, path, uid, gid, 0);
	return result == BYPASS ? real.chown(path, uid, gid) : edge(result);
}

int hook_lchown(const char *path, uid_t uid, gid_t gid)
{
	long result = try_set_owner(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
	return result == BYPASS ? real.lchown(path, uid, gid) : edge(result);
}

int hook_fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
	long result = try_set_owner(dirfd, path, uid, gid, flags);
	return result == BYPASS ? real.fchownat(dirfd, path, uid, gid, flags) : edge(result);
}

int hook_utime(const char *path, const struct utimbuf *times)
{
	struct timespec both[2];
	if (times) {
		both[0] = (struct timespec){ times->actime, 0 };
		both[1] = (struct timespec){ times->modtime, 0 };
	}
	long result = try_set_times(AT_FDCWD, path, times ? both : NULL, 0);
	return result == BYPASS ? real.utime(path, times) : edge(result);
}

int hook_utimes(const char *path, const struct timeval times[2])
{
	long result = try_set_timevals(AT_FDCWD, path, times, 0);
	return result == BYPASS ? real.utimes(path, times) : edge(result);
}

int hook_lutimes(const char *path, const struct timeval times[2])
{
	long result = try_set_timevals(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
	return result == BYPASS ? real.lutimes(path, times) : edge(result);
}

int hook_futimesat(int dirfd, const char *path, const struct timeval times[2])
{
	if (!path)
		return hook_futimes(dirfd, times);
	long result = try_set_timevals(dirfd, path, times, 0);
	return result == BYPASS ? real.futimesat(dirfd, path, times) : edge(result);
}

int hook_utimensat(int dirfd, const char *path, const struct timespec times[2], int flags)
{
	long result = try_set_times(dirfd, path, times, flags);
	return result == BYPASS ? real.utimensat(dirfd, path, times, flags) : edge(result);
}

int hook_truncate(const char *path, off_t size)
{
	struct place place;
	struct subject subject;
	long result = locate_subject(AT_FDCWD, path, 0, &place, &subject);
	if (result == BYPASS)
		return real.truncate(path, size);
	return edge(result ? result : size < 0 ? -EINVAL : remote_truncate(subject.path, size));
}
