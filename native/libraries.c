/* libraries.c - hooks of the loader's calls: libraries that only the target has (decision 0054).
 *
 * The loader opens files by calls of its own, which are not hooked. So what the target has is fetched into memory, as any
 * file of it that is opened, and loaded from there by a path of /proc; before it, what it needs and the target has. Then its
 * name in the loader's list, which is everybody's to read (link.h), is made the one that it has at the target: by that
 * dlopen(3) knows it again, and dladdr(3) and dl_iterate_phdr(3) tell it.
 *
 * A name that is not ours is handed on by a jump, for the loader asks who calls it: whose RUNPATH and $ORIGIN count.
 *
 * What is fetched is remembered by what file it is, in a list that only grows, without locks: constructors come in here with
 * the loader's lock held.
 */
#include "big.h"
#include "cwd.h"
#include "mapping.h"
#include "needed.h"
#include "real.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#ifndef MIRRORD_SUPERVISOR

struct library {
	struct library *next;
	struct stat st;
	/* Nobody can load it: an errno says why. */
	int error;
	/* So many threads load it now, and `fd` is open; CHANGING: one begins to, or has just ended. */
	_Atomic int users;
	int fd;
	unsigned number;
	/* By which it is loaded: of no other library, and no shorter than `name`, which takes its place. */
	char *local;
	/* At the target: absolute. */
	char name[];
};

enum { CHANGING = -1, NUMBER_BITS = 24, NUMBER_BYTES = 12 };
static const char DESCRIPTORS[] = "/proc/self/fd/";

static struct library *_Atomic libraries;
static _Atomic unsigned last_number;

/* ---- what has been fetched ---- */

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* The next one, of all or after `it`, that stands for this file. */
static struct library *known(const struct library *it, const struct stat *st)
{
	struct library *next = it ? it->next : atomic_load(&libraries);
	while (next && !is_same(&next->st, st))
		next = next->next;
	return next;
}

/* The loader never forgets by which path it has loaded something, and a descriptor's number comes back: the path says the
 * library's own number too, in slashes. */
static void name_locally(struct library *it, int fd)
{
	char *at = stpcpy(it->local, DESCRIPTORS);
	for (int bit = 0; bit < NUMBER_BITS; bit++)
		at = stpcpy(at, it->number >> bit & 1 ? "./" : "/");
	while ((size_t)(at - it->local) < strlen(it->name))
		at = stpcpy(at, "./");
	/* What the loader says of a directory it says of this one, too. */
	if (it->error == EISDIR)
		strcpy(at, ".");
	else
		snprintf(at, NUMBER_BYTES, "%d", fd);
	it->fd = fd;
}

static struct library *remember(const struct stat *st, const char *name, int fd, int error)
{
	size_t bytes = strlen(name) + 1;
	struct library *it = malloc(sizeof *it + bytes + sizeof DESCRIPTORS + 2 * NUMBER_BITS + bytes + 2 + NUMBER_BYTES);
	if (!it)
		return NULL;
	it->st = *st;
	it->error = error;
	it->users = 1;
	it->number = atomic_fetch_add(&last_number, 1);
	memcpy(it->name, name, bytes);
	it->local = it->name + bytes;
	name_locally(it, fd);
	it->next = atomic_load(&libraries);
	while (!atomic_compare_exchange_weak(&libraries, &it->next, it))
		;
	return it;
}

/* Another thread loads it now: from the same memory it is the same library to the loader. */
static bool join(struct library *it)
{
	int users = atomic_load(&it->users);
	while (users > 0)
		if (atomic_compare_exchange_weak(&it->users, &users, users + 1))
			return true;
	return false;
}

/* It was loaded once, and is no more. */
static bool retake(struct library *it, int fd)
{
	int users = 0;
	if (!atomic_compare_exchange_strong(&it->users, &users, CHANGING))
		return false;
	name_locally(it, fd);
	atomic_store(&it->users, 1);
	return true;
}

static void leave(struct library *it)
{
	int users = atomic_load(&it->users);
	while (!atomic_compare_exchange_weak(&it->users, &users, users > 1 ? users - 1 : CHANGING))
		;
	if (users > 1)
		return;
	hook_close(it->fd);
	atomic_store(&it->users, 0);
}

/* The open file of the target as a library: the descriptor is this function's. NULL: no memory. */
static struct library *take(const struct stat *st, const char *name, int fd)
{
	struct library *it = known(NULL, st);
	while (it && !join(it))
		it = known(it, st);
	if (it) {
		hook_close(fd);
		return it;
	}
	for (it = known(NULL, st); it; it = known(it, st))
		if (strcmp(it->name, name) == 0 && retake(it, fd))
			return it;
	it = remember(st, name, fd, 0);
	if (!it)
		hook_close(fd);
	return it;
}

/* ---- loading ---- */

/* LM_ID_NEWLM is made the number of what was made. */
static void *by_loader(Lmid_t *space, const char *path, int mode)
{
	if (*space == LM_ID_BASE)
		return real.dlopen(path, mode);
	void *handle = real.dlmopen(*space, path, mode);
	if (handle && *space == LM_ID_NEWLM) {
		int (*const dlinfo_of)(void *, int, void *) = real_named("dlinfo");
		if (dlinfo_of)
			dlinfo_of(handle, RTLD_DI_LMID, space);
	}
	return handle;
}

static void *if_loaded(Lmid_t *space, const char *path, int mode)
{
	return *space == LM_ID_NEWLM ? NULL : by_loader(space, path, mode | RTLD_NOLOAD);
}

static void close_handle(void *handle)
{
	int (*const dlclose_of)(void *) = handle ? real_named("dlclose") : NULL;
	if (dlclose_of)
		dlclose_of(handle);
}

/* A handle of glibc is the library's entry in the list. The memory is the loader's, and stays, for others may be reading:
 * there is room for every name that it has had. */
static void call_it(void *handle, const char *before, const char *name)
{
	struct link_map *map = handle;
	if (strcmp(map->l_name, before) == 0)
		strcpy(map->l_name, name);
}

/* Has the loader fail, so that dlerror(3) says why: nothing has this path. NULL. */
static void *refuse(Lmid_t *space, const char *name, int error)
{
	struct library *it = atomic_load(&libraries);
	while (it && !(it->error == error && strcmp(it->name, name) == 0))
		it = it->next;
	if (!it) {
		static const struct stat none;
		it = remember(&none, name, NOT_OPEN, error);
	}
	return by_loader(space, it ? it->local : DESCRIPTORS, RTLD_LAZY);
}

/* What one library needed: held until it is loaded itself. */
struct dependency {
	void *handle;
	/* It does not say itself by which name it is wanted: until then it bears that in place of its path. */
	char *path;
	const char *name;
};

static void *bring(Lmid_t *space, struct candidate *found, int mode, const struct search *by);

static bool is_on_its_way(const struct search *it, const char *name)
{
	for (; it; it = it->by) {
		bool is_it = it->needed->soname && strcmp(it->needed->soname, name) == 0;
		if (is_it || strcmp(it->path + needed_directory(it->path) + 1, name) == 0)
			return true;
	}
	return false;
}

static void bear_name(struct dependency *it, const char *path, const char *name)
{
	struct needed *said = needed_of_loaded(it->handle);
	bool is_said = said && said->soname && strcmp(said->soname, name) == 0;
	needed_free(said);
	if (is_said || strlen(name) > strlen(path))
		return;
	it->name = name;
	it->path = strdup(path);
	if (it->path)
		call_it(it->handle, path, name);
}

/* False: it is there and cannot be loaded, and dlerror(3) says why. */
static bool fetch_needed(Lmid_t *space, struct dependency *into, const struct search *it, const char *name)
{
	if (needed_is_of_libc(name) || is_on_its_way(it, name) || (it->is_here && needed_is_usual(name)))
		return true;
	into->handle = if_loaded(space, name, RTLD_LAZY);
	struct candidate *found = into->handle ? NULL : malloc(sizeof *found);
	if (!found)
		return true;
	bool has_path = strchr(name, '/'), is_found;
	if (has_path && strlen(name) < sizeof found->path)
		is_found = needed_look(strcpy(found->path, name) ? found : NULL) && found->fd != NOT_OPEN;
	else
		is_found = !has_path && needed_find(found, it, name) && !(it->is_here && found->fd == NOT_OPEN);
	if (is_found)
		into->handle = bring(space, found, RTLD_LAZY, it);
	if (into->handle && !has_path)
		bear_name(into, found->path, name);
	free(found);
	return !is_found || into->handle;
}

/* `*is_borne`: something that it needs bore another name meanwhile. */
static void *load_once(Lmid_t *space, const char *local, int mode, const struct search *search, bool *is_borne)
{
	const struct needed *needed = search->needed;
	size_t count = needed ? needed->count : 0;
	struct dependency *all = calloc(count + 1, sizeof *all);
	bool is_complete = true;
	void *handle = NULL;
	*is_borne = false;
	for (size_t at = 0; all && at < count && is_complete; at++)
		is_complete = fetch_needed(space, &all[at], search, needed->names[at]);
	if (is_complete)
		handle = by_loader(space, local, mode);
	for (size_t at = 0; all && at < count; at++) {
		if (all[at].path)
			call_it(all[at].handle, all[at].name, all[at].path);
		*is_borne |= all[at].path != NULL;
		free(all[at].path);
		/* Else dlerror(3) would forget what went wrong. */
		if (handle)
			close_handle(all[at].handle);
	}
	free(all);
	return handle;
}

/* Loads `local`, with what it needs before it, and calls it by its name. */
static void *load(Lmid_t *space, const char *local, const char *name, int mode, const struct search *search)
{
	/* Another thread may have taken such a name away in between. */
	enum { ATTEMPTS = 5 };
	bool is_borne = true;
	void *handle = NULL;
	for (int attempt = 0; !handle && is_borne && attempt < ATTEMPTS; attempt++)
		handle = load_once(space, local, mode, search, &is_borne);
	if (handle)
		call_it(handle, local, name);
	return handle;
}

/* As dlopen(3) of what was found, whose descriptor is this function's. */
static void *bring(Lmid_t *space, struct candidate *found, int mode, const struct search *by)
{
	struct stat st;
	if (found->fd == NOT_OPEN)
		return by_loader(space, found->path, mode);
	int error = hook_fstat(found->fd, &st) < 0 ? -EIO : S_ISDIR(st.st_mode) ? -EISDIR : big_make_whole(found->fd);
	if (error) {
		hook_close(found->fd);
		return refuse(space, found->path, -error);
	}
	void *handle = NULL;
	struct library *it = known(NULL, &st);
	for (; it && !handle; it = known(it, &st))
		handle = if_loaded(space, it->name, mode);
	if (handle) {
		hook_close(found->fd);
		return handle;
	}
	it = take(&st, found->path, found->fd);
	if (!it)
		return refuse(space, found->path, ENOMEM);
	struct needed *needed = mode & RTLD_NOLOAD ? NULL : needed_of_file(it->fd);
	const struct search search = { by, found->path, getenv("LD_LIBRARY_PATH"), needed, .is_here = false };
	handle = load(space, it->local, it->name, mode, &search);
	needed_free(needed);
	leave(it);
	return handle;
}

/* ---- the hooks ---- */

struct attempt {
	bool is_ours;
	void *handle;
};

static const struct attempt NOT_OURS = { false, NULL };

/* Does it need what is neither loaded nor where this machine looks? */
static bool is_missing_any(Lmid_t *space, const struct search *it)
{
	struct candidate *found = malloc(sizeof *found);
	bool is_any = false;
	for (size_t at = 0; found && !is_any && at < it->needed->count; at++) {
		const char *name = it->needed->names[at];
		if (strchr(name, '/') || needed_is_of_libc(name) || needed_is_usual(name))
			continue;
		void *loaded = if_loaded(space, name, RTLD_LAZY);
		close_handle(loaded);
		if (loaded || !needed_find(found, it, name) || found->fd == NOT_OPEN)
			continue;
		hook_close(found->fd);
		is_any = true;
	}
	free(found);
	return is_any;
}

/* One of this machine may need what only the target has. */
static struct attempt try_here(Lmid_t space, const char *path, int mode)
{
	int fd = (int)kernel(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct needed *needed = fd < 0 ? NULL : needed_of_file(fd);
	if (fd >= 0)
		kernel(SYS_close, fd);
	struct attempt result = NOT_OURS;
	const struct search search = { NULL, path, getenv("LD_LIBRARY_PATH"), needed, .is_here = true };
	if (needed && (needed->rpath || needed->runpath || search.library_path) && is_missing_any(&space, &search))
		result = (struct attempt){ true, load(&space, path, path, mode, &search) };
	needed_free(needed);
	return result;
}

__attribute__((noinline)) static struct attempt try_path(Lmid_t space, const char *name, int mode)
{
	char room[WIRE_PATH_BYTES];
	struct place place;
	bool is_elsewhere = cwd_may_be_away() || mapping_is_any();
	const char *path = is_elsewhere ? mapping_of(cwd_absolute(AT_FDCWD, name, room), room) : name;
	enum outcome outcome = locate_followed(AT_FDCWD, path, false, &place);
	if (outcome == LOCAL) {
		struct attempt it = mode & RTLD_NOLOAD ? NOT_OURS : try_here(space, path, mode);
		return it.is_ours || path == name ? it : (struct attempt){ true, by_loader(&space, path, mode) };
	}
	if (outcome == ABSENT)
		return (struct attempt){ true, refuse(&space, name, ENOENT) };
	struct candidate *found = malloc(sizeof *found);
	if (!found)
		return (struct attempt){ true, refuse(&space, name, ENOMEM) };
	if (*path == '/')
		place.path = (struct wire_bytes){ path, (uint32_t)strlen(path) };
	memcpy(found->path, place.path.at, place.path.length);
	found->path[place.path.length] = '\0';
	void *handle = if_loaded(&space, found->path, mode);
	if (!handle) {
		long fd = try_open(AT_FDCWD, found->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		found->fd = fd >= 0 ? (int)fd : NOT_OPEN;
		handle = fd >= 0 ? bring(&space, found, mode, NULL) : refuse(&space, name, fd == BYPASS ? ENOENT : (int)-fd);
	}
	free(found);
	return (struct attempt){ true, handle };
}

/* The object whose code lies at this address, as one who looks for libraries. */
static struct needed *searcher(struct search *it, char room[WIRE_PATH_BYTES], const void *address)
{
	int (*const dladdr1_of)(const void *, Dl_info *, void **, int) = real_named("dladdr1");
	Dl_info info;
	struct link_map *map = NULL;
	if (!dladdr1_of || !dladdr1_of(address, &info, (void **)&map, RTLD_DL_LINKMAP) || !map)
		return NULL;
	it->by = NULL;
	it->library_path = getenv("LD_LIBRARY_PATH");
	it->path = map->l_name;
	if (!*map->l_name) {
		ssize_t length = hook_readlink("/proc/self/exe", room, WIRE_PATH_BYTES - 1);
		room[length > 0 ? length : 0] = '\0';
		it->path = room;
	}
	it->is_here = kernel(SYS_faccessat, AT_FDCWD, it->path, F_OK) == 0;
	struct needed *said = needed_of_loaded(map);
	it->needed = said;
	return said;
}

/* A name without a slash. The target's directories come in where the loader comes upon them. */
__attribute__((noinline)) static struct attempt try_bare(Lmid_t space, const char *name, int mode, const void *caller)
{
	char room[WIRE_PATH_BYTES];
	struct search search;
	struct attempt result = NOT_OURS;
	struct needed *said = needed_is_of_libc(name) ? NULL : searcher(&search, room, caller);
	if (!said)
		return NOT_OURS;
	/* As when one of this machine is started (preloads.h): what lies in its usual directories is its own. */
	bool is_usual = search.is_here && needed_is_usual(name);
	bool has_directories = !is_usual && (said->rpath || said->runpath || search.library_path);
	void *loaded = has_directories ? if_loaded(&space, name, RTLD_LAZY) : NULL;
	struct candidate *found = has_directories && !loaded ? malloc(sizeof *found) : NULL;
	if (found && needed_find(found, &search, name) && found->fd != NOT_OPEN)
		result = (struct attempt){ true, bring(&space, found, mode, NULL) };
	close_handle(loaded);
	free(found);
	needed_free(said);
	return result;
}

static struct attempt try_load(Lmid_t space, const char *name, int mode, const void *caller)
{
	int saved = errno;
	struct attempt result = strchr(name, '/') ? try_path(space, name, mode) : try_bare(space, name, mode, caller);
	errno = saved;
	return result;
}

static bool may_be_ours(const char *name)
{
	return shim.fs_mode != FS_LOCAL && may_be_address(name) && *name;
}

void *hook_dlopen(const char *name, int mode)
{
	struct attempt it = NOT_OURS;
	if (may_be_ours(name))
		it = try_load(LM_ID_BASE, name, mode, __builtin_return_address(0));
	return it.is_ours ? it.handle : real.dlopen(name, mode);
}

void *hook_dlmopen(Lmid_t space, const char *name, int mode)
{
	struct attempt it = NOT_OURS;
	if (may_be_ours(name))
		it = try_load(space, name, mode, __builtin_return_address(0));
	return it.is_ours ? it.handle : real.dlmopen(space, name, mode);
}

/* Puts what the program knows in place of what only the loader knows; there is room for it. */
static void tell(char *at, const struct library *it)
{
	enum { REASON_BYTES = 128 };
	char missing_room[REASON_BYTES], room[REASON_BYTES];
	size_t before = strlen(it->local), length = strlen(it->name);
	memcpy(at, it->name, length);
	memmove(at + length, at + before, strlen(at + before) + 1);
	/* Both in the program's language, as the loader says it. */
	const char *missing = strerror_r(ENOENT, missing_room, sizeof missing_room);
	const char *why = strerror_r(it->error ? it->error : ENOENT, room, sizeof room);
	char *said = strstr(at + length, missing);
	size_t gone = strlen(missing), come = strlen(why);
	if (!said || come > gone)
		return;
	memcpy(said, why, come);
	memmove(said + come, said + gone, strlen(said + gone) + 1);
}

char *hook_dlerror(void)
{
	char *text = real.dlerror();
	char *at = text && atomic_load(&libraries) ? strstr(text, DESCRIPTORS) : NULL;
	for (; at; at = strstr(at + 1, DESCRIPTORS)) {
		const struct library *it = atomic_load(&libraries);
		while (it && strncmp(at, it->local, strlen(it->local)) != 0)
			it = it->next;
		if (it)
			tell(at, it);
	}
	return text;
}

#endif
