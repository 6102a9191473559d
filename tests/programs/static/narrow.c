/* narrow.c - a program of 32 bits without any library: says what it can open, and becomes what it is told to. */
static long call(long number, long a, long b, long c)
{
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}

__attribute__((used)) static void begin(long *stack)
{
	enum { EXIT = 1, WRITE = 4, OPEN = 5, EXECVE = 11 };
	char **argv = (char **)(stack + 1);
	char **environment = argv + stack[0] + 1;
	static const char here[] = "narrow: here\n", there[] = "narrow: there\n";
	int is_there = call(OPEN, (long)"/app/tree/a.txt", 0, 0) >= 0;
	call(WRITE, 1, (long)(is_there ? there : here), is_there ? sizeof there - 1 : sizeof here - 1);
	if (stack[0] > 1)
		call(EXECVE, (long)argv[1], (long)(argv + 1), (long)environment);
	call(EXIT, 3, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmovl %esp, %eax\n\tandl $-16, %esp\n\tsubl $12, %esp\n\tpushl %eax\n\tcall begin\n");
