/* debuggers.c - the ports of debuggers, as command lines name them: debugpy, pydevd, ReSharper, the JVM's jdwp agent
 * (also in @files and variables), Node's inspector; and MIRRORD_IGNORE_DEBUGGER_PORTS, numbers and ranges as IDE plugins
 * give them.
 *
 * Found once, before main, and only read afterwards. What is not a number is no port: nothing is guessed.
 */
#include "debuggers.h"
#include "kernel.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST = 16, NODE_PORT = 9229 };

/* In a range of the environment these two are the program's own (what a service listens on). */
enum { SPARED_FIRST = 50000, SPARED_LAST = 50001 };

static struct range {
	uint16_t first, last;
} ranges[MOST];
static int count;

static void add(unsigned long first, unsigned long last)
{
	if (first > 0 && first <= last && last <= 65535 && count < MOST)
		ranges[count++] = (struct range){ (uint16_t)first, (uint16_t)last };
}

bool debuggers_have(uint16_t port)
{
	for (int at = 0; at < count; at++) {
		bool is_spared = ranges[at].first != ranges[at].last && port >= SPARED_FIRST && port <= SPARED_LAST;
		if (port >= ranges[at].first && port <= ranges[at].last && !is_spared)
			return true;
	}
	return false;
}

/* The digits at the end of "[host:]port", which ends where `length` says. */
static void add_address(const char *text, size_t length)
{
	size_t at = length;
	unsigned long port = 0;
	while (at > 0 && text[at - 1] >= '0' && text[at - 1] <= '9')
		at--;
	if (at == length || length - at > 5 || (at > 0 && text[at - 1] != ':'))
		return;
	for (; at < length; at++)
		port = port * 10 + (unsigned long)(text[at] - '0');
	add(port, port);
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* "-agentlib:jdwp=transport=dt_socket,server=n,address=localhost:5005": `text` begins behind "jdwp=". */
static void find_java_address(const char *text)
{
	static const char key[] = "address=";
	for (size_t span; *text; text += span + (text[span] == ',')) {
		span = strcspn(text, ", \t\r\n\"'");
		if (span >= sizeof key && memcmp(text, key, sizeof key - 1) == 0)
			add_address(text + sizeof key - 1, span - (sizeof key - 1));
		if (text[span] && text[span] != ',')
			return;
	}
}

/* Wherever the text says how a JVM is debugged: an argument, a variable, a line of a file. */
static void find_java(const char *text)
{
	static const char *const agents[] = { "-agentlib:jdwp=", "-Xrunjdwp:" };
	for (size_t at = 0; at < sizeof agents / sizeof *agents; at++) {
		const char *found = strstr(text, agents[at]);
		if (found)
			find_java_address(found + strlen(agents[at]));
	}
}

/* "java @file": arguments by lines, "#" begins a comment, quotes around any of them. */
static void find_in_java_file(const char *path)
{
	char text[16384];
	int fd = (int)kernel(SYS_openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	long length = kernel(SYS_read, fd, text, sizeof text - 1);
	kernel(SYS_close, fd);
	text[length > 0 ? length : 0] = '\0';
	for (char *line = text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		char *comment = strchr(line, '#');
		if (comment)
			*comment = '\0';
		find_java(line);
	}
}

/* "--inspect[-brk|-wait|-port][=[host:]port]"; 0 is any port. */
static void find_node(const char *text)
{
	static const char *const flags[] = { "--inspect-brk", "--inspect-wait", "--inspect-port", "--debug-port", "--inspect" };
	for (size_t at = 0; at < sizeof flags / sizeof *flags; at++) {
		if (!starts_with(text, flags[at]))
			continue;
		const char *rest = text + strlen(flags[at]);
		size_t span = strcspn(rest, " ");
		if (*rest == '=')
			add_address(rest + 1, span - 1);
		bool has_port = span > 1 && strspn(rest + 1, "0123456789") == span - 1;
		bool has_address = memchr(rest, ':', span) != NULL;
		if (*rest == '\0' || *rest == ' ' || (*rest == '=' && !has_port && !has_address))
			add(NODE_PORT, NODE_PORT);
		if (*rest == '\0' || *rest == ' ' || *rest == '=')
			return;
	}
}

/* Flags whose port is the next argument, or behind "=". */
static void find_flag(const char *flag, const char *argument, const char *next)
{
	size_t length = strlen(flag);
	if (strncmp(argument, flag, length) != 0)
		return;
	if (argument[length] == '=')
		add_address(argument + length + 1, strlen(argument + length + 1));
	else if (argument[length] == '\0' && next)
		add_address(next, strlen(next));
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), span = strlen(end);
	return length >= span && strcmp(text + length - span, end) == 0;
}

static void find_in_arguments(int argc, char **argv)
{
	bool is_python = false, is_java = false, is_dotnet = false;
	for (int at = 0; at < argc && argv[at]; at++) {
		const char *argument = argv[at];
		const char *next = at + 1 < argc ? argv[at + 1] : NULL;
		is_java = is_java || (at == 0 && ends_with(argument, "java"));
		is_python = is_python || strstr(argument, "debugpy") || strstr(argument, "pydevd");
		is_dotnet = is_dotnet || strstr(argument, "JetBrains.Debugger.Worker");
		if (argument[0] == '@' && is_java)
			find_in_java_file(argument + 1);
		if (is_python && (ends_with(argument, "debugpy/launcher") || ends_with(argument, "debugpy.launcher")) && next)
			add_address(next, strlen(next));
		if (argument[0] != '-')
			continue;
		find_java(argument);
		find_node(argument);
		if (is_python) {
			find_flag("--listen", argument, next);
			find_flag("--connect", argument, next);
			find_flag("--port", argument, next);
		}
		if (is_dotnet)
			find_flag("--frontend-port", argument, next);
	}
}

/* "5005", "50000-60000" or several of them with commas. */
static void find_in_list(const char *list)
{
	while (*list) {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;
		if (end == list)
			return;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		add(first, last);
		list = *end == ',' ? end + 1 : "";
	}
}

void debuggers_find(int argc, char **argv)
{
	static const char *const options[] = { "NODE_OPTIONS=", "JAVA_TOOL_OPTIONS=", "_JAVA_OPTIONS=", "JDK_JAVA_OPTIONS=" };
	static const char ports[] = "MIRRORD_IGNORE_DEBUGGER_PORTS=";
	find_in_arguments(argc, argv);
	for (char **entry = environ; entry && *entry; entry++) {
		if (starts_with(*entry, ports))
			find_in_list(*entry + sizeof ports - 1);
		for (size_t at = 0; at < sizeof options / sizeof *options; at++) {
			if (!starts_with(*entry, options[at]))
				continue;
			find_java(*entry);
			const char *inspect = strstr(*entry, "--inspect");
			if (inspect)
				find_node(inspect);
		}
	}
}
