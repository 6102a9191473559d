/* hooks.h - the types the table speaks of, and the prototype of every hook's body (made from hooks.def).
 *
 * A body has the contract of the libc function it is named after, errno included.
 */
#ifndef MIRRORD_HOOKS_H
#define MIRRORD_HOOKS_H

#include "shim.h"

#include <aio.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fts.h>
#include <glob.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <utime.h>
#include <wordexp.h>

typedef int (*dirent_filter)(const struct dirent *);
typedef int (*dirent_order)(const struct dirent **, const struct dirent **);

typedef int (*fts_order)(const FTSENT **, const FTSENT **);

struct file_handle;
struct FTW;
struct __res_state;
typedef int (*ftw_callback)(const char *, const struct stat *, int);
typedef int (*nftw_callback)(const char *, const struct stat *, int, struct FTW *);

#define UNPAREN(...) __VA_ARGS__

#define HOOK(ret, name, params, call) ret hook_##name params;
#define HOOK_VA(ret, name, params, last, type, extra, call) ret hook_##name(UNPAREN params, type extra);
#define HOOK_LIST(ret, name, params, last, hook)
#define ALIAS(name, hook)
#include "hooks.def"
#undef HOOK
#undef HOOK_VA
#undef HOOK_LIST
#undef ALIAS

#endif
