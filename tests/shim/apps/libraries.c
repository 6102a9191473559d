/* Loads a library as many times as it is told, in ways of the first argument, and says what came of it. */
#include "calls.h"

#include <dlfcn.h>
#include <link.h>

static void tell(void *handle)
{
	const struct link_map *map = handle;
	const char *text = dlerror();
	printf("%s\n", handle ? map->l_name : text ? text : "nothing");
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	for (int at = 2; at < argc; at++) {
		if (strcmp(argv[1], "apart") == 0)
			tell(dlmopen(LM_ID_NEWLM, argv[at], RTLD_NOW));
		else
			tell(dlopen(argv[at], strcmp(argv[1], "noload") == 0 ? RTLD_NOW | RTLD_NOLOAD : RTLD_NOW));
	}
	return 0;
}
