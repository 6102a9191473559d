/* listening.c - listens on the port of its argument, and says who has come: by accept(), then by accept4(). */
#include "calls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static void show(const char *what, const struct sockaddr_in *name)
{
	char host[32];
	printf("%s %s %d\n", what, inet_ntop(AF_INET, &name->sin_addr, host, sizeof host), ntohs(name->sin_port));
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])) };
	struct sockaddr_in peer;
	socklen_t length = sizeof peer;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(fd, (struct sockaddr *)&own, sizeof own) < 0 || listen(fd, 5) < 0)
		return fail();
	int first = accept(fd, (struct sockaddr *)&peer, &length);
	if (first < 0)
		return fail();
	show("accept", &peer);
	length = sizeof peer;
	int second = accept4(fd, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC);
	if (second < 0)
		return fail();
	show("accept4", &peer);
	length = sizeof own;
	getsockname(second, (struct sockaddr *)&own, &length);
	show("own", &own);
	return 0;
}
