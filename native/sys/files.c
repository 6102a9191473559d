/* files.c - files below the root of another process, for the agent
 *
 * Each function does a whole piece of work in one call (find, open, stat, read), so that the thread of Deno's pool it
 * runs on is needed once. Counts are 32 bits wide: buffers are smaller than 2 GiB.
 * Paths are resolved inside the given root by openat2(RESOLVE_IN_ROOT): "..", absolute symlinks
 * and "/" mean the root, whatever the path; /proc's magic links are refused (ELOOP), they lead out of any root.
 *
 * An object is found by O_PATH first, which has no side effects on devices and never waits for a FIFO's writer; only
 * regular files and directories are then opened for their contents, others are ENXIO.
 *
 * Where the target is not root, the calling thread takes the target's file-system rights for the time of the call and
 * lays them down before it returns: the pool's threads stay what they were. struct rights says which.
 */
#include "sys.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "files.h"

/* openat2(2): a rename or mount met on the way may make RESOLVE_IN_ROOT give up with EAGAIN; worth another try. */
#define RESOLVE_TRIES 64

static void take(const struct rights *rights, const uint32_t *groups)
{
	syscall(SYS_setgroups, rights->group_count, groups);
	syscall(SYS_setfsgid, rights->gid);
	syscall(SYS_setfsuid, rights->uid);
}

/* `words` are two struct rights, each followed by its groups: the target's, then our own. NULL: stay as we are. */
void rights_take(const uint32_t *words)
{
	if (words)
		take((const struct rights *)words, words + RIGHTS_WORDS);
}

void rights_lay_down(const uint32_t *words)
{
	if (!words)
		return;
	const uint32_t *own = words + RIGHTS_WORDS + ((const struct rights *)words)->group_count;
	/* Always permitted: fsuid and fsgid go back to the real and effective ones, and CAP_SETGID is no capability that a
	 * change of fsuid takes away. */
	take((const struct rights *)own, own + RIGHTS_WORDS);
}

/* 1 when rights can be taken here (CAP_SETUID, CAP_SETGID), 0 when not. */
SYS int32_t files_can_take_rights(const uint32_t *words)
{
	const struct rights *target = (const struct rights *)words;
	bool is_taken = syscall(SYS_setgroups, target->group_count, words + RIGHTS_WORDS) == 0;
	syscall(SYS_setfsgid, target->gid);
	syscall(SYS_setfsuid, target->uid);
	/* setfsuid(2): an invalid id changes nothing and returns the present one. */
	is_taken = is_taken && (uint32_t)syscall(SYS_setfsgid, -1) == target->gid;
	is_taken = is_taken && (uint32_t)syscall(SYS_setfsuid, -1) == target->uid;
	rights_lay_down(words);
	return is_taken;
}

/* The target's /proc/net. Below its root that is a link to what is the reader's own, and the reader would be the agent. -1: none. */
static int network = -1;

/* `directory` is O_PATH, and belongs to this file from now on. */
SYS void files_set_network(int32_t directory)
{
	network = directory;
}

/* Where `*path` is looked for, and by which name there. */
static int base_of(int root, const char **path)
{
	static const char name[] = "/proc/net";
	const char *rest = *path + sizeof name - 1;
	if (network < 0 || strncmp(*path, name, sizeof name - 1) != 0 || (*rest != '/' && *rest != '\0'))
		return root;
	*path = *rest ? rest : "/";
	return network;
}

int find_object(int root, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd = -1, base = base_of(root, &path);
	for (int tries = 0; tries < RESOLVE_TRIES; tries++) {
		fd = (int)syscall(SYS_openat2, base, path, &how, sizeof how);
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return fd < 0 ? -errno : fd;
}

/* The object behind an O_PATH descriptor anew, for reading: the very same one, whatever the path leads to by now. */
static int reopen(int found, int flags)
{
	char link[32];
	snprintf(link, sizeof link, "/proc/self/fd/%d", found);
	int fd = open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags);
	return fd < 0 ? -errno : fd;
}

int stat_object(int fd, const char *name, struct file_stat *into)
{
	int flags = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
	struct statx x;
	if (statx(fd, name, flags, STATX_BASIC_STATS | STATX_BTIME, &x) < 0)
		return -errno;
	*into = (struct file_stat){
		.dev = makedev(x.stx_dev_major, x.stx_dev_minor),
		.ino = x.stx_ino,
		.mode = x.stx_mode,
		.nlink = x.stx_nlink,
		.uid = x.stx_uid,
		.gid = x.stx_gid,
		.rdev = makedev(x.stx_rdev_major, x.stx_rdev_minor),
		.size = x.stx_size,
		.blksize = x.stx_blksize,
		.blocks = x.stx_blocks,
		.atime_sec = (uint64_t)x.stx_atime.tv_sec,
		.atime_nsec = x.stx_atime.tv_nsec,
		.mtime_sec = (uint64_t)x.stx_mtime.tv_sec,
		.mtime_nsec = x.stx_mtime.tv_nsec,
		.ctime_sec = (uint64_t)x.stx_ctime.tv_sec,
		.ctime_nsec = x.stx_ctime.tv_nsec,
		.btime_sec = (uint64_t)x.stx_btime.tv_sec,
		.btime_nsec = x.stx_btime.tv_nsec,
	};
	return 0;
}

static int stat_of(int fd, struct file_stat *into)
{
	return stat_object(fd, "", into);
}

/* Reads to `capacity` or the end, from where the descriptor stands. st_size is not asked: files of /proc say 0. */
static int64_t read_up_to(int fd, uint8_t *data, uint64_t capacity)
{
	uint64_t count = 0;
	while (count < capacity) {
		ssize_t got = read(fd, data + count, capacity - count);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		count += (uint64_t)got;
	}
	return (int64_t)count;
}

static int64_t read_file(int found, uint32_t flags, uint8_t *data, uint32_t capacity, int32_t *handle)
{
	int fd = reopen(found, (int)(flags & O_NOATIME));
	if (fd < 0)
		return fd;
	int64_t count = read_up_to(fd, data, capacity);
	uint8_t next;
	bool is_whole = count >= 0 && (count < capacity || pread(fd, &next, 1, count) == 0);
	if (count < 0 || is_whole)
		close(fd);
	else
		*handle = fd;
	return count;
}

static int64_t read_directory(int found, uint32_t flags, uint8_t *data, uint32_t capacity, int32_t *handle)
{
	int fd = reopen(found, O_DIRECTORY | (int)(flags & O_NOATIME));
	if (fd < 0)
		return fd;
	int64_t count = listing_read(fd, data, capacity, handle);
	close(fd);
	return count;
}

/* The contents of what was found, by its kind. */
static int64_t read_object(int found, uint32_t mode, uint32_t flags, uint8_t *data, uint32_t capacity, int32_t *handle)
{
	if (flags & O_PATH) {
		/* Whoever has it may open it for reading, by its link in /proc: then the contents have to be there. */
		int64_t count = S_ISREG(mode) ? read_file(found, 0, data, capacity, handle) : 0;
		return count < 0 ? 0 : count;
	}
	if (S_ISREG(mode))
		return read_file(found, flags, data, capacity, handle);
	if (S_ISDIR(mode))
		return read_directory(found, flags, data, capacity, handle);
	return S_ISLNK(mode) ? -ELOOP : -ENXIO; /* open(2): O_NOFOLLOW and a symbolic link is ELOOP */
}

/* Bytes put into `data`, or -errno. `*handle` is -1 when they are all, else a descriptor for files_read_at. */
SYS int32_t files_open(int32_t root, const char *path, uint32_t flags, const uint32_t *rights, uint8_t *data,
		       uint32_t capacity, struct file_stat *stat, int32_t *handle)
{
	*handle = -1;
	rights_take(rights);
	int64_t count;
	int found = find_object(root, path, flags & (O_NOFOLLOW | O_DIRECTORY));
	if (found < 0) {
		count = found;
	} else {
		count = stat_of(found, stat);
		if (count == 0)
			count = read_object(found, (uint32_t)stat->mode, flags, data, capacity, handle);
		close(found);
	}
	rights_lay_down(rights);
	return (int32_t)count;
}

static int64_t list_directory(int found, uint32_t flags, uint32_t stat_entries, bool is_watched, uint8_t *data,
			      uint32_t capacity, const struct file_stat *stat, struct listed *listed)
{
	int fd = reopen(found, O_DIRECTORY | (int)(flags & O_NOATIME));
	if (fd < 0)
		return fd;
	int64_t count = listing_read(fd, data, capacity, &listed->handle);
	if (count >= 0) {
		listed->entry_bytes = (uint32_t)count;
		if (listed->handle < 0) {
			uint64_t size = (uint64_t)count;
			listed->is_all = entries_are_all(fd, stat, is_watched);
			count += (int64_t)entries_stat_listed(fd, data, size, stat_entries, data + size, capacity - size);
		}
	}
	close(fd);
	return count;
}

/* As files_open, for directories alone: behind their entries come the records of the first `stat_entries` of them, when
 * all entries are in the buffer and as far as there is room. */
SYS int32_t files_list(int32_t root, const char *path, uint32_t flags, const uint32_t *rights, uint32_t stat_entries,
		       uint32_t is_watched, uint8_t *data, uint32_t capacity, struct file_stat *stat, struct listed *listed)
{
	*listed = (struct listed){ .handle = -1 };
	rights_take(rights);
	int64_t count = find_object(root, path, (flags & O_NOFOLLOW) | O_DIRECTORY);
	if (count >= 0) {
		int found = (int)count;
		count = stat_of(found, stat);
		if (count == 0)
			count = list_directory(found, flags, stat_entries, is_watched, data, capacity, stat, listed);
		close(found);
	}
	rights_lay_down(rights);
	return (int32_t)count;
}

/* Records of the entries of the directory `path` with these names, NUL-terminated, end to end. Bytes, or -errno. */
SYS int32_t files_stat_entries(int32_t root, const char *path, const char *names, uint32_t size, const uint32_t *rights,
			       uint8_t *data, uint32_t capacity)
{
	rights_take(rights);
	int64_t count = find_object(root, path, O_DIRECTORY);
	if (count >= 0) {
		int found = (int)count;
		count = entries_stat_named(found, names, size, data, capacity);
		close(found);
	}
	rights_lay_down(rights);
	return (int32_t)count;
}

/* Is something else mounted over this entry? Then what is told of its directory does not hold for it. */
static bool is_mount(int found)
{
	struct statx x;
	int flags = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
	return statx(found, "", flags, 0, &x) < 0 || !(x.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) ||
	       (x.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* Reads the whole of a small file, without leaving a trace where that is allowed. Its bytes; or -errno, EAGAIN: better
 * opened alone. */
static int64_t read_whole(int directory, const char *name, uint64_t most, uint8_t *data, struct entry_record *record)
{
	int found = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (found < 0)
		return -errno;
	entry_stat(found, "", record);
	bool is_suited = record->error == 0 && S_ISREG(record->mode) && record->nlink == 1 && record->size <= most;
	int64_t count = is_suited && !is_mount(found) ? 0 : -EAGAIN;
	if (count == 0) {
		int fd = reopen(found, O_NOATIME);
		fd = fd == -EPERM ? reopen(found, 0) : fd;
		count = fd < 0 ? fd : read_up_to(fd, data, record->size + 1);
		if (fd >= 0)
			close(fd);
	}
	close(found);
	return count < 0 || (uint64_t)count == record->size ? count : -EAGAIN;
}

/*
 * Of each entry of the directory `path` with these names, NUL-terminated: its record, u32 length, contents. A file of more
 * than `each` bytes, or that is better opened alone, has an error in its record. Ends where there is no room for another.
 */
SYS int32_t files_read_entries(int32_t root, const char *path, const char *names, uint32_t size, const uint32_t *rights,
			       uint32_t each, uint8_t *data, uint32_t capacity)
{
	uint64_t put = 0;
	rights_take(rights);
	int directory = find_object(root, path, O_DIRECTORY);
	for (uint64_t at = 0; directory >= 0 && at < size;) {
		struct entry_record record = { 0 };
		const uint64_t head = sizeof record + sizeof(uint32_t);
		const char *name = names + at;
		size_t length = strnlen(name, size - at);
		at += length + 1;
		if (at > size || length == 0 || memchr(name, '/', length) || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			break;
		if (capacity - put < head + each + 1)
			break;
		int64_t count = read_whole(directory, name, each, data + put + head, &record);
		record.error = count < 0 ? (int32_t)-count : 0;
		uint32_t bytes = count < 0 ? 0 : (uint32_t)count;
		memcpy(data + put, &record, sizeof record);
		memcpy(data + put + sizeof record, &bytes, sizeof bytes);
		put += head + bytes;
	}
	rights_lay_down(rights);
	if (directory >= 0)
		close(directory);
	return directory < 0 ? directory : (int32_t)put;
}

/* Bytes read, fewer than `length` only at the end. */
SYS int32_t files_read_at(int32_t fd, uint64_t offset, uint8_t *data, uint32_t length)
{
	uint32_t count = 0;
	while (count < length) {
		ssize_t got = pread(fd, data + count, length - count, (off_t)(offset + count));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		count += (uint32_t)got;
	}
	return (int32_t)count;
}

SYS int32_t files_stat_open(int32_t fd, struct file_stat *stat)
{
	return (int32_t)stat_of(fd, stat);
}

SYS int32_t files_close(int32_t fd)
{
	return (int32_t)result(close(fd));
}

SYS int32_t files_stat(int32_t root, const char *path, uint32_t flags, const uint32_t *rights, struct file_stat *stat)
{
	rights_take(rights);
	int status = find_object(root, path, flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0);
	if (status >= 0) {
		int found = status;
		status = stat_of(found, stat);
		close(found);
	}
	rights_lay_down(rights);
	return (int32_t)status;
}

/* Always as the effective user: a thread's file-system ids are that, and the target's real ones seldom differ. */
SYS int32_t files_access(int32_t root, const char *path, uint32_t mode, uint32_t flags, const uint32_t *rights)
{
	rights_take(rights);
	int status = find_object(root, path, flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0);
	if (status >= 0) {
		int found = status;
		status = (int)result(syscall(SYS_faccessat2, found, "", mode, AT_EMPTY_PATH | AT_EACCESS));
		close(found);
	}
	rights_lay_down(rights);
	return (int32_t)status;
}

/* statfs(2) as words, in the order of StatFsReply of src/proto/agent.ts. 0 or -errno. */
SYS int32_t files_stat_fs(int32_t root, const char *path, const uint32_t *rights, uint64_t *words)
{
	struct statfs fs;
	rights_take(rights);
	int64_t status = find_object(root, path, 0);
	if (status >= 0) {
		int found = (int)status;
		status = fstatfs(found, &fs) < 0 ? -errno : 0;
		close(found);
	}
	rights_lay_down(rights);
	if (status < 0)
		return (int32_t)status;
	uint64_t fsid;
	memcpy(&fsid, &fs.f_fsid, sizeof fsid);
	const uint64_t told[] = {
		(uint64_t)fs.f_type, (uint64_t)fs.f_bsize, fs.f_blocks,	  fs.f_bfree,		   fs.f_bavail,
		fs.f_files,	     fs.f_ffree,	   fsid,	  (uint64_t)fs.f_namelen, (uint64_t)fs.f_frsize,
		(uint64_t)fs.f_flags,
	};
	memcpy(words, told, sizeof told);
	return 0;
}

static int64_t link_text(int found, char *into, uint32_t capacity)
{
	struct file_stat stat;
	int status = stat_of(found, &stat);
	if (status < 0)
		return status;
	if (!S_ISLNK(stat.mode))
		return -EINVAL; /* readlink(2): "the named file is not a symbolic link" */
	return result(readlinkat(found, "", into, capacity));
}

/* Bytes of the link's text. */
SYS int32_t files_read_link(int32_t root, const char *path, const uint32_t *rights, char *into, uint32_t capacity)
{
	rights_take(rights);
	int64_t status = find_object(root, path, O_NOFOLLOW);
	if (status >= 0) {
		int found = (int)status;
		status = link_text(found, into, capacity);
		close(found);
	}
	rights_lay_down(rights);
	return (int32_t)status;
}

static int64_t path_of(int fd, char *into, uint32_t capacity)
{
	char link[32];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	return result(readlink(link, into, capacity));
}

/*
 * The kernel knows the path of an open object. Its text begins at the root of the object's mount namespace, so the path
 * of `root` itself is taken off its front: "/" for a container, a directory for a chroot.
 */
int64_t path_below(int root, int found, char *into, uint32_t capacity)
{
	char above[FILES_PATH_BYTES];
	int64_t above_length = path_of(root, above, sizeof above);
	int64_t length = path_of(found, into, capacity);
	if (above_length < 0 || length < 0)
		return length < 0 ? length : above_length;
	if (length == capacity || above_length == sizeof above)
		return -ENAMETOOLONG;
	if (above_length == 1)
		return length;
	if (length < above_length || memcmp(into, above, (size_t)above_length) != 0)
		return -ENOENT; /* removed meanwhile, or moved out of the root */
	length -= above_length;
	memmove(into, into + above_length, (size_t)length);
	if (length == 0)
		into[length++] = '/';
	return into[0] == '/' ? length : -ENOENT;
}

/* A path below the target's /proc/net, by its whole name. */
static int64_t named_again(char *into, int64_t length, uint32_t capacity)
{
	static const char name[] = "/proc/net";
	const int64_t before = sizeof name - 1;
	if (length == 1)
		length = 0;
	if (length + before > capacity)
		return -ENAMETOOLONG;
	memmove(into + before, into, (size_t)length);
	memcpy(into, name, (size_t)before);
	return length + before;
}

/* Bytes of the path without its symlinks; `into` must have room for FILES_PATH_BYTES. */
SYS int32_t files_real_path(int32_t root, const char *path, const uint32_t *rights, char *into, uint32_t capacity)
{
	rights_take(rights);
	const char *rest = path;
	int base = base_of(root, &rest);
	int64_t status = find_object(base, rest, 0);
	if (status >= 0) {
		int found = (int)status;
		status = path_below(base, found, into, capacity);
		close(found);
	}
	rights_lay_down(rights);
	if (base != root && status >= 0)
		status = named_again(into, status, capacity);
	return (int32_t)status;
}

/* A descriptor that stands for the directory `path`, as the functions above want it. */
SYS int32_t files_open_root(const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Is openat2 there at all? Linux 5.6; container runtimes before 2021 forbid it. */
	int probe = find_object(fd, "/", O_DIRECTORY);
	close(probe < 0 ? fd : probe);
	return probe < 0 ? probe : fd;
}
