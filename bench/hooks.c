/* hooks.c - nanoseconds of calls that stay on this machine: hooks COUNT prints one number for each, the least of several rounds. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int fd;
static char byte;
static struct stat st;

/* Cheap in the kernel, so that what is added shows. */
static void call_access(void) { access("/usr", F_OK); }
static void call_stat(void) { stat("/usr", &st); }
static void call_open(void) { close(open("/usr", O_RDONLY | O_DIRECTORY)); }
static void call_read(void) { if (read(fd, &byte, 1) < 0) abort(); }
static void call_fstat(void) { fstat(fd, &st); }

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 100000;
	void (*const calls[])(void) = { call_access, call_stat, call_open, call_read, call_fstat };
	fd = open("/dev/zero", O_RDONLY);
	for (size_t which = 0; which < sizeof calls / sizeof *calls; which++) {
		double least = 1e18;
		for (int round = 0; round < 15; round++) {
			double from = now();
			for (long at = 0; at < count; at++)
				calls[which]();
			double each = (now() - from) / (double)count;
			least = each < least ? each : least;
		}
		printf("%.1f ", least);
	}
	printf("\n");
	return 0;
}
