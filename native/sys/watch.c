/* watch.c - news of directories of another root, by inotify(7), for the agent
 *
 * A directory is watched together with every directory above it, each for what may change what the path leads to: the
 * caller looks at the names. That works for paths without symbolic links, "." and ".."; and on file systems where every
 * change passes this kernel: those of networks and of FUSE are refused, and those that have no truth to keep (/proc).
 *
 * What inotify does not tell: changes through shared mappings, through another name of a file (st_nlink), and mounts.
 */
#include "sys.h"
#include "files.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Of a directory above: what may put something else in the place of a name, or forbid the way through it. */
#define WAY_EVENTS (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB)
#define OWN_EVENTS (WAY_EVENTS | IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF)

enum { NAME_ROOM = 256 };

SYS int32_t watch_open(void)
{
	return (int32_t)result(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
}

SYS int32_t watch_waker(void)
{
	return (int32_t)result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

SYS int32_t watch_wake(int32_t waker)
{
	return (int32_t)result(eventfd_write(waker, 1));
}

SYS int32_t watch_close(int32_t fd)
{
	return (int32_t)result(close(fd));
}

/* Waits until there is news (1), or somebody wakes it (0). */
SYS int32_t watch_wait(int32_t fd, int32_t waker)
{
	struct pollfd both[] = { { .fd = fd, .events = POLLIN }, { .fd = waker, .events = POLLIN } };
	while (poll(both, 2, -1) < 0)
		if (errno != EINTR)
			return -errno;
	return both[1].revents ? 0 : 1;
}

/* The struct inotify_events that are there: their bytes, 0 when there are none. Never waits. */
SYS int32_t watch_read(int32_t fd, uint8_t *into, uint32_t room)
{
	ssize_t count = read(fd, into, room);
	return count >= 0 ? (int32_t)count : errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static bool passes_this_kernel(int fd)
{
	struct statfs fs;
	if (fstatfs(fd, &fs) < 0)
		return false;
	switch ((unsigned long)fs.f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case TMPFS_MAGIC:
	case OVERLAYFS_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
}

/* The watch's number, or -errno. One inode has one number, whoever asks: its events add up. */
static int watch(int inotify, int directory, uint32_t events)
{
	char link[32];
	if (!passes_this_kernel(directory))
		return -EOPNOTSUPP;
	snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
	return (int)result(inotify_add_watch(inotify, link, events | IN_ONLYDIR | IN_MASK_ADD));
}

/* The next component, and what is behind it; NULL when it is none that can be watched. */
static const char *component(const char *path, char into[NAME_ROOM])
{
	size_t length = strcspn(path, "/");
	if (length >= NAME_ROOM)
		return NULL;
	memcpy(into, path, length);
	into[length] = '\0';
	if (strcmp(into, ".") == 0 || strcmp(into, "..") == 0)
		return NULL;
	return path + length + strspn(path + length, "/");
}

static int step(int directory, const char *name)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	return (int)result(syscall(SYS_openat2, directory, name, &how, sizeof how));
}

/*
 * Watches the directory `path` below `root`, which has to be readable with these rights: its news has names of entries.
 * `numbers[0]` says how many watches there are then, of the root first and the
 * directory itself last, and they follow, even when it fails: they may be those of others, too. 0 or -errno.
 */
SYS int32_t watch_add(int32_t inotify, int32_t root, const char *path, const uint32_t *rights, int32_t *numbers,
		      uint32_t most)
{
	char name[NAME_ROOM];
	int directory = step(root, ".");
	numbers[0] = 0;
	path += strspn(path, "/");
	while (directory >= 0) {
		bool is_last = *path == '\0';
		bool has_room = (uint32_t)numbers[0] + 1 < most;
		rights_take(is_last ? rights : NULL);
		int number = has_room ? watch(inotify, directory, is_last ? OWN_EVENTS : WAY_EVENTS) : -ENAMETOOLONG;
		rights_lay_down(is_last ? rights : NULL);
		if (number >= 0)
			numbers[++numbers[0]] = number;
		path = number < 0 || is_last ? NULL : component(path, name);
		int next = path ? step(directory, name) : number < 0 ? number : -EINVAL;
		close(directory);
		if (is_last && number >= 0)
			return 0;
		directory = next;
	}
	return directory;
}

SYS int32_t watch_remove(int32_t inotify, int32_t number)
{
	return (int32_t)result(inotify_rm_watch(inotify, number));
}

/* ---- for programs that watch by themselves ---- */

/* What is told of a subject: bytes of its path, bytes of what it holds, and whether it is a directory. */
struct told {
	uint32_t path_bytes, entry_bytes, is_directory;
};

/* Puts 'd' or 'f' and the name, terminated, for each entry: their bytes, or -errno; -ENOSPC when they are too many. */
static int64_t put_entries(const char *link, char *into, uint32_t room)
{
	_Alignas(8) char entries[32768];
	int fd = open(link, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t status = result(fd), put = 0;
	while (status >= 0) {
		status = result(syscall(SYS_getdents64, fd, entries, sizeof entries));
		if (status <= 0)
			break;
		uint16_t length;
		for (int64_t at = 0; at < status; at += length) {
			const char *name = entries + at + 19;
			size_t span = strlen(name) + 1;
			memcpy(&length, entries + at + 16, sizeof length);
			if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
				continue;
			if ((size_t)put + span + 1 > room) {
				close(fd);
				return -ENOSPC;
			}
			into[put++] = entries[at + 18] == 4 ? 'd' : 'f'; /* DT_DIR */
			memcpy(into + put, name, span);
			put += (int64_t)span;
		}
	}
	if (fd >= 0)
		close(fd);
	return status < 0 ? status : put;
}

/*
 * Watches what `path` leads to for inotify_add_watch(2) of a program with these rights, and tells where that is and what
 * is in it by then. The watch's number, or -errno; a number that was given can be removed when `into` had no room.
 */
SYS int32_t watch_subject(int32_t inotify, int32_t root, const char *path, uint32_t mask, const uint32_t *rights,
			  char *into, uint32_t room, struct told *told)
{
	enum { FOR_PATHS = IN_ONLYDIR | IN_DONT_FOLLOW, OF_READING = IN_ACCESS | IN_OPEN | IN_CLOSE_NOWRITE };
	uint32_t events = (mask & ~(uint32_t)FOR_PATHS) | IN_MASK_ADD;
	char link[32];
	struct stat st;
	int flags = (mask & IN_ONLYDIR ? O_DIRECTORY : 0) | (mask & IN_DONT_FOLLOW ? O_NOFOLLOW : 0);
	*told = (struct told){ 0 };
	rights_take(rights);
	int found = find_object(root, path, (uint64_t)flags);
	int64_t number = found, status = found;
	if (found >= 0) {
		snprintf(link, sizeof link, "/proc/self/fd/%d", found);
		number = result(inotify_add_watch(inotify, link, events & ~(uint32_t)OF_READING));
		status = number < 0 ? number : path_below(root, found, into, room);
	}
	if (status >= 0) {
		told->path_bytes = (uint32_t)status;
		status = result(fstat(found, &st));
	}
	if (status >= 0 && S_ISDIR(st.st_mode)) {
		told->is_directory = 1;
		status = put_entries(link, into + told->path_bytes, room - told->path_bytes);
		told->entry_bytes = status > 0 ? (uint32_t)status : 0;
	}
	/* Our own looking is nobody's news. */
	if (status >= 0 && (mask & OF_READING))
		number = result(inotify_add_watch(inotify, link, events));
	rights_lay_down(rights);
	if (found >= 0)
		close(found);
	if (status < 0 && number >= 0)
		told->path_bytes = told->entry_bytes = 0;
	return (int32_t)(status < 0 ? status : number);
}
