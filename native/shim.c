/* shim.c - the way in: what happens when the library is loaded, and the functions it exports.
 *
 * Starting reads the run's settings and opens the lifeline; it happens in the constructor, or in the first hook when
 * another library's constructor was quicker. Without a session directory, or with one that cannot be read, the settings
 * stay zero and every hook bypasses: a guest that has lost its host leaves no trace.
 *
 * There is no re-entrance guard around hooks: a body uses system calls or `real`, never an exported name, so a hook
 * that comes in while another runs (from a signal handler, an allocator, an NSS module) is simply another call. A hook
 * that is left by longjmp could never take such a guard down again.
 */
#include "big.h"
#include "cwd.h"
#include "debuggers.h"
#include "environment.h"
#include "fds.h"
#include "fresh.h"
#include "mapping.h"
#include "preloads.h"
#include "real.h"
#include "wire.h"
#include "writing.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>

struct shim shim;

#ifndef MIRRORD_SUPERVISOR /* which has its own (supervisor/reals.c) */

struct real real;

/* The symbol as it was before libdl became part of libc (2.34): runs on glibc 2.28 too. */
__asm__(".symver dlsym, dlsym@GLIBC_2.2.5");

/* Names that libc has only since 2.34, and then not by these: looked for when they are called. A dlsym() that fails
 * allocates, and who called us may be an allocator that is just starting, behind its own lock (jemalloc opens a file). */
static bool is_of_resolver(const char *name)
{
	bool is_start = strcmp(name, "__res_init") == 0 || strcmp(name, "__res_ninit") == 0;
	return !is_start && strncmp(name, "__res_", 6) == 0;
}

static void find_real(void)
{
	static const char names[] =
#define HOOK(ret, name, params, call) #name "\0"
#define HOOK_VA(ret, name, params, last, type, extra, call) #name "\0"
#define HOOK_LIST(ret, name, params, last, hook)
#define ALIAS(name, hook)
#include "hooks.def"
#undef HOOK
#undef HOOK_VA
#undef HOOK_LIST
#undef ALIAS
		;
	/* All members are pointers to functions, in the order of the table. */
	void **member = (void **)&real;
	for (const char *name = names; *name; name += strlen(name) + 1)
		*member++ = is_of_resolver(name) ? NULL : dlsym(RTLD_NEXT, name);
}

void *real_named(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

#endif

static struct text text_of(struct wire_bytes bytes)
{
	/* Directories are compared by prefix: without a slash at the end. */
	struct text text = { bytes.at, bytes.length };
	while (text.length > 0 && text.at[text.length - 1] == '/')
		text.length--;
	return text;
}

/* Calls `each` with every string of a list of NUL-terminated strings, until it says true. */
static bool any_of(struct wire_bytes list, bool (*each)(struct text, const char *), const char *argument)
{
	const char *at = list.at;
	const char *end = at + list.length;
	while (at < end) {
		size_t length = strnlen(at, (size_t)(end - at));
		if (length > 0 && each((struct text){ at, length }, argument))
			return true;
		at += length + 1;
	}
	return false;
}

static bool add_mount(struct text mount, const char *unused)
{
	(void)unused;
	shim.mounts[shim.mount_count++] = text_of((struct wire_bytes){ mount.at, (uint32_t)mount.length });
	return shim.mount_count == MAX_MOUNTS;
}

static bool is_named(struct text wanted, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	return strlen(name) == wanted.length && memcmp(name, wanted.at, wanted.length) == 0;
}

bool shim_skips(const char *executable, const char *invocation)
{
	struct wire_bytes names = shim.settings.skip_processes, tools = shim.settings.build_tools;
	if (any_of(names, is_named, executable) || any_of(names, is_named, invocation))
		return true;
	/* In a directory of the target, a tool is meant to find the target's files. */
	return !cwd_may_be_away() && (any_of(tools, is_named, executable) || any_of(tools, is_named, invocation));
}

static bool is_skipped(void)
{
	char executable[SHIM_PATH_BYTES];
	long length = kernel(SYS_readlink, "/proc/self/exe", executable, sizeof executable - 1);
	executable[length > 0 ? length : 0] = '\0';
	return shim_skips(executable, program_invocation_name ? program_invocation_name : "");
}

bool shim_read_settings(const uint8_t *frame, size_t size)
{
	uint32_t length;
	if (size <= WIRE_HEAD_BYTES)
		return false;
	memcpy(&length, frame, sizeof length);
	if (length + 4ul != size || frame[4] != WIRE_SETTINGS)
		return false;
	struct wire_in in = { .at = frame + WIRE_HEAD_BYTES, .end = frame + size };
	return wire_get_settings(&in, &shim.settings);
}

/* The settings stay mapped for the life of the process: texts point into them. */
static bool read_settings(const char *path)
{
	int fd = (int)kernel(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	struct stat st;
	void *file = (void *)-1;
	if (kernel(SYS_fstat, fd, &st) == 0 && st.st_size > (off_t)WIRE_HEAD_BYTES)
		file = (void *)kernel(SYS_mmap, 0, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	kernel(SYS_close, fd);
	if ((unsigned long)file >= -4095UL)
		return false;
	return shim_read_settings(file, (size_t)st.st_size);
}

static bool put_path(char *into, size_t room, const char *directory, size_t length, const char *rest)
{
	size_t rest_length = strlen(rest);
	if (length + rest_length + 1 > room)
		return false;
	memcpy(into, directory, length);
	memcpy(into + length, rest, rest_length + 1);
	return true;
}

/* The user wants no program here to act in a target, as before a script that deletes: it must not run at all. */
static void obey_refusal(void)
{
	static const char name[] = "MIRRORD_DONT_LOAD=";
	static const char sentence[] = "mirrord: MIRRORD_DONT_LOAD is set: this program does not run in a target\n";
	for (char **entry = environ; entry && *entry; entry++) {
		if (strncmp(*entry, name, sizeof name - 1) != 0 || !(*entry)[sizeof name - 1])
			continue;
		kernel(SYS_write, 2, sentence, sizeof sentence - 1);
		kernel(SYS_exit_group, 125);
	}
}

enum session { NO_SESSION, LOST_SESSION, SESSION };

static enum session find_session(void)
{
	static const char name[] = "MIRRORD_SESSION_DIR=";
	char settings[SHIM_PATH_BYTES];
	for (char **entry = environ; entry && *entry; entry++) {
		if (strncmp(*entry, name, sizeof name - 1) != 0)
			continue;
		const char *directory = *entry + sizeof name - 1;
		size_t length = strlen(directory);
		shim.socket.sun_family = AF_UNIX;
		if (length == 0) /* none, on purpose */
			return NO_SESSION;
		if (put_path(shim.session_variable, sizeof shim.session_variable, *entry, strlen(*entry), "") &&
		    put_path(shim.socket.sun_path, sizeof shim.socket.sun_path, directory, length, "/socket") &&
		    put_path(settings, sizeof settings, directory, length, "/settings") && read_settings(settings))
			return SESSION;
		return LOST_SESSION;
	}
	return NO_SESSION;
}

/* It was to act in a target, and how is not known any more: what could be the target's is asked for, and there is nobody
 * who answers. Here it would write where it was never meant to. */
static void be_lost(void)
{
	shim.is_dns_remote = shim.is_tcp_remote = shim.is_udp_remote = shim.is_incoming_remote = true;
	/* No path is within these, nor above them. */
	shim.home = shim.launch_directory = shim.temporary_directory = shim.program = (struct text){ "?", 1 };
	shim.fs_mode = FS_WRITE;
}

void shim_adopt_settings(void)
{
	const struct wire_settings *settings = &shim.settings;
	shim.is_dns_remote = settings->is_dns_remote;
	shim.is_hostname_remote = settings->is_hostname_remote;
	shim.is_tcp_remote = settings->is_tcp_remote;
	shim.is_udp_remote = settings->is_udp_remote;
	shim.is_incoming_remote = settings->is_incoming_remote;
	shim.is_ipv6_off = settings->is_ipv6_off;
	shim.is_ipv6_hidden = settings->is_ipv6_hidden;
	shim.is_tracing = settings->is_tracing;
	shim.home = text_of(settings->home);
	shim.launch_directory = text_of(settings->launch_directory);
	shim.temporary_directory = text_of(settings->temporary_directory);
	shim.program = text_of(settings->program);
	shim.mount_count = 0;
	any_of(settings->mounts, add_mount, NULL);
	patterns_adopt(&shim.rules, settings->path_rules);
	patterns_adopt(&shim.mappings, settings->path_mappings);
	patterns_adopt(&shim.unix_sockets, settings->unix_sockets);
	/* Last: until it is set, every path is local. */
	shim.fs_mode = settings->fs_mode <= FS_WRITE ? settings->fs_mode : FS_LOCAL;
}

void shim_begin(void)
{
	enum session session = find_session();
	if (session == NO_SESSION)
		return;
	obey_refusal();
	struct wire_bytes path = shim.settings.shim;
	put_path(shim.path, sizeof shim.path, path.at ? path.at : "", path.length, "");
	shim.has_session = session == SESSION;
	wire_start();
	fds_start();
	big_start();
	writing_start();
	if (shim.settings.fs_mode == FS_WRITE)
		fresh_start(strchr(shim.session_variable, '=') + 1);
	cwd_start();
	if (session == LOST_SESSION) {
		be_lost();
	} else if (!is_skipped()) {
		shim_adopt_settings();
		if (shim.settings.is_environment_here)
			environment_load(strchr(shim.session_variable, '=') + 1);
	}
}

#ifndef MIRRORD_SUPERVISOR

enum { ASLEEP, STARTING, AWAKE };
static _Atomic int wakefulness;

static void start(void)
{
	/* Whoever comes in meanwhile, on another thread or from inside dlsym, finds the same and bypasses. */
	find_real();
	int asleep = ASLEEP;
	if (!atomic_compare_exchange_strong(&wakefulness, &asleep, STARTING))
		return;
	int saved = errno;
	preloads_begin();
	shim_begin();
	errno = saved;
	atomic_store_explicit(&wakefulness, AWAKE, memory_order_release);
}

static inline void be_awake(void)
{
	if (unlikely(atomic_load_explicit(&wakefulness, memory_order_acquire) != AWAKE))
		start();
}

/* glibc gives constructors what it gives main. */
__attribute__((constructor)) static void begin(int argc, char **argv)
{
	be_awake();
	if (shim.is_tcp_remote || shim.is_incoming_remote)
		debuggers_find(argc, argv);
}

/* ---- the exported functions: C knows them as export_x, the linker as x ---- */

#define EXPORT __attribute__((visibility("default")))

/* What the names of paths and of their descriptors mean in a function that has no such parameters. */
static const struct none {
	char nothing;
} path, from, to, from_fd, to_fd;
_Static_assert(_Generic(dirfd, int: 0, default: 1), "outside, dirfd is libc's function");

/* Whether there may be something to change: known when compiled, for most, and one or two loads for the others. */
#define IS_PATH(name) _Generic(&name, const char **: true, default: false)
#define IS_DESCRIPTOR(name) _Generic(name, int: true, default: false)
#define HAS_PATH (IS_PATH(path) || IS_PATH(from))
#define HAS_DESCRIPTOR (IS_DESCRIPTOR(dirfd) || IS_DESCRIPTOR(from_fd))
#define MAY_BE_AWAY                                                                                                    \
	(HAS_PATH && (cwd_may_be_away() || mapping_is_any() || (HAS_DESCRIPTOR && fds_may_be_directory())))

__attribute__((noinline, cold)) static const char *elsewhere(int descriptor, const char *path, char *room)
{
	return mapping_of(cwd_absolute(descriptor, path, room), room);
}

#define ABSOLUTE(name, descriptor)                                                                                     \
	char absolute_##name[IS_PATH(name) ? WIRE_PATH_BYTES : 1];                                                     \
	const char **given_##name = _Generic(&name, const char **: &name, default: &no_path);                          \
	if (IS_PATH(name))                                                                                             \
		*given_##name = elsewhere(_Generic(descriptor, int: descriptor, default: AT_FDCWD), *given_##name,     \
					  absolute_##name);
#define MAKE_ABSOLUTE                                                                                                  \
	const char *no_path = NULL;                                                                                    \
	ABSOLUTE(path, dirfd)                                                                                          \
	ABSOLUTE(from, from_fd)                                                                                        \
	ABSOLUTE(to, to_fd)

#define HOOK(ret, name, params, call)                                                                                  \
	EXPORT ret export_##name params __asm__(#name);                                                                \
	__attribute__((noinline, cold, unused)) static ret away_##name params                                          \
	{                                                                                                              \
		MAKE_ABSOLUTE                                                                                           \
		return hook_##name call;                                                                               \
	}                                                                                                              \
	ret export_##name params                                                                                       \
	{                                                                                                              \
		be_awake();                                                                                            \
		return MAY_BE_AWAY ? away_##name call : hook_##name call;                                              \
	}

/* The optional argument is read whether it was passed or not: what is read then is not used. */
#define HOOK_VA(ret, name, params, last, type, extra, call)                                                            \
	EXPORT ret export_##name(UNPAREN params, ...) __asm__(#name);                                                  \
	__attribute__((noinline, cold, unused)) static ret away_##name(UNPAREN params, type extra)                     \
	{                                                                                                              \
		MAKE_ABSOLUTE                                                                                           \
		return hook_##name call;                                                                               \
	}                                                                                                              \
	ret export_##name(UNPAREN params, ...)                                                                         \
	{                                                                                                              \
		va_list rest;                                                                                          \
		va_start(rest, last);                                                                                  \
		type extra = va_arg(rest, type);                                                                       \
		va_end(rest);                                                                                          \
		be_awake();                                                                                            \
		return MAY_BE_AWAY ? away_##name call : hook_##name call;                                              \
	}

/* Arguments as a list that ends in NULL, as execl(3) has them; `hook` gets them as a vector, and what follows NULL. */
#define HOOK_LIST(ret, name, params, last, hook)                                                                       \
	EXPORT ret export_##name(UNPAREN params, ...) __asm__(#name);                                                  \
	ret export_##name(UNPAREN params, ...)                                                                         \
	{                                                                                                              \
		be_awake();                                                                                            \
		va_list rest;                                                                                          \
		size_t count = last ? 2 : 1;                                                                           \
		va_start(rest, last);                                                                                  \
		while (count > 1 && va_arg(rest, char *))                                                              \
			count++;                                                                                       \
		va_end(rest);                                                                                          \
		char *argv[count];                                                                                     \
		argv[0] = (char *)last;                                                                                \
		va_start(rest, last);                                                                                  \
		for (size_t at = 1; at < count; at++)                                                                  \
			argv[at] = va_arg(rest, char *);                                                               \
		ret result = hook;                                                                                     \
		va_end(rest);                                                                                          \
		return result;                                                                                         \
	}

#define ALIAS(name, hook) __asm__(".globl " #name "\n.type " #name ", @function\n.set " #name ", " #hook);

#include "hooks.def"

#endif
