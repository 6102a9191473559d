/* cwd.c - a small language for working directories: words of the command line are done one after the other. */
#include "calls.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int saved_directory = -1;

static void print(const char *text)
{
	if (text)
		printf("%s\n", text);
	else
		fail();
}

static void cat(const char *path)
{
	char bytes[256];
	int fd = open(path, O_RDONLY);
	ssize_t count = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
	if (count < 0)
		fail();
	else
		printf("%.*s\n", (int)count, bytes);
	close(fd);
}

static void list(const char *path)
{
	DIR *dir = opendir(path);
	if (!dir) {
		fail();
		return;
	}
	for (struct dirent *entry; (entry = readdir(dir));)
		if (entry->d_name[0] != '.')
			printf("%s ", entry->d_name);
	printf("\n");
	closedir(dir);
}

static void show_link(const char *path)
{
	char text[PATH_MAX];
	ssize_t length = readlink(path, text, sizeof text - 1);
	text[length > 0 ? length : 0] = '\0';
	print(length > 0 ? text : NULL);
}

/* What the kernel says, past every hook: is it a placeholder? */
static void ask_kernel(void)
{
	char text[PATH_MAX];
	long length;
	__asm__ volatile("syscall" : "=a"(length) : "a"(SYS_getcwd), "D"(text), "S"(sizeof text) : "rcx", "r11", "memory");
	char *below = length > 0 ? strstr(text, "/cwd/") : NULL;
	printf("kernel: %s\n", below ? below : "no placeholder");
}

static void change_by_descriptor(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		fail();
	else
		say(fchdir(fd));
	close(fd);
}

static void show_stat(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		fail();
	else
		printf("ino %lu\n", (unsigned long)st.st_ino);
}

static char **become(char **rest)
{
	*--rest = "cwd";
	execv("/proc/self/exe", rest);
	fail();
	exit(1);
}

static void wait_for_child(pid_t child)
{
	int status;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
}

static void spawn_in(const char *directory, char **rest)
{
	posix_spawn_file_actions_t actions;
	pid_t child;
	*--rest = "cwd";
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addchdir_np(&actions, directory);
	errno = posix_spawn(&child, "/proc/self/exe", &actions, NULL, rest, environ);
	if (errno)
		fail();
	else
		wait_for_child(child);
}

/* A child whose standard input is `path`, opened by libc in the child, after it went to `directory`. */
static void spawn_reading(const char *directory, const char *path)
{
	posix_spawn_file_actions_t actions;
	pid_t child;
	char *const cat[] = { "cat", NULL };
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addchdir_np(&actions, directory);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, path, O_RDONLY, 0);
	errno = posix_spawnp(&child, "cat", &actions, NULL, cat, environ);
	if (errno) {
		fail();
	} else {
		wait_for_child(child);
		printf("\n");
	}
	posix_spawn_file_actions_destroy(&actions);
}

static void vfork_in(const char *directory, char **rest)
{
	pid_t child = vfork();
	if (child == 0) {
		if (chdir(directory) < 0)
			_exit(1);
		become(rest);
	}
	wait_for_child(child);
}

/* Does one word; the words that are left. */
static char **step(char **words)
{
	const char *word = *words++;
	char room[PATH_MAX];
	if (!strcmp(word, "chdir"))
		say(chdir(*words++));
	else if (!strcmp(word, "raw-chdir"))
		say(syscall(SYS_chdir, *words++));
	else if (!strcmp(word, "raw-getcwd"))
		say(syscall(SYS_getcwd, room, sizeof room));
	else if (!strcmp(word, "fchdir"))
		change_by_descriptor(*words++);
	else if (!strcmp(word, "getcwd"))
		print(getcwd(room, sizeof room));
	else if (!strcmp(word, "short-getcwd"))
		print(getcwd(room, 5));
	else if (!strcmp(word, "own-getcwd"))
		print(getcwd(NULL, 0));
	else if (!strcmp(word, "__getcwd_chk"))
		print(((char *(*)(char *, size_t, size_t))function(word))(room, sizeof room, sizeof room));
	else if (!strcmp(word, "getwd"))
		print(((char *(*)(char *))function(word))(room));
	else if (!strcmp(word, "__getwd_chk"))
		print(((char *(*)(char *, size_t))function(word))(room, sizeof room));
	else if (!strcmp(word, "get_current_dir_name"))
		print(get_current_dir_name());
	else if (!strcmp(word, "pwd-is"))
		setenv("PWD", *words++, 1);
	else if (!strcmp(word, "kernel"))
		ask_kernel();
	else if (!strcmp(word, "cat"))
		cat(*words++);
	else if (!strcmp(word, "ls"))
		list(*words++);
	else if (!strcmp(word, "stat"))
		show_stat(*words++);
	else if (!strcmp(word, "readlink"))
		show_link(*words++);
	else if (!strcmp(word, "realpath"))
		print(realpath(*words++, NULL));
	else if (!strcmp(word, "rmdir"))
		say(rmdir(*words++));
	else if (!strcmp(word, "mkdir"))
		say(mkdir(*words++, 0755));
	else if (!strcmp(word, "rename"))
		say(rename(words[0], words[1])), words += 2;
	else if (!strcmp(word, "spawn-reading"))
		spawn_reading(words[0], words[1]), words += 2;
	else if (!strcmp(word, "save"))
		saved_directory = open(".", O_RDONLY | O_DIRECTORY);
	else if (!strcmp(word, "back"))
		say(fchdir(saved_directory));
	else if (!strcmp(word, "setuid"))
		say(setresuid(4241, 4241, 4241));
	else if (!strcmp(word, "exec"))
		return become(words);
	else
		printf("unknown word %s\n", word);
	return words;
}

int main(int argc, char **argv)
{
	char **words = argv + 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (argc > 1 && *words) {
		bool is_fork = !strcmp(*words, "fork");
		if (is_fork) {
			pid_t child = fork();
			if (child) {
				wait_for_child(child);
				return 0;
			}
			words++;
		} else if (!strcmp(*words, "spawn-in")) {
			spawn_in(words[1], words + 2);
			return 0;
		} else if (!strcmp(*words, "vfork-in")) {
			vfork_in(words[1], words + 2);
			return 0;
		} else {
			words = step(words);
		}
	}
	return 0;
}
