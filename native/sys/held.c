/* held.c - bytes that wait for their turn: see passage.h. Nothing is allocated while none do. */
#include "passage.h"

#include <stdlib.h>
#include <string.h>

bool hold(struct held *held, const uint8_t *bytes, size_t length)
{
	if (length == 0)
		return true;
	if (held->room - held->end < length) {
		uint32_t count = held_count(held);
		uint64_t room = count + length;
		if (room > UINT32_MAX / 2)
			return false;
		if (count > 0)
			room = room * 3 / 2;
		uint8_t *more = malloc(room);
		if (!more)
			return false;
		if (count > 0)
			memcpy(more, held->bytes + held->at, count);
		free(held->bytes);
		*held = (struct held){ more, 0, count, (uint32_t)room };
	}
	memcpy(held->bytes + held->end, bytes, length);
	held->end += (uint32_t)length;
	return true;
}

void let_go(struct held *held, size_t count)
{
	held->at += (uint32_t)count;
	if (held->at < held->end)
		return;
	free(held->bytes);
	*held = (struct held){ 0 };
}
