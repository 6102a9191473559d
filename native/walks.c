/* walks.c - ftw(3) and nftw(3) from a path of the target: libc's own would list and stat by calls we do not see.
 *
 * What the callback gets and in which order is as glibc has it: entries as readdir gives them, each directory once when
 * links are followed, FTW_CHDIR by descriptors. A walk keeps every level of it open (as memory, not as descriptors of the
 * target), so `descriptors` does not matter.
 */
#include "walks.h"
#include "cwd.h"
#include "remote.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>

enum { ACTIONS = FTW_ACTIONRETVAL, KNOWN_FLAGS = FTW_PHYS | FTW_MOUNT | FTW_CHDIR | FTW_DEPTH | FTW_ACTIONRETVAL };

struct walk {
	/* One of them: what ftw(3) and nftw(3) call. */
	ftw_callback simple;
	nftw_callback full;
	int flags;
	struct FTW where;
	dev_t device;
	char *path;
	size_t length, room;
	/* Directories that were met, when links are followed. */
	struct met {
		dev_t dev;
		ino_t ino;
	} *met;
	size_t met_count;
};

/* A directory that is being walked: for FTW_CHDIR the way back. */
struct level {
	DIR *dir;
	const struct level *above;
};

static int call(struct walk *walk, const struct stat *st, int type)
{
	if (walk->full)
		return walk->full(walk->path, st, type, &walk->where);
	/* ftw(3) knows fewer types. */
	int simple = type == FTW_SL ? FTW_F : type == FTW_DP ? FTW_D : type == FTW_SLN ? FTW_NS : type;
	return walk->simple(walk->path, st, simple);
}

__attribute__((noinline)) int walks_stat(int dirfd, const char *name, struct stat *st, bool is_link_wanted)
{
	char room[WIRE_PATH_BYTES];
	int flags = is_link_wanted ? AT_SYMLINK_NOFOLLOW : 0;
	return hook_fstatat(dirfd, cwd_absolute(dirfd, name, room), st, flags);
}

__attribute__((noinline)) int walks_open(int dirfd, const char *name)
{
	char room[WIRE_PATH_BYTES];
	return hook_openat(dirfd, cwd_absolute(dirfd, name, room), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

static DIR *open_directory(int dirfd, const char *name)
{
	int fd = walks_open(dirfd, name);
	DIR *dir = fd < 0 ? NULL : hook_fdopendir(fd);
	if (fd >= 0 && !dir) {
		int saved = errno;
		hook_close(fd);
		errno = saved;
	}
	return dir;
}

__attribute__((noinline)) int walks_change_directory(const char *path)
{
	char room[WIRE_PATH_BYTES];
	return hook_chdir(cwd_absolute(AT_FDCWD, path, room));
}

/* True for the first time, false afterwards; -1 without memory. */
static int is_new(struct walk *walk, const struct stat *st)
{
	for (size_t at = 0; at < walk->met_count; at++)
		if (walk->met[at].ino == st->st_ino && walk->met[at].dev == st->st_dev)
			return false;
	if ((walk->met_count & (walk->met_count - 1)) == 0) {
		size_t room = walk->met_count ? 2 * walk->met_count : 1;
		struct met *grown = realloc(walk->met, room * sizeof *grown);
		if (!grown)
			return -1;
		walk->met = grown;
	}
	walk->met[walk->met_count++] = (struct met){ st->st_dev, st->st_ino };
	return true;
}

/* Writes `name` behind the directory that the path is; 0 or -1. */
static int put_name(struct walk *walk, size_t base, const char *name)
{
	size_t length = strlen(name);
	if (base + length + 1 > walk->room) {
		size_t room = 2 * (base + length + 1);
		char *grown = realloc(walk->path, room);
		if (!grown)
			return -1;
		walk->path = grown;
		walk->room = room;
	}
	memcpy(walk->path + base, name, length + 1);
	walk->length = base + length;
	return 0;
}

static int walk_directory(struct walk *walk, const struct stat *st, int dirfd, const char *name, const struct level *above);

/* The type of what could not be followed, or -1 when the walk ends. */
static int type_of_missing(const struct walk *walk, int dirfd, const char *name, struct stat *st)
{
	if (errno != EACCES && errno != ENOENT)
		return -1;
	if (!(walk->flags & FTW_PHYS) && walks_stat(dirfd, name, st, true) == 0 && S_ISLNK(st->st_mode))
		return FTW_SLN;
	return FTW_NS;
}

static int visit(struct walk *walk, const struct level *level, const char *name)
{
	struct stat st;
	int dirfd = hook_dirfd(level->dir);
	if (put_name(walk, (size_t)walk->where.base, name) < 0)
		return -1;
	int type = FTW_F;
	if (walks_stat(dirfd, name, &st, walk->flags & FTW_PHYS) < 0)
		type = type_of_missing(walk, dirfd, name, &st);
	else if (S_ISDIR(st.st_mode))
		type = FTW_D;
	else if (S_ISLNK(st.st_mode))
		type = FTW_SL;
	if (type < 0)
		return -1;
	if (type != FTW_NS && (walk->flags & FTW_MOUNT) && st.st_dev != walk->device)
		return 0;
	int result;
	if (type != FTW_D) {
		result = call(walk, &st, type);
	} else {
		result = walk->flags & FTW_PHYS ? true : is_new(walk, &st);
		if (result > 0)
			result = walk_directory(walk, &st, dirfd, name, level);
	}
	return (walk->flags & ACTIONS) && result == FTW_SKIP_SUBTREE ? 0 : result;
}

static int visit_all(struct walk *walk, const struct level *level)
{
	int result = 0;
	for (struct dirent *entry; result == 0 && (entry = hook_readdir(level->dir));) {
		const char *name = entry->d_name;
		if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
			continue;
		result = visit(walk, level, name);
	}
	return (walk->flags & ACTIONS) && result == FTW_SKIP_SIBLINGS ? 0 : result;
}

static int go_back(const struct walk *walk, const struct level *above)
{
	(void)walk;
	return above ? hook_fchdir(hook_dirfd(above->dir)) : 0;
}

/* `name` is what `walk->path` is called from `dirfd`. */
static int walk_directory(struct walk *walk, const struct stat *st, int dirfd, const char *name, const struct level *above)
{
	struct level level = { open_directory(dirfd, name), above };
	int base = walk->where.base;
	size_t length = walk->length;
	if (!level.dir)
		return errno == EACCES ? call(walk, st, FTW_DNR) : -1;
	int result = walk->flags & FTW_DEPTH ? 0 : call(walk, st, FTW_D);
	if (result == 0 && (walk->flags & FTW_CHDIR))
		result = hook_fchdir(hook_dirfd(level.dir));
	bool is_entered = result == 0;
	if (is_entered) {
		bool has_slash = length > 0 && walk->path[length - 1] == '/';
		result = has_slash ? 0 : put_name(walk, length, "/");
		walk->where.level++;
		walk->where.base = (int)walk->length;
		if (result == 0)
			result = visit_all(walk, &level);
		walk->where.level--;
		walk->where.base = base;
		walk->path[length] = '\0';
		walk->length = length;
	}
	int saved = errno;
	hook_closedir(level.dir);
	errno = saved;
	if (result == 0 && (walk->flags & FTW_DEPTH))
		result = call(walk, st, FTW_DP);
	bool goes_on = result == 0 || ((walk->flags & ACTIONS) && result != -1 && result != FTW_STOP);
	if (is_entered && goes_on && (walk->flags & FTW_CHDIR) && go_back(walk, above) < 0)
		result = -1;
	return result;
}

static int walk_from(struct walk *walk, const char *name)
{
	struct stat st;
	bool is_physical = walk->flags & FTW_PHYS;
	if (walks_stat(AT_FDCWD, name, &st, is_physical) < 0) {
		bool is_dangling = !is_physical && errno == ENOENT && walks_stat(AT_FDCWD, name, &st, true) == 0 &&
				   S_ISLNK(st.st_mode);
		return is_dangling ? call(walk, &st, FTW_SLN) : -1;
	}
	if (!S_ISDIR(st.st_mode))
		return call(walk, &st, S_ISLNK(st.st_mode) ? FTW_SL : FTW_F);
	walk->device = st.st_dev;
	if (!is_physical && is_new(walk, &st) < 0)
		return -1;
	return walk_directory(walk, &st, AT_FDCWD, name, NULL);
}

/* FTW_CHDIR: into the directory that holds the start, and afterwards back. */
static int walk_changing_directory(struct walk *walk)
{
	int back = walks_open(AT_FDCWD, ".");
	if (back < 0)
		return -1;
	int base = walk->where.base;
	int result = 0;
	if (base > 0) {
		char after = walk->path[base];
		walk->path[base] = '\0';
		result = walks_change_directory(walk->path);
		walk->path[base] = after;
	}
	if (result == 0)
		result = walk_from(walk, walk->path[base] ? walk->path + base : ".");
	int saved = errno;
	if (hook_fchdir(back) < 0 && result == 0)
		result = -1;
	hook_close(back);
	errno = saved;
	return result;
}

static int start_walk(struct walk *walk, const char *directory)
{
	size_t length = strlen(directory);
	walk->room = length + 256;
	walk->path = malloc(walk->room);
	if (!walk->path || put_name(walk, 0, directory) < 0)
		return -1;
	while (length > 1 && directory[length - 1] == '/')
		length--;
	walk->path[length] = '\0';
	walk->length = length;
	while (length > 0 && directory[length - 1] != '/')
		length--;
	walk->where.base = (int)length;
	int result = walk->flags & FTW_CHDIR ? walk_changing_directory(walk) : walk_from(walk, walk->path);
	bool is_skipped = result == FTW_SKIP_SUBTREE || result == FTW_SKIP_SIBLINGS;
	int saved = errno;
	free(walk->path);
	free(walk->met);
	errno = saved;
	return (walk->flags & ACTIONS) && is_skipped ? 0 : result;
}

bool walks_begin_remote(const char *directory)
{
	struct place place;
	return locate(AT_FDCWD, directory, false, &place) != LOCAL || (cwd_may_be_away() && directory && *directory != '/');
}

int hook_ftw(const char *directory, ftw_callback each, int descriptors)
{
	if (!walks_begin_remote(directory))
		return real.ftw(directory, each, descriptors);
	return start_walk(&(struct walk){ .simple = each }, directory);
}

int hook_nftw(const char *directory, nftw_callback each, int descriptors, int flags)
{
	if ((flags & ~KNOWN_FLAGS) || !walks_begin_remote(directory))
		return real.nftw(directory, each, descriptors, flags);
	return start_walk(&(struct walk){ .full = each, .flags = flags }, directory);
}
