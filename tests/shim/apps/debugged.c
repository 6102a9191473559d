/* debugged.c - connects to a port on loopback, or listens there; what else is on its command line is for a debugger. */
#include "calls.h"

#include <arpa/inet.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "0")) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (argc > 2 && !strcmp(argv[2], "listen"))
		return say(bind(fd, (void *)&address, sizeof address)) || say(listen(fd, 5));
	return say(connect(fd, (void *)&address, sizeof address));
}
