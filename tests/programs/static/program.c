/* program.c - what a program without a loader does with the world, so that it can be compared with itself in the target. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *said(long result)
{
	return result < 0 ? strerror(errno) : "well";
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void files(void)
{
	char text[64] = "", path[256] = "";
	struct stat st;
	struct dirent **list;
	struct utsname names;
	int fd = open("/app/tree/a.txt", O_RDONLY);
	long result = read(fd, text, sizeof text);
	printf("read %s %ld %s", said(fd), result, text);
	result = fstat(fd, &st);
	printf("fstat %s %ld %o\n", said(result), (long)st.st_size, st.st_mode);
	char *map = mmap(NULL, 6, PROT_READ, MAP_PRIVATE, fd, 0);
	printf("mmap %.5s\n", map == MAP_FAILED ? "failed" : map);
	int copy = dup(fd);
	close(fd);
	result = lseek(copy, 2, SEEK_SET);
	printf("dup %ld %s\n", result, said(read(copy, text, 2)));
	int directory = open("/app/tree", O_RDONLY | O_DIRECTORY);
	printf("openat %s\n", said(openat(directory, "b/c.txt", O_RDONLY)));
	result = fstatat(directory, "a.txt", &st, AT_SYMLINK_NOFOLLOW);
	printf("fstatat %s %ld\n", said(result), (long)st.st_size);
	printf("none %s\n", said(open("/app/none", O_RDONLY)));
	printf("not a directory %s\n", said(open("/app/tree/a.txt/x", O_RDONLY)));
	printf("access %s\n", said(access("/app/tree", R_OK | X_OK)));
	printf("no access %s\n", said(access("/app/none", F_OK)));
	int count = scandir("/app/tree", &list, NULL, by_name);
	for (int at = 0; at < count; at++)
		printf("entry %s %d\n", list[at]->d_name, list[at]->d_type);
	result = chdir("/app/tree/b");
	printf("chdir %s\n", said(result));
	printf("directory %s\n", getcwd(path, sizeof path));
	printf("relative %s\n", said(open("c.txt", O_RDONLY)));
	printf("above %s\n", said(open("../a.txt", O_RDONLY)));
	uname(&names);
	printf("host %s\n", names.nodename);
	fflush(stdout);
	if (fork() == 0) {
		printf("child %s\n", getcwd(path, sizeof path));
		printf("child %s\n", said(open("c.txt", O_RDONLY)));
		exit(3);
	}
	int status;
	wait(&status);
	printf("status %d\n", WEXITSTATUS(status));
	printf("bad path %s\n", said(open((char *)65536, O_RDONLY)));
}

static const char *name_of(const struct sockaddr_in *address)
{
	static char text[64];
	snprintf(text, sizeof text, "%s:%d", inet_ntoa(address->sin_addr), ntohs(address->sin_port));
	return text;
}

/* A question for the address of echo-server.sandbox.local. */
static const unsigned char question[] = "\0\7\1\0\0\1\0\0\0\0\0\0\13echo-server\7sandbox\5local\0\0\1\0";

static void network(void)
{
	unsigned char answer[512];
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons(53) }, from = { 0 };
	socklen_t length = sizeof from;
	inet_aton("10.99.7.1", &server.sin_addr);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	printf("sendto %s\n", said(sendto(fd, question, sizeof question, 0, (void *)&server, sizeof server)));
	long got = recvfrom(fd, answer, sizeof answer, 0, (void *)&from, &length);
	printf("recvfrom %s %d %s\n", said(got), got > (long)sizeof question, name_of(&from));
	struct iovec parts[] = { { (void *)question, 10 }, { (void *)(question + 10), sizeof question - 10 } };
	struct msghdr message = { .msg_name = &server, .msg_namelen = sizeof server, .msg_iov = parts, .msg_iovlen = 2 };
	printf("sendmsg %s\n", said(sendmsg(fd, &message, 0)));
	struct iovec rooms[] = { { answer, 7 }, { answer + 7, sizeof answer - 7 } };
	memset(&from, 0, sizeof from);
	message = (struct msghdr){ .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = rooms, .msg_iovlen = 2 };
	got = recvmsg(fd, &message, 0);
	printf("recvmsg %s %d %d %s\n", said(got), got > (long)sizeof question, answer[1], name_of(&from));
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *found = NULL;
	int error = getaddrinfo("echo-server", "7000", &hints, &found);
	printf("getaddrinfo %d %s\n", error, error ? "" : name_of((void *)found->ai_addr));
	server.sin_port = htons(7000);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	printf("connect %s\n", said(connect(fd, (void *)&server, sizeof server)));
	printf("write %s\n", said(write(fd, "hello", 5)));
	printf("read %s\n", said(read(fd, answer, 5)));
	length = sizeof from;
	got = getpeername(fd, (void *)&from, &length);
	printf("peer %s %s\n", said(got), name_of(&from));
	server.sin_port = htons(7999);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	printf("refused %s\n", said(connect(fd, (void *)&server, sizeof server)));
}

static volatile sig_atomic_t rings;

static void ring(int number)
{
	(void)number;
	rings++;
}

/* Waiting is interrupted by a signal whose handler does not ask for more. */
static void waiting(void)
{
	struct sockaddr_in own = { .sin_family = AF_INET }, peer;
	socklen_t length = sizeof peer;
	struct sigaction action = { .sa_handler = ring };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bind(fd, (void *)&own, sizeof own);
	listen(fd, 5);
	sigaction(SIGALRM, &action, NULL);
	alarm(1);
	long result = accept(fd, (void *)&peer, &length);
	printf("accept %s after %d\n", said(result), rings);
	alarm(1);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	bind(fd, (void *)&own, sizeof own);
	char byte;
	result = recvfrom(fd, &byte, 1, 0, (void *)&peer, &length);
	printf("recvfrom %s after %d\n", said(result), rings);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (strcmp(what, "files") == 0)
		files();
	else if (strcmp(what, "network") == 0)
		network();
	else if (strcmp(what, "waiting") == 0)
		waiting();
	return 0;
}
