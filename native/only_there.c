/* only_there.c - executes what lies in the target alone: ./run.sh in a directory of the target, .git/hooks, venv/bin/python.
 *
 * The kernel executes files of this machine. Of a script it is enough to start its interpreter, which reads the script by
 * its path, as any file. A link that leads to a program of this machine means that one. What is left is a program of the
 * target's own making: a copy of it is executed from memory, with this machine's loader and libraries, if those are what
 * it needs.
 *
 * Runs in children of vfork(2): nothing is allocated but memory of the kernel's, nothing is kept.
 */
#include "only_there.h"
#include "paths.h"
#include "real.h"
#include "remote.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { HEAD_BYTES = 256, MAX_LINKS = 8, COPIED_AT_ONCE = 1 << 20 };

static bool is_missing_here(const char *path)
{
	long result = kernel(SYS_faccessat, AT_FDCWD, path, F_OK);
	return result == -ENOENT || result == -ENOTDIR;
}

/* A link of the target may name a program of this machine: in a virtual environment that was made here, python3. Step by step. */
__attribute__((noinline)) static bool names_one_here(struct only_there *found, const char *path)
{
	char text[WIRE_PATH_BYTES], base[WIRE_PATH_BYTES];
	if (strlen(path) >= sizeof base)
		return false;
	strcpy(base, path);
	for (int step = 0; step < MAX_LINKS; step++) {
		ssize_t length = hook_readlink(base, text, sizeof text - 1);
		if (length <= 0)
			return false;
		text[length] = '\0';
		char *slash = strrchr(base, '/');
		size_t kept = *text == '/' || !slash ? 0 : (size_t)(slash + 1 - base);
		if (kept + (size_t)length >= sizeof base)
			return false;
		memcpy(base + kept, text, (size_t)length + 1);
		if (!is_missing_here(base)) {
			strcpy(found->path, base);
			return true;
		}
	}
	return false;
}

/* Or one of the directories above it is a link to here. */
__attribute__((noinline)) static bool leads_here(struct only_there *found, const char *path)
{
	struct place place;
	if (!hook_realpath(path, found->path) || strcmp(found->path, path) == 0)
		return false;
	return locate(AT_FDCWD, found->path, false, &place) == LOCAL && !is_missing_here(found->path);
}

/* The first line of a script as the kernel takes it apart; `line` is changed. */
static void take_apart(struct only_there *found, char *line)
{
	line += strspn(line, " \t");
	line[strcspn(line, "\n")] = '\0';
	size_t length = strlen(line);
	while (length > 0 && strchr(" \t", line[length - 1]))
		line[--length] = '\0';
	size_t span = strcspn(line, " \t");
	found->what = span > 0 ? SCRIPT : UNKNOWN_FORM;
	found->error = ENOEXEC;
	found->interpreter = line;
	if (!line[span])
		return;
	line[span++] = '\0';
	found->argument = line + span + strspn(line + span, " \t");
}

/* Memory that holds a program must not be open for writing when it is executed: it is opened a second time. */
static int reopen(int fd)
{
	char link[32];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	int again = (int)kernel(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
	kernel(SYS_close, fd);
	return again;
}

int only_there_copy(int from, const char *path)
{
	enum { MEMFD_NAME_BYTES = 250 };
	char name[MEMFD_NAME_BYTES];
	const char *slash = strrchr(path, '/');
	/* What /proc/self/exe tells: links.c knows the form. */
	bool has_path = *path == '/' && snprintf(name, sizeof name, "mirrord-x-%s", path) < MEMFD_NAME_BYTES;
	int to = (int)kernel(SYS_memfd_create, has_path ? name : slash ? slash + 1 : path, MFD_CLOEXEC);
	if (to < 0)
		return to;
	ssize_t sent;
	hook_lseek(from, 0, SEEK_SET);
	while ((sent = hook_sendfile(to, from, NULL, COPIED_AT_ONCE)) > 0)
		;
	if (sent < 0) {
		int error = errno;
		kernel(SYS_close, to);
		return -error;
	}
	return reopen(to);
}

/* 0 or an errno. */
static int fetch(struct only_there *found, int from, const char *path)
{
	found->fd = only_there_copy(from, path);
	if (found->fd < 0)
		return -found->fd;
	snprintf(found->path, sizeof found->path, "/proc/self/fd/%d", found->fd);
	return 0;
}

/* An open file of the target. */
static void look_into(struct only_there *found, int fd, const char *path)
{
	struct stat st;
	char *head = found->path;
	found->what = REFUSED;
	if (hook_fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		found->error = EACCES;
		return;
	}
	ssize_t length = hook_read(fd, head, HEAD_BYTES - 1);
	if (length < 0) {
		found->error = errno;
		return;
	}
	head[length] = '\0';
	if (length > 2 && memcmp(head, "#!", 2) == 0)
		return take_apart(found, head + 2);
	found->error = ENOEXEC;
	found->what = UNKNOWN_FORM;
	if (length < SELFMAG || memcmp(head, ELFMAG, SELFMAG) != 0)
		return;
	found->error = fetch(found, fd, path);
	found->what = found->error ? REFUSED : FETCHED;
}

bool only_there(struct only_there *found, const char *path)
{
	found->what = NOT_ONLY_THERE;
	found->argument = NULL;
	found->fd = -1;
	if (likely(!path || !*path || shim.fs_mode == FS_LOCAL || !is_missing_here(path)))
		return false;
	if (names_one_here(found, path)) {
		found->what = HERE_AFTER_ALL;
		return true;
	}
	long fd = try_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd == BYPASS || fd == -ENOENT)
		return false;
	if (fd < 0 || hook_faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0) {
		found->what = REFUSED;
		found->error = fd < 0 ? (int)-fd : errno;
	} else if (leads_here(found, path)) {
		found->what = HERE_AFTER_ALL;
	} else {
		look_into(found, (int)fd, path);
	}
	if (fd >= 0)
		hook_close((int)fd);
	return true;
}
