/* preloads.c - see preloads.h. */
#include "preloads.h"
#include "needed.h"
#include "only_there.h"
#include "pages.h"
#include "real.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Spelled as nobody else does. */
static const char DESCRIPTORS[] = "/proc/self/./fd/";
/* Before the path of a library of this machine that is found only from where the program lies at the target. */
static const char HERE[] = "/proc/self/./root";

/* How the last component of a directory of links begins. */
static const char DIRECTORY[] = "/mirrord-libraries-";

enum { LOWEST = 200, NUMBER_BYTES = 12 };

/* ---- before ---- */

static void append(struct preloads *into, const char *text)
{
	into->length = (size_t)(stpcpy(into->list + into->length, text) - into->list);
}

/* Room for an entry that stands for this path, which the loader would take apart at such letters. */
static bool has_room(const struct preloads *into, const char *path)
{
	size_t most = strlen(path) + sizeof DESCRIPTORS + sizeof HERE + NUMBER_BYTES + 3;
	return into->count < MOST_PRELOADS && into->length + most < sizeof into->list && !strpbrk(path, ": ");
}

/* Takes the descriptor; the program will have the one that is returned. */
static int hand_on(struct preloads *into, int fd)
{
	int kept = (int)kernel(SYS_fcntl, fd, F_DUPFD, LOWEST);
	if (kept < 0)
		kept = (int)kernel(SYS_fcntl, fd, F_DUPFD, 0);
	kernel(SYS_close, fd);
	if (kept >= 0)
		into->fds[into->count++] = kept;
	return kept;
}

/* The descriptor is this function's. Its name is as long as the path, which takes its place later. */
static void add_copy(struct preloads *into, int fd, const char *path)
{
	char number[NUMBER_BYTES];
	int kept = hand_on(into, fd);
	if (kept < 0)
		return;
	append(into, into->length > 0 ? ":" : "");
	size_t begin = into->length;
	append(into, DESCRIPTORS);
	while (into->length - begin < strlen(path))
		append(into, "./");
	snprintf(number, sizeof number, "%d", kept);
	append(into, number);
}

/* In the session's, by a name that takes up more room than paths mostly do. False: it cannot be. */
static bool has_directory(struct preloads *into)
{
	enum { USUAL_LENGTH = 256, ATTEMPTS = 100 };
	if (into->directory[0])
		return true;
	const char *session = strchr(shim.session_variable, '=');
	if (!session || strlen(session) > sizeof into->directory / 2)
		return false;
	char *at = stpcpy(into->directory, session + 1);
	at = stpcpy(at, "/");
	while (at - into->directory < USUAL_LENGTH)
		at = stpcpy(at, "./");
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		sprintf(at, "%s%ld-%d", DIRECTORY + 1, kernel(SYS_gettid), attempt);
		if (kernel(SYS_mkdir, into->directory, 0700) == 0)
			return true;
	}
	into->directory[0] = '\0';
	return false;
}

/* The same as a link. */
static void add_link(struct preloads *into, int fd, const char *name)
{
	char link[SHIM_PATH_BYTES], to[sizeof DESCRIPTORS + NUMBER_BYTES];
	int kept = hand_on(into, fd);
	if (kept < 0 || !has_directory(into) || strlen(into->directory) + strlen(name) + 2 > sizeof link)
		return;
	stpcpy(stpcpy(stpcpy(link, into->directory), "/"), name);
	snprintf(to, sizeof to, "%s%d", DESCRIPTORS, kept);
	kernel(SYS_symlink, to, link);
}

static void add_here(struct preloads *into, const char *path)
{
	if (*path != '/')
		return;
	append(into, into->length > 0 ? ":" : "");
	append(into, HERE);
	append(into, path);
}

/* Was this name looked for already? From now on it was. */
static bool is_repeated(struct preloads *into, const char *name)
{
	for (size_t at = 0; at < into->names_length; at += strlen(into->names + at) + 1)
		if (strcmp(into->names + at, name) == 0)
			return true;
	size_t length = strlen(name) + 1;
	if (into->names_length + length > sizeof into->names)
		return true;
	memcpy(into->names + into->names_length, name, length);
	into->names_length += length;
	return false;
}

static void gather(struct preloads *into, const struct search *it);

static void gather_copy(struct preloads *into, const struct search *by, struct candidate *found, const char *name)
{
	int fd = only_there_copy(found->fd, found->path);
	hook_close(found->fd);
	if (fd < 0)
		return;
	struct search search = { by, found->path, by->library_path, needed_of_file(fd), .is_here = false };
	bool is_known = search.needed && search.needed->soname && strcmp(search.needed->soname, name) == 0;
	if (search.needed)
		gather(into, &search);
	needed_free((struct needed *)search.needed);
	if (has_room(into, found->path) && is_known)
		add_copy(into, fd, found->path);
	else if (into->count < MOST_PRELOADS)
		add_link(into, fd, name);
	else
		kernel(SYS_close, fd);
}

/* What one of them needs, and what that needs. */
static void gather(struct preloads *into, const struct search *it)
{
	struct candidate *found = pages_take(sizeof *found);
	if (!found)
		return;
	for (size_t at = 0; at < it->needed->count; at++) {
		const char *name = it->needed->names[at];
		if (strchr(name, '/') || needed_is_of_libc(name) || is_repeated(into, name) || (it->is_here && needed_is_usual(name)) ||
		    !needed_find(found, it, name))
			continue;
		if (found->fd != NOT_OPEN)
			gather_copy(into, it, found, name);
		else if (!it->is_here && has_room(into, found->path))
			add_here(into, found->path);
	}
	pages_give(found, sizeof *found);
}

static const char *library_path_in(char *const envp[])
{
	static const char name[] = "LD_LIBRARY_PATH=";
	for (; envp && *envp; envp++)
		if (strncmp(*envp, name, sizeof name - 1) == 0)
			return *envp + sizeof name - 1;
	return NULL;
}

struct preloads *preloads_of(const char *file, const char *shown, char *const envp[])
{
	if (shim.fs_mode == FS_LOCAL || !file)
		return NULL;
	int fd = (int)kernel(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct needed *needed = fd < 0 ? NULL : needed_of_file(fd);
	if (fd >= 0)
		kernel(SYS_close, fd);
	struct search search = { NULL, shown ? shown : file, library_path_in(envp), needed, .is_here = !shown };
	struct preloads *found = NULL;
	if (needed && (needed->rpath || needed->runpath || search.library_path))
		found = pages_take(sizeof *found);
	if (found)
		gather(found, &search);
	needed_free(needed);
	if (!found || found->length > 0 || found->directory[0])
		return found;
	preloads_free(found, false);
	return NULL;
}

/* Calls `each` with the path of every link in a directory, which goes with them. */
static void empty(const char *directory, void (*each)(const char *link, void *context), void *context)
{
	enum { ENTRIES_BYTES = 4096 };
	char entries[ENTRIES_BYTES], path[SHIM_PATH_BYTES];
	int fd = (int)kernel(SYS_openat, AT_FDCWD, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long length;
	while (fd >= 0 && (length = kernel(SYS_getdents64, fd, entries, sizeof entries)) > 0) {
		for (long at = 0; at < length;) {
			const struct dirent64 *entry = (const struct dirent64 *)(entries + at);
			at += entry->d_reclen;
			int span = snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
			if (entry->d_name[0] == '.' || span >= (int)sizeof path)
				continue;
			if (each)
				each(path, context);
			kernel(SYS_unlink, path);
		}
	}
	if (fd < 0)
		return;
	kernel(SYS_close, fd);
	kernel(SYS_rmdir, directory);
}

void preloads_free(struct preloads *it, bool is_started)
{
	if (!it)
		return;
	for (size_t at = 0; at < it->count; at++)
		kernel(SYS_close, it->fds[at]);
	if (it->directory[0] && !is_started)
		empty(it->directory, NULL, NULL);
	pages_give(it, sizeof *it);
}

/* ---- after ---- */

#ifndef MIRRORD_SUPERVISOR

static void call_it(struct link_map *map, const char *before, const char *name)
{
	for (; map; map = map->l_next)
		if (strcmp(map->l_name, before) == 0 && strlen(name) <= strlen(before))
			strcpy(map->l_name, name);
}

/* The path in the name of what only_there_copy() made. */
static const char *path_in(char *text, long length)
{
	static const char before[] = "/memfd:mirrord-x-", behind[] = " (deleted)";
	long least = (long)(sizeof before + sizeof behind - 2);
	if (length <= least || memcmp(text, before, sizeof before - 1) != 0)
		return NULL;
	text[length - (long)(sizeof behind - 1)] = '\0';
	return text + sizeof before - 1;
}

/* The library was loaded by the name `entry`, from the descriptor that the path of /proc tells. */
static void receive_copy(struct link_map *loaded, const char *entry, const char *descriptor)
{
	char text[SHIM_PATH_BYTES];
	const char *path = path_in(text, kernel(SYS_readlink, descriptor, text, sizeof text - 1));
	if (path)
		call_it(loaded, entry, path);
	kernel(SYS_close, atoi(strrchr(descriptor, '/') + 1));
}

static void receive(struct link_map *loaded, const char *entry)
{
	if (strncmp(entry, HERE, sizeof HERE - 1) == 0)
		call_it(loaded, entry, entry + sizeof HERE - 1);
	else
		receive_copy(loaded, entry, entry);
}

static void receive_link(const char *link, void *loaded)
{
	char descriptor[sizeof DESCRIPTORS + NUMBER_BYTES];
	long length = kernel(SYS_readlink, link, descriptor, sizeof descriptor - 1);
	descriptor[length > 0 ? length : 0] = '\0';
	if (strncmp(descriptor, DESCRIPTORS, sizeof DESCRIPTORS - 1) == 0)
		receive_copy(loaded, link, descriptor);
}

static bool is_ours(const char *entry)
{
	return strncmp(entry, DESCRIPTORS, sizeof DESCRIPTORS - 1) == 0 || strncmp(entry, HERE, sizeof HERE - 1) == 0;
}

static char **variable_named(const char *name)
{
	char **variable = environ;
	size_t length = strlen(name);
	while (variable && *variable && strncmp(*variable, name, length) != 0)
		variable++;
	return variable && *variable ? variable : NULL;
}

/* Takes the first directory of LD_LIBRARY_PATH away, and the variable when there is no other. */
static void begin_directory(char **variable, char *first)
{
	char *rest = strchr(first, ':');
	if (rest)
		*rest++ = '\0';
	const char *name = strstr(first, DIRECTORY);
	if (!name || strchr(name + 1, '/')) {
		if (rest)
			rest[-1] = ':';
		return;
	}
	empty(first, receive_link, real.dlopen(NULL, RTLD_LAZY));
	if (rest)
		memmove(first, rest, strlen(rest) + 1);
	for (; !rest && *variable; variable++)
		variable[0] = variable[1];
}

static void begin_list(char *to)
{
	struct link_map *loaded = real.dlopen(NULL, RTLD_LAZY);
	const char *begin = to;
	for (char *at = to, *next; at; at = next) {
		next = strchr(at, ':');
		if (next)
			*next++ = '\0';
		if (is_ours(at)) {
			receive(loaded, at);
			continue;
		}
		size_t length = strlen(at);
		if (to > begin)
			*to++ = ':';
		memmove(to, at, length);
		to += length;
	}
	*to = '\0';
}

void preloads_begin(void)
{
	static const char LIST[] = "LD_PRELOAD=", PATH[] = "LD_LIBRARY_PATH=";
	char **list = variable_named(LIST);
	if (unlikely(list && strstr(*list, "/proc/self/./")))
		begin_list(*list + sizeof LIST - 1);
	char **path = variable_named(PATH);
	if (unlikely(path && strstr(*path, DIRECTORY)))
		begin_directory(path, *path + sizeof PATH - 1);
}

#endif
