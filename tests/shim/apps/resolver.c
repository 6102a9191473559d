/* resolver.c - asks the resolver by the function of its argument, and prints what it gave. */
#include "calls.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <resolv.h>

static unsigned char answer[100];
static struct __res_state state;
static const unsigned char query[] = "a query";

static int show(const char *symbol, int result)
{
	printf("%s %d h_errno %d \"%.*s\"\n", symbol, result, h_errno, result > 0 ? result : 0, (const char *)answer);
	return 0;
}

static int by_name(const char *symbol, char **arguments)
{
	int (*call)(const char *, int, int, unsigned char *, int) = function(symbol);
	return show(symbol, call(arguments[0], ns_c_in, ns_t_txt, answer, sizeof answer));
}

static int by_state(const char *symbol, char **arguments)
{
	int (*call)(res_state, const char *, int, int, unsigned char *, int) = function(symbol);
	int (*init)(res_state) = function("__res_ninit");
	init(&state);
	if (arguments[1]) {
		state.nscount = 1;
		inet_aton(arguments[1], &state.nsaddr_list[0].sin_addr);
	}
	return show(symbol, call(&state, arguments[0], ns_c_in, ns_t_txt, answer, sizeof answer));
}

static int by_domain(const char *symbol, char **arguments)
{
	int (*call)(const char *, const char *, int, int, unsigned char *, int) = function(symbol);
	int (*ncall)(res_state, const char *, const char *, int, int, unsigned char *, int) = function(symbol);
	if (strstr(symbol, "res_nquerydomain"))
		return show(symbol, ncall(&state, arguments[0], arguments[1], ns_c_in, ns_t_txt, answer, sizeof answer));
	return show(symbol, call(arguments[0], arguments[1], ns_c_in, ns_t_txt, answer, sizeof answer));
}

static int sends(const char *symbol, char **arguments)
{
	(void)arguments;
	int (*call)(const unsigned char *, int, unsigned char *, int) = function(symbol);
	int (*ncall)(res_state, const unsigned char *, int, unsigned char *, int) = function(symbol);
	if (strstr(symbol, "res_nsend"))
		return show(symbol, ncall(&state, query, sizeof query - 1, answer, sizeof answer));
	return show(symbol, call(query, sizeof query - 1, answer, sizeof answer));
}

static int tells_state(const char *symbol, char **arguments)
{
	(void)arguments;
	int (*call)(void) = function(symbol);
	printf("%s %d", symbol, call());
	printf(", %d servers", _res.nscount);
	for (int at = 0; at < _res.nscount; at++)
		printf(" %s:%d", inet_ntoa(_res.nsaddr_list[at].sin_addr), ntohs(_res.nsaddr_list[at].sin_port));
	printf(" ndots %d retry %d retrans %d search", _res.ndots, _res.retry, _res.retrans);
	for (int at = 0; _res.dnsrch[at]; at++)
		printf(" %s", _res.dnsrch[at]);
	printf("\n");
	return 0;
}

/* Two names at once, waited for as `arguments` says; then what is known of them. */
static int at_once(const char *symbol, char **arguments)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
	struct gaicb one = { .ar_name = "one", .ar_request = &hints }, two = { .ar_name = "two", .ar_request = &hints };
	struct gaicb *list[] = { &one, &two };
	int is_waiting = !strcmp(arguments[0], "wait");
	printf("%s %d\n", symbol, getaddrinfo_a(is_waiting ? GAI_WAIT : GAI_NOWAIT, list, 2, NULL));
	while (gai_error(&one) == EAI_INPROGRESS || gai_error(&two) == EAI_INPROGRESS)
		gai_suspend((const struct gaicb *const *)list, 2, NULL);
	for (int at = 0; at < 2; at++)
		printf("%s %d %s\n", list[at]->ar_name, gai_error(list[at]),
		       gai_error(list[at]) ? "-" : inet_ntoa(((struct sockaddr_in *)list[at]->ar_result->ai_addr)->sin_addr));
	printf("suspend %d cancel %d\n", gai_suspend((const struct gaicb *const *)list, 2, NULL) == EAI_ALLDONE,
	       gai_cancel(&one) == EAI_ALLDONE);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct command commands[] = {
		{ "__res_query", by_name },
		{ "res_query", by_name },
		{ "__res_search", by_name },
		{ "res_search", by_name },
		{ "__res_nquery", by_state },
		{ "res_nquery", by_state },
		{ "__res_nsearch", by_state },
		{ "res_nsearch", by_state },
		{ "__res_querydomain", by_domain },
		{ "res_querydomain", by_domain },
		{ "__res_nquerydomain", by_domain },
		{ "res_nquerydomain", by_domain },
		{ "__res_send", sends },
		{ "res_send", sends },
		{ "__res_nsend", sends },
		{ "res_nsend", sends },
		{ "__res_init", tells_state },
		{ "getaddrinfo_a", at_once },
		{ 0 },
	};
	return run(commands, argc, argv);
}
