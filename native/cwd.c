/* cwd.c - hooks of the working directory: into a directory of the target and out of it. See cwd.h.
 *
 * chdir asks whether it is a directory that may be searched, and for its path without links: one round trip. The root
 * directory is this machine's whichever way it is reached: below it the rules decide name by name.
 *
 * A directory that the target loses is still told by getcwd(3) (the next relative path learns it), unless this session
 * removed or renamed it: then its placeholder went the same way. Paths that are longer than PATH_MAX together with the
 * session directory are refused.
 */
#include "cwd.h"
#include "fds.h"
#include "real.h"
#include "remote.h"
#include "wire.h"

#include <fcntl.h>
#include <stdlib.h>

_Atomic bool cwd_away;

/* "<session directory>/cwd", which the kernel's paths begin with. */
static char root[SHIM_PATH_BYTES];
static size_t root_length;

enum { PLACEHOLDER_MODE = 01777 }; /* users that a process of root's goes on as share the tree */

long cwd_unveil(char *path, long length)
{
	if (root_length == 0 || length < (long)root_length || memcmp(path, root, root_length) != 0)
		return -1;
	if (length > (long)root_length && path[root_length] != '/')
		return -1;
	length -= (long)root_length;
	memmove(path, path + root_length, (size_t)length);
	if (length == 0)
		path[length++] = '/';
	return length;
}

bool cwd_is_placeholder(const char *text, size_t length, size_t room)
{
	bool is_cut = length == room && length < root_length;
	return root_length > 0 && (length >= root_length || is_cut) &&
	       memcmp(text, root, is_cut ? length : root_length) == 0;
}

void cwd_start(void)
{
	static const char name[] = "MIRRORD_SESSION_DIR=";
	const char *session = shim.session_variable + sizeof name - 1;
	size_t length = strlen(session);
	char here[SHIM_PATH_BYTES];
	if (length + sizeof "/cwd" > sizeof root)
		return;
	memcpy(root, session, length);
	memcpy(root + length, "/cwd", sizeof "/cwd");
	root_length = length + sizeof "/cwd" - 1;
	long count = kernel(SYS_getcwd, here, sizeof here);
	if (count > 0 && cwd_unveil(here, count - 1) > 0)
		atomic_store_explicit(&cwd_away, true, memory_order_relaxed);
}

/* The working directory if it is the target's: its length in `into`; else -errno, or 0 when it is this machine's. */
static long directory_of_target(char *into, size_t room)
{
	long count = kernel(SYS_getcwd, into, room);
	if (count < 0)
		return count;
	long length = cwd_unveil(into, count - 1);
	return length < 0 ? 0 : length;
}

static bool is_dotdot(const char *at)
{
	return at[0] == '.' && at[1] == '.' && (at[2] == '/' || at[2] == '\0');
}

/* Takes the last component away for each ".." that `path` begins with: the directory has no links in its path, so that
 * is what the target would find. A last ".." that leads to "/" stays, for the root above is the target's (paths.c). */
static const char *climb(char *into, long *length, const char *path)
{
	while (true) {
		const char *given = path;
		while (path[0] == '.' && path[1] == '/')
			for (path += 2; *path == '/';)
				path++;
		if (*path == '\0') /* "./" is more than nothing */
			return given;
		if (!is_dotdot(path))
			return path;
		const char *next = path + 2 + strspn(path + 2, "/");
		const char *slash = memrchr(into, '/', (size_t)*length);
		long above = slash ? slash - into : 0;
		if (above == 0 && *next == '\0')
			return path;
		*length = above;
		path = next;
	}
}

/* "directory/rest" in `into`, or NULL when there is no room. */
static const char *joined(char into[WIRE_PATH_BYTES], long length, const char *rest)
{
	size_t span = strlen(rest);
	if ((size_t)length + span + 2 > WIRE_PATH_BYTES)
		return NULL;
	if (length == 1)
		length = 0;
	into[length] = '/';
	memcpy(into + length + 1, rest, span + 1);
	return into;
}

const char *cwd_joined(char into[WIRE_PATH_BYTES], long length, const char *path)
{
	path = climb(into, &length, path);
	return joined(into, length ? length : 1, path);
}

const char *cwd_absolute(int dirfd, const char *path, char room[WIRE_PATH_BYTES])
{
	if (!path || *path == '/' || *path == '\0')
		return path;
	const char *rest = path;
	long length;
	if (dirfd != AT_FDCWD) {
		length = fds_directory_path(dirfd, room, WIRE_PATH_BYTES);
	} else if ((length = directory_of_target(room, WIRE_PATH_BYTES)) > 0) {
		rest = climb(room, &length, path);
	}
	const char *absolute = length > 0 || rest != path ? joined(room, length, rest) : NULL;
	return absolute ? absolute : path;
}

/* ---- into a directory ---- */

/* Opens the entry of a placeholder, made if it is not there: a descriptor or -errno. Never through a link. */
static int open_placeholder(int above, const char *name)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = (int)kernel(SYS_openat, above, name, flags);
	if (fd != -ENOENT)
		return fd;
	long made = kernel(SYS_mkdirat, above, name, 0700);
	if (made < 0 && made != -EEXIST)
		return (int)made;
	fd = (int)kernel(SYS_openat, above, name, flags);
	if (fd >= 0 && made == 0)
		kernel(SYS_fchmod, fd, PLACEHOLDER_MODE);
	return fd;
}

/* The placeholder of the directory `path` as a descriptor, or -errno. */
static int open_placeholder_of(char *path)
{
	int fd = open_placeholder(AT_FDCWD, root);
	for (char *at = path; fd >= 0 && *at;) {
		at += strspn(at, "/");
		size_t span = strcspn(at, "/");
		if (span == 0)
			break;
		char after = at[span];
		at[span] = '\0';
		int below = open_placeholder(fd, at);
		at[span] = after;
		kernel(SYS_close, fd);
		fd = below;
		at += span;
	}
	return fd;
}

/* The placeholder of what the target calls `path` as a descriptor, or -errno; or that of this machine's "/". */
static long open_directory(struct wire_bytes path)
{
	char resolved[PATH_MAX];
	ssize_t length = remote_change_directory(path, resolved, sizeof resolved - 1);
	if (length < 0)
		return length;
	resolved[length] = '\0';
	if (length == 1)
		return kernel(SYS_openat, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* A link to where the rules are local: below the name that was given they are not. */
	if (decide_path(resolved, (size_t)length, false).outcome != REMOTE) {
		length = path.length;
		memcpy(resolved, path.at, path.length);
		resolved[length] = '\0';
	}
	return root_length + (size_t)length < PATH_MAX ? open_placeholder_of(resolved) : -ENAMETOOLONG;
}

static long change_to(struct wire_bytes path)
{
	long fd = open_directory(path);
	if (fd < 0)
		return fd;
	/* Before it is true, and for good in the parent of a child of vfork: being wrong this way costs a system call. */
	atomic_store_explicit(&cwd_away, true, memory_order_relaxed);
	long result = kernel(SYS_fchdir, fd);
	kernel(SYS_close, fd);
	return result;
}

/* The working directory is this machine's. */
static void come_home(void)
{
	if (!wire_is_in_borrowed_memory())
		atomic_store_explicit(&cwd_away, false, memory_order_relaxed);
}

static long try_directory(const char *path, long (*act)(struct wire_bytes))
{
	struct place place;
	switch (locate_followed(AT_FDCWD, path, false, &place)) {
	case LOCAL:
		return BYPASS;
	case ABSENT:
		return -ENOENT;
	default:
		return act(place.path);
	}
}

long cwd_open(const char *path)
{
	return try_directory(path, open_directory);
}

int hook_chdir(const char *path)
{
	long result = try_directory(path, change_to);
	bool is_local = result == BYPASS;
	if (is_local)
		result = real.chdir(path);
	if (is_local && result == 0)
		come_home();
	paths_forget_directory();
	return is_local ? (int)result : edge(result);
}

int hook_fchdir(int fd)
{
	char path[WIRE_PATH_BYTES];
	ssize_t length = fds_directory_path(fd, path, sizeof path);
	if (length > 0) {
		long result = change_to((struct wire_bytes){ path, (uint32_t)length });
		paths_forget_directory();
		return edge(result);
	}
	int result = real.fchdir(fd);
	char here[SHIM_PATH_BYTES];
	if (result == 0 && (!cwd_may_be_away() || directory_of_target(here, sizeof here) == 0))
		come_home();
	paths_forget_directory();
	return result;
}

/* ---- directories that are no more where they were ---- */

/* "<session directory>/cwd/…" for a path of the target, terminated; false when there is no room, or no session. */
static bool put_placeholder(struct wire_bytes path, char into[PATH_MAX])
{
	const char *text = path.at;
	size_t length = path.length;
	while (length > 1 && text[length - 1] == '/')
		length--;
	if (root_length == 0 || length <= 1 || root_length + length >= PATH_MAX)
		return false;
	memcpy(into, root, root_length);
	memcpy(into + root_length, text, length);
	into[root_length + length] = '\0';
	return true;
}

void cwd_removed(struct wire_bytes path)
{
	char placeholder[PATH_MAX];
	if (put_placeholder(path, placeholder))
		kernel(SYS_rmdir, placeholder);
}

void cwd_renamed(struct wire_bytes from, struct wire_bytes to)
{
	char before[PATH_MAX], after[PATH_MAX];
	if (!put_placeholder(from, before) || !put_placeholder(to, after))
		return;
	if (kernel(SYS_rename, before, after) != -ENOENT || kernel(SYS_access, before, F_OK) < 0)
		return;
	/* Where it goes nobody was yet. */
	char *path = after + root_length;
	char *slash = strrchr(path, '/');
	*slash = '\0';
	int fd = open_placeholder_of(path);
	*slash = '/';
	if (fd < 0)
		return;
	kernel(SYS_close, fd);
	kernel(SYS_rename, before, after);
}

/* ---- where are we ---- */

/* True when it is for us to answer: the terminated path in `into`, or errno set and `*length` -1. */
static bool is_away(char into[PATH_MAX], long *length)
{
	if (!cwd_may_be_away())
		return false;
	*length = directory_of_target(into, PATH_MAX - 1);
	if (*length <= 0)
		return false;
	into[*length] = '\0';
	return true;
}

static char *copied(const char *path, size_t length, size_t room)
{
	char *copy = room > length ? malloc(room) : NULL;
	if (copy)
		memcpy(copy, path, length + 1);
	else if (room <= length)
		errno = ERANGE;
	return copy;
}

char *hook_getcwd(char *into, size_t room)
{
	char here[PATH_MAX];
	long length;
	if ((into && room == 0) || !is_away(here, &length))
		return real.getcwd(into, room);
	if (!into)
		return copied(here, (size_t)length, room ? room : (size_t)length + 1);
	if (room <= (size_t)length) {
		errno = ERANGE;
		return NULL;
	}
	return memcpy(into, here, (size_t)length + 1);
}

char *hook___getcwd_chk(char *into, size_t room, size_t size)
{
	return size < room ? real.__getcwd_chk(into, room, size) : hook_getcwd(into, room);
}

char *hook_getwd(char *into)
{
	char here[PATH_MAX];
	long length;
	return into && is_away(here, &length) ? memcpy(into, here, (size_t)length + 1) : real.getwd(into);
}

char *hook___getwd_chk(char *into, size_t size)
{
	return size < PATH_MAX ? real.__getwd_chk(into, size) : hook_getwd(into);
}

/* $PWD when that is where we are, else the path without links. */
char *hook_get_current_dir_name(void)
{
	char here[PATH_MAX];
	long length;
	if (!is_away(here, &length))
		return real.get_current_dir_name();
	const char *pwd = getenv("PWD");
	struct stat named, actual;
	int saved = errno;
	bool is_named = pwd && *pwd == '/' && strcmp(pwd, here) != 0 && hook_stat(pwd, &named) == 0 &&
			hook_stat(here, &actual) == 0 && named.st_ino == actual.st_ino && named.st_dev == actual.st_dev;
	errno = saved;
	return is_named ? strdup(pwd) : copied(here, (size_t)length, (size_t)length + 1);
}
