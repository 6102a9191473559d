/* tellings.c - see tellings.h. */
#include "tellings.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct told {
	struct told *next;
	struct telling telling;
	uint8_t bytes[];
};

int tellings_open(struct tellings *it)
{
	*it = (struct tellings){ .notice_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	if (it->notice_fd < 0)
		return -errno;
	it->last = &it->first;
	pthread_mutex_init(&it->lock, NULL);
	return 0;
}

static void drop(const struct telling *telling)
{
	if (telling->client >= 0)
		close(telling->client);
	if (telling->target >= 0)
		close(telling->target);
}

void tellings_close(struct tellings *it)
{
	while (it->first) {
		struct told *told = it->first;
		it->first = told->next;
		drop(&told->telling);
		free(told);
	}
	close(it->notice_fd);
	pthread_mutex_destroy(&it->lock);
}

void tell(struct tellings *it, struct telling telling, const uint8_t *bytes)
{
	struct told *told = malloc(sizeof *told + telling.length);
	if (!told)
		return drop(&telling);
	*told = (struct told){ .telling = telling };
	if (telling.length > 0)
		memcpy(told->bytes, bytes, telling.length);
	pthread_mutex_lock(&it->lock);
	int was_empty = !it->first;
	*it->last = told;
	it->last = &told->next;
	uint64_t one = 1;
	if (was_empty && write(it->notice_fd, &one, sizeof one) < 0)
		errno = 0; /* it is readable already */
	pthread_mutex_unlock(&it->lock);
}

int tellings_are_heard(struct tellings *it)
{
	pthread_mutex_lock(&it->lock);
	int are_heard = !it->first;
	pthread_mutex_unlock(&it->lock);
	return are_heard;
}

uint32_t tellings_take(struct tellings *it, struct telling *into, uint32_t room, uint8_t *bytes, uint32_t bytes_room)
{
	uint32_t count = 0;
	pthread_mutex_lock(&it->lock);
	while (it->first && count < room && it->first->telling.length <= bytes_room) {
		struct told *told = it->first;
		it->first = told->next;
		into[count++] = told->telling;
		memcpy(bytes, told->bytes, told->telling.length);
		bytes += told->telling.length;
		bytes_room -= told->telling.length;
		free(told);
	}
	uint64_t counter;
	if (!it->first) {
		it->last = &it->first;
		if (read(it->notice_fd, &counter, sizeof counter) < 0)
			errno = 0; /* it was read already */
	}
	pthread_mutex_unlock(&it->lock);
	return count;
}
