/* fts.c - fts(3) from a path of the target: libc's own would look at this machine.
 *
 * Entries, their order, where the program stands, and what the instructions do are as glibc has them. A walk of ours bears a
 * mark in its options, which libc's do not. The path has room for the longest that its length can tell (an unsigned short).
 */
#include "walks.h"
#include "cwd.h"

#include <fcntl.h>
#include <stdlib.h>

enum {
	OWN = 1 << 30,
	PATH_ROOM = 65536 + NAME_MAX + 2,
	/* What fts_flags and fts_instr say, as in fts.h. */
	NO_INSTRUCTION = FTS_NOINSTR,
};

/* What a directory is read for: the names, the entries for the program, the entries to go on with. */
enum purpose { FOR_NAMES, FOR_CHILDREN, FOR_READING };

static bool has(const FTS *walk, int option)
{
	return (walk->fts_options & option) != 0;
}

static bool is_ours(const FTS *walk)
{
	return (walk->fts_options & OWN) != 0;
}

static bool is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static FTSENT *new_entry(FTS *walk, const char *name, size_t length)
{
	/* The stat lies behind the name. */
	size_t stat_at = (sizeof(FTSENT) + length + 1 + 15) & ~(size_t)15;
	FTSENT *entry = calloc(1, stat_at + sizeof(struct stat));
	if (!entry)
		return NULL;
	memcpy(entry->fts_name, name, length + 1);
	entry->fts_path = walk->fts_path;
	entry->fts_namelen = (unsigned short)length;
	entry->fts_instr = NO_INSTRUCTION;
	entry->fts_statp = has(walk, FTS_NOSTAT) ? NULL : (struct stat *)((char *)entry + stat_at);
	return entry;
}

static void drop_all(FTSENT *first)
{
	while (first) {
		FTSENT *next = first->fts_link;
		free(first);
		first = next;
	}
}

static unsigned short kind_of(FTS *walk, FTSENT *entry, bool is_following)
{
	struct stat own, *st = entry->fts_statp ? entry->fts_statp : &own;
	bool is_logical = has(walk, FTS_LOGICAL) || is_following;
	if (walks_stat(AT_FDCWD, entry->fts_accpath, st, !is_logical) < 0) {
		int error = errno;
		if (is_logical && walks_stat(AT_FDCWD, entry->fts_accpath, st, true) == 0) {
			errno = 0;
			return FTS_SLNONE;
		}
		entry->fts_errno = error;
		memset(st, 0, sizeof *st);
		return FTS_NS;
	}
	if (!S_ISDIR(st->st_mode))
		return S_ISLNK(st->st_mode) ? FTS_SL : S_ISREG(st->st_mode) ? FTS_F : FTS_DEFAULT;
	entry->fts_dev = st->st_dev;
	entry->fts_ino = st->st_ino;
	entry->fts_nlink = st->st_nlink;
	if (is_dot(entry->fts_name))
		return FTS_DOT;
	for (FTSENT *above = entry->fts_parent; above->fts_level >= FTS_ROOTLEVEL; above = above->fts_parent) {
		if (above->fts_ino != entry->fts_ino || above->fts_dev != entry->fts_dev)
			continue;
		entry->fts_cycle = above;
		return FTS_DC;
	}
	return FTS_D;
}

static int compare(const void *a, const void *b, void *order)
{
	return ((fts_order)order)((const FTSENT **)a, (const FTSENT **)b);
}

/* Without memory the order stays as it is. */
static FTSENT *sorted(const FTS *walk, FTSENT *first, size_t count)
{
	FTSENT **list = walk->fts_compar && count > 1 ? malloc(count * sizeof *list) : NULL;
	if (!list)
		return first;
	for (size_t at = 0; at < count; at++, first = first->fts_link)
		list[at] = first;
	qsort_r(list, count, sizeof *list, compare, (void *)walk->fts_compar);
	for (size_t at = 0; at < count; at++)
		list[at]->fts_link = at + 1 < count ? list[at + 1] : NULL;
	first = list[0];
	free(list);
	return first;
}

/* ---- where the program stands ---- */

static int go_to_start(const FTS *walk)
{
	return has(walk, FTS_NOCHDIR) ? 0 : hook_fchdir(walk->fts_rfd);
}

/* Into the directory that `entry` is, if it is still that one; `fd` is open on it, or -1. */
static int go_into(const FTS *walk, const FTSENT *entry, int fd, const char *path)
{
	struct stat st;
	if (has(walk, FTS_NOCHDIR))
		return 0;
	int opened = fd < 0 ? walks_open(AT_FDCWD, path) : fd;
	if (opened < 0)
		return -1;
	int result = hook_fstat(opened, &st);
	if (result == 0 && (st.st_dev != entry->fts_dev || st.st_ino != entry->fts_ino)) {
		errno = ENOENT;
		result = -1;
	}
	if (result == 0)
		result = hook_fchdir(opened);
	int saved = errno;
	if (fd < 0)
		hook_close(opened);
	errno = saved;
	return result;
}

static FTSENT *stopped(FTS *walk)
{
	walk->fts_options |= FTS_STOP;
	return NULL;
}

/* After a link to a directory was followed: the way back. */
static void keep_way_back(const FTS *walk, FTSENT *entry)
{
	if (entry->fts_info != FTS_D || has(walk, FTS_NOCHDIR))
		return;
	entry->fts_symfd = walks_open(AT_FDCWD, ".");
	if (entry->fts_symfd < 0) {
		entry->fts_errno = errno;
		entry->fts_info = FTS_ERR;
	} else {
		entry->fts_flags |= FTS_SYMFOLLOW;
	}
}

static void follow(FTS *walk, FTSENT *entry)
{
	entry->fts_info = kind_of(walk, entry, true);
	if (entry->fts_level == FTS_ROOTLEVEL)
		walk->fts_dev = entry->fts_dev;
	keep_way_back(walk, entry);
}

/* ---- reading a directory ---- */

/* Where a name goes behind the path of `entry`. */
static size_t end_of(const FTSENT *entry)
{
	size_t length = entry->fts_pathlen;
	return length > 0 && entry->fts_path[length - 1] == '/' ? length - 1 : length;
}

/* `directories`: how many are to come, where links are counted; or -1. Without any, nothing is asked about an entry. */
static void describe(FTS *walk, FTSENT *directory, FTSENT *entry, long *directories, unsigned char type)
{
	bool is_known = has(walk, FTS_NOSTAT) && has(walk, FTS_PHYSICAL) && type != DT_DIR && type != DT_UNKNOWN;
	entry->fts_accpath = has(walk, FTS_NOCHDIR) ? entry->fts_path : entry->fts_name;
	entry->fts_info = FTS_NSOK;
	if (*directories != 0 && !is_known) {
		size_t end = end_of(directory);
		if (has(walk, FTS_NOCHDIR)) {
			walk->fts_path[end] = '/';
			memcpy(walk->fts_path + end + 1, entry->fts_name, entry->fts_namelen + 1u);
		}
		entry->fts_info = kind_of(walk, entry, false);
		bool is_directory = entry->fts_info == FTS_D || entry->fts_info == FTS_DC || entry->fts_info == FTS_DOT;
		if (*directories > 0 && is_directory)
			--*directories;
	}
}

/* The entries of an open directory in a list; `*count` of them. False: there is no memory, or a path is too long. */
static bool list(FTS *walk, FTSENT *directory, DIR *dir, long directories, FTSENT **first, size_t *count)
{
	FTSENT **next = first;
	size_t length = end_of(directory) + 1;
	for (struct dirent *it; (it = hook_readdir(dir));) {
		if (!has(walk, FTS_SEEDOT) && is_dot(it->d_name))
			continue;
		size_t span = strlen(it->d_name);
		FTSENT *entry = length + span <= UINT16_MAX ? new_entry(walk, it->d_name, span) : NULL;
		if (!entry) {
			errno = length + span <= UINT16_MAX ? ENOMEM : ENAMETOOLONG;
			return false;
		}
		entry->fts_level = (short)(directory->fts_level + 1);
		entry->fts_parent = directory;
		entry->fts_pathlen = (unsigned short)(length + span);
		describe(walk, directory, entry, &directories, it->d_type);
		*next = entry;
		next = &entry->fts_link;
		++*count;
	}
	return true;
}

static FTSENT *failed_to_list(FTS *walk, FTSENT *directory, FTSENT *first)
{
	int saved = errno;
	drop_all(first);
	directory->fts_info = FTS_ERR;
	directory->fts_errno = saved;
	errno = saved;
	return stopped(walk);
}

/* The way down is gone before the entries are looked at, and back when the program only wants to see them. */
static FTSENT *read_directory(FTS *walk, enum purpose purpose)
{
	FTSENT *directory = walk->fts_cur, *first = NULL;
	size_t count = 0;
	char room[WIRE_PATH_BYTES];
	DIR *dir = hook_opendir(cwd_absolute(AT_FDCWD, directory->fts_accpath, room));
	if (!dir) {
		if (purpose == FOR_READING) {
			directory->fts_info = FTS_DNR;
			directory->fts_errno = errno;
		}
		return NULL;
	}
	bool is_counting = has(walk, FTS_NOSTAT) && has(walk, FTS_PHYSICAL);
	long links = (long)directory->fts_nlink - (has(walk, FTS_SEEDOT) ? 0 : 2);
	long directories = purpose == FOR_NAMES ? 0 : is_counting ? links : -1;
	bool is_to_go = directories != 0 || purpose == FOR_READING;
	bool is_down = is_to_go && go_into(walk, directory, hook_dirfd(dir), NULL) == 0;
	if (is_to_go && !is_down) {
		/* Nothing in there is looked at. */
		if (directories != 0 && purpose == FOR_READING)
			directory->fts_errno = errno;
		directory->fts_flags |= FTS_DONTCHDIR;
	}
	bool is_listed = is_to_go > is_down || list(walk, directory, dir, directories, &first, &count);
	int saved = errno;
	hook_closedir(dir);
	errno = saved;
	if (!is_listed)
		return failed_to_list(walk, directory, first);
	walk->fts_path[directory->fts_pathlen] = '\0';
	bool is_to_return = is_down && (purpose == FOR_CHILDREN || count == 0);
	if (is_to_return && (directory->fts_level == FTS_ROOTLEVEL ? go_to_start(walk) :
								     go_into(walk, directory->fts_parent, -1, ".."))) {
		drop_all(first);
		directory->fts_info = FTS_ERR;
		return stopped(walk);
	}
	if (count == 0 && purpose == FOR_READING)
		directory->fts_info = FTS_DP;
	return sorted(walk, first, count);
}

/* ---- a walk ---- */

/* The walk goes on with one of its roots. */
static void begin_root(FTS *walk, FTSENT *root)
{
	size_t length = root->fts_namelen;
	root->fts_pathlen = root->fts_namelen;
	memmove(walk->fts_path, root->fts_name, length + 1);
	char *slash = strrchr(root->fts_name, '/');
	if (slash && (slash != root->fts_name || slash[1])) {
		length = strlen(++slash);
		memmove(root->fts_name, slash, length + 1);
		root->fts_namelen = (unsigned short)length;
	}
	root->fts_accpath = root->fts_path = walk->fts_path;
	walk->fts_dev = root->fts_dev;
}

static FTSENT *list_roots(FTS *walk, char *const *roots, FTSENT *above)
{
	FTSENT *first = NULL, **next = &first;
	size_t count = 0;
	for (; *roots; roots++, count++) {
		size_t length = strlen(*roots);
		FTSENT *root = length > 0 && length <= UINT16_MAX ? new_entry(walk, *roots, length) : NULL;
		if (!root) {
			errno = length == 0 ? ENOENT : length > UINT16_MAX ? ENAMETOOLONG : ENOMEM;
			drop_all(first);
			return NULL;
		}
		root->fts_level = FTS_ROOTLEVEL;
		root->fts_parent = above;
		root->fts_accpath = root->fts_name;
		root->fts_info = kind_of(walk, root, has(walk, FTS_COMFOLLOW));
		if (root->fts_info == FTS_DOT)
			root->fts_info = FTS_D;
		*next = root;
		next = &root->fts_link;
	}
	return sorted(walk, first, count);
}

static FTS *open_walk(char *const *roots, int options, fts_order order)
{
	FTS *walk = calloc(1, sizeof *walk);
	if (!walk)
		return NULL;
	walk->fts_compar = (int (*)(const void *, const void *))order;
	walk->fts_options = options | OWN | (options & FTS_LOGICAL ? FTS_NOCHDIR : 0);
	walk->fts_path = malloc(PATH_ROOM);
	FTSENT *above = walk->fts_path ? new_entry(walk, "", 0) : NULL;
	FTSENT *start = above ? new_entry(walk, "", 0) : NULL;
	if (above)
		above->fts_level = FTS_ROOTPARENTLEVEL;
	FTSENT *first = start ? list_roots(walk, roots, above) : NULL;
	if (!first) {
		int saved = start ? errno : ENOMEM;
		free(start);
		free(above);
		free(walk->fts_path);
		free(walk);
		errno = saved;
		return NULL;
	}
	start->fts_link = first;
	start->fts_parent = above;
	start->fts_info = FTS_INIT;
	walk->fts_cur = start;
	if (!has(walk, FTS_NOCHDIR) && (walk->fts_rfd = walks_open(AT_FDCWD, ".")) < 0)
		walk->fts_options |= FTS_NOCHDIR;
	return walk;
}

FTS *hook_fts_open(char *const *roots, int options, fts_order order)
{
	bool is_remote = false;
	for (char *const *root = roots; roots && *root && !is_remote; root++)
		is_remote = walks_begin_remote(*root);
	if (!is_remote || (options & ~FTS_OPTIONMASK))
		return real.fts_open(roots, options, order);
	return open_walk(roots, options, order);
}

static void forget_children(FTS *walk)
{
	drop_all(walk->fts_child);
	walk->fts_child = NULL;
}

static FTSENT *named(FTS *walk, FTSENT *entry)
{
	size_t end = end_of(entry->fts_parent);
	walk->fts_path[end] = '/';
	memcpy(walk->fts_path + end + 1, entry->fts_name, entry->fts_namelen + 1u);
	return walk->fts_cur = entry;
}

/* Below a directory: its first entry; or the directory itself once more, or NULL when the walk stops. */
static FTSENT *descend(FTS *walk, FTSENT *entry, int instruction)
{
	if (instruction == FTS_SKIP || (has(walk, FTS_XDEV) && entry->fts_dev != walk->fts_dev)) {
		if (entry->fts_flags & FTS_SYMFOLLOW)
			hook_close(entry->fts_symfd);
		forget_children(walk);
		entry->fts_info = FTS_DP;
		return entry;
	}
	if (walk->fts_child && has(walk, FTS_NAMEONLY)) {
		walk->fts_options &= ~FTS_NAMEONLY;
		forget_children(walk);
	}
	if (walk->fts_child) {
		if (go_into(walk, entry, -1, entry->fts_accpath) < 0) {
			entry->fts_errno = errno;
			entry->fts_flags |= FTS_DONTCHDIR;
			for (FTSENT *child = walk->fts_child; child; child = child->fts_link)
				child->fts_accpath = child->fts_parent->fts_accpath;
		}
	} else {
		walk->fts_child = read_directory(walk, FOR_READING);
		if (!walk->fts_child)
			return has(walk, FTS_STOP) ? NULL : entry;
	}
	FTSENT *first = walk->fts_child;
	walk->fts_child = NULL;
	return named(walk, first);
}

/* All of a directory has been seen: the directory once more. */
static FTSENT *ascend(FTS *walk, FTSENT *entry)
{
	walk->fts_cur = entry;
	if (entry->fts_level == FTS_ROOTPARENTLEVEL) {
		free(entry);
		errno = 0;
		return walk->fts_cur = NULL;
	}
	walk->fts_path[entry->fts_pathlen] = '\0';
	int result = 0;
	if (entry->fts_level == FTS_ROOTLEVEL) {
		result = go_to_start(walk);
	} else if (entry->fts_flags & FTS_SYMFOLLOW) {
		result = has(walk, FTS_NOCHDIR) ? 0 : hook_fchdir(entry->fts_symfd);
		int saved = errno;
		hook_close(entry->fts_symfd);
		errno = saved;
	} else if (!(entry->fts_flags & FTS_DONTCHDIR)) {
		result = go_into(walk, entry->fts_parent, -1, "..");
	}
	if (result < 0)
		return stopped(walk);
	entry->fts_info = entry->fts_errno ? FTS_ERR : FTS_DP;
	return entry;
}

static FTSENT *go_on(FTS *walk, FTSENT *entry)
{
	FTSENT *last;
	do {
		last = entry;
		entry = last->fts_link;
		if (!entry) {
			entry = last->fts_parent;
			free(last);
			return ascend(walk, entry);
		}
		free(last);
		walk->fts_cur = entry;
		if (entry->fts_level == FTS_ROOTLEVEL) {
			if (go_to_start(walk) < 0)
				return stopped(walk);
			begin_root(walk, entry);
			return entry;
		}
	} while (entry->fts_instr == FTS_SKIP);
	if (entry->fts_instr == FTS_FOLLOW) {
		follow(walk, entry);
		entry->fts_instr = NO_INSTRUCTION;
	}
	return named(walk, entry);
}

FTSENT *hook_fts_read(FTS *walk)
{
	if (!is_ours(walk))
		return real.fts_read(walk);
	FTSENT *entry = walk->fts_cur;
	if (!entry || has(walk, FTS_STOP))
		return NULL;
	int instruction = entry->fts_instr;
	entry->fts_instr = NO_INSTRUCTION;
	if (instruction == FTS_AGAIN) {
		entry->fts_info = kind_of(walk, entry, false);
		return entry;
	}
	if (instruction == FTS_FOLLOW && (entry->fts_info == FTS_SL || entry->fts_info == FTS_SLNONE)) {
		follow(walk, entry);
		return entry;
	}
	return entry->fts_info == FTS_D ? descend(walk, entry, instruction) : go_on(walk, entry);
}

FTSENT *hook_fts_children(FTS *walk, int instruction)
{
	if (!is_ours(walk))
		return real.fts_children(walk, instruction);
	FTSENT *entry = walk->fts_cur;
	errno = instruction && instruction != FTS_NAMEONLY ? EINVAL : 0;
	if (errno || has(walk, FTS_STOP) || !entry)
		return NULL;
	if (entry->fts_info == FTS_INIT)
		return entry->fts_link;
	if (entry->fts_info != FTS_D)
		return NULL;
	forget_children(walk);
	if (instruction == FTS_NAMEONLY)
		walk->fts_options |= FTS_NAMEONLY;
	enum purpose purpose = instruction == FTS_NAMEONLY ? FOR_NAMES : FOR_CHILDREN;
	bool is_at_start = entry->fts_level == FTS_ROOTLEVEL && entry->fts_accpath[0] != '/' && !has(walk, FTS_NOCHDIR);
	int back = is_at_start ? walks_open(AT_FDCWD, ".") : -1;
	if (is_at_start && back < 0)
		return NULL;
	walk->fts_child = read_directory(walk, purpose);
	if (back >= 0) {
		hook_fchdir(back);
		hook_close(back);
	}
	return walk->fts_child;
}

int hook_fts_set(FTS *walk, FTSENT *entry, int instruction)
{
	if (!is_ours(walk))
		return real.fts_set(walk, entry, instruction);
	if (instruction && (instruction < FTS_AGAIN || instruction > FTS_SKIP)) {
		errno = EINVAL;
		return 1;
	}
	entry->fts_instr = (unsigned short)instruction;
	return 0;
}

int hook_fts_close(FTS *walk)
{
	if (!is_ours(walk))
		return real.fts_close(walk);
	FTSENT *entry = walk->fts_cur;
	while (entry && entry->fts_level >= FTS_ROOTLEVEL) {
		FTSENT *last = entry;
		entry = last->fts_link ? last->fts_link : last->fts_parent;
		free(last);
	}
	free(entry);
	drop_all(walk->fts_child);
	free(walk->fts_path);
	int result = 0;
	if (!has(walk, FTS_NOCHDIR)) {
		result = hook_fchdir(walk->fts_rfd);
		int saved = errno;
		hook_close(walk->fts_rfd);
		errno = saved;
	}
	free(walk);
	return result;
}
