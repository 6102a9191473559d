/* raw.h - system calls by number, taken by families: see raw.c. */
#ifndef MIRRORD_RAW_H
#define MIRRORD_RAW_H

#include <stdbool.h>

/* The result of the hook that this call belongs to, or else the kernel's own. Paths are absolute, or as the kernel has them. */
long raw_call(long number, const long *a);

/* The result of the hook that this call belongs to; `*is_known` false: it belongs to none of this family. */
long raw_tree(long number, const long *a, bool *is_known);

#endif
