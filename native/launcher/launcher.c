/* launcher.c - the first code of the executable `mirrord`: put the runtime in place, then become it
 *
 * The runtime and the program are appended to this file (payload.h) and unpacked once per user, or they lie in
 * mirrord.runtime/ beside it (in the image, which must not unpack at start). Nothing stays of us: execve(2).
 *
 * The program that the user wants to run must see the environment and the limits that *they* had. So variables that mean
 * something to our runtime are set aside under MIRRORD_KEPT_, and MIRRORD_LAUNCHER holds the rest:
 * "soft:hard:sigpipe:closed:path" (RLIMIT_NOFILE, whether SIGPIPE was ignored, which of the descriptors 0 to 2 were
 * closed, bit N for N, where we are). src/cli/self.ts reads both and hides them.
 */
#define _GNU_SOURCE
#include "payload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEPT "MIRRORD_KEPT_"
#define LAUNCHER "MIRRORD_LAUNCHER="

extern char **environ;

static int fail(int error, const char *what, const char *hint)
{
	fprintf(stderr, "error: Cannot start mirrord: %s: %s\n hint: %s   (code RUNTIME_UNUSABLE)\n", what,
		strerror(-error), hint);
	return 125;
}

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/* Does this variable of the user change what our runtime does? Those that say which certificates to trust are meant to. */
static bool concerns_runtime(const char *variable)
{
	if (starts_with(variable, "DENO_CERT=") || starts_with(variable, "DENO_TLS_CA_STORE=")) return false;
	return starts_with(variable, "DENO_") || starts_with(variable, "NODE_OPTIONS=") ||
	       starts_with(variable, "NODE_DEBUG=") || starts_with(variable, "NODE_CHANNEL_FD=") ||
	       starts_with(variable, "OTEL_");
}

static char *joined(const char *start, const char *rest)
{
	char *text = malloc(strlen(start) + strlen(rest) + 1);
	if (!text) abort();
	return strcat(strcpy(text, start), rest);
}

/* Our runtime opens /dev/null in their place. */
static unsigned closed_standard_descriptors(void)
{
	unsigned closed = 0;
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0) closed |= 1u << fd;
	return closed;
}

static unsigned closed; /* before we opened anything */

static char *describe_start(const char *own_path)
{
	char text[PATH_MAX + 128];
	struct rlimit limit = { 0, 0 };
	struct sigaction action;
	getrlimit(RLIMIT_NOFILE, &limit);
	bool is_ignored = sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
	snprintf(text, sizeof text, LAUNCHER "%llu:%llu:%d:%u:%s", (unsigned long long)limit.rlim_cur,
		 (unsigned long long)limit.rlim_max, is_ignored, closed, own_path);
	return strdup(text);
}

static char **environment_for(const struct runtime *at, const char *own_path)
{
	size_t count = 0, used = 0;
	while (environ[count]) count++;
	char **made = calloc(count + 8, sizeof *made);
	if (!made) abort();
	for (size_t i = 0; i < count; i++) {
		if (starts_with(environ[i], KEPT) || starts_with(environ[i], LAUNCHER)) continue;
		made[used++] = concerns_runtime(environ[i]) ? joined(KEPT, environ[i]) : environ[i];
	}
	made[used++] = joined("DENO_DIR=", at->cache);
	made[used++] = "DENO_NO_UPDATE_CHECK=1"; /* never calls home */
	made[used++] = "DENO_NO_PACKAGE_JSON=1"; /* none of the user's says how we start */
	made[used++] = describe_start(own_path);
	return made;
}

/* What runs programs of strangers (agent-jq) has no rights of the agent's, in none of the runtime's threads: with
 * no_new_privs, root's user does not get them back by execve(2). It stays root's user, so that the agent may end it. */
static int give_up_rights(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &head, none) < 0) return -errno;
	return 0;
}

static int start(const struct runtime *at, int argc, char **argv, const char *own_path)
{
	char *fixed[] = {
		"mirrord", "run", "-A", "--no-config", "--no-lock", "--cached-only", "--no-remote", "--no-npm",
		"--node-modules-dir=none", "--no-prompt", "--quiet", "--unstable-net", (char *)at->program,
	};
	size_t count = sizeof fixed / sizeof *fixed;
	char **arguments = calloc(count + (size_t)argc + 1, sizeof *arguments);
	if (!arguments) abort();
	memcpy(arguments, fixed, sizeof fixed);
	for (int i = 1; i < argc; i++) arguments[count++] = argv[i];
	execve(at->executable, arguments, environment_for(at, own_path));
	return -errno;
}

/* The runtime beside the executable belongs to whoever owns the executable, or it is not used. */
static int find_beside(const char *own_path, struct runtime *at)
{
	struct stat own, beside;
	char directory[PATH_MAX];
	const char *slash = strrchr(own_path, '/');
	int length = slash ? (int)(slash - own_path) : 0;
	snprintf(directory, sizeof directory, "%.*s/%s", length, own_path, BESIDE_NAME);
	if (stat(own_path, &own) < 0 || stat(directory, &beside) < 0) return -errno;
	if (beside.st_uid != own.st_uid || (beside.st_mode & 022) != 0) return -EPERM;
	if (snprintf(at->executable, PATH_MAX, "%s/%s", directory, RUNTIME_NAME) >= PATH_MAX) return -ENAMETOOLONG;
	if (snprintf(at->program, PATH_MAX, "%s/%s", directory, PROGRAM_NAME) >= PATH_MAX) return -ENAMETOOLONG;
	snprintf(at->cache, PATH_MAX, "%s", "/proc/self/no-cache"); /* the image may be read-only: nothing is kept */
	return 0;
}

/* A cache below a directory of somebody else (sudo keeps HOME in places) would shut its owner out later. */
static bool is_own_directory(const char *path)
{
	struct stat info;
	return path && path[0] == '/' && stat(path, &info) == 0 && info.st_uid == geteuid();
}

static int start_unpacked(const struct payload *payload, int argc, char **argv, const char *own_path)
{
	static struct runtime at;
	char bases[3][PATH_MAX] = { "", "", "" };
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	if (xdg && xdg[0] == '/') snprintf(bases[0], PATH_MAX, "%s/mirrord", xdg);
	if (is_own_directory(home)) snprintf(bases[1], PATH_MAX, "%s/.cache/mirrord", home);
	snprintf(bases[2], PATH_MAX, "/tmp/mirrord-%u", (unsigned)geteuid());
	int error = -ENOENT;
	for (int i = 0; i < 3; i++) {
		if (!bases[i][0]) continue;
		error = payload_unpack(payload, bases[i], &at);
		if (!error) error = start(&at, argc, argv, own_path); /* returns where programs may not be run */
	}
	return fail(error, at.executable, "set XDG_CACHE_HOME to a directory of your own that may hold programs");
}

int main(int argc, char **argv)
{
	static struct payload payload;
	static struct runtime at;
	char own_path[PATH_MAX];
	closed = closed_standard_descriptors();
	ssize_t length = readlink("/proc/self/exe", own_path, sizeof own_path - 1);
	if (length < 0) return fail(-errno, "/proc/self/exe", "mount /proc");
	own_path[length] = 0;
	char *directory = getcwd(NULL, 0); /* our runtime does not start without one */
	if (!directory) return fail(-errno, "the current directory", "cd to one that exists");
	free(directory);

	int error = argc > 1 && strcmp(argv[1], "agent-jq") == 0 ? give_up_rights() : 0;
	if (error) return fail(error, "to give up rights", "allow prctl and capset");
	error = payload_open(&payload);
	if (error == -ENODATA) {
		error = find_beside(own_path, &at);
		if (!error) error = start(&at, argc, argv, own_path);
		return fail(error, BESIDE_NAME " beside the executable", "unpack it anew: mirrord --unpack-runtime DIR");
	}
	if (error) return fail(error, own_path, "the file is damaged: build or download it anew");
	if (argc == 3 && strcmp(argv[1], "--unpack-runtime") == 0) {
		error = payload_export(&payload, argv[2]);
		return error ? fail(error, argv[2], "give a directory that can be written") : 0;
	}
	return start_unpacked(&payload, argc, argv, own_path);
}
