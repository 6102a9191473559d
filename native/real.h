/* real.h - the functions of libc that we stand in front of, found behind us (made from hooks.def).
 *
 * A member is NULL when this libc has no such function; then no app linked against it calls ours.
 */
#ifndef MIRRORD_REAL_H
#define MIRRORD_REAL_H

#include "hooks.h"

#define HOOK(ret, name, params, call) ret(*name) params;
#define HOOK_VA(ret, name, params, last, type, extra, call) ret (*name)(UNPAREN params, ...);
#define HOOK_LIST(ret, name, params, last, hook)
#define ALIAS(name, hook)
struct real {
#include "hooks.def"
};
#undef HOOK
#undef HOOK_VA
#undef HOOK_LIST
#undef ALIAS

extern struct real real;

/* The function of libc with this name, for those that bear another one in some versions of it; or NULL. */
void *real_named(const char *name);

#endif
