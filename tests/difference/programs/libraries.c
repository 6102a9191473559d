/* Loads the libraries below a directory by all calls there are, and says what the loader says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *base;
static char room[8][4096];
static int next;

static const char *at(const char *name)
{
	char *into = room[next++ % 8];
	snprintf(into, 4096, "%s/%s", base, name);
	return into;
}

static const char *said(void)
{
	const char *text = dlerror();
	return text ? text : "(nothing)";
}

static const char *loaded[64];
static int loaded_count;

static int each(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size;
	(void)unused;
	if (strstr(info->dlpi_name, "data/"))
		loaded[loaded_count++] = info->dlpi_name;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void list(void)
{
	loaded_count = 0;
	dl_iterate_phdr(each, NULL);
	qsort(loaded, (size_t)loaded_count, sizeof *loaded, by_name);
	for (int it = 0; it < loaded_count; it++)
		printf("  has %s\n", loaded[it]);
}

static void *open_it(const char *path, int mode)
{
	void *it = dlopen(path, mode);
	if (!it) {
		printf("%s %x: %s\n", path, mode, said());
		return NULL;
	}
	int (*value)(void) = (int (*)(void))dlsym(it, "value");
	Dl_info info = { 0 };
	if (value)
		dladdr((void *)value, &info);
	struct link_map *map = NULL;
	dlinfo(it, RTLD_DI_LINKMAP, &map);
	printf("%s %x: value %d, of %s, named %s, error %s\n", path, mode, value ? value() : -1,
	       info.dli_fname ? info.dli_fname : "nobody", map->l_name, said());
	return it;
}

static void one(const char *name)
{
	void *first = open_it(at(name), RTLD_NOW), *second = open_it(at(name), RTLD_LAZY | RTLD_GLOBAL);
	void *third = dlopen(at(name), RTLD_LAZY | RTLD_NOLOAD);
	printf("same %d %d %s\n", first == second, second == third, third ? "" : said());
	list();
	for (int times = 0; first && times < 3; times++)
		printf("close %d\n", dlclose(first));
	void *after = dlopen(at(name), RTLD_LAZY | RTLD_NOLOAD);
	printf("after %d\n", after != NULL);
	list();
}

static void *loaded_by_thread(void *name)
{
	return dlopen(name, RTLD_NOW);
}

static void threads(const char *name)
{
	enum { COUNT = 8 };
	pthread_t all[COUNT];
	void *handle, *first = NULL;
	int same = 0;
	for (int it = 0; it < COUNT; it++)
		pthread_create(&all[it], NULL, loaded_by_thread, (void *)name);
	for (int it = 0; it < COUNT; it++) {
		pthread_join(all[it], &handle);
		first = first ? first : handle;
		same += first && handle == first;
	}
	printf("threads %d\n", same);
	list();
}

static void child(const char *name)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		one(name);
		fflush(stdout);
		_exit(3);
	}
	int status;
	waitpid(pid, &status, 0);
	printf("child %d\n", WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
	(void)argc;
	base = argv[1];
	setvbuf(stdout, NULL, _IOLBF, 0);
	static const char *const names[] = {
		"lib/libleaf.so.1", "lib/libleaf.so", "lib/libmiddle.so", "deep/plugins/plug.so", "link.so", "rpath/plug.so",
		"rpath/absolute.so", "plain/plug.so", "deep/plugins/asking.so", "deep/plugins/listed.so", "deep/plugins/math.so",
		"deep/plugins/big.so", "deep/../lib//./libmiddle.so", "bad/undefined.so", "bad/needs.so", "bad/newer.so", "bad/libnewer.so",
		"bad/text.so", "bad/empty.so", "bad/short.so", "bad/dangling.so", "bad/closed.so", "bad", "none.so", "none/none.so",
		"lib/libleaf.so.1/x.so",
	};
	for (size_t it = 0; it < sizeof names / sizeof *names; it++) {
		printf("- %s\n", names[it]);
		one(names[it]);
	}
	child("deep/plugins/plug.so");
	errno = 0;
	void *plug = open_it(at("deep/plugins/plug.so"), RTLD_NOW), *link = open_it(at("link.so"), RTLD_NOW);
	void *leaf = dlopen("libleaf.so.1", RTLD_NOW | RTLD_NOLOAD);
	printf("linked %d, by its own name %d\n", plug == link, leaf != NULL);
	child("rpath/plug.so");
	printf("global before %d\n", dlsym(RTLD_DEFAULT, "middle") != NULL);
	open_it(at("lib/libmiddle.so"), RTLD_NOW | RTLD_GLOBAL);
	printf("global after %d\n", dlsym(RTLD_DEFAULT, "middle") != NULL);
	open_it("liblisted.so", RTLD_NOW);
	open_it("libnowhere.so", RTLD_NOW);
	open_it("libm.so.6", RTLD_NOW);
	printf("itself %d\n", dlopen(NULL, RTLD_NOW) != NULL);
	printf("empty %d\n", dlopen("", RTLD_NOW) != NULL);
	void *apart = dlmopen(LM_ID_NEWLM, at("rpath/absolute.so"), RTLD_NOW);
	printf("apart %s\n", apart ? "" : said());
	if (apart)
		printf("value %d, other %d\n", ((int (*)(void))dlsym(apart, "value"))(), apart != plug);
	threads(at("deep/plugins/big.so"));
	if (chdir(at("deep")) == 0) {
		printf("relative %d\n", dlopen("./plugins/plug.so", RTLD_NOW) == plug);
		printf("relative %d\n", dlopen("../plain/plug.so", RTLD_NOW) != NULL);
		printf("relative %d, %s\n", dlopen("./none.so", RTLD_NOW) != NULL, said());
	}
	for (int times = 0; times < 100; times++) {
		void *it = dlopen(at("plain/plug.so"), RTLD_NOW);
		if (!it || dlclose(it) < 0)
			printf("time %d: %s\n", times, said());
	}
	return 0;
}
