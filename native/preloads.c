/* preloads.c - see preloads.h. */
#include "preloads.h"
#include "needed.h"
#include "only_there.h"
#include "real.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const char DESCRIPTORS[] = "/proc/self/fd/";
/* Before the path of a library of this machine that is found only from where the program lies at the target. */
static const char HERE[] = "/proc/self/root";

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

/* The descriptor is this function's. Its name is as long as the path, which takes its place later. */
static void add_copy(struct preloads *into, int fd, const char *path)
{
	int kept = (int)kernel(SYS_fcntl, fd, F_DUPFD, LOWEST);
	if (kept < 0)
		kept = (int)kernel(SYS_fcntl, fd, F_DUPFD, 0);
	kernel(SYS_close, fd);
	if (kept < 0)
		return;
	char number[NUMBER_BYTES];
	append(into, into->length > 0 ? ":" : "");
	size_t begin = into->length;
	append(into, DESCRIPTORS);
	while (into->length - begin < strlen(path))
		append(into, "./");
	snprintf(number, sizeof number, "%d", kept);
	append(into, number);
	into->fds[into->count++] = kept;
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

static void gather_copy(struct preloads *into, const struct search *by, struct candidate *found)
{
	int fd = only_there_copy(found->fd, found->path);
	hook_close(found->fd);
	if (fd < 0)
		return;
	struct search search = { by, found->path, by->library_path, needed_of_file(fd), .is_here = false };
	if (search.needed)
		gather(into, &search);
	needed_free((struct needed *)search.needed);
	if (has_room(into, found->path))
		add_copy(into, fd, found->path);
	else
		kernel(SYS_close, fd);
}

/* What one of them needs, and what that needs. */
static void gather(struct preloads *into, const struct search *it)
{
	struct candidate *found = (void *)kernel(SYS_mmap, 0, sizeof *found, PROT_READ | PROT_WRITE,
						 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if ((unsigned long)found >= -4095UL)
		return;
	for (size_t at = 0; at < it->needed->count; at++) {
		const char *name = it->needed->names[at];
		if (strchr(name, '/') || needed_is_of_libc(name) || is_repeated(into, name) || (it->is_here && needed_is_usual(name)) ||
		    !needed_find(found, it, name))
			continue;
		if (found->fd != NOT_OPEN)
			gather_copy(into, it, found);
		else if (!it->is_here && has_room(into, found->path))
			add_here(into, found->path);
	}
	kernel(SYS_munmap, found, sizeof *found);
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
	if (needed && (needed->rpath || needed->runpath || search.library_path)) {
		found = (void *)kernel(SYS_mmap, 0, sizeof *found, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if ((unsigned long)found >= -4095UL)
			found = NULL;
	}
	if (found)
		gather(found, &search);
	needed_free(needed);
	if (!found || found->length > 0)
		return found;
	preloads_free(found);
	return NULL;
}

void preloads_free(struct preloads *it)
{
	if (!it)
		return;
	for (size_t at = 0; at < it->count; at++)
		kernel(SYS_close, it->fds[at]);
	kernel(SYS_munmap, it, sizeof *it);
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

static void receive(struct link_map *loaded, const char *entry)
{
	char text[SHIM_PATH_BYTES];
	if (strncmp(entry, HERE, sizeof HERE - 1) == 0)
		return call_it(loaded, entry, entry + sizeof HERE - 1);
	const char *path = path_in(text, kernel(SYS_readlink, entry, text, sizeof text - 1));
	if (path)
		call_it(loaded, entry, path);
	kernel(SYS_close, atoi(strrchr(entry, '/') + 1));
}

static bool is_ours(const char *entry)
{
	return strncmp(entry, DESCRIPTORS, sizeof DESCRIPTORS - 1) == 0 || strncmp(entry, HERE, sizeof HERE - 1) == 0;
}

void preloads_begin(void)
{
	static const char name[] = "LD_PRELOAD=";
	char **variable = environ;
	while (variable && *variable && strncmp(*variable, name, sizeof name - 1) != 0)
		variable++;
	if (likely(!variable || !*variable || !strstr(*variable, "/proc/self/")))
		return;
	struct link_map *loaded = real.dlopen(NULL, RTLD_LAZY);
	char *to = *variable + sizeof name - 1;
	for (char *at = to, *next; at; at = next) {
		next = strchr(at, ':');
		if (next)
			*next++ = '\0';
		if (is_ours(at)) {
			receive(loaded, at);
			continue;
		}
		size_t length = strlen(at);
		if (to > *variable + sizeof name - 1)
			*to++ = ':';
		memmove(to, at, length);
		to += length;
	}
	*to = '\0';
}

#endif
