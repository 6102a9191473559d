/* walks.h - what walks of libc's (walks.c, fts.c) do with names, wherever the working directory is. errno is set. */
#ifndef MIRRORD_WALKS_H
#define MIRRORD_WALKS_H

#include "real.h"

/* Does a walk from there look at the target? */
bool walks_begin_remote(const char *directory);

int walks_stat(int dirfd, const char *name, struct stat *st, bool is_link_wanted);
/* A descriptor of a directory. */
int walks_open(int dirfd, const char *name);
int walks_change_directory(const char *path);

#endif
