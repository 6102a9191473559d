/* namespaces.c - entering another process's network, asking for its host name, for the agent
 *
 * setns(2) moves one thread. The network namespace is entered by the main thread, on which Deno makes its sockets; the
 * UTS namespace only by a thread made for the question, so that nothing else of this process changes its host name.
 */
#include "sys.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

/* Moves the calling thread into the network namespace that `path` (/proc/PID/ns/net) stands for. */
SYS int32_t namespaces_enter_network(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int status = (int)result(setns(fd, CLONE_NEWNET));
	close(fd);
	return status;
}

struct question {
	const char *path;
	char *into;
	uint32_t capacity;
	int status;
};

static void *ask_hostname(void *argument)
{
	struct question *question = argument;
	int fd = open(question->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		question->status = -errno;
		return NULL;
	}
	question->status = (int)result(setns(fd, CLONE_NEWUTS));
	close(fd);
	if (question->status == 0)
		question->status = (int)result(gethostname(question->into, question->capacity));
	return NULL;
}

/* The host name in the UTS namespace of `path` (/proc/PID/ns/uts): its length; `into` gets no NUL. */
SYS int32_t namespaces_hostname(const char *path, char *into, uint32_t capacity)
{
	struct question question = { .path = path, .into = into, .capacity = capacity };
	pthread_t thread;
	int status = pthread_create(&thread, NULL, ask_hostname, &question);
	if (status != 0)
		return -status;
	pthread_join(thread, NULL);
	return question.status < 0 ? question.status : (int32_t)strnlen(into, capacity);
}
