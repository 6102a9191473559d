/* pages.h - memory of the kernel's own, zeroed: for who must not call malloc(3), as a child of a process with threads. */
#ifndef MIRRORD_PAGES_H
#define MIRRORD_PAGES_H

#include <stddef.h>

/* NULL: there is none. */
void *pages_take(size_t bytes);
/* `at` may be NULL. */
void pages_give(void *at, size_t bytes);

#endif
