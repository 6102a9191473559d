/* paths.c - the rules, and paths made absolute. See paths.h. */
#include "cwd.h"
#include "fds.h"
#include "links.h"
#include "paths.h"
#include "proc_net.h"
#include "wire.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define TEXT(literal) { literal, sizeof literal - 1 }

static bool equals(const char *path, size_t length, struct text text)
{
	return length == text.length && memcmp(path, text.at, length) == 0;
}

/* Is it `directory` or something below? */
static bool is_within(const char *path, size_t length, struct text directory)
{
	size_t last = directory.length - 1;
	/* The last character first: it tells most of them apart without a call. */
	return directory.length > 0 && length > last && path[last] == directory.at[last] &&
	       (length == directory.length || path[directory.length] == '/') && memcmp(path, directory.at, last) == 0;
}

static bool is_within_any(const char *path, size_t length, const struct text *directories, size_t count)
{
	for (size_t at = 0; at < count; at++)
		if (is_within(path, length, directories[at]))
			return true;
	return false;
}

#define IS_WITHIN_ANY(path, length, list) is_within_any(path, length, list, sizeof list / sizeof *list)

static bool is_user_credentials(const char *path, size_t length)
{
	static const struct text below_home[] = { TEXT(".config/gcloud"), TEXT(".kube"), TEXT(".azure") };
	if (!is_within(path, length, shim.home) || length == shim.home.length)
		return false;
	return IS_WITHIN_ANY(path + shim.home.length + 1, length - shim.home.length - 1, below_home);
}

static const struct text identity[] = {
	TEXT("/etc/resolv.conf"),
	TEXT("/etc/hosts"),
	TEXT("/etc/hostname"),
	TEXT("/etc/ssl/certs"),
};

static bool is_target_identity(const char *path, size_t length)
{
	return length > 5 && memcmp(path, "/etc/", 5) == 0 && IS_WITHIN_ANY(path, length, identity);
}

static bool is_system_directory(const char *path, size_t length)
{
	static const struct text directories[] = {
		TEXT("/usr"),	TEXT("/lib"), TEXT("/proc"), TEXT("/etc"),     TEXT("/dev"),	TEXT("/sys"),
		TEXT("/tmp"),	TEXT("/bin"), TEXT("/home"), TEXT("/sbin"),    TEXT("/opt"),	TEXT("/run"),
		TEXT("/lib64"), TEXT("/nix"), TEXT("/snap"), TEXT("/selinux"), TEXT("/lib32"),	TEXT("/libx32"),
		TEXT("/var/tmp"), TEXT("/Program Files"),
	};
	return IS_WITHIN_ANY(path, length, directories);
}

static bool is_home_dotfile(const char *path, size_t length)
{
	return is_within(path, length, shim.home) && length > shim.home.length + 1 && path[shim.home.length + 1] == '.';
}

static bool is_code_suffix(const char *suffix, size_t length)
{
	static const struct text suffixes[] = {
		TEXT("so"), TEXT("js"),	 TEXT("py"),  TEXT("pyc"), TEXT("d"),	  TEXT("sh"),  TEXT("rb"),
		TEXT("jar"), TEXT("class"), TEXT("pth"), TEXT("plist"), TEXT("pdb"), TEXT("dll"),
	};
	for (size_t at = 0; at < sizeof suffixes / sizeof *suffixes; at++)
		if (equals(suffix, length, suffixes[at]))
			return true;
	return false;
}

static bool ends_with(const char *path, size_t length, struct text text)
{
	return length >= text.length && memcmp(path + length - text.length, text.at, text.length) == 0;
}

/* The length of the directory in which a component of code lies ("/x" of "/x/node_modules/y"), or 0. */
static size_t code_component(const char *path, size_t length)
{
	static const struct text names[] = { TEXT("node_modules"), TEXT(".tool-versions"), TEXT(".asdf") };
	for (size_t from = 1; from < length;) {
		const char *slash = memchr(path + from, '/', length - from);
		size_t end = slash ? (size_t)(slash - path) : length;
		for (size_t at = 0; at < sizeof names / sizeof *names; at++)
			if (equals(path + from, end - from, names[at]))
				return from;
		/* Pipes of the .NET runtime: clr-debug-pipe-…, dotnet-diagnostic-… */
		bool is_clr = end - from > 10 && memcmp(path + from, "clr-", 4) == 0;
		if (is_clr && memmem(path + from, end - from, "-pipe-", 6))
			return from;
		from = end + 1;
	}
	return 0;
}

/* The same for what is code by its name, with the slash at its end. */
static size_t code_directory(const char *path, size_t length)
{
	static const struct text endings[] = {
		TEXT("/package.json"), TEXT("venv.cfg"), TEXT("jvm.cfg"), TEXT("/.yarnrc"), TEXT("/.yarnrc.yml"),
	};
	const char *name = memrchr(path, '/', length);
	const char *dot = memrchr(name, '.', length - (size_t)(name - path));
	size_t directory = (size_t)(name - path) + 1;
	if (dot && is_code_suffix(dot + 1, length - (size_t)(dot + 1 - path)))
		return directory;
	/* libx.so.6 */
	if (dot && memmem(name, length - (size_t)(name - path), ".so.", 4))
		return directory;
	for (size_t at = 0; at < sizeof endings / sizeof *endings; at++)
		if (ends_with(path, length, endings[at]))
			return directory;
	return code_component(path, length);
}

static bool is_here(const char *path, size_t length)
{
	char terminated[WIRE_PATH_BYTES];
	if (length == 0 || length >= sizeof terminated)
		return length == 0;
	memcpy(terminated, path, length);
	terminated[length] = '\0';
	long result = kernel(SYS_faccessat, AT_FDCWD, terminated, F_OK);
	if (result == -ENOENT) { /* a link that leads nowhere is here */
		struct stat st;
		result = kernel(SYS_newfstatat, AT_FDCWD, terminated, &st, AT_SYMLINK_NOFOLLOW);
	}
	return result != -ENOENT && result != -ENOTDIR;
}

/* Code is this machine's where this machine has it, or would put it. Above the directory in which the program was started
 * interpreters look for more of it (node_modules, package.json) at every start: there it is never the target's. */
static bool is_code_of_ours(const char *path, size_t length, bool is_write)
{
	size_t directory = code_directory(path, length);
	if (directory == 0)
		return false;
	struct text parent = { path, directory - 1 };
	if (directory == 1 || is_within(shim.launch_directory.at, shim.launch_directory.length, parent))
		return true;
	if (is_here(path, length))
		return true;
	const char *slash = memrchr(path, '/', length);
	return is_write && is_here(path, (size_t)(slash - path));
}

static struct decision decided(enum outcome outcome, enum rule rule)
{
	return (struct decision){ outcome, rule };
}

/* In the order of the lists that src/layer/patterns.ts gives to the table. */
static struct decision decide_by_pattern(const char *path, size_t length, bool is_write)
{
	switch (patterns_match(&shim.rules, path, length)) {
	case 1:
		return decided(ABSENT, RULE_NOT_FOUND_PATTERN);
	case 2:
		return decided(REMOTE, RULE_READ_WRITE_PATTERN);
	case 3:
		return decided(is_write ? LOCAL : REMOTE, RULE_READ_ONLY_PATTERN);
	case 4:
		return decided(LOCAL, RULE_LOCAL_PATTERN);
	default:
		return decided(LOCAL, RULE_UNDECIDABLE);
	}
}

static bool is_above_launch_directory(const char *path, size_t length)
{
	return is_within(shim.launch_directory.at, shim.launch_directory.length, (struct text){ path, length });
}

static bool is_target_network(const char *path, size_t length)
{
	if (likely(length < sizeof PROC_NET - 1 || (path[1] != 'p' && path[1] != 's')) || !shim.is_tcp_remote)
		return false;
	return proc_net_span(path, length) > 0 || proc_net_is_class(path, length);
}

/* Without the user's patterns. */
static struct decision decide_by_nature(const char *path, size_t length, bool is_write)
{
	if (!is_write && is_within_any(path, length, shim.mounts, (size_t)shim.mount_count))
		return decided(REMOTE, RULE_MOUNT);
	if (!is_write && is_target_network(path, length))
		return decided(REMOTE, RULE_TARGET_NETWORK);
	if (is_user_credentials(path, length))
		return decided(ABSENT, RULE_USER_CREDENTIALS);
	if (!is_write && is_target_identity(path, length))
		return decided(REMOTE, RULE_TARGET_IDENTITY);
	if (length <= 1)
		return decided(LOCAL, RULE_ROOT);
	/* And what it lies in: realpath(3) of a program's own file, or `cd ..`, looks at each of them. */
	if (is_within(path, length, shim.launch_directory) || is_above_launch_directory(path, length))
		return decided(LOCAL, RULE_LAUNCH_DIRECTORY);
	if (is_within(path, length, shim.temporary_directory))
		return decided(LOCAL, RULE_TEMPORARY_DIRECTORY);
	if (is_system_directory(path, length))
		return decided(LOCAL, RULE_SYSTEM_DIRECTORY);
	if (equals(path, length, shim.program))
		return decided(LOCAL, RULE_PROGRAM);
	if (is_home_dotfile(path, length))
		return decided(LOCAL, RULE_HOME_DOTFILE);
	if (is_code_of_ours(path, length, is_write))
		return decided(LOCAL, RULE_CODE);
	if (shim.fs_mode == FS_LOCAL_WITH_OVERRIDES)
		return decided(LOCAL, RULE_MODE_OVERRIDES);
	if (is_write && shim.fs_mode != FS_WRITE)
		return decided(LOCAL, RULE_WRITE);
	return decided(REMOTE, RULE_MODE_REMOTE);
}

struct decision decide_path(const char *path, size_t length, bool is_write)
{
	if (shim.fs_mode == FS_LOCAL) {
		bool is_network = !is_write && is_target_network(path, length);
		return is_network ? decided(REMOTE, RULE_TARGET_NETWORK) : decided(LOCAL, RULE_MODE_LOCAL);
	}
	if (unlikely(patterns_are_any(&shim.rules))) {
		struct decision decision = decide_by_pattern(path, length, is_write);
		if (decision.rule != RULE_UNDECIDABLE)
			return decision;
	}
	return decide_by_nature(path, length, is_write);
}

/* ---- paths made absolute ---- */

/* True when `path` has nothing to squeeze out: no "//", no "/.", except in names that begin with a dot. */
static bool is_plain(const char *path, size_t *length)
{
	const char *at = path;
	for (; *at; at++) {
		if (*at != '/')
			continue;
		if (at[1] == '/' || at[1] == '\0')
			break;
		if (at[1] != '.')
			continue;
		const char *after = at + (at[2] == '.' ? 3 : 2);
		if (*after == '/' || *after == '\0')
			break;
	}
	*length = (size_t)(at - path);
	return *at == '\0';
}

/* Appends the components of `path` to `into`, which holds `length` bytes of an absolute path without a slash at its
 * end; "." and "//" go. Returns the new length, or -1 when there is no room. */
static ssize_t append(char *into, size_t length, size_t room, struct text path, bool keeps_dotdot)
{
	const char *at = path.at;
	const char *end = at + path.length;
	while (at < end) {
		const char *slash = memchr(at, '/', (size_t)(end - at));
		size_t span = (size_t)((slash ? slash : end) - at);
		bool is_up = span == 2 && at[0] == '.' && at[1] == '.';
		if (is_up && !keeps_dotdot) {
			while (length > 0 && into[--length] != '/')
				;
		} else if (span > 0 && !(span == 1 && at[0] == '.')) {
			if (length + span + 2 > room)
				return -1;
			into[length++] = '/';
			memcpy(into + length, at, span);
			length += span;
		}
		at += span + 1;
	}
	return (ssize_t)length;
}

ssize_t paths_simplify(const char *path, char *into, size_t room)
{
	ssize_t length = append(into, 0, room, (struct text){ path, strlen(path) }, false);
	if (length == 0)
		into[length++] = '/';
	return length;
}

static bool ends_in_dotdot(struct text path)
{
	const char *end = path.at + path.length;
	return path.length >= 2 && end[-1] == '.' && end[-2] == '.' && (path.length == 2 || end[-3] == '/');
}

static bool ends_in_directory(struct text path)
{
	const char *end = path.at + path.length;
	return end[-1] == '/' || (end[-1] == '.' && (path.length == 1 || end[-2] == '/')) || ends_in_dotdot(path);
}

/* Is the last component "."? */
static bool ends_in_dot(struct text path)
{
	const char *end = path.at + path.length;
	while (end > path.at && end[-1] == '/')
		end--;
	return end > path.at && end[-1] == '.' && (end - 1 == path.at || end[-2] == '/');
}

/* What `path` is relative to: its length in `into` (no slash at the end), or -1. */
static ssize_t base_of(int dirfd, const char *path, char *into, size_t room)
{
	if (*path == '/')
		return 0;
	long length;
	if (dirfd == AT_FDCWD) {
		/* Counts the NUL; "(unreachable)…" is a directory outside our root. */
		length = kernel(SYS_getcwd, into, room) - 1;
	} else {
		length = fds_directory_path(dirfd, into, room);
		/* A local directory: what is below "/" may be the target's all the same. */
		if (length < 0 && (length = fds_link(dirfd, into, room)) >= (long)room)
			length = -1;
		if (length > 7 && memcmp(into, "/memfd:", 7) == 0)
			return -1;
	}
	if (length <= 0 || into[0] != '/')
		return -1;
	long unveiled = cwd_unveil(into, length);
	if (unveiled > 0)
		length = unveiled;
	return length == 1 ? 0 : length;
}

static enum outcome settle(struct place *place, struct decision decision, struct wire_bytes path)
{
	place->outcome = decision.outcome;
	place->rule = decision.rule;
	place->path = path;
	return decision.outcome;
}

/* The agent knows one name for it; with a slash at its end it is none of the entries of /proc, where it is a link. `path` may
 * lie in the buffer. */
static enum outcome settle_network(struct place *place, struct decision decision, const char *path, size_t length)
{
	size_t span = proc_net_span(path, length), begin = sizeof PROC_NET - 1;
	if (span == 0)
		return settle(place, decision, (struct wire_bytes){ path, (uint32_t)length });
	memmove(place->buffer + begin, path + span, length - span);
	memcpy(place->buffer, PROC_NET "/", length == span ? begin + 1 : begin);
	size_t whole = begin + (length == span ? 1 : length - span);
	return settle(place, decision, (struct wire_bytes){ place->buffer, (uint32_t)whole });
}

/* Decides on what base and path lexically come to. `into` is scratch that holds the base. */
static struct decision decide_joined(char *into, size_t base, size_t room, struct text path, bool is_write)
{
	ssize_t length = append(into, base, room, path, false);
	if (length < 0)
		return (struct decision){ LOCAL, RULE_UNDECIDABLE };
	if (length == 0)
		into[length++] = '/';
	/* "/data/" is what "^/data/" means, too. */
	if (unlikely(patterns_are_any(&shim.rules)) && ends_in_directory(path) && (size_t)length < room) {
		into[length] = '/';
		struct decision decision = decide_by_pattern(into, (size_t)length + 1, is_write);
		if (decision.rule != RULE_UNDECIDABLE)
			return decision;
	}
	return decide_path(into, (size_t)length, is_write);
}

static enum outcome locate_joined(int dirfd, struct text path, bool is_write, struct place *place)
{
	struct decision undecidable = { LOCAL, RULE_UNDECIDABLE };
	char *into = place->buffer;
	size_t room = sizeof place->buffer - 1;
	/* As the kernel counts: before anything is squeezed out. It says ENAMETOOLONG. */
	ssize_t base = path.length < WIRE_PATH_BYTES ? base_of(dirfd, path.at, into, room) : -1;
	if (base < 0)
		return settle(place, undecidable, (struct wire_bytes){ 0 });
	struct decision decision = decide_joined(into, (size_t)base, room, path, is_write);
	if (decision.rule == RULE_ROOT && ends_in_dotdot(path) && base_of(dirfd, path.at, into, room) == base) {
		/* The root above a directory of the target is the target's. */
		struct text above = { path.at, path.length - 2 };
		decision = decide_joined(into, (size_t)base, room, above, is_write);
	}
	/* Once more, now for the agent. */
	if (decision.outcome == REMOTE && base_of(dirfd, path.at, into, room) != base)
		decision = undecidable;
	if (decision.outcome != REMOTE)
		return settle(place, decision, (struct wire_bytes){ 0 });
	ssize_t length = append(into, (size_t)base, room, path, true);
	if (length < 0)
		return settle(place, undecidable, (struct wire_bytes){ 0 });
	/* "x/" is x only if x is a directory: the agent must see the slash. For rmdir(2) and rename(2) "x/." is
	 * another thing. */
	if (length == 0 || ends_in_directory(path))
		into[length++] = '/';
	if (is_write && ends_in_dot(path))
		into[length++] = '.';
	if (decision.rule == RULE_TARGET_NETWORK)
		return settle_network(place, decision, into, (size_t)length);
	return settle(place, decision, (struct wire_bytes){ into, (uint32_t)length });
}

/* ---- the working directory: most relative paths are below one where everything is local ---- */

enum { UNKNOWN, WHOLLY_LOCAL, MIXED };
static _Atomic int working_directory;

void paths_forget_directory(void)
{
	atomic_store_explicit(&working_directory, UNKNOWN, memory_order_relaxed);
}

/* Could a pattern of the user's match something in this directory? */
static bool may_match_below(const char *path, size_t length)
{
	char below[SHIM_PATH_BYTES + 1];
	if (likely(!patterns_are_any(&shim.rules)))
		return false;
	if (length >= SHIM_PATH_BYTES)
		return true;
	memcpy(below, path, length);
	below[length] = '/';
	return patterns_may_match_below(&shim.rules, below, length + 1);
}

/* No rule that comes before the one that keeps `path` local can apply to anything below it. */
static bool is_wholly_local(const char *path, size_t length)
{
	struct text here = { path, length };
	switch (decide_path(path, length, false).rule) {
	case RULE_SYSTEM_DIRECTORY:
	case RULE_LAUNCH_DIRECTORY:
	case RULE_TEMPORARY_DIRECTORY:
		break;
	default:
		return false;
	}
	bool has_exception = is_within(shim.home.at, shim.home.length, here) || is_within(path, length, shim.home);
	for (int at = 0; at < shim.mount_count; at++)
		has_exception = has_exception || is_within(shim.mounts[at].at, shim.mounts[at].length, here);
	has_exception = has_exception || (shim.is_tcp_remote && (path[1] == 'p' || path[1] == 's'));
	for (size_t at = 0; at < sizeof identity / sizeof *identity; at++)
		has_exception = has_exception || is_within(identity[at].at, identity[at].length, here);
	return !has_exception && !may_match_below(path, length);
}

static bool is_surely_local(const char *relative, char *scratch, size_t room)
{
	int known = atomic_load_explicit(&working_directory, memory_order_relaxed);
	if (known == UNKNOWN) {
		long length = kernel(SYS_getcwd, scratch, room) - 1;
		bool is_local = length > 1 && cwd_unveil(scratch, length) < 0 && is_wholly_local(scratch, (size_t)length);
		known = is_local ? WHOLLY_LOCAL : MIXED;
		/* A child of vfork may be elsewhere than the parent whose memory this is. */
		if (!wire_is_in_borrowed_memory())
			atomic_store_explicit(&working_directory, known, memory_order_relaxed);
	}
	if (known != WHOLLY_LOCAL)
		return false;
	for (const char *at = relative; *at; at++)
		if (at[0] == '.' && at[1] == '.')
			return false;
	return true;
}

/* A path through a link of /proc to a directory of the target. False: it is none. */
__attribute__((noinline, cold)) static bool locate_linked(const char *path, bool is_following, bool is_write,
							   struct place *place)
{
	char room[WIRE_PATH_BYTES];
	size_t span = links_span(path);
	if (span == 0 || (path[span] == '\0' && !is_following))
		return false;
	ssize_t length = links_follow(path, room);
	if (length < 0)
		return false;
	locate_joined(AT_FDCWD, (struct text){ room, (size_t)length }, is_write, place);
	return true;
}

static enum outcome locate_untold(bool is_following, int dirfd, const char *path, bool is_write, struct place *place)
{
	size_t length;
	if (!may_be_address(path) || !*path || (shim.fs_mode == FS_LOCAL && !proc_net_may_begin(path)))
		return settle(place, (struct decision){ LOCAL, RULE_MODE_LOCAL }, (struct wire_bytes){ 0 });
	if (*path != '/' && dirfd == AT_FDCWD && is_surely_local(path, place->buffer, sizeof place->buffer))
		return settle(place, (struct decision){ LOCAL, RULE_LAUNCH_DIRECTORY }, (struct wire_bytes){ 0 });
	if (unlikely(links_may_lead(path)) && locate_linked(path, is_following, is_write, place))
		return place->outcome;
	bool is_whole = *path == '/' && is_plain(path, &length);
	if (!is_whole)
		length = strlen(path);
	/* ENAMETOOLONG, by the kernel, whatever it may come to. */
	if (length >= WIRE_PATH_BYTES)
		return settle(place, (struct decision){ LOCAL, RULE_UNDECIDABLE }, (struct wire_bytes){ 0 });
	if (!is_whole)
		return locate_joined(dirfd, (struct text){ path, length }, is_write, place);
	struct decision decision = decide_path(path, length, is_write);
	if (unlikely(decision.rule == RULE_TARGET_NETWORK)) {
		/* The link itself is the same here. */
		bool is_link = !is_following && length == sizeof PROC_NET - 1;
		return is_link ? settle(place, (struct decision){ LOCAL, RULE_SYSTEM_DIRECTORY }, (struct wire_bytes){ 0 }) :
				 settle_network(place, decision, path, length);
	}
	return settle(place, decision, (struct wire_bytes){ path, (uint32_t)length });
}

/* For the log, where somebody asked for it: the intproxy sees only what is remote. */
static void tell_local(const char *path, enum rule rule)
{
	const char number[] = { (char)('0' + rule / 10), (char)('0' + rule % 10), '\0' };
	int saved = errno;
	wire_note("local", path, number);
	errno = saved;
}

static enum outcome locate_told(bool is_following, int dirfd, const char *path, bool is_write, struct place *place)
{
	enum outcome outcome = locate_untold(is_following, dirfd, path, is_write, place);
	if (unlikely(shim.is_tracing) && outcome == LOCAL && may_be_address(path) && *path && !wire_is_in_borrowed_memory())
		tell_local(path, place->rule);
	return outcome;
}

enum outcome locate(int dirfd, const char *path, bool is_write, struct place *place)
{
	return locate_told(false, dirfd, path, is_write, place);
}

enum outcome locate_followed(int dirfd, const char *path, bool is_write, struct place *place)
{
	return locate_told(true, dirfd, path, is_write, place);
}
