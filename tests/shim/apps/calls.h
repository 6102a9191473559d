/* calls.h - what the small apps share: finding a function by its symbol as the dynamic linker does, saying what it did. */
#ifndef CALLS_H
#define CALLS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The function an app linked against `symbol` would call: the shim's, when it has one. */
static inline void *function(const char *symbol)
{
	void *found = dlsym(RTLD_DEFAULT, symbol);
	if (!found) {
		printf("no symbol %s\n", symbol);
		exit(2);
	}
	return found;
}

static inline int fail(void)
{
	printf("%s\n", errno ? strerrorname_np(errno) : "errno 0");
	return 0;
}

/* Prints a number, or the name of errno when it is negative. */
static inline int say(long result)
{
	if (result < 0)
		return fail();
	printf("%ld\n", result);
	return 0;
}

struct command {
	const char *symbol;
	int (*run)(const char *symbol, char **arguments);
};

/* `app SYMBOL ARGUMENTS…` */
static inline int run(const struct command *commands, int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (const struct command *it = commands; argc > 1 && it->symbol; it++)
		if (!strcmp(it->symbol, argv[1]))
			return it->run(argv[1], argv + 2);
	printf("unknown command\n");
	return 2;
}

#endif
