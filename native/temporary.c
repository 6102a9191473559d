/* temporary.c - hooks of mkstemp(3) and its kin: libc makes up the names and opens them inside, where nobody sees it. */
#include "real.h"
#include "tree.h"

#include <fcntl.h>
#include <stdlib.h>

enum { LETTERS = 6 };

/* BYPASS, a descriptor, or -errno. As mkostemps(3): `template` ends in XXXXXX and `suffix` more characters. */
static long try_temporary(char *template, int suffix, int flags)
{
	enum { TRIES = 1000 };
	static const char letters[] = "XXXXXX";
	size_t length = strlen(template);
	if (suffix < 0 || length < LETTERS + (size_t)suffix)
		return BYPASS; /* which refuses it */
	char *at = template + length - (size_t)suffix - LETTERS;
	if (memcmp(at, letters, LETTERS) != 0)
		return BYPASS;
	int kept = flags & (O_APPEND | O_CLOEXEC | O_SYNC | O_DSYNC | O_NOATIME);
	long result = -EEXIST;
	for (int tries = 0; tries < TRIES && result == -EEXIST; tries++) {
		put_random(at);
		/* What a name is decides whose it is: each is asked for anew. */
		result = try_create(AT_FDCWD, template, O_RDWR | O_CREAT | O_EXCL | kept, 0600);
	}
	if (result < 0)
		memcpy(at, letters, LETTERS);
	return result;
}

int hook_mkstemp(char *template)
{
	long result = try_temporary(template, 0, 0);
	return result == BYPASS ? real.mkstemp(template) : edge(result);
}

int hook_mkostemp(char *template, int flags)
{
	long result = try_temporary(template, 0, flags);
	return result == BYPASS ? real.mkostemp(template, flags) : edge(result);
}

int hook_mkstemps(char *template, int suffix)
{
	long result = try_temporary(template, suffix, 0);
	return result == BYPASS ? real.mkstemps(template, suffix) : edge(result);
}

int hook_mkostemps(char *template, int suffix, int flags)
{
	long result = try_temporary(template, suffix, flags);
	return result == BYPASS ? real.mkostemps(template, suffix, flags) : edge(result);
}
