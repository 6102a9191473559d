/* files_tree.c - changes of the tree below the root of another process, and of the metadata in it
 *
 * Calls on names: the parent is resolved inside the root, and the last component goes to the kernel as it came, with
 * the slashes behind it: none of these calls follows it, so none leads out of the root, and every errno is the kernel's
 * own. Calls on objects: the object is found as for reading, and then meant by its descriptor.
 *
 * The umask is the program's: for the time of the call it is the thread's own (CLONE_FS), because where a directory has
 * a default ACL the kernel leaves the umask aside, which nobody else can know.
 */
#include "sys.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "files.h"

/* As `kinds` of the message Remove. */
enum { REMOVE_FILE, REMOVE_DIRECTORY, REMOVE_EITHER };

/* The file that a call is about, or zeros: what a path leads to may have changed since it was opened. */
struct identity {
	uint64_t dev, ino;
};

/* Where the last component of `path` begins; slashes at the end belong to it. "/" is a component of its own. */
static const char *last_component(const char *path)
{
	const char *end = path + strlen(path);
	while (end > path && end[-1] == '/')
		end--;
	if (end == path)
		return path;
	while (end > path && end[-1] != '/')
		end--;
	return end;
}

/* The directory in which `name`, the last component of `path`, is to be changed: a descriptor, or -errno. */
static int find_parent(int root, const char *path, const char **name)
{
	char parent[FILES_PATH_BYTES];
	*name = last_component(path);
	if (!**name)
		return -ENOENT;
	size_t length = (size_t)(*name - path);
	memcpy(parent, path, length);
	parent[length] = '\0';
	return find_object(root, length ? parent : "/", O_DIRECTORY);
}

static char *link_to(int fd, char into[32])
{
	snprintf(into, 32, "/proc/self/fd/%d", fd);
	return into;
}

/* The object itself, which has to be `is` (unless that says nothing): a descriptor that stands for it, or -errno. */
static int find_identified(int root, const char *path, uint32_t is_following, const struct identity *is)
{
	struct file_stat stat;
	/* No path: `root` is the object itself, an open file. */
	int found = *path ? find_object(root, path, is_following ? 0 : O_NOFOLLOW) : (int)result(fcntl(root, F_DUPFD_CLOEXEC, 0));
	if (found < 0 || !is || is->ino == 0)
		return found == -ENOENT && is && is->ino != 0 ? -ESTALE : found;
	int status = stat_object(found, "", &stat);
	if (status == 0 && (stat.dev != is->dev || stat.ino != is->ino))
		status = -ESTALE;
	if (status < 0)
		close(found);
	return status < 0 ? status : found;
}

static int finish(int fd, int64_t status)
{
	if (fd >= 0)
		close(fd);
	return (int)status;
}

/* This thread's own from now on, or the process's if that cannot be had; returns what it was. */
mode_t umask_take(uint32_t mask)
{
	static _Thread_local bool is_own;
	if (!is_own)
		is_own = unshare(CLONE_FS) == 0;
	return umask((mode_t)mask);
}

/* ---- names ---- */

SYS int32_t files_rename(int32_t root, const char *from, const char *to, uint32_t flags, const uint32_t *rights)
{
	const char *old_name, *new_name;
	rights_take(rights);
	int64_t status = find_parent(root, from, &old_name);
	if (status >= 0) {
		int parent = (int)status;
		int other = find_parent(root, to, &new_name);
		status = other;
		if (other >= 0)
			status = result(syscall(SYS_renameat2, parent, old_name, other, new_name, flags));
		finish(other, 0);
		close(parent);
	}
	rights_lay_down(rights);
	return (int32_t)status;
}

static int64_t link_object(int root, int found, const char *to)
{
	const char *name;
	char link[32];
	int parent = find_parent(root, to, &name);
	return finish(parent, parent < 0 ? parent : result(linkat(AT_FDCWD, link_to(found, link), parent, name, AT_SYMLINK_FOLLOW)));
}

/* `from` is found first, whatever its last component is, and linked by its descriptor. */
SYS int32_t files_link(int32_t root, const char *from, const char *to, uint32_t is_following,
		       const struct identity *is, const uint32_t *rights)
{
	rights_take(rights);
	int found = find_identified(root, from, is_following, is);
	int status = finish(found, found < 0 ? found : link_object(root, found, to));
	rights_lay_down(rights);
	return status;
}

SYS int32_t files_link_opened(int32_t root, int32_t fd, const char *to, const uint32_t *rights)
{
	rights_take(rights);
	int64_t status = link_object(root, fd, to);
	rights_lay_down(rights);
	return (int32_t)status;
}

SYS int32_t files_symlink(int32_t root, const char *text, const char *path, const uint32_t *rights)
{
	const char *name;
	rights_take(rights);
	int parent = find_parent(root, path, &name);
	int status = finish(parent, parent < 0 ? parent : result(symlinkat(text, parent, name)));
	rights_lay_down(rights);
	return status;
}

SYS int32_t files_make(int32_t root, const char *path, uint32_t mode, uint32_t mask, uint64_t device,
		       const uint32_t *rights)
{
	const char *name;
	rights_take(rights);
	int64_t status = find_parent(root, path, &name);
	if (status >= 0) {
		int parent = (int)status;
		mode_t own = umask_take(mask);
		if (S_ISDIR(mode))
			status = result(mkdirat(parent, name, mode & 07777));
		else
			status = result(mknodat(parent, name, mode, (dev_t)device));
		umask(own);
		close(parent);
	}
	rights_lay_down(rights);
	return (int32_t)status;
}

SYS int32_t files_remove(int32_t root, const char *path, uint32_t kinds, const uint32_t *rights)
{
	const char *name;
	rights_take(rights);
	int64_t status = find_parent(root, path, &name);
	if (status >= 0) {
		int parent = (int)status;
		status = result(unlinkat(parent, name, kinds == REMOVE_DIRECTORY ? AT_REMOVEDIR : 0));
		if (kinds == REMOVE_EITHER && status == -EISDIR)
			status = result(unlinkat(parent, name, AT_REMOVEDIR));
		close(parent);
	}
	rights_lay_down(rights);
	return (int32_t)status;
}

/* ---- objects: modes, owners, times, lengths, attributes ---- */

static int64_t set_mode(int found, uint32_t mode)
{
	char link[32];
	struct file_stat stat;
	int64_t status = stat_object(found, "", &stat);
	if (status < 0)
		return status;
	/* As glibc's fchmodat: a link's mode cannot be changed, and what /proc leads to would be changed after all. */
	return S_ISLNK(stat.mode) ? -EOPNOTSUPP : result(chmod(link_to(found, link), (mode_t)mode));
}

SYS int32_t files_set_mode(int32_t root, const char *path, uint32_t is_following, const struct identity *is,
			   uint32_t mode, const uint32_t *rights)
{
	rights_take(rights);
	int found = find_identified(root, path, is_following, is);
	int status = finish(found, found < 0 ? found : set_mode(found, mode));
	rights_lay_down(rights);
	return status;
}

SYS int32_t files_set_owner(int32_t root, const char *path, uint32_t is_following, const struct identity *is,
			    uint32_t uid, uint32_t gid, const uint32_t *rights)
{
	rights_take(rights);
	int found = find_identified(root, path, is_following, is);
	int status = finish(found, found < 0 ? found : result(fchownat(found, "", uid, gid, AT_EMPTY_PATH)));
	rights_lay_down(rights);
	return status;
}

/* `times`: seconds and nanoseconds of the last access, then of the last change. */
SYS int32_t files_set_times(int32_t root, const char *path, uint32_t is_following, const struct identity *is,
			    const int64_t *times, const uint32_t *rights)
{
	const struct timespec both[] = { { times[0], times[1] }, { times[2], times[3] } };
	rights_take(rights);
	int found = find_identified(root, path, is_following, is);
	int status = finish(found, found < 0 ? found : result(utimensat(found, "", both, AT_EMPTY_PATH)));
	rights_lay_down(rights);
	return status;
}

SYS int32_t files_truncate(int32_t root, const char *path, int64_t size, const uint32_t *rights)
{
	char link[32];
	rights_take(rights);
	int found = find_object(root, path, 0);
	int status = finish(found, found < 0 ? found : result(truncate(link_to(found, link), size)));
	rights_lay_down(rights);
	return status;
}

/* Extended attributes are reached through the link in /proc, which leads to a symbolic link itself as well. */
SYS int32_t files_set_attribute(int32_t root, const char *path, uint32_t is_following, const struct identity *is,
				const char *name, const uint8_t *value, uint32_t size, uint32_t how,
				const uint32_t *rights)
{
	char link[32];
	rights_take(rights);
	int found = find_identified(root, path, is_following, is);
	int status = finish(found, found < 0 ? found : result(setxattr(link_to(found, link), name, value, size, (int)how)));
	rights_lay_down(rights);
	return status;
}

SYS int32_t files_remove_attribute(int32_t root, const char *path, uint32_t is_following, const struct identity *is,
				   const char *name, const uint32_t *rights)
{
	char link[32];
	rights_take(rights);
	int found = find_identified(root, path, is_following, is);
	int status = finish(found, found < 0 ? found : result(removexattr(link_to(found, link), name)));
	rights_lay_down(rights);
	return status;
}

/* Bytes put into `data`, which has room for the greatest value there is; the list of names when `name` is empty. */
SYS int32_t files_get_attribute(int32_t root, const char *path, uint32_t is_following, const struct identity *is,
				const char *name, uint8_t *data, uint32_t capacity, const uint32_t *rights)
{
	char link[32];
	rights_take(rights);
	int64_t status = find_identified(root, path, is_following, is);
	if (status >= 0) {
		int found = (int)status;
		link_to(found, link);
		status = result(*name ? getxattr(link, name, data, capacity) : listxattr(link, (char *)data, capacity));
		close(found);
	}
	rights_lay_down(rights);
	return (int32_t)status;
}

/* What getxattr of this entry fails with (with no name: ENODATA when it has no attributes); 0 when it has some. */
static uint8_t attribute_error(const char *path, const char *name)
{
	ssize_t count = *name ? lgetxattr(path, name, NULL, 0) : llistxattr(path, NULL, 0);
	if (count == 0 && !*name)
		return ENODATA;
	return count >= 0 || errno > 255 ? 0 : (uint8_t)errno;
}

/* A byte for each of these attributes of an entry. */
static uint8_t *attribute_errors(int directory, const char *entry, const char *attributes, uint32_t size, uint8_t *into)
{
	char path[32 + 256];
	struct stat st;
	bool is_entry = *entry && !strchr(entry, '/') && strcmp(entry, ".") && strcmp(entry, "..") &&
			(size_t)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", directory, entry) < sizeof path &&
			lstat(path, &st) == 0 && !S_ISLNK(st.st_mode);
	for (const char *name = attributes; name < attributes + size; name += strlen(name) + 1)
		*into++ = is_entry ? attribute_error(path, name) : 0;
	return into;
}

static uint32_t strings_in(const char *list, uint32_t size)
{
	uint32_t count = 0;
	for (uint32_t at = 0; at < size; at++)
		count += list[at] == '\0';
	return count;
}

/* For each of these entries of the directory `path` a byte per attribute; their number, or -errno. Both lists end in NUL. */
SYS int32_t files_entry_attributes(int32_t root, const char *path, const char *names, uint32_t size,
				   const char *attributes, uint32_t attributes_size, const uint32_t *rights,
				   uint8_t *data, uint32_t capacity)
{
	uint32_t width = strings_in(attributes, attributes_size);
	if (!size || names[size - 1] || !attributes_size || attributes[attributes_size - 1] ||
	    (uint64_t)width * strings_in(names, size) > capacity)
		return -EINVAL;
	rights_take(rights);
	int64_t status = find_object(root, path, O_DIRECTORY);
	if (status >= 0) {
		int found = (int)status;
		uint8_t *at = data;
		for (const char *name = names; name < names + size; name += strlen(name) + 1)
			at = attribute_errors(found, name, attributes, attributes_size, at);
		status = at - data;
		close(found);
	}
	rights_lay_down(rights);
	return (int32_t)status;
}
