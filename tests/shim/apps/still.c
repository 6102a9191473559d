/* still.c - says one line; linked statically it is a program that the shim cannot enter. */
#include <stdio.h>

int main(void)
{
	puts("still here");
	return 0;
}
