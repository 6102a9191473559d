/* names.c - calls one function of the names family by its symbol and prints what came of it. */
#include "calls.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static void show_address(const void *address, int family)
{
	char text[64];
	printf(" %s", inet_ntop(family, address, text, sizeof text));
}

static const char *eai_name(int code)
{
	switch (code) {
	case EAI_NONAME: return "EAI_NONAME";
	case EAI_NODATA: return "EAI_NODATA";
	case EAI_AGAIN: return "EAI_AGAIN";
	case EAI_FAIL: return "EAI_FAIL";
	case EAI_SERVICE: return "EAI_SERVICE";
	case EAI_FAMILY: return "EAI_FAMILY";
	case EAI_SOCKTYPE: return "EAI_SOCKTYPE";
	case EAI_BADFLAGS: return "EAI_BADFLAGS";
	case EAI_OVERFLOW: return "EAI_OVERFLOW";
	default: return "EAI other";
	}
}

/* getaddrinfo NAME SERVICE FAMILY SOCKTYPE FLAGS, "-" for none */
static int run_getaddrinfo(const char *symbol, char **a)
{
	int (*find)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = function(symbol);
	struct addrinfo hints = { 0 }, *list;
	hints.ai_family = a[1] && a[2] ? atoi(a[2]) : AF_UNSPEC;
	hints.ai_socktype = a[1] && a[2] && a[3] ? atoi(a[3]) : SOCK_STREAM;
	hints.ai_flags = a[1] && a[2] && a[3] && a[4] ? (int)strtol(a[4], NULL, 0) : 0;
	const char *name = strcmp(a[0], "-") ? a[0] : NULL;
	const char *service = a[1] && strcmp(a[1], "-") ? a[1] : NULL;
	errno = 0;
	int code = find(name, service, a[1] && a[2] ? &hints : NULL, &list);
	if (code)
		return printf("%s errno %d\n", eai_name(code), errno) < 0;
	for (struct addrinfo *it = list; it; it = it->ai_next) {
		const struct sockaddr_in *v4 = (void *)it->ai_addr;
		const struct sockaddr_in6 *v6 = (void *)it->ai_addr;
		show_address(it->ai_family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr, it->ai_family);
		printf(" port %d type %d protocol %d length %u%s%s", ntohs(v4->sin_port), it->ai_socktype, it->ai_protocol,
		       it->ai_addrlen, it->ai_canonname ? " canonical " : "", it->ai_canonname ? it->ai_canonname : "");
		printf("\n");
	}
	freeaddrinfo(list);
	return 0;
}

static int show_host(const struct hostent *host, int error)
{
	if (!host)
		return printf("h_errno %d\n", error) < 0;
	printf("%s:", host->h_name);
	for (char **it = host->h_addr_list; *it; it++)
		show_address(*it, host->h_addrtype);
	printf(" aliases %s\n", host->h_aliases[0] ? host->h_aliases[0] : "none");
	return 0;
}

static int run_gethostbyname(const char *symbol, char **a)
{
	struct hostent *(*find)(const char *) = function(symbol);
	const struct hostent *host = find(a[0]);
	return show_host(host, h_errno);
}

static int run_gethostbyname2(const char *symbol, char **a)
{
	struct hostent *(*find)(const char *, int) = function(symbol);
	const struct hostent *host = find(a[0], a[1] ? atoi(a[1]) : AF_INET);
	return show_host(host, h_errno);
}

/* First with too little room, then with enough. */
static int run_gethostbyname_r(const char *symbol, char **a)
{
	int (*find)(const char *, struct hostent *, char *, size_t, struct hostent **, int *) = function(symbol);
	struct hostent host, *result;
	static char room[4096];
	int error = 0;
	printf("%s ", strerrorname_np(find(a[0], &host, room, 8, &result, &error)));
	find(a[0], &host, room, sizeof room, &result, &error);
	return show_host(result, error);
}

static int run_gethostbyname2_r(const char *symbol, char **a)
{
	int (*find)(const char *, int, struct hostent *, char *, size_t, struct hostent **, int *) = function(symbol);
	struct hostent host, *result;
	static char room[4096];
	int error = 0;
	find(a[0], a[1] ? atoi(a[1]) : AF_INET, &host, room, sizeof room, &result, &error);
	return show_host(result, error);
}

static int run_gethostbyaddr(const char *symbol, char **a)
{
	struct hostent *(*find)(const void *, socklen_t, int) = function(symbol);
	struct in_addr address;
	inet_aton(a[0], &address);
	const struct hostent *host = find(&address, 4, AF_INET);
	return show_host(host, h_errno);
}

static int run_gethostbyaddr_r(const char *symbol, char **a)
{
	int (*find)(const void *, socklen_t, int, struct hostent *, char *, size_t, struct hostent **, int *) =
		function(symbol);
	struct hostent host, *result;
	static char room[4096];
	struct in_addr address;
	int error = 0;
	inet_aton(a[0], &address);
	find(&address, 4, AF_INET, &host, room, sizeof room, &result, &error);
	return show_host(result, error);
}

/* getnameinfo ADDRESS FLAGS ROOM */
static int run_getnameinfo(const char *symbol, char **a)
{
	int (*find)(const struct sockaddr *, socklen_t, char *, socklen_t, char *, socklen_t, int) = function(symbol);
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(80) };
	char host[256], service[64];
	inet_aton(a[0], &address.sin_addr);
	socklen_t room = a[1] && a[2] ? (socklen_t)atoi(a[2]) : sizeof host;
	int flags = a[1] ? atoi(a[1]) : 0;
	int code = find((void *)&address, sizeof address, host, room, service, sizeof service, flags);
	return (code ? printf("%s\n", eai_name(code)) : printf("%s %s\n", host, service)) < 0;
}

static int run_gethostname(const char *symbol, char **a)
{
	int (*get)(char *, size_t) = function(symbol);
	char name[256] = "";
	size_t room = a[0] ? (size_t)atoi(a[0]) : sizeof name;
	if (get(name, room) < 0)
		return printf("%s %.*s\n", strerrorname_np(errno), (int)room, name) < 0;
	return printf("%s\n", name) < 0;
}

static int run_gethostname_chk(const char *symbol, char **a)
{
	(void)a;
	int (*get)(char *, size_t, size_t) = function(symbol);
	char name[256] = "";
	return get(name, sizeof name, sizeof name) < 0 ? fail() : printf("%s\n", name) < 0;
}

static int run_uname(const char *symbol, char **a)
{
	(void)a;
	int (*get)(struct utsname *) = function(symbol);
	struct utsname name, raw;
	if (get(&name) < 0 || syscall(SYS_uname, &raw) < 0)
		return fail();
	return printf("%s %s %s\n", name.nodename, raw.nodename, name.sysname) < 0;
}

static const struct command commands[] = {
	{ "getaddrinfo", run_getaddrinfo }, { "getnameinfo", run_getnameinfo },
	{ "gethostbyname", run_gethostbyname }, { "gethostbyname2", run_gethostbyname2 },
	{ "gethostbyname_r", run_gethostbyname_r }, { "gethostbyname2_r", run_gethostbyname2_r },
	{ "gethostbyaddr", run_gethostbyaddr }, { "gethostbyaddr_r", run_gethostbyaddr_r },
	{ "gethostname", run_gethostname }, { "__gethostname_chk", run_gethostname_chk }, { "uname", run_uname },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run(commands, argc, argv);
}
