/* signals.c - calls that wait for the target while signals come. */
#include "calls.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t handled;

/* A call of its own shows the test that the handler runs while the other waits. */
static void on_signal(int number)
{
	int saved = errno;
	(void)number;
	handled++;
	access("/data/in-handler", R_OK);
	errno = saved;
}

static void on_tick(int number)
{
	(void)number;
	handled++;
}

static void handle(int number, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
	sigaction(number, &action, NULL);
}

static int do_call(const char *call, const char *path)
{
	struct stat st;
	char bytes[256];
	if (!strcmp(call, "stat"))
		return stat(path, &st);
	if (!strcmp(call, "opendir"))
		return open(path, O_RDONLY | O_DIRECTORY);
	if (!strcmp(call, "fopen")) {
		FILE *stream = fopen(path, "r");
		return stream ? fileno(stream) : -1;
	}
	int fd = open(path, O_RDONLY);
	ssize_t count = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
	if (count >= 0)
		printf("%.*s\n", (int)count, bytes);
	return fd < 0 ? -1 : 0;
}

static int run_handled(const char *symbol, char **a)
{
	(void)symbol;
	handle(SIGUSR1, on_signal, strcmp(a[0], "restart") ? 0 : SA_RESTART);
	int result = do_call(a[1], a[2]);
	if (result < 0)
		fail();
	printf("handled %d\n", (int)handled);
	if (a[3])
		do_call(a[1], a[3]);
	return 0;
}

static int run_storm(const char *symbol, char **a)
{
	struct itimerval storm = { { 0, 500 }, { 0, 500 } };
	int failures = 0;
	(void)symbol;
	handle(SIGALRM, on_tick, 0);
	handle(SIGPROF, on_tick, SA_RESTART);
	setitimer(ITIMER_REAL, &storm, NULL);
	setitimer(ITIMER_PROF, &storm, NULL);
	for (int at = 0; at < 300; at++) {
		int fd = open(a[0], O_RDONLY);
		failures += fd < 0;
		close(fd);
	}
	memset(&storm, 0, sizeof storm);
	setitimer(ITIMER_REAL, &storm, NULL);
	setitimer(ITIMER_PROF, &storm, NULL);
	printf("%s, %d failures\n", handled > 0 ? "stormy" : "calm", failures);
	return 0;
}

static int run_plain(const char *symbol, char **a)
{
	(void)symbol;
	return do_call(a[0], a[1]) < 0 ? fail() : 0;
}

static void *open_in_thread(void *path)
{
	open(path, O_RDONLY);
	return NULL;
}

static void *hear_and_open(void *path)
{
	sigset_t none;
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	return open_in_thread(path);
}

static int run_cancel(const char *symbol, char **a)
{
	pthread_t thread;
	void *result;
	handle(SIGUSR1, on_tick, 0);
	/* Which of the two hears it is not left to the kernel. */
	sigset_t ours;
	sigemptyset(&ours);
	sigaddset(&ours, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &ours, NULL);
	bool is_heard_by_it = strcmp(symbol, "cancel_signalled") == 0;
	pthread_create(&thread, NULL, is_heard_by_it ? hear_and_open : open_in_thread, a[0]);
	if (!is_heard_by_it)
		pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
	while (!handled)
		usleep(1000);
	pthread_cancel(thread);
	pthread_join(thread, &result);
	printf("%s\n", result == PTHREAD_CANCELED ? "cancelled" : "returned");
	return do_call("open", a[1]);
}

int main(int argc, char **argv)
{
	static const struct command commands[] = {
		{ "handled", run_handled }, { "storm", run_storm }, { "plain", run_plain }, { "cancel", run_cancel },
		{ "cancel_signalled", run_cancel }, { NULL, NULL },
	};
	return run(commands, argc, argv);
}
