/* spawn.c - file actions of posix_spawn(3): the child does them inside libc, where no hook sees the paths.
 *
 * So those that are the target's are done here, before the child is there: what is opened is opened and becomes a dup2,
 * a directory becomes an fchdir into its placeholder (cwd.h). A failure is posix_spawn's, as it would be the child's.
 *
 * The actions are read where glibc keeps them. Their form is private, and the same from 2.3 to this day: actions of a
 * kind that is not known, and forms that are not right, are left to libc as they are.
 */
#include "spawn.h"
#include "cwd.h"
#include "fds.h"
#include "pages.h"
#include "remote.h"

#include <fcntl.h>

enum kind { DO_CLOSE, DO_DUP2, DO_OPEN, DO_CHDIR, DO_FCHDIR, DO_CLOSEFROM, DO_TCSETPGRP, KINDS };

struct action {
	enum kind kind;
	union {
		int fd;
		struct {
			int from, to;
		} dup2;
		struct {
			int fd;
			char *path;
			int flags;
			mode_t mode;
		} open;
		char *directory;
	};
};
_Static_assert(sizeof(struct action) == 32, "as glibc has it");

/* Descriptors for the child are kept above those that actions name. */
enum { MOST_ACTIONS = 1024, LEAST_DESCRIPTOR = 256 };

static bool has_paths(const posix_spawn_file_actions_t *given)
{
	const struct action *actions = (const void *)given->__actions;
	bool has = false;
	if (given->__used < 0 || given->__used > MOST_ACTIONS || given->__used > given->__allocated)
		return false;
	for (int at = 0; at < given->__used; at++) {
		if ((unsigned)actions[at].kind >= KINDS)
			return false;
		has = has || actions[at].kind == DO_OPEN || actions[at].kind == DO_CHDIR ||
		      (actions[at].kind == DO_FCHDIR && fds_may_be_directory());
	}
	return has;
}

bool spawn_needs_rewriting(const posix_spawn_file_actions_t *given)
{
	return given && shim.fs_mode != FS_LOCAL && has_paths(given);
}

/* Where the child will be when an action is done. */
struct whereabouts {
	_Alignas(16) bool is_moved;
	bool is_unknown;
	char path[WIRE_PATH_BYTES];
};

/* `path` as the child will mean it: as it is, or absolute in `room`. */
static const char *meant(const struct whereabouts *where, const char *path, char room[WIRE_PATH_BYTES])
{
	if (*path == '/' || where->is_unknown)
		return path;
	if (!where->is_moved)
		return cwd_absolute(AT_FDCWD, path, room);
	size_t length = strlen(where->path), span = strlen(path);
	if (length + span + 2 > WIRE_PATH_BYTES)
		return path;
	memcpy(room, where->path, length);
	room[length] = '/';
	memcpy(room + length + 1, path, span + 1);
	return room;
}

/* Moves a descriptor out of the way of those that the actions name. */
static int keep(struct spawn_plan *plan, int fd)
{
	if (fd < 0)
		return fd;
	int up = (int)kernel(SYS_fcntl, fd, F_DUPFD_CLOEXEC, LEAST_DESCRIPTOR);
	if (up >= 0) {
		kernel(SYS_close, fd);
		fd = up;
	}
	plan->kept[plan->kept_count++] = fd;
	return fd;
}

static int plan_open(struct spawn_plan *plan, struct action *action, const struct whereabouts *where, char *room)
{
	const char *path = meant(where, action->open.path, room);
	long fd = try_create(AT_FDCWD, path, action->open.flags | O_CLOEXEC, action->open.mode);
	if (fd == BYPASS) {
		action->open.path = (char *)path;
		return 0;
	}
	fd = keep(plan, (int)fd);
	if (fd < 0)
		return (int)-fd;
	int to = action->open.fd;
	action->kind = DO_DUP2;
	action->dup2.from = (int)fd;
	action->dup2.to = to;
	return 0;
}

static int plan_chdir(struct spawn_plan *plan, struct action *action, struct whereabouts *where, char *room)
{
	const char *path = meant(where, action->directory, room);
	long fd = cwd_open(path);
	if (fd == BYPASS) {
		action->directory = (char *)path;
	} else {
		fd = keep(plan, (int)fd);
		if (fd < 0)
			return (int)-fd;
		action->kind = DO_FCHDIR;
		action->fd = (int)fd;
	}
	where->is_unknown = *path != '/' || strlen(path) >= sizeof where->path;
	where->is_moved = !where->is_unknown;
	if (where->is_moved)
		strcpy(where->path, path);
	return 0;
}

/* A directory of the target is memory to the kernel. */
static int plan_fchdir(struct spawn_plan *plan, struct action *action, struct whereabouts *where, char *room)
{
	ssize_t length = fds_directory_path(action->fd, room, WIRE_PATH_BYTES - 1);
	where->is_unknown = length <= 0;
	where->is_moved = !where->is_unknown;
	if (length <= 0)
		return 0;
	room[length] = '\0';
	strcpy(where->path, room);
	long opened = cwd_open(room);
	if (opened == BYPASS) {
		action->kind = DO_CHDIR;
		action->directory = room;
		return 0;
	}
	int fd = keep(plan, (int)opened);
	action->fd = fd;
	return fd < 0 ? -fd : 0;
}

int spawn_plan(struct spawn_plan *plan, const posix_spawn_file_actions_t *given, const char **program)
{
	size_t count = (size_t)given->__used;
	size_t bytes = sizeof(struct whereabouts) + (count + 1) * (sizeof(struct action) + WIRE_PATH_BYTES) +
		       count * sizeof *plan->kept;
	*plan = (struct spawn_plan){ .actions = *given, .mapped = bytes };
	plan->map = pages_take(bytes);
	if (!plan->map)
		return ENOMEM;
	struct whereabouts *where = plan->map;
	struct action *actions = (void *)(where + 1);
	char *rooms = (char *)(actions + count + 1);
	plan->kept = (int *)(rooms + (count + 1) * WIRE_PATH_BYTES);
	memcpy(actions, given->__actions, count * sizeof *actions);
	plan->actions.__actions = (void *)actions;
	int error = 0;
	for (size_t at = 0; at < count && !error; at++) {
		char *room = rooms + at * WIRE_PATH_BYTES;
		if (actions[at].kind == DO_OPEN)
			error = plan_open(plan, &actions[at], where, room);
		else if (actions[at].kind == DO_CHDIR)
			error = plan_chdir(plan, &actions[at], where, room);
		else if (actions[at].kind == DO_FCHDIR)
			error = plan_fchdir(plan, &actions[at], where, room);
	}
	if (where->is_moved && *program && strchr(*program, '/'))
		*program = meant(where, *program, rooms + count * WIRE_PATH_BYTES);
	return error;
}

void spawn_plan_done(struct spawn_plan *plan)
{
	if (!plan->map)
		return;
	for (int at = 0; at < plan->kept_count; at++)
		kernel(SYS_close, plan->kept[at]);
	pages_give(plan->map, plan->mapped);
}
