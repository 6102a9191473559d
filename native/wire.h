/* wire.h - questions to the intproxy and their answers.
 *
 * A call takes a connection of the pool for itself, sends one frame, reads the answer and gives the connection back:
 *
 *	struct wire_call call;
 *	size_t length = wire_put_stat(call.buffer, sizeof call.buffer, WIRE_ID, …);
 *	int error = wire_ask(&call, length, WIRE_STAT_REPLY);
 *	if (!error) { read fields from call.in } … wire_finish(&call, is_intact);
 *
 * All of it is fit for signal handlers and children of vfork.
 */
#ifndef MIRRORD_WIRE_H
#define MIRRORD_WIRE_H

#include "shim.h"

/* Holds every request but what wire_ask_with adds, and every answer but the bulk at the end of OpenReply and Chunk. Small, because it lies on
 * stacks that may be small. */
#define WIRE_BUFFER_BYTES (WIRE_PATH_BYTES + 512u)

/* One request is under way per connection: the id tells an answer from what a broken peer might send. */
#define WIRE_ID 1u

struct wire_call {
	/* The slot in the pool, or -1: a connection for this call alone, in `fd`. */
	int slot;
	int fd;
	/* Connected for this call, not taken from those that idle. */
	bool is_fresh;
	/* A signal has come, of a handler that does not ask for SA_RESTART, and the call went on all the same. */
	bool was_interrupted;
	struct wire_in in;
	uint8_t buffer[WIRE_BUFFER_BYTES];
};

/* The settings, the socket's address and `lifeline` are known: opens the lifeline. Never fails visibly. */
void wire_start(void);

/* Sends the request of `length` bytes in call->buffer and reads the head of the answer. Returns 0 and call->in stands
 * at the first field; or -errno (-EIO: no intproxy, or it broke the rules;
 * -EMFILE: no descriptor left for a connection) and the call is finished already.
 * With `is_interruptible` a signal whose handler does not ask for SA_RESTART ends it with -EINTR; and `timeout_us`,
 * when not 0, with -ETIMEDOUT. */
int wire_ask(struct wire_call *call, size_t length, enum wire_type reply);
int wire_ask_patiently(struct wire_call *call, size_t length, enum wire_type reply, int64_t timeout_us);

/* As wire_ask, for a request whose last field was put empty: `rest` becomes its contents, sent from where it is. */
int wire_ask_with(struct wire_call *call, size_t length, struct wire_bytes rest, enum wire_type reply);

/* As wire_ask, for open(2): when no answer comes, a signal whose handler does not ask for SA_RESTART ends it with
 * -EINTR. And it is a cancellation point. */
int wire_ask_like_open(struct wire_call *call, size_t length, enum wire_type reply);

/* The first frame of an answer that has several. */
int wire_ask_for_many(struct wire_call *call, size_t length, enum wire_type reply);
/* The next frame of an answer that has several. As wire_ask. */
int wire_next(struct wire_call *call, enum wire_type reply);

/* Reads `length` of the bytes that call->in calls missing, straight into place. 0, or -EIO and the call is finished. */
int wire_pull(struct wire_call *call, void *into, size_t length);

/* Gives the connection back, or closes it when the answer was not what the schema says (`is_intact` false).
 * Returns 0 or -EIO, for `return wire_finish(…)`. */
int wire_finish(struct wire_call *call, bool is_intact);

/* Sends a frame that is not answered. */
int wire_tell(struct wire_call *call, size_t length);

/* A line for the intproxy's log: `Act "subject": reason`. */
void wire_note(const char *act, const char *subject, const char *reason);

/* Where the shelf's socket is (writing.c), and the relays' (unix_sockets.c): by its path, then through the door. False when
 * there is no such way. */
enum wire_place { WIRE_SHELF, WIRE_STREAMS, WIRE_PACKETS };
bool wire_place_address(enum wire_place place, int way, struct sockaddr_un *address);

/* Our descriptors, for those who guard them. */
bool wire_owns(int fd);
/* The app wants this number: ours moves away. */
void wire_make_way(int fd);
/* The lowest of our descriptors in [first, last], or -1. */
int wire_first_owned(unsigned first, unsigned last);

/* True in a child that shares its parent's memory (vfork): nothing there may be changed for good. */
bool wire_is_in_borrowed_memory(void);

static inline struct wire_bytes wire_text(const char *text)
{
	return (struct wire_bytes){ text, (uint32_t)strlen(text) };
}

#endif
