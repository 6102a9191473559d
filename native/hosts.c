/* hosts.c - gethostent(3) and its kin: the target's hosts(5), line by line, as libc reads this machine's. */
#include "real.h"
#include "remote.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>

enum { MOST_BYTES = 1 << 20, MOST_ALIASES = 64 };

/* One for all threads, as libc has it. */
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static char *text, *next;
static bool is_here;

static void forget(void)
{
	free(text);
	text = next = NULL;
	is_here = false;
}

/* The whole file, or nothing; `is_here`: it is this machine's. */
static void begin(void)
{
	forget();
	long fd = shim.is_dns_remote ? try_open(AT_FDCWD, "/etc/hosts", O_RDONLY | O_CLOEXEC) : BYPASS;
	is_here = fd == BYPASS;
	text = next = calloc(1, MOST_BYTES + 1);
	for (size_t length = 0; text && fd >= 0 && length < MOST_BYTES;) {
		long count = kernel(SYS_pread64, fd, text + length, MOST_BYTES - length, length);
		if (count <= 0 && count != -EINTR)
			break;
		length += count > 0 ? (size_t)count : 0;
	}
	if (fd >= 0)
		hook_close((int)fd);
}

/* As for AF_INET: "::1" stands for 127.0.0.1, and mapped addresses for what they map. */
static bool parse_address(const char *word, uint8_t into[4])
{
	struct in6_addr six;
	static const uint8_t loopback[4] = { 127, 0, 0, 1 };
	if (inet_pton(AF_INET, word, into) == 1)
		return true;
	if (inet_pton(AF_INET6, word, &six) != 1 || (!IN6_IS_ADDR_LOOPBACK(&six) && !IN6_IS_ADDR_V4MAPPED(&six)))
		return false;
	memcpy(into, IN6_IS_ADDR_LOOPBACK(&six) ? loopback : six.s6_addr + 12, 4);
	return true;
}

/* False: the line names no host. Its words stay where they are. */
static bool parse_line(char *line, struct hostent *host)
{
	static char *aliases[MOST_ALIASES + 1], *addresses[2];
	static uint8_t address[4];
	char *rest;
	line[strcspn(line, "#")] = '\0';
	char *word = strtok_r(line, " \t\r", &rest), *name = word ? strtok_r(NULL, " \t\r", &rest) : NULL;
	if (!name || !parse_address(word, address))
		return false;
	size_t count = 0;
	while (count < MOST_ALIASES && (word = strtok_r(NULL, " \t\r", &rest)))
		aliases[count++] = word;
	aliases[count] = NULL;
	addresses[0] = (char *)address;
	*host = (struct hostent){ name, aliases, AF_INET, sizeof address, addresses };
	return true;
}

void hook_sethostent(int is_kept)
{
	pthread_mutex_lock(&guard);
	forget();
	pthread_mutex_unlock(&guard);
	real.sethostent(is_kept);
}

void hook_endhostent(void)
{
	pthread_mutex_lock(&guard);
	forget();
	pthread_mutex_unlock(&guard);
	real.endhostent();
}

struct hostent *hook_gethostent(void)
{
	static struct hostent host;
	bool is_found = false;
	pthread_mutex_lock(&guard);
	if (!text)
		begin();
	while (!is_here && !is_found && next && *next) {
		char *line = next;
		size_t length = strcspn(line, "\n");
		next = line + length + (line[length] == '\n');
		line[length] = '\0';
		is_found = parse_line(line, &host);
	}
	bool is_local = is_here;
	pthread_mutex_unlock(&guard);
	return is_local ? real.gethostent() : is_found ? &host : NULL;
}
