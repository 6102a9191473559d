/* stdio_end.c - leaves bytes in a stream's buffer and ends in different ways: `stdio_end HOW PATH`. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **a)
{
	if (count < 3)
		return 2;
	if (!strcmp(a[1], "freopen")) {
		if (!freopen(a[2], "w", stdout))
			return 3;
		fputs("buffered", stdout);
		return 0;
	}
	if (!strcmp(a[1], "stdout")) {
		int fd = open(a[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
		dup2(fd, 1);
		close(fd);
		fputs("buffered", stdout);
		return 0;
	}
	FILE *stream = fopen(a[2], !strcmp(a[1], "append") ? "a" : "w");
	if (!stream)
		return 3;
	fputs("buffered", stream);
	if (!strcmp(a[1], "exit"))
		exit(0);
	return 0;
}
