/* debugged.c - connects to a port on loopback; what else is on its command line is for a debugger. */
#include "calls.h"

#include <arpa/inet.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "0")) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return say(connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&address, sizeof address));
}
