/* queue.h - what queue.c and its parts share: packets of a port that wait for our verdict (nfnetlink_queue), so that requests
 * which nobody wants reach the target's own program on its own connection.
 *
 * All of it belongs to the queue's thread, but the filters of ports, which have the queue's lock.
 */
#ifndef MIRRORD_QUEUE_H
#define MIRRORD_QUEUE_H

#include "passage.h"
#include "sniff.h"

/* A packet whose IP header begins at `bytes`. */
struct packet {
	uint32_t id, interface;
	const uint8_t *bytes;
	uint32_t length;
	uint32_t cut; /* so many bytes at its end were not copied */
	bool is_out; /* from the target */
	bool is_marked; /* by somebody else */
	struct segment segment;
};

enum verdict {
	PASS,
	PASS_SETTLED, /* plain requests that follow on its connection need not be asked about: see nft_plain.h */
	PASS_OURS, /* to a connection that we took over: no other agent looks at it */
	PASS_PART, /* so many bytes of what it carries */
	DROP,	   /* its sender says it again */
};

enum stage {
	IGNORED,  /* no HTTP, or its beginning was not seen */
	REQUESTS, /* between two, or in a head */
	BODY,
	UPGRADE, /* what the target answered decides what follows */
	WANTED,
	TAKEN,
};

/* What has been spoken on a port; bits. Where HTTP/1 was, the target does not speak first. */
enum spoken { SPOKEN_HTTP1 = 1, SPOKEN_HTTP2 = 2 };

/* What the kernel knows of the target's socket. */
struct target_socket {
	enum { SOCKET_NONE, SOCKET_YOUNG, SOCKET_OPEN, SOCKET_LEFT /* by its peer alone */, SOCKET_ENDING } state;
	bool has_details; /* what follows `unacked` is known */
	uint64_t cookie;
	uint32_t received, acked, unread, unacked; /* bytes; the last one: said, or about to be said */
	bool has_answered; /* it has said something later than it has heard something */
	uint8_t options, send_scale, receive_scale;
	uint32_t segment, window;
};

/* What a client says, as its packets come. */
struct talk {
	struct talk *next; /* of the bucket */
	struct talk *older, *newer;
	struct talk *next_wanted;
	struct ends ends;
	uint8_t stage;
	bool is_http, has_asked;
	bool is_piped;	      /* it asked before it had an answer */
	bool is_plain;	      /* its last request had no body, and cannot have changed the protocol */
	bool is_settled;      /* the kernel may have let requests pass since, which we have not seen */
	bool has_skipped;     /* it has: whether they were answered is for the target's socket to say */
	bool is_watched;      /* what the target says comes to us */
	bool is_held_back;    /* and its first words, of HTTP/2, have not gone on */
	bool has_timestamp;
	uint32_t interface;
	uint32_t first, first_ack; /* the first bytes of both */
	uint32_t expected;	   /* its next byte */
	uint32_t asked_ack;	   /* acknowledged when the last request ended */
	uint32_t ack, window, echo; /* the last ones */
	struct body body;
	struct held head; /* of the head under way; WANTED: all since the request that is wanted, or more */
	uint32_t looked;
	uint32_t put_off_at; /* what comes before its turn waits for this byte */
	uint64_t put_off_ms;
	int answers; /* UPGRADE: see answers_watch(); -1: none */
	bool is_upgrade, is_connect;
	/* WANTED: */
	uint64_t since_ms, quiet_ms, next_ms; /* the first one also while it is held back */
	enum leaving { RESTING, TOLD_END, TOLD_RESET } leaving;
	bool has_part; /* of a head: the target has it */
	uint32_t given; /* what the target has ends here */
	uint32_t said;	/* what it has said */
	struct target_socket target;
};

struct queue;

/* ---- queue.c ---- */

uint64_t queue_now_ms(void);
/* NULL: nobody looks at this port. */
struct http_filters *queue_filters(struct queue *queue, uint16_t port);
/* The kernel may let plain requests pass unasked. */
bool queue_settles(const struct queue *queue, uint16_t port);
/* As if it had come from the client; nobody looks at it. */
void queue_inject(struct queue *queue, const struct talk *talk, const uint8_t *packet, uint32_t length);
void queue_tell_taken(struct queue *queue, const struct talk *talk, int fd);
/* Of enum spoken. */
uint8_t queue_spoken(const struct queue *queue, uint16_t port);
/* Tells TypeScript, once, which makes the port's rules accordingly. */
void queue_note_spoken(struct queue *queue, uint16_t port, enum spoken spoken);
/* Nobody listens on it: when TypeScript has heard that, connections are redirected. */
void queue_note_refused(struct queue *queue, uint16_t port);
int queue_diagnosis(struct queue *queue);

/* ---- queue_talks.c ---- */

struct talks;

struct talks *talks_open(struct queue *queue);
void talks_close(struct talks *talks);
/* `*part` goes with PASS_PART. */
enum verdict talks_judge(struct talks *talks, const struct packet *packet, uint32_t *part);
/* Goes on with connections that are wanted. In how many milliseconds those that are left are to be looked at again; -1: none is left. */
int talks_take_wanted(struct talks *talks);
/* Connections to this port are just being taken over. */
bool talks_are_wanted(const struct talks *talks, uint16_t port);

/* ---- queue_answers.c ---- */

/* What the target says on a connection from now on. Descriptor, or -1. */
int answers_watch(const struct ends *ends);
/* The status of its answer; 0: there was none yet, or none that can be read. */
unsigned answers_read(int fd, const struct ends *ends);

/* ---- queue_take.c ---- */

void look_up_socket(int diagnosis, const struct talk *talk, struct target_socket *into);

enum taking { TAKING_WAITS, TAKING_DONE, TAKING_FAILED };

/* One step. */
enum taking take_over(struct queue *queue, struct talk *talk);

/* ---- queue_packets.c ---- */

#define EMPTY_PACKET_BYTES 60

/* Is its sum right? Nobody knows of one that was not copied as a whole: then it is. */
bool packet_is_sound(const struct packet *packet);
/* The packet with so many bytes of what it carries. How long; 0: it has no room. */
uint32_t packet_shortened(const struct packet *packet, uint32_t part, uint8_t *into, uint32_t room);
/* One of the peer's that carries nothing. How long. */
uint32_t packet_empty(const struct ends *ends, uint32_t sequence, uint32_t ack, uint8_t flags, uint16_t window,
		      uint8_t into[EMPTY_PACKET_BYTES]);

#endif
