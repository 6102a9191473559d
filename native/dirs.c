/* dirs.c - hooks of directory reading. A remote directory came whole with one answer; its memfd is mapped privately and
 * handed out record by record, so nothing is copied and nothing is asked again.
 *
 * Our DIR objects lie in one arena: whether a DIR is ours is a comparison of pointers.
 */
#include "cwd.h"
#include "fds.h"
#include "real.h"
#include "remote.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

struct own_dir {
	_Atomic bool is_open;
	int fd;
	char *entries;
	size_t mapped, end, at;
	bool is_rewound;
};

enum { DIRS = 8192 };
static _Atomic(struct own_dir *) arena;

static struct own_dir *own(DIR *dir)
{
	struct own_dir *first = atomic_load_explicit(&arena, memory_order_acquire);
	struct own_dir *it = (struct own_dir *)dir;
	return unlikely(first && it >= first && it < first + DIRS) ? it : NULL;
}

static struct own_dir *new_dir(void)
{
	struct own_dir *first = atomic_load_explicit(&arena, memory_order_acquire);
	if (!first) {
		size_t bytes = DIRS * sizeof *first;
		int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
		first = (void *)kernel(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
		if ((unsigned long)first >= -4095UL)
			return NULL;
		struct own_dir *none = NULL;
		if (!atomic_compare_exchange_strong(&arena, &none, first)) {
			kernel(SYS_munmap, first, bytes);
			first = none;
		}
	}
	for (int at = 0; at < DIRS; at++) {
		bool is_open = false;
		if (atomic_compare_exchange_strong(&first[at].is_open, &is_open, true))
			return &first[at];
	}
	return NULL;
}

/* A DIR over a descriptor of ours, whose position it takes over. NULL with errno set: the descriptor is as it was. */
static DIR *dir_over(int fd, const struct directory_footer *footer)
{
	size_t mapped = footer->entries_bytes ? footer->entries_bytes : 1;
	void *map = (void *)kernel(SYS_mmap, 0, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	struct own_dir *dir = (unsigned long)map < -4095UL ? new_dir() : NULL;
	if (!dir) {
		errno = (unsigned long)map < -4095UL ? EMFILE : (int)-(long)map;
		if ((unsigned long)map < -4095UL)
			kernel(SYS_munmap, map, mapped);
		return NULL;
	}
	dir->fd = fd;
	dir->entries = map;
	dir->mapped = mapped;
	dir->end = footer->entries_bytes;
	long position = kernel(SYS_lseek, fd, 0, SEEK_CUR);
	dir->at = fds_entries_offset(position);
	/* Where it was read before, and gone back to its beginning: see hook_rewinddir. Or before it was read for the first time, its
	 * entries became others by what the process did. */
	dir->is_rewound = position == 0 || (position == DIRECTORY_BASE && fds_listing_is_old(fd));
	return (DIR *)dir;
}

/* NULL with errno set, or a DIR; `*is_local`: the real function is wanted. */
static DIR *open_at(int dirfd, const char *path, bool *is_local)
{
	struct directory_footer footer;
	long fd = try_open(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*is_local = fd == BYPASS;
	if (*is_local || edge(fd) < 0)
		return NULL;
	int error = fds_directory((int)fd, &footer);
	DIR *dir = error ? NULL : dir_over((int)fd, &footer);
	if (error)
		errno = error == -ENOTDIR ? ENOTDIR : EIO;
	if (!dir)
		kernel(SYS_close, fd);
	return dir;
}

DIR *hook_opendir(const char *path)
{
	bool is_local;
	DIR *dir = open_at(AT_FDCWD, path, &is_local);
	return is_local ? real.opendir(path) : dir;
}

DIR *hook_fdopendir(int fd)
{
	struct directory_footer footer;
	int error = fds_directory(fd, &footer);
	if (error == -EBADF)
		return real.fdopendir(fd);
	if (edge(error) < 0)
		return NULL;
	kernel(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC); /* as glibc does */
	return dir_over(fd, &footer);
}

/* The descriptor stands for the directory as it is now, from its beginning. What cannot be had any more stays as it was. */
static bool open_anew(int directory, struct directory_footer *footer)
{
	char path[WIRE_PATH_BYTES];
	ssize_t length = fds_directory_path(directory, path, sizeof path);
	int fd = length < 0 ? -1 : remote_open((struct wire_bytes){ path, (uint32_t)length }, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	long flags = kernel(SYS_fcntl, directory, F_GETFD);
	bool is_had = fds_directory(fd, footer) == 0 && kernel(SYS_dup3, fd, directory, flags & FD_CLOEXEC ? O_CLOEXEC : 0) >= 0;
	kernel(SYS_close, fd);
	return is_had;
}

/* "It shall also cause the directory stream to refer to the current state of the directory" (rewinddir): asked for by who
 * reads on. */
static void list_again(struct own_dir *dir)
{
	struct directory_footer footer = { 0 };
	if (!open_anew(dir->fd, &footer))
		return;
	size_t mapped = footer.entries_bytes ? footer.entries_bytes : 1;
	void *map = (void *)kernel(SYS_mmap, 0, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE, dir->fd, 0);
	if ((unsigned long)map >= -4095UL)
		return;
	kernel(SYS_munmap, dir->entries, dir->mapped);
	dir->entries = map;
	dir->mapped = mapped;
	dir->end = footer.entries_bytes;
}

static struct dirent *next_of(struct own_dir *dir)
{
	if (unlikely(dir->is_rewound)) {
		dir->is_rewound = false;
		if (dir->at == 0)
			list_again(dir);
	}
	if (dir->at >= dir->end)
		return NULL;
	struct dirent *entry = (struct dirent *)(dir->entries + dir->at);
	dir->at += entry->d_reclen;
	return entry;
}

struct dirent *hook_readdir(DIR *dir)
{
	struct own_dir *it = own(dir);
	return it ? next_of(it) : real.readdir(dir);
}

int hook_readdir_r(DIR *dir, struct dirent *entry, struct dirent **result)
{
	struct own_dir *it = own(dir);
	if (!it)
		return real.readdir_r(dir, entry, result);
	struct dirent *next = next_of(it);
	if (next)
		memcpy(entry, next, next->d_reclen < sizeof *entry ? next->d_reclen : sizeof *entry);
	*result = next ? entry : NULL;
	return 0;
}

int hook_closedir(DIR *dir)
{
	struct own_dir *it = own(dir);
	if (!it)
		return real.closedir(dir);
	int fd = it->fd;
	kernel(SYS_munmap, it->entries, it->mapped);
	atomic_store(&it->is_open, false);
	return edge(kernel(SYS_close, fd));
}

static void go_to(struct own_dir *dir, uint64_t at)
{
	dir->at = at < dir->end ? at : dir->end;
}

void hook_rewinddir(DIR *dir)
{
	struct own_dir *it = own(dir);
	if (!it) {
		real.rewinddir(dir);
		return;
	}
	go_to(it, 0);
	it->is_rewound = true;
	/* Other descriptors of it begin anew as well; one that has not been read stands at DIRECTORY_BASE. */
	kernel(SYS_lseek, it->fd, 0, SEEK_SET);
}

/* The same number as d_off of the entry before. */
long hook_telldir(DIR *dir)
{
	struct own_dir *it = own(dir);
	return it ? DIRECTORY_BASE + (long)it->at : real.telldir(dir);
}

void hook_seekdir(DIR *dir, long position)
{
	struct own_dir *it = own(dir);
	if (it)
		go_to(it, fds_entries_offset(position));
	else
		real.seekdir(dir, position);
}

int hook_dirfd(DIR *dir)
{
	struct own_dir *it = own(dir);
	return it ? it->fd : real.dirfd(dir);
}

/* ---- whole listings ---- */

static int compare(const void *a, const void *b, void *order)
{
	return ((dirent_order)order)((const struct dirent **)a, (const struct dirent **)b);
}

static void drop(struct dirent **list, size_t count)
{
	while (count > 0)
		free(list[--count]);
	free(list);
}

/* Room for one more in a list that grows by doubling. */
static bool has_room(struct dirent ***list, size_t count)
{
	if ((count & (count - 1)) != 0 || (count != 0 && count < 16))
		return true;
	struct dirent **grown = realloc(*list, (count < 16 ? 16 : 2 * count) * sizeof **list);
	if (grown)
		*list = grown;
	return grown != NULL;
}

static int collect(DIR *dir, struct dirent ***result, dirent_filter filter, dirent_order order)
{
	struct dirent **list = NULL;
	size_t count = 0;
	for (struct dirent *entry; (entry = next_of(own(dir)));) {
		if (filter && !filter(entry))
			continue;
		struct dirent *copy = has_room(&list, count) ? malloc(entry->d_reclen) : NULL;
		if (!copy) {
			drop(list, count);
			errno = ENOMEM;
			return -1;
		}
		memcpy(copy, entry, entry->d_reclen);
		list[count++] = copy;
	}
	if (!list)
		list = malloc(sizeof *list);
	if (order && count > 1)
		qsort_r(list, count, sizeof *list, compare, (void *)order);
	*result = list;
	return (int)count;
}

static int scan(DIR *dir, struct dirent ***list, dirent_filter filter, dirent_order order)
{
	if (!dir)
		return -1;
	int count = collect(dir, list, filter, order);
	int saved = errno;
	hook_closedir(dir);
	errno = saved;
	return count;
}

int hook_scandir(const char *path, struct dirent ***list, dirent_filter filter, dirent_order order)
{
	bool is_local;
	DIR *dir = open_at(AT_FDCWD, path, &is_local);
	return is_local ? real.scandir(path, list, filter, order) : scan(dir, list, filter, order);
}

int hook_scandirat(int at, const char *path, struct dirent ***list, dirent_filter filter, dirent_order order)
{
	bool is_local;
	DIR *dir = open_at(at, path, &is_local);
	return is_local ? real.scandirat(at, path, list, filter, order) : scan(dir, list, filter, order);
}

/* As many whole records as fit, from the descriptor's own position. */
static long read_entries(int fd, const struct directory_footer *footer, char *into, size_t room)
{
	uint64_t at = fds_entries_offset(kernel(SYS_lseek, fd, 0, SEEK_CUR));
	if (at >= footer->entries_bytes)
		return 0;
	if (room > footer->entries_bytes - at)
		room = footer->entries_bytes - at;
	long count = kernel(SYS_pread64, fd, into, room, at);
	if (count == -EBADF) {
		int readable = fds_open_again(fd, O_RDONLY);
		count = readable < 0 ? readable : kernel(SYS_pread64, readable, into, room, at);
		if (readable >= 0)
			kernel(SYS_close, readable);
	}
	if (count < 0)
		return count;
	long whole = 0;
	for (uint16_t length; whole + 20 <= count; whole += length) {
		memcpy(&length, into + whole + 16, sizeof length);
		if (length == 0 || whole + length > count)
			break;
	}
	if (whole == 0)
		return -EINVAL;
	kernel(SYS_lseek, fd, DIRECTORY_BASE + (int64_t)at + whole, SEEK_SET);
	return whole;
}

/* A local directory answers at once; what the kernel calls no directory may be one of ours. */
ssize_t hook_getdents64(int fd, void *into, size_t room)
{
	int saved = errno;
	struct directory_footer footer;
	long result = kernel(SYS_getdents64, fd, into, room);
	if (result == -ENOTDIR && fds_directory(fd, &footer) == 0) {
		if (kernel(SYS_lseek, fd, 0, SEEK_CUR) == 0)
			open_anew(fd, &footer);
		result = read_entries(fd, &footer, into, room);
	}
	if (result >= 0)
		errno = saved;
	return result < 0 ? edge(result) : result;
}

/* ---- patterns: libc's own matching over our directories ---- */

static void *pattern_opendir(const char *path)
{
	char room[WIRE_PATH_BYTES];
	return hook_opendir(cwd_absolute(AT_FDCWD, path, room));
}

static struct dirent *pattern_readdir(void *dir)
{
	return hook_readdir(dir);
}

static void pattern_closedir(void *dir)
{
	hook_closedir(dir);
}

static int pattern_stat(const char *path, void *st)
{
	char room[WIRE_PATH_BYTES];
	return hook_stat(cwd_absolute(AT_FDCWD, path, room), st);
}

static int pattern_lstat(const char *path, void *st)
{
	char room[WIRE_PATH_BYTES];
	return hook_lstat(cwd_absolute(AT_FDCWD, path, room), st);
}

int hook_glob(const char *pattern, int flags, int (*onerror)(const char *, int), glob_t *found)
{
	if (shim.fs_mode == FS_LOCAL || (flags & GLOB_ALTDIRFUNC))
		return real.glob(pattern, flags, onerror, found);
	found->gl_opendir = pattern_opendir;
	found->gl_readdir = (void *)pattern_readdir;
	found->gl_closedir = pattern_closedir;
	found->gl_stat = (void *)pattern_stat;
	found->gl_lstat = (void *)pattern_lstat;
	int result = real.glob(pattern, flags | GLOB_ALTDIRFUNC, onerror, found);
	found->gl_flags &= ~GLOB_ALTDIRFUNC;
	return result;
}
