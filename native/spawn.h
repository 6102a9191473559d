/* spawn.h - file actions of posix_spawn(3) whose paths are the target's, done before the child is made. */
#ifndef MIRRORD_SPAWN_H
#define MIRRORD_SPAWN_H

#include "shim.h"

#include <spawn.h>

struct spawn_plan {
	posix_spawn_file_actions_t actions;
	int *kept, kept_count;
	void *map;
	size_t mapped;
};

/* Is there a path among the actions that may be the target's? */
bool spawn_needs_rewriting(const posix_spawn_file_actions_t *given);

/* The actions as the child shall do them, and the program as it will find it. 0, or the errno for posix_spawn(3);
 * spawn_plan_done() either way. */
int spawn_plan(struct spawn_plan *plan, const posix_spawn_file_actions_t *given, const char **program);
void spawn_plan_done(struct spawn_plan *plan);

#endif
