/* environment.c - the target's variables, set inside the process: for launchers that give their programs an environment of
 * their own making (feature.env.load_from_process).
 *
 * The file `environment` in the session directory has entries that end in NUL: NAME=VALUE is set, NAME alone is unset,
 * whatever its case. It is read once: what a program does to its variables then is what its children get, which know by
 * a variable that it has been done. Not by setenv(3): shells have one of their own, which is not ready for us. The file stays
 * mapped, and the variables are where it has them.
 */
#include "environment.h"

#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char done[] = "MIRRORD_REMOTE_ENV_FETCHED=true";

struct entries {
	char *at, *end;
};

/* The next entry, and past it; NULL at the end. */
static char *next_of(struct entries *entries)
{
	char *entry = entries->at;
	size_t span = strnlen(entry, (size_t)(entries->end - entry));
	if (entry + span >= entries->end)
		return NULL;
	entries->at += span + 1;
	return entry;
}

/* Does the file say something else of this variable? */
static bool is_replaced(const char *variable, struct entries entries)
{
	size_t length = strcspn(variable, "=");
	for (char *entry; (entry = next_of(&entries));) {
		if (strcspn(entry, "=") != length)
			continue;
		if (entry[length] == '=' ? memcmp(entry, variable, length) == 0 : strncasecmp(entry, variable, length) == 0)
			return true;
	}
	return false;
}

static void replace_environment(struct entries entries)
{
	size_t count = 2, at = 0;
	for (char **it = environ; it && *it; it++)
		count++;
	for (struct entries rest = entries; next_of(&rest);)
		count++;
	char **made = (char **)kernel(SYS_mmap, 0, count * sizeof *made, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if ((unsigned long)made >= -4095UL)
		return;
	for (char **it = environ; it && *it; it++)
		if (!is_replaced(*it, entries))
			made[at++] = *it;
	for (char *entry; (entry = next_of(&entries));)
		if (strchr(entry, '='))
			made[at++] = entry;
	made[at] = done;
	environ = made;
}

void environment_load(const char *session)
{
	char path[SHIM_PATH_BYTES];
	struct stat st;
	size_t length = strlen(session);
	for (char **it = environ; it && *it; it++)
		if (strcmp(*it, done) == 0)
			return;
	if (length + sizeof "/environment" > sizeof path)
		return;
	memcpy(path, session, length);
	memcpy(path + length, "/environment", sizeof "/environment");
	int fd = (int)kernel(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	char *file = (char *)-1;
	if (kernel(SYS_fstat, fd, &st) == 0 && st.st_size > 0)
		file = (char *)kernel(SYS_mmap, 0, st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	kernel(SYS_close, fd);
	if ((unsigned long)file < -4095UL)
		replace_environment((struct entries){ file, file + st.st_size });
}
