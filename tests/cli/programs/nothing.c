/* nothing.c - a program to be looked at. */
int main(void)
{
	return 0;
}
