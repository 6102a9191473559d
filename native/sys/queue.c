/* queue.c - packets of clients that the kernel asks us about, by nfnetlink_queue
 *
 * The agent's table (netfilter.c) sends what clients say on some ports to a queue of the kernel's, before the target's socket gets it. A
 * thread reads it and gives its verdicts, by queue_talks.c: what nobody wants passes, on the connection that the target's own program has
 * accepted. Nothing is copied on the way, and nothing stands between the two.
 *
 * When this process dies in any way, the kernel drops what waits just then (it is said again), and lets the rest pass ("bypass"). It
 * lets packets pass as well when it cannot ask ("fail open").
 */
#include "queue.h"
#include "hub.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/tcp.h>

#define MOST_AT_ONCE 32
#define MESSAGE_BYTES ((64u << 10) + 1024)
#define COPIED_BYTES 0xffffu
#define RECEIVE_BYTES (8 << 20)
#define MOST_WAITING 4096 /* packets, in the kernel */
#define PORTS 65536u
/* Queue numbers are of the network: the first one that is free. */
#define FIRST_NUMBER 0x6d00u
#define MOST_NUMBERS 256u
#define VERDICT_BYTES 48

struct queue {
	struct hub *hub;
	int fd, diagnosis, raw4, raw6;
	uint16_t number;
	uint32_t pass_mark, settled_mark;
	pthread_t thread;
	atomic_bool is_leaving;
	pthread_mutex_t lock; /* of the filters */
	struct http_filters *filters[PORTS];
	uint8_t spoken[PORTS];
	bool settles[PORTS];
	bool is_refused[PORTS]; /* TypeScript knows */
	/* The thread's own: */
	struct talks *talks;
	uint8_t verdicts[MOST_AT_ONCE * VERDICT_BYTES];
	uint32_t verdict_bytes, verdict_count, last_id;
	enum verdict common; /* of all of them; DROP when there is no such or it cannot be said at once */
	uint8_t *room;
};

uint64_t queue_now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct http_filters *queue_filters(struct queue *queue, uint16_t port)
{
	return queue->filters[port];
}

int queue_diagnosis(struct queue *queue)
{
	return queue->diagnosis;
}

/* ---- messages to the kernel ---- */

struct message {
	struct nlmsghdr head;
	struct nfgenmsg body;
};

static uint32_t begin_message(const struct queue *queue, uint8_t *into, uint16_t type, uint16_t flags)
{
	struct message message = {
		.head = { .nlmsg_type = (NFNL_SUBSYS_QUEUE << 8) | type, .nlmsg_flags = NLM_F_REQUEST | flags },
		.body = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(queue->number) },
	};
	memcpy(into, &message, sizeof message);
	return sizeof message;
}

static uint32_t put(uint8_t *message, uint32_t at, uint16_t type, const void *value, uint32_t length)
{
	struct nlattr attribute = { .nla_len = (uint16_t)(NLA_HDRLEN + length), .nla_type = type };
	memcpy(message + at, &attribute, sizeof attribute);
	memcpy(message + at + NLA_HDRLEN, value, length);
	uint32_t end = at + NLA_HDRLEN + length, padded = NLMSG_ALIGN(end);
	memset(message + end, 0, padded - end);
	return padded;
}

static void end_message(uint8_t *message, uint32_t length)
{
	memcpy(message, &length, sizeof length);
}

static uint32_t put_verdict(const struct queue *queue, uint8_t *into, uint16_t type, uint32_t id, enum verdict verdict)
{
	uint32_t code = verdict == DROP ? NF_DROP : verdict == PASS_SETTLED ? NF_REPEAT : NF_ACCEPT;
	struct nfqnl_msg_verdict_hdr said = { htonl(code), htonl(id) };
	uint32_t at = begin_message(queue, into, type, 0);
	at = put(into, at, NFQA_VERDICT_HDR, &said, sizeof said);
	uint32_t mark = htonl(verdict == PASS_SETTLED ? queue->settled_mark : queue->pass_mark);
	return verdict == PASS_SETTLED || verdict == PASS_OURS ? put(into, at, NFQA_MARK, &mark, sizeof mark) : at;
}

/* Whoever has gone meanwhile does not need it. */
static void say(const struct queue *queue, const void *bytes, uint32_t length)
{
	while (send(queue->fd, bytes, length, 0) < 0 && errno == EINTR)
		continue;
}

static void flush_verdicts(struct queue *queue)
{
	if (queue->verdict_count == 0)
		return;
	if (queue->common != DROP && queue->verdict_count > 1) {
		uint32_t length = put_verdict(queue, queue->verdicts, NFQNL_MSG_VERDICT_BATCH, queue->last_id, queue->common);
		end_message(queue->verdicts, length);
		queue->verdict_bytes = length;
	}
	say(queue, queue->verdicts, queue->verdict_bytes);
	queue->verdict_bytes = queue->verdict_count = 0;
}

static void add_verdict(struct queue *queue, uint32_t id, enum verdict verdict)
{
	if (queue->verdict_bytes + VERDICT_BYTES > sizeof queue->verdicts)
		flush_verdicts(queue);
	uint8_t *message = queue->verdicts + queue->verdict_bytes;
	uint32_t length = put_verdict(queue, message, NFQNL_MSG_VERDICT, id, verdict);
	end_message(message, length);
	queue->verdict_bytes += length;
	queue->common = queue->verdict_count == 0 || queue->common == verdict ? verdict : DROP;
	queue->verdict_count++;
	queue->last_id = id;
}

/* A part of a packet passes. */
static void pass_part(struct queue *queue, const struct packet *packet, uint32_t part)
{
	uint8_t *message = queue->room, *bytes = malloc(packet->length);
	uint32_t length = bytes ? packet_shortened(packet, part, bytes, packet->length) : 0;
	flush_verdicts(queue);
	uint32_t at = put_verdict(queue, message, NFQNL_MSG_VERDICT, packet->id, length > 0 ? PASS : DROP);
	if (length > 0)
		at = put(message, at, NFQA_PAYLOAD, bytes, length);
	end_message(message, at);
	say(queue, message, at);
	free(bytes);
}

void queue_inject(struct queue *queue, const struct talk *talk, const uint8_t *packet, uint32_t length)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	bool is_v4 = talk->ends.family == 4;
	memcpy(is_v4 ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr, talk->ends.own, is_v4 ? 4 : 16);
	if (IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr))
		v6.sin6_scope_id = talk->interface;
	const struct sockaddr *to = is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
	/* What is lost is noticed: the socket stays. */
	while (sendto(is_v4 ? queue->raw4 : queue->raw6, packet, length, 0, to, is_v4 ? sizeof v4 : sizeof v6) < 0 &&
	       errno == EINTR)
		continue;
}

void queue_tell_taken(struct queue *queue, const struct talk *talk, int fd)
{
	uint32_t count = held_count(&talk->head);
	uint8_t *bytes = malloc(sizeof talk->ends + count);
	if (!bytes) {
		close(fd);
		return;
	}
	memcpy(bytes, &talk->ends, sizeof talk->ends);
	if (count > 0)
		memcpy(bytes + sizeof talk->ends, talk->head.bytes + talk->head.at, count);
	struct telling telling = { TOLD_TAKEN, 0, fd, -1, (uint32_t)sizeof talk->ends + count };
	tell(hub_tellings(queue->hub), telling, bytes);
	free(bytes);
}

bool queue_settles(const struct queue *queue, uint16_t port)
{
	return queue->settles[port];
}

uint8_t queue_spoken(const struct queue *queue, uint16_t port)
{
	return queue->spoken[port];
}

void queue_note_spoken(struct queue *queue, uint16_t port, enum spoken spoken)
{
	if (queue->spoken[port] & spoken)
		return;
	queue->spoken[port] |= (uint8_t)spoken;
	tell(hub_tellings(queue->hub), (struct telling){ TOLD_SPOKEN, port, queue->spoken[port], -1, 0 }, NULL);
}

void queue_note_refused(struct queue *queue, uint16_t port)
{
	if (!queue->is_refused[port])
		tell(hub_tellings(queue->hub), (struct telling){ TOLD_REFUSED, port, -1, -1, 0 }, NULL);
	queue->is_refused[port] = true;
}

/* ---- packets ---- */

static uint32_t word_of(const void *value)
{
	uint32_t word;
	memcpy(&word, value, sizeof word);
	return ntohl(word);
}

/* False: it is none. `it->segment.head` is NULL when it is no segment of TCP. */
static bool read_packet(const struct nlmsghdr *head, struct packet *it)
{
	const uint8_t *at = (const uint8_t *)head + sizeof(struct message), *end = (const uint8_t *)head + head->nlmsg_len;
	*it = (struct packet){ 0 };
	if (head->nlmsg_type != ((NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_PACKET))
		return false;
	bool has_id = false;
	uint32_t whole = 0, facts = 0;
	while (at + NLA_HDRLEN <= end) {
		const struct nlattr *attribute = (const void *)at;
		uint32_t length = attribute->nla_len;
		if (length < NLA_HDRLEN || at + length > end)
			break;
		const uint8_t *value = at + NLA_HDRLEN;
		length -= NLA_HDRLEN;
		uint16_t type = attribute->nla_type & NLA_TYPE_MASK;
		if (type == NFQA_PACKET_HDR && length >= sizeof(struct nfqnl_msg_packet_hdr)) {
			it->id = word_of(value);
			it->is_out = ((const struct nfqnl_msg_packet_hdr *)value)->hook == NF_INET_LOCAL_OUT;
			has_id = true;
		} else if (type == NFQA_IFINDEX_INDEV && length == 4) {
			it->interface = word_of(value);
		} else if (type == NFQA_MARK) {
			it->is_marked = true;
		} else if (type == NFQA_CAP_LEN && length == 4) {
			whole = word_of(value);
		} else if (type == NFQA_SKB_INFO && length == 4) {
			facts = word_of(value);
		} else if (type == NFQA_PAYLOAD) {
			it->bytes = value;
			it->length = length;
		}
		at += NLA_ALIGN(attribute->nla_len);
	}
	if (it->bytes && !sniff_read(it->bytes, it->length, it->is_out, &it->segment))
		it->segment.head = NULL;
	it->cut = whole > it->length ? whole - it->length : 0;
	/* Broken on its way, and nobody has looked yet: the target's socket will drop it. */
	if ((facts & NFQA_SKB_CSUM_NOTVERIFIED) && !(facts & NFQA_SKB_GSO) && it->segment.head && !packet_is_sound(it))
		it->segment.head = NULL;
	it->segment.length += it->cut;
	return has_id;
}

static void judge(struct queue *queue, const struct packet *packet)
{
	uint32_t part = 0;
	enum verdict verdict = packet->segment.head ? talks_judge(queue->talks, packet, &part) : PASS;
	if (verdict == PASS_PART)
		return pass_part(queue, packet, part);
	add_verdict(queue, packet->id, verdict);
}

/* `length` has a sign: NLMSG_NEXT counts what pads the last one. */
static void take_messages(struct queue *queue, const uint8_t *bytes, int length)
{
	for (const struct nlmsghdr *head = (const void *)bytes; NLMSG_OK(head, length); head = NLMSG_NEXT(head, length)) {
		struct packet packet;
		if (head->nlmsg_len >= sizeof(struct message) && read_packet(head, &packet))
			judge(queue, &packet);
	}
}

static void *run_queue(void *argument)
{
	struct queue *queue = argument;
	uint8_t *buffers = queue->room + MESSAGE_BYTES;
	struct iovec parts[MOST_AT_ONCE];
	struct mmsghdr messages[MOST_AT_ONCE] = { 0 };
	for (int index = 0; index < MOST_AT_ONCE; index++) {
		parts[index] = (struct iovec){ buffers + (size_t)index * MESSAGE_BYTES, MESSAGE_BYTES };
		messages[index].msg_hdr = (struct msghdr){ .msg_iov = &parts[index], .msg_iovlen = 1 };
	}
	int wait_ms = -1;
	while (!atomic_load(&queue->is_leaving)) {
		struct pollfd waiting = { queue->fd, POLLIN, 0 };
		/* Who shares this processor says more meanwhile, or answers: fewer and bigger rounds. */
		sched_yield();
		if (wait_ms >= 0)
			poll(&waiting, 1, wait_ms);
		int count = recvmmsg(queue->fd, messages, MOST_AT_ONCE, wait_ms >= 0 ? MSG_DONTWAIT : MSG_WAITFORONE, NULL);
		pthread_mutex_lock(&queue->lock);
		for (int index = 0; index < count; index++)
			if (!(messages[index].msg_hdr.msg_flags & MSG_TRUNC))
				take_messages(queue, parts[index].iov_base, (int)messages[index].msg_len);
		flush_verdicts(queue);
		wait_ms = talks_take_wanted(queue->talks);
		flush_verdicts(queue);
		pthread_mutex_unlock(&queue->lock);
	}
	return NULL;
}

/* ---- opening ---- */

static int ask(const struct queue *queue, uint8_t *message, uint32_t length)
{
	_Alignas(struct nlmsghdr) uint8_t answer[512];
	end_message(message, length);
	if (send(queue->fd, message, length, 0) < 0)
		return -errno;
	ssize_t count = recv(queue->fd, answer, sizeof answer, 0);
	const struct nlmsghdr *head = (const void *)answer;
	if (count < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) || head->nlmsg_type != NLMSG_ERROR)
		return count < 0 ? -errno : -EPROTO;
	return ((const struct nlmsgerr *)NLMSG_DATA(head))->error;
}

static int configure(const struct queue *queue, uint16_t type, const void *value, uint32_t length)
{
	uint8_t message[128];
	uint32_t at = begin_message(queue, message, NFQNL_MSG_CONFIG, NLM_F_ACK);
	return ask(queue, message, put(message, at, type, value, length));
}

static int take_number(struct queue *queue)
{
	struct nfqnl_msg_config_cmd bind_it = { .command = NFQNL_CFG_CMD_BIND };
	int error = -EBUSY;
	for (uint32_t index = 0; index < MOST_NUMBERS && (error == -EBUSY || (error == -EPERM && index > 0)); index++) {
		queue->number = (uint16_t)(FIRST_NUMBER + index);
		error = configure(queue, NFQA_CFG_CMD, &bind_it, sizeof bind_it);
	}
	return error;
}

/* For packets of ours; there may be no IPv6. 0 or -errno. */
static int open_raw(struct queue *queue)
{
	queue->raw4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (queue->raw4 < 0)
		return -errno;
	queue->raw6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	int fds[] = { queue->raw4, queue->raw6 };
	for (int index = 0; index < 2; index++)
		if (fds[index] >= 0 &&
		    setsockopt(fds[index], SOL_SOCKET, SO_MARK, &queue->pass_mark, sizeof queue->pass_mark) != 0)
			return -errno;
	return 0;
}

static int set_up(struct queue *queue)
{
	int bytes = RECEIVE_BYTES, on = 1;
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };
	queue->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	queue->diagnosis = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (queue->fd < 0 || queue->diagnosis < 0 || bind(queue->fd, (struct sockaddr *)&self, sizeof self) != 0)
		return -errno;
	setsockopt(queue->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
	setsockopt(queue->fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on);
	int error = take_number(queue);
	struct nfqnl_msg_config_params params = { htonl(COPIED_BYTES), NFQNL_COPY_PACKET };
	if (!error)
		error = configure(queue, NFQA_CFG_PARAMS, &params, sizeof params);
	uint32_t most = htonl(MOST_WAITING), flags = htonl(NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN);
	if (!error)
		error = configure(queue, NFQA_CFG_QUEUE_MAXLEN, &most, sizeof most);
	uint8_t message[128];
	uint32_t at = begin_message(queue, message, NFQNL_MSG_CONFIG, NLM_F_ACK);
	at = put(message, at, NFQA_CFG_MASK, &flags, sizeof flags);
	return error ? error : ask(queue, message, put(message, at, NFQA_CFG_FLAGS, &flags, sizeof flags));
}

/* Can connections be taken over here, also those to ports of servers (which takes NET_BIND_SERVICE)? */
static int try_repair(void)
{
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in lowest = { .sin_family = AF_INET, .sin_port = htons(1) };
	if (fd < 0)
		return -errno;
	int error = setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) == 0 &&
				    bind(fd, (struct sockaddr *)&lowest, sizeof lowest) == 0
			    ? 0
			    : -errno;
	close(fd);
	return error;
}

static int start(struct queue *queue)
{
	sigset_t all, before;
	int error = try_repair();
	if (!error)
		error = open_raw(queue);
	if (!error)
		error = set_up(queue);
	if (error)
		return error;
	queue->room = malloc((size_t)MESSAGE_BYTES * (MOST_AT_ONCE + 1));
	queue->talks = talks_open(queue);
	if (!queue->room || !queue->talks)
		return -ENOMEM;
	sigfillset(&all);
	/* Signals are the runtime's. */
	pthread_sigmask(SIG_BLOCK, &all, &before);
	error = -pthread_create(&queue->thread, NULL, run_queue, queue);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

static void free_queue(struct queue *queue)
{
	if (queue->talks)
		talks_close(queue->talks);
	int fds[] = { queue->fd, queue->diagnosis, queue->raw4, queue->raw6 };
	for (int index = 0; index < 4; index++)
		if (fds[index] >= 0)
			close(fds[index]);
	for (uint32_t port = 0; port < PORTS; port++)
		http_filters_release(queue->filters[port]);
	pthread_mutex_destroy(&queue->lock);
	free(queue->room);
	free(queue);
}

/* ---- for TypeScript ---- */

/* A queue of this thread's network; the hub tells of connections that were taken over. What passes to those carries `pass_mark`, what
 * settles its connection `settled_mark`.
 * NULL, and -errno in `*result`, or its number there. */
SYS struct queue *queue_open(struct hub *hub, uint32_t pass_mark, uint32_t settled_mark, int32_t *result)
{
	struct queue *queue = calloc(1, sizeof *queue);
	*result = -ENOMEM;
	if (!queue)
		return NULL;
	queue->hub = hub;
	queue->pass_mark = pass_mark;
	queue->settled_mark = settled_mark;
	queue->fd = queue->diagnosis = queue->raw4 = queue->raw6 = -1;
	pthread_mutex_init(&queue->lock, NULL);
	int error = start(queue);
	*result = error ? error : queue->number;
	if (!error)
		return queue;
	free_queue(queue);
	return NULL;
}

/* Who wants requests of a port; NULL: nobody. What is `spoken` there may be known. `settles`: the table has rules for plain requests. Whether
 * it is refused will be told anew. */
SYS void queue_port(struct queue *queue, uint32_t port, struct http_filters *filters, uint32_t spoken, uint32_t settles)
{
	if (port >= PORTS)
		return;
	if (filters)
		http_filters_hold(filters);
	pthread_mutex_lock(&queue->lock);
	http_filters_release(queue->filters[port]);
	queue->filters[port] = filters;
	queue->is_refused[port] = false;
	queue->settles[port] = filters && settles;
	queue->spoken[port] = (uint8_t)(filters ? queue->spoken[port] | spoken : 0);
	pthread_mutex_unlock(&queue->lock);
}

/* Connections to this port are just being taken over: its packets have to come to us until they are. */
SYS int32_t queue_is_taking(struct queue *queue, uint32_t port)
{
	pthread_mutex_lock(&queue->lock);
	bool is_taking = talks_are_wanted(queue->talks, (uint16_t)port);
	pthread_mutex_unlock(&queue->lock);
	return is_taking;
}

/* Before its hub; what waits is dropped, and said again. */
SYS void queue_close(struct queue *queue)
{
	struct nfqnl_msg_config_cmd nothing = { .command = NFQNL_CFG_CMD_PF_BIND };
	uint8_t message[128];
	atomic_store(&queue->is_leaving, true);
	/* The kernel's answer wakes the thread. */
	uint32_t at = begin_message(queue, message, NFQNL_MSG_CONFIG, NLM_F_ACK);
	at = put(message, at, NFQA_CFG_CMD, &nothing, sizeof nothing);
	end_message(message, at);
	say(queue, message, at);
	pthread_join(queue->thread, NULL);
	free_queue(queue);
}
