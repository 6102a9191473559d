/* tellings.h - what the hub has to tell TypeScript: a queue, and a descriptor that is readable while it is not empty. */
#ifndef MIRRORD_TELLINGS_H
#define MIRRORD_TELLINGS_H

#include "sys.h"

#include <pthread.h>

enum telling_kind {
	TOLD_CLOSED, /* a connection is over */
	TOLD_HANDED, /* it goes on in TypeScript: its descriptors are its own */
	TOLD_TAP,    /* a tap has something, or has ended */
	TOLD_BEGUN,  /* a connection that is sniffed */
	TOLD_TAKEN,  /* a connection that was the target's */
	TOLD_MISSED, /* connections came faster than they can be mirrored; `id` is the port of one */
	TOLD_SPOKEN, /* `client`, of enum spoken, on port `id` */
	TOLD_REFUSED, /* nobody listens on port `id` */
	TOLD_OUTLET, /* frames are ready to be taken */
};

/* As src/sys/passage.ts reads it; `length` bytes belong to it. */
struct telling {
	uint32_t kind, id;
	int32_t client, target;
	uint32_t length;
};

struct told;

struct tellings {
	pthread_mutex_t lock;
	int notice_fd;
	struct told *first, **last;
};

/* 0 or -errno. */
int tellings_open(struct tellings *it);
void tellings_close(struct tellings *it);
/* When memory is short it is lost, and its descriptors closed. */
void tell(struct tellings *it, struct telling telling, const uint8_t *bytes);
/* Nothing waits to be taken. */
int tellings_are_heard(struct tellings *it);
/* Takes as many as there is room for, bytes of all of them in a row. How many. */
uint32_t tellings_take(struct tellings *it, struct telling *into, uint32_t room, uint8_t *bytes, uint32_t bytes_room);

#endif
