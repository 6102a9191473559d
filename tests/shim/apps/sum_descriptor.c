/* sum_descriptor.c - reads the descriptor whose number is the last argument to its end; prints bytes and their sum. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	unsigned char bytes[4096];
	long count, total = 0, sum = 0;
	while ((count = read(atoi(argv[argc - 1]), bytes, sizeof bytes)) > 0) {
		total += count;
		for (long at = 0; at < count; at++)
			sum += bytes[at];
	}
	printf("%ld %ld\n", total, sum);
	return 0;
}
