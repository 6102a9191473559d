/* queue_take.c - a connection that the target's own program has accepted becomes ours, and its client sees nothing of that.
 *
 * When the target has said all that it has to say (its socket is asked by sock_diag(7)), it is told by a packet of ours that its client has
 * ended, as clients do; what it says to that is held back. When its program has closed (or has not, for long) its socket is reset,
 * by another. Then a socket with the same ends and sequence numbers is made (TCP_REPAIR, as for containers that move), which acknowledges
 * the request that was kept. A program that has a part of the request already sees a reset at once: an end there might be answered. So
 * does one that speaks HTTP/2: what it has said first was held back (queue_talks.c), so its client hears our first words, and no others.
 */
#include "address.h"
#include "queue.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* How long the target may take to be at rest, or its socket to go. */
#define MOST_WAIT_MS 120000
#define MOST_LEAVING_MS 300
#define MOST_RESET_MS 1000
/* Nothing has changed for so long: it is at rest, though we have not seen all. */
#define QUIET_MS 50
#define QUIET_PIPED_MS 200
/* So long the handshake of a client that has said something may take. */
#define YOUNG_MS 50

/* RFC 9293 3.3.2, as the kernel counts them. */
enum tcp_state {
	STATE_ESTABLISHED = 1,
	STATE_SYN_RECEIVED = 3,
	STATE_CLOSE = 7,
	STATE_CLOSE_WAIT = 8,
	STATE_LISTEN = 10,
	STATE_NEW = 12,
};
enum tcp_option { OPTION_SEGMENT = 2, OPTION_SCALE = 3, OPTION_SACK = 4, OPTION_TIMESTAMP = 8 };

/* ---- the target's socket ---- */

static void read_details(const void *info, size_t length, struct target_socket *into)
{
	struct {
		struct tcp_info known;
		uint32_t window; /* tcpi_rcv_wnd, since Linux 6.2 */
	} details = { 0 };
	memcpy(&details, info, length < sizeof details ? length : sizeof details);
	into->received = (uint32_t)details.known.tcpi_bytes_received;
	into->acked = (uint32_t)details.known.tcpi_bytes_acked;
	into->options = details.known.tcpi_options;
	into->send_scale = details.known.tcpi_snd_wscale;
	into->receive_scale = details.known.tcpi_rcv_wscale;
	into->segment = details.known.tcpi_snd_mss;
	into->has_answered = details.known.tcpi_last_data_sent < details.known.tcpi_last_data_recv;
	into->window = length >= sizeof details ? details.window : 0;
}

static void read_socket(void *context, struct nlmsghdr *head)
{
	struct target_socket *into = context;
	const struct inet_diag_msg *message = NLMSG_DATA(head);
	if (head->nlmsg_type != SOCK_DIAG_BY_FAMILY || head->nlmsg_len < NLMSG_LENGTH(sizeof *message))
		return;
	if (message->idiag_state == STATE_LISTEN || message->idiag_state == STATE_CLOSE)
		return;
	switch (message->idiag_state) {
	case STATE_SYN_RECEIVED:
	case STATE_NEW:
		into->state = SOCKET_YOUNG;
		break;
	case STATE_ESTABLISHED:
		into->state = SOCKET_OPEN;
		break;
	default:
		into->state = message->idiag_state == STATE_CLOSE_WAIT ? SOCKET_LEFT : SOCKET_ENDING;
	}
	into->cookie = (uint64_t)message->id.idiag_cookie[1] << 32 | message->id.idiag_cookie[0];
	into->unread = message->idiag_rqueue;
	into->unacked = message->idiag_wqueue;
	const uint8_t *at = (const uint8_t *)(message + 1), *end = (const uint8_t *)head + head->nlmsg_len;
	while (at + NLA_HDRLEN <= end) {
		const struct nlattr *attribute = (const void *)at;
		if (attribute->nla_len < NLA_HDRLEN || at + attribute->nla_len > end)
			break;
		if ((attribute->nla_type & NLA_TYPE_MASK) == INET_DIAG_INFO) {
			read_details(at + NLA_HDRLEN, attribute->nla_len - NLA_HDRLEN, into);
			into->has_details = true;
		}
		at += NLA_ALIGN(attribute->nla_len);
	}
	if (into->state == SOCKET_OPEN && !into->has_details)
		into->state = SOCKET_ENDING;
}

void look_up_socket(int diagnosis, const struct talk *talk, struct target_socket *into)
{
	memset(into, 0, sizeof *into);
	if (ends_ask(diagnosis, &talk->ends, talk->interface, 1 << (INET_DIAG_INFO - 1), read_socket, into) != 0)
		into->state = SOCKET_NONE;
}

/* Has it said all, and has its peer heard it? */
static bool is_at_rest(struct talk *talk, const struct target_socket *now, uint64_t now_ms, uint32_t *said)
{
	const struct target_socket *before = &talk->target;
	uint32_t end = talk->first_ack + now->acked + now->unacked;
	/* Its counters begin elsewhere when another agent has made the socket. */
	bool is_exact = talk->first + now->received == talk->given;
	*said = is_exact ? end : talk->ack;
	if (!talk->is_http) {
		*said = talk->first_ack;
		return is_exact;
	}
	if (is_exact && !talk->is_piped && end == talk->ack && (!talk->has_skipped || now->has_answered))
		return true;
	if (now->acked != before->acked || now->unacked != before->unacked || now->received != before->received)
		talk->quiet_ms = now_ms;
	/* What was acknowledged with bytes that are kept here is not known there. */
	bool is_acked = now->unacked == 0 || (is_exact && end == talk->ack);
	if (!is_acked || now->unread > 0)
		return false;
	if (!talk->is_piped)
		return now_ms - talk->quiet_ms >= QUIET_MS;
	/* It has answered since the last request. */
	return now_ms - talk->quiet_ms >= QUIET_PIPED_MS && (!is_exact || (int32_t)(end - talk->asked_ack) > 0);
}

/* The client has heard a server of HTTP/2 that is not us. */
static bool has_heard_another(const struct talk *talk, const struct target_socket *now)
{
	return !talk->is_http && (talk->ack != talk->first_ack || now->acked > 0 || (now->unacked > 0 && !talk->is_watched));
}

/* A packet of the client's that carries nothing. */
static void inject(struct queue *queue, const struct talk *talk, uint32_t sequence, uint8_t flags)
{
	uint8_t packet[EMPTY_PACKET_BYTES];
	uint32_t length = packet_empty(&talk->ends, sequence, talk->said, flags | FLAG_ACK, (uint16_t)talk->window, packet);
	queue_inject(queue, talk, packet, length);
}

/* ---- our socket ---- */

static bool set(int fd, int level, int name, const void *value, socklen_t size)
{
	return setsockopt(fd, level, name, value, size) == 0;
}

static bool set_tcp(int fd, int name, uint32_t value)
{
	return set(fd, IPPROTO_TCP, name, &value, sizeof value);
}

static socklen_t fill_address(union address *into, const struct talk *talk, const uint8_t *host, uint16_t port)
{
	socklen_t size = make_address(into, talk->ends.family, host, port);
	if (talk->ends.family != 4 && IN6_IS_ADDR_LINKLOCAL(&into->v6.sin6_addr))
		into->v6.sin6_scope_id = talk->interface;
	return size;
}

/* Where the two were in their sequence numbers, and who they are. */
static bool connect_again(int fd, const struct talk *talk)
{
	union address own, peer;
	socklen_t size = fill_address(&own, talk, talk->ends.own, talk->ends.own_port);
	fill_address(&peer, talk, talk->ends.peer, talk->ends.peer_port);
	return set_tcp(fd, TCP_REPAIR, 1) && set_tcp(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE) &&
	       set_tcp(fd, TCP_QUEUE_SEQ, talk->said) && set_tcp(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE) &&
	       set_tcp(fd, TCP_QUEUE_SEQ, talk->expected) && bind(fd, &own.any, size) == 0 &&
	       connect(fd, &peer.any, size) == 0;
}

/* What they agreed on when they met. */
static bool agree_again(int fd, const struct talk *talk)
{
	const struct target_socket *target = &talk->target;
	bool has_timestamps = target->options & TCPI_OPT_TIMESTAMPS;
	struct tcp_repair_opt options[4];
	socklen_t count = 0;
	options[count++] = (struct tcp_repair_opt){ OPTION_SEGMENT, target->segment + (has_timestamps ? 12 : 0) };
	if (target->options & TCPI_OPT_WSCALE)
		options[count++] = (struct tcp_repair_opt){ OPTION_SCALE,
							    (uint32_t)target->receive_scale << 16 | target->send_scale };
	if (target->options & TCPI_OPT_SACK)
		options[count++] = (struct tcp_repair_opt){ OPTION_SACK, 0 };
	if (has_timestamps)
		options[count++] = (struct tcp_repair_opt){ OPTION_TIMESTAMP, 0 };
	if (!set(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, options, count * (socklen_t)sizeof *options))
		return false;
	/* Later than any that its peer has seen (RFC 7323 5.3); even: in milliseconds. */
	return !has_timestamps || !talk->has_timestamp || set_tcp(fd, TCP_TIMESTAMP, (talk->echo + 1000) & ~1u);
}

static bool set_window(int fd, const struct talk *talk)
{
	uint8_t scale = talk->target.options & TCPI_OPT_WSCALE ? talk->target.send_scale : 0;
	struct tcp_repair_window window = {
		.snd_wl1 = talk->given,
		.snd_wnd = talk->window << scale,
		.max_window = talk->window << scale,
		.rcv_wnd = talk->target.window > 0 ? talk->target.window : 65535,
		.rcv_wup = talk->expected,
	};
	return set(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, sizeof window);
}

/* Descriptor, or -1. */
static int make_socket(const struct talk *talk)
{
	int fd = socket(talk->ends.family == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	/* Leaving repair says where we are, so its peer knows that it was heard. */
	if (connect_again(fd, talk) && agree_again(fd, talk) && set_window(fd, talk) && set_tcp(fd, TCP_REPAIR, 0) &&
	    set_tcp(fd, TCP_NODELAY, 1))
		return fd;
	close(fd);
	return -1;
}

/* ---- step by step ---- */

static bool is_gone(const struct talk *talk, const struct target_socket *now)
{
	return now->state == SOCKET_NONE || (talk->target.cookie != 0 && now->cookie != talk->target.cookie);
}

static enum taking take_its_place(struct queue *queue, struct talk *talk)
{
	int fd = talk->target.has_details ? make_socket(talk) : -1;
	if (fd < 0)
		return TAKING_FAILED;
	queue_tell_taken(queue, talk, fd);
	return TAKING_DONE;
}

/* At the byte that it expects, or it does not believe us (RFC 5961 3.2); it counts an end that it has heard. */
static void inject_reset(struct queue *queue, const struct talk *talk, const struct target_socket *now)
{
	bool has_heard = now->state == SOCKET_LEFT || now->state == SOCKET_ENDING;
	uint32_t expected = now->has_details ? talk->first + now->received : talk->given + has_heard;
	bool is_exact = expected == talk->given || expected == talk->given + 1;
	inject(queue, talk, is_exact ? expected : talk->given + has_heard, FLAG_RST);
}

static void reset_target(struct queue *queue, struct talk *talk, const struct target_socket *now)
{
	inject_reset(queue, talk, now);
	talk->leaving = TOLD_RESET;
	talk->since_ms = queue_now_ms();
}

/* The target's socket is to go. */
static enum taking wait_until_gone(struct queue *queue, struct talk *talk)
{
	struct target_socket now;
	look_up_socket(queue_diagnosis(queue), talk, &now);
	if (is_gone(talk, &now))
		return take_its_place(queue, talk);
	uint64_t past_ms = queue_now_ms() - talk->since_ms;
	if (talk->leaving == TOLD_RESET) {
		/* Somebody may have dropped it. */
		inject_reset(queue, talk, &now);
		return past_ms > MOST_RESET_MS ? TAKING_FAILED : TAKING_WAITS;
	}
	if (now.has_details)
		talk->target = now;
	/* Not heard yet: its program is at it just now. */
	bool has_heard = now.state == SOCKET_LEFT || now.state == SOCKET_ENDING;
	/* Who speaks HTTP/2 might yet begin to, or say good-bye. */
	bool may_speak = !talk->is_http && has_heard && now.has_details;
	if (past_ms <= MOST_LEAVING_MS && now.state != SOCKET_ENDING && !may_speak)
		return TAKING_WAITS;
	reset_target(queue, talk, &now);
	look_up_socket(queue_diagnosis(queue), talk, &now);
	return is_gone(talk, &now) ? take_its_place(queue, talk) : TAKING_WAITS;
}

enum taking take_over(struct queue *queue, struct talk *talk)
{
	struct target_socket now;
	if (talk->leaving != RESTING)
		return wait_until_gone(queue, talk);
	look_up_socket(queue_diagnosis(queue), talk, &now);
	uint64_t now_ms = queue_now_ms();
	bool can_be_had = now.state == SOCKET_OPEN || now.state == SOCKET_YOUNG;
	if (!can_be_had || has_heard_another(talk, &now) || now_ms - talk->since_ms > MOST_WAIT_MS)
		return TAKING_FAILED;
	talk->said = talk->ack;
	/* The handshake is over for a young one when it hears an end (also with TCP_DEFER_ACCEPT). */
	bool is_young = now.state == SOCKET_YOUNG && (talk->is_http || now_ms - talk->since_ms >= YOUNG_MS);
	bool is_resting = now.state == SOCKET_YOUNG ? is_young : is_at_rest(talk, &now, now_ms, &talk->said);
	talk->target = now;
	if (!is_resting)
		return TAKING_WAITS;
	if (talk->has_part || (!talk->is_http && now.unacked > 0)) {
		reset_target(queue, talk, &now);
	} else {
		inject(queue, talk, talk->given, FLAG_FIN);
		talk->leaving = TOLD_END;
		talk->since_ms = now_ms;
	}
	return wait_until_gone(queue, talk);
}
