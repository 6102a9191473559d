/* process.c - children follow: whatever environment a program gives to a new image, the shim and the session are in it.
 *
 * Between vfork and exec there is no allocating: a new environment is an array on the stack. The program's own
 * LD_PRELOAD stays, behind ours. What the shim cannot enter is started by the supervisor (static, musl), else (setuid, of
 * another architecture) it is noted by name. What only the target has is only_there.c's.
 */
#include "big.h"
#include "cwd.h"
#include "only_there.h"
#include "pages.h"
#include "preloads.h"
#include "real.h"
#include "spawn.h"
#include "remote.h"
#include "wire.h"

#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>

static const char PRELOAD[] = "LD_PRELOAD=";
static const char LIBRARY_PATH[] = "LD_LIBRARY_PATH=";
static const char SESSION[] = "MIRRORD_SESSION_DIR=";

struct launch {
	enum { EXECVE, EXECVPE, FEXECVE, EXECVEAT, SPAWN, SPAWNP } how;
	int fd, flags;
	/* The path is that of `fd`: a copy of what only the target has. */
	bool is_fetched;
	const char *path;
	/* Of the copy, at the target. */
	const char *shown;
	/* Before the program's own in LD_PRELOAD and in LD_LIBRARY_PATH, empty or NULL (preloads.h). */
	const char *libraries, *directory;
	/* So many scripts' interpreters have led here. */
	int depth;
	char *const *argv;
	pid_t *pid;
	const posix_spawn_file_actions_t *actions;
	const posix_spawnattr_t *attributes;
};

static int really(const struct launch *it, char *const envp[])
{
	switch (it->how) {
	case EXECVE:
		return real.execve(it->path, it->argv, envp);
	case EXECVPE:
		return real.execvpe(it->path, it->argv, envp);
	case FEXECVE:
		return real.fexecve(it->fd, it->argv, envp);
	case EXECVEAT:
		return real.execveat(it->fd, it->path, it->argv, envp, it->flags);
	case SPAWN:
		return real.posix_spawn(it->pid, it->path, it->actions, it->attributes, it->argv, envp);
	default:
		return real.posix_spawnp(it->pid, it->path, it->actions, it->attributes, it->argv, envp);
	}
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Does the list of libraries begin with ours? */
static bool is_ours_first(const char *list)
{
	size_t length = strlen(shim.path);
	return strncmp(list, shim.path, length) == 0 && (!list[length] || list[length] == ':' || list[length] == ' ');
}

struct survey {
	size_t count;
	const char *preload, *library_path; /* the program's own lists, or NULL */
	bool has_session; /* one that is named already stays: another run inside this one, or none on purpose */
	bool is_complete;
};

static struct survey survey(char *const envp[])
{
	struct survey found = { 0 };
	for (; envp && envp[found.count]; found.count++) {
		const char *entry = envp[found.count];
		if (starts_with(entry, PRELOAD))
			found.preload = entry + sizeof PRELOAD - 1;
		else if (starts_with(entry, LIBRARY_PATH))
			found.library_path = entry + sizeof LIBRARY_PATH - 1;
		else if (starts_with(entry, SESSION))
			found.has_session = true;
	}
	found.is_complete = found.has_session && found.preload && is_ours_first(found.preload);
	return found;
}

/* ---- what the shim cannot enter ---- */

struct obstacle {
	const char *what;
	/* Its loader would stumble over our library: the program gets an environment without it. */
	bool is_without_shim;
	/* The supervisor can have it. */
	bool is_for_supervisor;
};

/* Is the interpreter that this segment names musl's? */
static bool is_for_musl(const uint8_t *head, size_t length, const Elf64_Phdr *segment)
{
	size_t offset = segment->p_offset;
	return offset < length && segment->p_filesz < length - offset &&
	       memmem(head + offset, segment->p_filesz, "ld-musl", 7) != NULL;
}

static struct obstacle obstacle_in(const uint8_t *head, size_t length)
{
	struct obstacle none = { 0 };
	Elf64_Ehdr header;
	if (length < sizeof header || memcmp(head, ELFMAG, SELFMAG) != 0)
		return none; /* a script: its interpreter is what counts */
	memcpy(&header, head, sizeof header);
	if (head[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64)
		return (struct obstacle){ .what = "is for another architecture", .is_without_shim = true };
	for (int at = 0; at < header.e_phnum; at++) {
		Elf64_Phdr segment;
		size_t offset = header.e_phoff + (size_t)at * header.e_phentsize;
		if (offset > length || length - offset < sizeof segment)
			return none; /* too far back to say */
		memcpy(&segment, head + offset, sizeof segment);
		if (segment.p_type != PT_INTERP)
			continue;
		if (is_for_musl(head, length, &segment))
			return (struct obstacle){ "is linked against musl", .is_without_shim = true, .is_for_supervisor = true };
		return none;
	}
	return (struct obstacle){ .what = "is statically linked", .is_for_supervisor = true };
}

/* The interpreter that the first line of a script names, NULL when it names none. */
static const char *interpreter_in(uint8_t *head, size_t length)
{
	char *line = (char *)head;
	if (length < 4 || memcmp(line, "#!", 2) != 0)
		return NULL;
	line[length - 1] = '\0';
	line += 2 + strspn(line + 2, " \t");
	line[strcspn(line, " \t\n")] = '\0';
	return *line == '/' ? line : NULL;
}

enum { MAX_SCRIPTS = 4 };

/* Of a script, it is its interpreter's; `depth` such steps are taken, as by the kernel. */
static struct obstacle obstacle_of(const char *path, int depth)
{
	uint8_t head[2048];
	struct stat st;
	int fd = (int)kernel(SYS_openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return (struct obstacle){ 0 };
	long length = kernel(SYS_read, fd, head, sizeof head);
	bool has_stat = kernel(SYS_fstat, fd, &st) == 0;
	kernel(SYS_close, fd);
	struct obstacle found = obstacle_in(head, length > 0 ? (size_t)length : 0);
	bool changes_user = has_stat && (((st.st_mode & S_ISUID) && st.st_uid != (uid_t)kernel(SYS_geteuid)) ||
					 ((st.st_mode & S_ISGID) && st.st_gid != (gid_t)kernel(SYS_getegid)));
	if (changes_user && !found.is_without_shim)
		found = (struct obstacle){ .what = "is setuid or setgid" };
	const char *interpreter = depth > 0 ? interpreter_in(head, length > 0 ? (size_t)length : 0) : NULL;
	return interpreter ? obstacle_of(interpreter, depth - 1) : found;
}

static bool is_executable_here(const char *path)
{
	return kernel(SYS_faccessat, AT_FDCWD, path, X_OK) == 0;
}

/* The file that execvp(3) will find for a name without a slash; NULL when there is none, or no room. */
static const char *search_path(const char *name, char *into, size_t room, bool (*is_it)(const char *path))
{
	const char *list = getenv("PATH");
	size_t length = strlen(name);
	while (list && *list) {
		size_t span = strcspn(list, ":");
		if (span + length + 2 <= room) {
			memcpy(into, list, span);
			into[span] = '/';
			memcpy(into + span + 1, name, length + 1);
			if (span > 0 && is_it(into))
				return into;
		}
		list += span + (list[span] == ':');
	}
	return NULL;
}

/* A big remote file that another program inherits must be whole when the shim is not there to fill it. */
static void prepare_files(const struct launch *it, const struct obstacle *found)
{
	bool is_unknown = it->how == FEXECVE || it->how == EXECVEAT;
	bool is_spawn = it->how == SPAWN || it->how == SPAWNP; /* whose actions may hand on any descriptor */
	if (unlikely(big_has_any()) && (found->what || is_unknown))
		big_make_all_whole(is_spawn);
}

enum { FOUND_BYTES = 1024 };

/* The file that will be executed, searched for in `room` if need be; NULL when that is not to be said. */
static const char *file_of(const struct launch *it, char room[FOUND_BYTES])
{
	bool is_searched = it->path && !strchr(it->path, '/') && (it->how == EXECVPE || it->how == SPAWNP);
	if (it->how == EXECVEAT || it->how == FEXECVE)
		return NULL;
	return is_searched ? search_path(it->path, room, FOUND_BYTES, is_executable_here) : it->path;
}

static struct obstacle note_obstacle(const char *path)
{
	struct obstacle found = path ? obstacle_of(path, MAX_SCRIPTS) : (struct obstacle){ 0 };
	if (found.what && !found.is_for_supervisor)
		wire_note("Runs without mirrord", path, found.what);
	return found;
}

/* ---- launching ---- */

/* More entries than this do not go on the stack. */
enum { STACK_ENTRIES = 4096 };

/* Copies the environment into `room` behind the `count` entries that are there: all but LD_PRELOAD and, unless it `keeps_path`,
 * LD_LIBRARY_PATH, and the session. */
static void copy_rest(char **room, size_t count, char *const envp[], const struct survey *found, bool keeps_path)
{
	if (!found->has_session)
		room[count++] = shim.session_variable;
	for (; envp && *envp; envp++)
		if (!starts_with(*envp, PRELOAD) && (keeps_path || !starts_with(*envp, LIBRARY_PATH)))
			room[count++] = *envp;
	room[count] = NULL;
}

/* What is left of the program's list of libraries once ours, at its beginning, is taken away. */
static const char *without_ours(const char *list)
{
	if (!list || !is_ours_first(list))
		return list;
	list += strlen(shim.path);
	return *list ? list + 1 : NULL;
}

static int launch_with_shim(const struct launch *it, char *const envp[], const struct survey *found, char **room)
{
	const char *given = without_ours(found->preload);
	size_t own = given ? strlen(given) : 0, libraries = it->libraries ? strlen(it->libraries) : 0;
	char preload[sizeof PRELOAD + strlen(shim.path) + 1 + libraries + 1 + own];
	char *at = stpcpy(stpcpy(preload, PRELOAD), shim.path);
	if (libraries > 0)
		at = stpcpy(stpcpy(at, ":"), it->libraries);
	if (own > 0)
		stpcpy(stpcpy(at, ":"), given);
	room[0] = preload;
	bool has_directory = it->directory && *it->directory;
	char path[sizeof LIBRARY_PATH + (has_directory ? strlen(it->directory) + 1 : 0) +
		  (found->library_path ? strlen(found->library_path) : 0)];
	if (has_directory) {
		at = stpcpy(stpcpy(path, LIBRARY_PATH), it->directory);
		if (found->library_path && *found->library_path)
			stpcpy(stpcpy(at, ":"), found->library_path);
		room[1] = path;
	}
	copy_rest(room, has_directory ? 2 : 1, envp, found, !has_directory);
	return really(it, room);
}

static int launch_without_shim(const struct launch *it, char *const envp[], const struct survey *found, char **room)
{
	const char *own = without_ours(found->preload);
	char preload[sizeof PRELOAD + (own ? strlen(own) : 0)];
	size_t count = 0;
	if (own) {
		stpcpy(stpcpy(preload, PRELOAD), own);
		room[count++] = preload;
	}
	copy_rest(room, count, envp, found, true);
	return really(it, room);
}

static int launch_as_it_is(const struct launch *it, char *const envp[], bool is_without_shim)
{
	struct survey found = survey(envp);
	if (found.is_complete && !is_without_shim && !it->libraries)
		return really(it, envp);
	int (*const launched)(const struct launch *, char *const[], const struct survey *, char **) =
		is_without_shim ? launch_without_shim : launch_with_shim;
	if (found.count <= STACK_ENTRIES) {
		char *room[found.count + 4];
		return launched(it, envp, &found, room);
	}
	size_t bytes = (found.count + 4) * sizeof(char *);
	char **room = pages_take(bytes);
	if (!room)
		return really(it, envp);
	int result = launched(it, envp, &found, room);
	pages_give(room, bytes);
	return result;
}

/* The supervisor becomes the program: see supervisor/supervisor.c. BYPASS: it cannot be had here. */
__attribute__((noinline)) static long launch_supervised(const struct launch *it, const char *path, char *const envp[],
							bool is_without_shim)
{
	enum { OWN_ARGUMENTS = 2 };
	char supervisor[SHIM_PATH_BYTES];
	struct wire_bytes place = shim.settings.supervisor;
	size_t count = 0;
	while (it->argv && it->argv[count])
		count++;
	if (place.length == 0 || place.length >= sizeof supervisor || count == 0 || count > STACK_ENTRIES)
		return BYPASS;
	memcpy(supervisor, place.at, place.length);
	supervisor[place.length] = '\0';
	if (!is_executable_here(supervisor))
		return BYPASS;
	char *argv[count + OWN_ARGUMENTS + 1];
	argv[0] = "mirrord-supervisor";
	argv[1] = (char *)path;
	memcpy(argv + OWN_ARGUMENTS, it->argv, (count + 1) * sizeof *argv);
	struct launch instead = *it;
	instead.path = supervisor;
	instead.argv = argv;
	instead.how = it->how == EXECVPE ? EXECVE : it->how == SPAWNP ? SPAWN : it->how;
	/* It executes the copy; the program itself has no descriptor of it. */
	if (it->is_fetched)
		kernel(SYS_fcntl, it->fd, F_SETFD, 0);
	return launch_as_it_is(&instead, envp, is_without_shim);
}

static int launch_here(const struct launch *it, char *const envp[])
{
	char room[FOUND_BYTES];
	int saved = errno;
	const char *path = file_of(it, room);
	struct obstacle obstacle = note_obstacle(path);
	prepare_files(it, &obstacle);
	errno = saved;
	/* What may not be executed is refused as if nobody stood between. */
	if (unlikely(obstacle.is_for_supervisor) && is_executable_here(path)) {
		long result = launch_supervised(it, path, envp, obstacle.is_without_shim);
		if (result != BYPASS)
			return (int)result;
		wire_note("Runs without mirrord", path, obstacle.what);
		errno = saved;
	}
	struct preloads *libraries = obstacle.what ? NULL : preloads_of(path, it->shown, envp);
	struct launch with = *it;
	with.libraries = libraries ? libraries->list : NULL;
	with.directory = libraries ? libraries->directory : NULL;
	errno = saved;
	int result = launch_as_it_is(&with, envp, obstacle.is_without_shim);
	saved = errno;
	preloads_free(libraries, result == 0);
	errno = saved;
	return result;
}

/* ---- what only the target has ---- */

static int refuse(const struct launch *it, int error)
{
	if (it->how == SPAWN || it->how == SPAWNP)
		return error;
	errno = error;
	return -1;
}

static int launch_in_place(const struct launch *it, char *const envp[]);

/* A relative path has been made absolute on its way here; argv[0] mostly tells what it was, and what $0 is to be. */
static const char *path_as_given(const struct launch *it, char room[WIRE_PATH_BYTES])
{
	const char *first = it->argv ? it->argv[0] : NULL;
	return first && strchr(first, '/') && strcmp(cwd_absolute(AT_FDCWD, first, room), it->path) == 0 ? first : it->path;
}

/* Starts the interpreter of a script with the script's path, as the kernel does. */
static int launch_interpreter(const struct launch *it, const struct only_there *found, char *const envp[])
{
	char room[WIRE_PATH_BYTES];
	size_t count = 0, at = 0;
	while (it->argv && it->argv[count])
		count++;
	if (count > STACK_ENTRIES)
		return refuse(it, E2BIG);
	if (it->depth >= MAX_SCRIPTS)
		return refuse(it, ELOOP);
	char *argv[count + 4];
	argv[at++] = (char *)found->interpreter;
	if (found->argument)
		argv[at++] = (char *)found->argument;
	argv[at++] = (char *)path_as_given(it, room);
	for (size_t from = 1; from < count; from++)
		argv[at++] = it->argv[from];
	argv[at] = NULL;
	struct launch instead = *it;
	instead.argv = argv;
	instead.path = found->interpreter;
	instead.depth++;
	return launch_in_place(&instead, envp);
}

/* BYPASS: it is not only there. */
__attribute__((noinline)) static long launch_only_there(const struct launch *it, char *const envp[])
{
	struct only_there found;
	struct launch instead = *it;
	int saved = errno;
	bool is_it = only_there(&found, it->path);
	errno = saved;
	if (!is_it)
		return BYPASS;
	bool is_for_shell = found.what == UNKNOWN_FORM && (it->how == EXECVPE || it->how == SPAWNP);
	if (is_for_shell)
		found.interpreter = "/bin/sh";
	if (found.what == SCRIPT || is_for_shell)
		return launch_interpreter(it, &found, envp);
	if (found.what == REFUSED || found.what == UNKNOWN_FORM)
		return refuse(it, found.error);
	instead.path = found.path;
	instead.fd = found.fd;
	instead.is_fetched = found.what == FETCHED;
	instead.shown = found.what == FETCHED ? it->path : NULL;
	instead.how = it->how == EXECVPE ? EXECVE : it->how == SPAWNP ? SPAWN : it->how;
	int result = launch_here(&instead, envp);
	saved = errno;
	if (found.what == FETCHED)
		kernel(SYS_close, found.fd);
	errno = saved;
	return result;
}

/* execve(2) and its kin by a path, not by a search. */
static bool is_by_path(const struct launch *it)
{
	if (it->how == FEXECVE || it->how == EXECVEAT || !it->path)
		return false;
	return it->how == EXECVE || it->how == SPAWN || strchr(it->path, '/');
}

static bool is_executable_there(const char *path)
{
	return *path == '/' && hook_faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

/* A name for which PATH has nothing on this machine may be found in a directory of the target. */
__attribute__((noinline)) static long launch_searched(const struct launch *it, char *const envp[])
{
	char room[WIRE_PATH_BYTES];
	struct launch instead = *it;
	if (it->how == FEXECVE || it->how == EXECVEAT || !it->path || !*it->path || shim.fs_mode == FS_LOCAL ||
	    search_path(it->path, room, sizeof room, is_executable_here))
		return BYPASS;
	int saved = errno;
	instead.path = search_path(it->path, room, sizeof room, is_executable_there);
	errno = saved;
	return instead.path ? launch_only_there(&instead, envp) : BYPASS;
}

static int launch_in_place(const struct launch *it, char *const envp[])
{
	if (!shim.has_session)
		return really(it, envp);
	long result = is_by_path(it) ? launch_only_there(it, envp) : launch_searched(it, envp);
	return result == BYPASS ? launch_here(it, envp) : (int)result;
}

/* From a directory of the target a relative name is that of a file of this machine: an absolute one (cwd.h). */
__attribute__((noinline)) static int launch_from_away(const struct launch *it, char *const envp[])
{
	char room[WIRE_PATH_BYTES];
	struct launch absolute = *it;
	bool is_searched = (it->how == EXECVPE || it->how == SPAWNP) && it->path && !strchr(it->path, '/');
	if (!is_searched)
		absolute.path = cwd_absolute(it->how == EXECVEAT ? it->fd : AT_FDCWD, it->path, room);
	return launch_in_place(&absolute, envp);
}

static int launch(const struct launch *it, char *const envp[])
{
	return cwd_may_be_away() ? launch_from_away(it, envp) : launch_in_place(it, envp);
}

int hook_execve(const char *path, char *const argv[], char *const envp[])
{
	return launch(&(struct launch){ .how = EXECVE, .path = path, .argv = argv }, envp);
}

int hook_execv(const char *path, char *const argv[])
{
	return hook_execve(path, argv, environ);
}

int hook_execvpe(const char *file, char *const argv[], char *const envp[])
{
	return launch(&(struct launch){ .how = EXECVPE, .path = file, .argv = argv }, envp);
}

int hook_execvp(const char *file, char *const argv[])
{
	return hook_execvpe(file, argv, environ);
}

int hook_fexecve(int fd, char *const argv[], char *const envp[])
{
	return launch(&(struct launch){ .how = FEXECVE, .fd = fd, .argv = argv }, envp);
}

int hook_execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags)
{
	struct launch it = { .how = EXECVEAT, .fd = dirfd, .path = path, .argv = argv, .flags = flags };
	return launch(&it, envp);
}

static int spawn(struct launch it, char *const envp[])
{
	struct spawn_plan plan;
	if (likely(!spawn_needs_rewriting(it.actions)))
		return launch(&it, envp);
	int saved = errno;
	int error = spawn_plan(&plan, it.actions, &it.path);
	it.actions = &plan.actions;
	errno = saved;
	if (!error)
		error = launch(&it, envp);
	spawn_plan_done(&plan);
	return error;
}

int hook_posix_spawn(pid_t *pid, const char *program, const posix_spawn_file_actions_t *actions,
		     const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
	struct launch it = { .how = SPAWN, .path = program, .argv = argv, .pid = pid };
	it.actions = actions;
	it.attributes = attributes;
	return spawn(it, envp);
}

int hook_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
		      const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
	struct launch it = { .how = SPAWNP, .path = file, .argv = argv, .pid = pid };
	it.actions = actions;
	it.attributes = attributes;
	return spawn(it, envp);
}

/* These start a shell with the program's own environment: a program that has cleared it gets our two variables back. */
static void complete_environ(void)
{
	struct survey found = survey(environ);
	if (!shim.has_session || found.is_complete)
		return;
	int saved = errno;
	size_t own = found.preload ? strlen(found.preload) : 0;
	char preload[strlen(shim.path) + 2 + own];
	char *at = stpcpy(preload, shim.path);
	if (own > 0)
		stpcpy(stpcpy(at, ":"), found.preload);
	setenv("LD_PRELOAD", preload, 1);
	setenv("MIRRORD_SESSION_DIR", shim.session_variable + sizeof SESSION - 1, 0);
	errno = saved;
}

int hook_system(const char *command)
{
	complete_environ();
	return real.system(command);
}

FILE *hook_popen(const char *command, const char *type)
{
	complete_environ();
	return real.popen(command, type);
}
