/* attributes.c - hooks of extended attributes: the target's file system has and keeps them, with its own errnos. */
#include "real.h"
#include "tree.h"

#include <sys/xattr.h>

enum { NAME_BYTES = 255 }; /* XATTR_NAME_MAX */

/* xattr(7): a name that is empty or too long is ERANGE. */
static bool is_name(const char *name)
{
	return name && *name && strlen(name) <= NAME_BYTES;
}

/* BYPASS, or 0 and the subject, or -errno. */
static long find(int dirfd, const char *path, bool is_following, bool is_change, struct place *place,
		 struct subject *subject)
{
	long linked = is_following ? subject_of_link(path, place, subject) : BYPASS;
	if (linked != BYPASS)
		return linked;
	enum outcome outcome = is_change ? locate_change(dirfd, path, place) : locate(dirfd, path, false, place);
	if (outcome != REMOTE)
		return outcome == LOCAL ? BYPASS : -ENOENT;
	*subject = (struct subject){ .path = place->path, .is_following = is_following };
	return 0;
}

static long try_get(const char *path, bool is_following, const char *name, void *into, size_t room)
{
	struct place place;
	struct subject subject;
	long result = find(AT_FDCWD, path, is_following, false, &place, &subject);
	if (result)
		return result;
	return is_name(name) ? remote_get_attribute(&subject, name, into, room) : -ERANGE;
}

static long try_list(const char *path, bool is_following, char *into, size_t room)
{
	struct place place;
	struct subject subject;
	long result = find(AT_FDCWD, path, is_following, false, &place, &subject);
	return result ? result : remote_get_attribute(&subject, "", into, room);
}

static long try_set(const char *path, bool is_following, const char *name, struct wire_bytes value, int how)
{
	struct place place;
	struct subject subject;
	long result = find(AT_FDCWD, path, is_following, true, &place, &subject);
	if (result)
		return result;
	return is_name(name) ? remote_set_attribute(&subject, name, value, how) : -ERANGE;
}

static long try_remove(const char *path, bool is_following, const char *name)
{
	struct place place;
	struct subject subject;
	long result = find(AT_FDCWD, path, is_following, true, &place, &subject);
	if (result)
		return result;
	return is_name(name) ? remote_remove_attribute(&subject, name) : -ERANGE;
}

static struct wire_bytes value_of(const void *value, size_t size)
{
	/* Longer than any value may be is still longer when it is cut: E2BIG either way. */
	return (struct wire_bytes){ value, size < XATTR_SIZE_MAX + 1 ? (uint32_t)size : XATTR_SIZE_MAX + 1 };
}

ssize_t hook_getxattr(const char *path, const char *name, void *into, size_t room)
{
	long result = try_get(path, true, name, into, room);
	return result == BYPASS ? real.getxattr(path, name, into, room) : edge(result);
}

ssize_t hook_lgetxattr(const char *path, const char *name, void *into, size_t room)
{
	long result = try_get(path, false, name, into, room);
	return result == BYPASS ? real.lgetxattr(path, name, into, room) : edge(result);
}

ssize_t hook_fgetxattr(int fd, const char *name, void *into, size_t room)
{
	struct place place;
	struct subject subject;
	long result = subject_of_open(fd, &place, &subject);
	if (result == BYPASS)
		return real.fgetxattr(fd, name, into, room);
	if (result == 0)
		result = is_name(name) ? remote_get_attribute(&subject, name, into, room) : -ERANGE;
	return edge(result);
}

ssize_t hook_listxattr(const char *path, char *into, size_t room)
{
	long result = try_list(path, true, into, room);
	return result == BYPASS ? real.listxattr(path, into, room) : edge(result);
}

ssize_t hook_llistxattr(const char *path, char *into, size_t room)
{
	long result = try_list(path, false, into, room);
	return result == BYPASS ? real.llistxattr(path, into, room) : edge(result);
}

ssize_t hook_flistxattr(int fd, char *into, size_t room)
{
	struct place place;
	struct subject subject;
	long result = subject_of_open(fd, &place, &subject);
	if (result == BYPASS)
		return real.flistxattr(fd, into, room);
	return edge(result ? result : remote_get_attribute(&subject, "", into, room));
}

int hook_setxattr(const char *path, const char *name, const void *value, size_t size, int how)
{
	long result = try_set(path, true, name, value_of(value, size), how);
	return result == BYPASS ? real.setxattr(path, name, value, size, how) : edge(result);
}

int hook_lsetxattr(const char *path, const char *name, const void *value, size_t size, int how)
{
	long result = try_set(path, false, name, value_of(value, size), how);
	return result == BYPASS ? real.lsetxattr(path, name, value, size, how) : edge(result);
}

int hook_fsetxattr(int fd, const char *name, const void *value, size_t size, int how)
{
	struct place place;
	struct subject subject;
	long result = subject_of_open(fd, &place, &subject);
	if (result == BYPASS)
		return real.fsetxattr(fd, name, value, size, how);
	if (result == 0)
		result = is_name(name) ? remote_set_attribute(&subject, name, value_of(value, size), how) : -ERANGE;
	return edge(result);
}

int hook_removexattr(const char *path, const char *name)
{
	long result = try_remove(path, true, name);
	return result == BYPASS ? real.removexattr(path, name) : edge(result);
}

int hook_lremovexattr(const char *path, const char *name)
{
	long result = try_remove(path, false, name);
	return result == BYPASS ? real.lremovexattr(path, name) : edge(result);
}

int hook_fremovexattr(int fd, const char *name)
{
	struct place place;
	struct subject subject;
	long result = subject_of_open(fd, &place, &subject);
	if (result == BYPASS)
		return real.fremovexattr(fd, name);
	if (result == 0)
		result = is_name(name) ? remote_remove_attribute(&subject, name) : -ERANGE;
	return edge(result);
}
