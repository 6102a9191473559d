/* A program that needs libraries at its start: says which it has, what it inherited, and starts itself again by its argument. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern int middle(void), transitive(void), plain(void);
static const char *loaded[64];
static int count;

static int each(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size;
	(void)unused;
	if (strstr(info->dlpi_name, "data/") || strstr(info->dlpi_name, "/proc/"))
		loaded[count++] = info->dlpi_name;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int main(int argc, char **argv)
{
	printf("%s: %d %d %d\n", argv[0], middle(), transitive(), plain());
	dl_iterate_phdr(each, NULL);
	qsort(loaded, (size_t)count, sizeof *loaded, by_name);
	for (int at = 0; at < count; at++)
		printf("  has %s\n", loaded[at]);
	Dl_info info = { 0 };
	dladdr(dlsym(RTLD_DEFAULT, "middle"), &info);
	printf("  middle is of %s\n", info.dli_fname);
	void *again = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
	printf("  again %d\n", again != NULL);
	const char *preload = getenv("LD_PRELOAD");
	printf("  inherited %d", preload && strstr(preload, "/proc/"));
	for (int fd = 3; fd < 300; fd++) {
		char link[32], text[256] = "";
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		if (readlink(link, text, sizeof text - 1) > 0 && strstr(text, "/lib"))
			printf(" %d", fd);
	}
	printf("\n");
	fflush(stdout);
	if (argc > 1)
		execvp(argv[1], argv + 1);
	return argc > 1;
}
