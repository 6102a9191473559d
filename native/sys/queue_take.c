/* queue_take.c - a connection that the target's own program has accepted becomes ours, and its client sees nothing of that.
 *
 * The packet with the request that is wanted is held. When the target has said all that it has to say (its socket is asked by
 * sock_diag(7)), that packet goes on as a reset, so the target's kernel forgets its socket and tells nobody. Then a socket with the
 * same ends and sequence numbers is made (TCP_REPAIR, as for containers that move), which acknowledges what was kept.
 */
#include "netlink.h"
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
#define MOST_WAIT_MS 5000
#define MOST_RESET_MS 1000
/* Nothing has changed for so long: it is at rest, though we have not seen all. */
#define QUIET_MS 50
#define QUIET_PIPED_MS 200

/* RFC 9293 3.3.2, as the kernel counts them. */
enum tcp_state { STATE_ESTABLISHED = 1, STATE_SYN_RECEIVED = 3, STATE_CLOSE = 7, STATE_LISTEN = 10, STATE_NEW = 12 };
enum tcp_option { OPTION_SEGMENT = 2, OPTION_SCALE = 3, OPTION_SACK = 4, OPTION_TIMESTAMP = 8 };

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

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
	bool is_young = message->idiag_state == STATE_SYN_RECEIVED || message->idiag_state == STATE_NEW;
	into->state = is_young ? SOCKET_YOUNG : message->idiag_state == STATE_ESTABLISHED ? SOCKET_OPEN : SOCKET_ENDING;
	into->cookie = (uint64_t)message->id.idiag_cookie[1] << 32 | message->id.idiag_cookie[0];
	into->unread = message->idiag_rqueue;
	into->unacked = message->idiag_wqueue;
	const uint8_t *at = (const uint8_t *)(message + 1), *end = (const uint8_t *)head + head->nlmsg_len;
	bool has_details = false;
	while (at + NLA_HDRLEN <= end) {
		const struct nlattr *attribute = (const void *)at;
		if (attribute->nla_len < NLA_HDRLEN || at + attribute->nla_len > end)
			break;
		if ((attribute->nla_type & NLA_TYPE_MASK) == INET_DIAG_INFO) {
			read_details(at + NLA_HDRLEN, attribute->nla_len - NLA_HDRLEN, into);
			has_details = true;
		}
		at += NLA_ALIGN(attribute->nla_len);
	}
	if (into->state == SOCKET_OPEN && !has_details)
		into->state = SOCKET_ENDING;
}

void look_up_socket(int diagnosis, const struct talk *talk, struct target_socket *into)
{
	const struct ends *ends = &talk->ends;
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 body;
	} request = {
		.head = { .nlmsg_len = sizeof request, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST },
		.body = { .sdiag_family = ends->family == 4 ? AF_INET : AF_INET6,
			  .sdiag_protocol = IPPROTO_TCP,
			  .idiag_ext = 1 << (INET_DIAG_INFO - 1),
			  .idiag_states = ~0u },
	};
	size_t size = ends->family == 4 ? 4 : 16;
	request.body.id.idiag_sport = htons(ends->own_port);
	request.body.id.idiag_dport = htons(ends->peer_port);
	memcpy(request.body.id.idiag_src, ends->own, size);
	memcpy(request.body.id.idiag_dst, ends->peer, size);
	request.body.id.idiag_if = talk->interface;
	request.body.id.idiag_cookie[0] = request.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	memset(into, 0, sizeof *into);
	if (send(diagnosis, &request, sizeof request, 0) < 0 || netlink_hear(diagnosis, read_socket, into) != 0)
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
	if (is_exact && !talk->is_piped && end == talk->ack)
		return true;
	if (now->acked != before->acked || now->unacked != before->unacked || now->received != before->received)
		talk->quiet_ms = now_ms;
	if (now->unacked > 0 || now->unread > 0)
		return false;
	if (!talk->is_piped)
		return now_ms - talk->quiet_ms >= QUIET_MS;
	/* It has answered since the last request. */
	return now_ms - talk->quiet_ms >= QUIET_PIPED_MS && (!is_exact || (int32_t)(end - talk->asked_ack) > 0);
}

/* ---- packets ---- */

static void put_word(uint8_t *at, uint32_t value)
{
	for (int index = 0; index < 4; index++)
		at[index] = (uint8_t)(value >> (24 - 8 * index));
}

/* RFC 1071. */
static uint32_t sum_of(const uint8_t *bytes, uint32_t length, uint32_t sum)
{
	for (uint32_t at = 0; at + 1 < length; at += 2)
		sum += (uint32_t)(bytes[at] << 8 | bytes[at + 1]);
	if (length & 1)
		sum += (uint32_t)(bytes[length - 1] << 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void put_sum(uint8_t *at, uint32_t sum)
{
	at[0] = (uint8_t)(~sum >> 8);
	at[1] = (uint8_t)~sum;
}

/* Lengths and sums of a packet whose TCP header lies at `head` and is followed by all that it carries. */
static void complete(uint8_t *packet, uint32_t head, uint32_t length)
{
	uint32_t carried = length - head, sum;
	if (packet[0] >> 4 == 4) {
		packet[2] = (uint8_t)(length >> 8);
		packet[3] = (uint8_t)length;
		packet[10] = packet[11] = 0;
		put_sum(packet + 10, sum_of(packet, head, 0));
		sum = sum_of(packet + 12, 8, IPPROTO_TCP + carried);
	} else {
		packet[4] = (uint8_t)(carried >> 8);
		packet[5] = (uint8_t)carried;
		sum = sum_of(packet + 8, 32, IPPROTO_TCP + carried);
	}
	packet[head + 16] = packet[head + 17] = 0;
	put_sum(packet + head + 16, sum_of(packet + head, carried, sum));
}

uint32_t packet_shortened(const struct packet *packet, uint32_t part, uint8_t *into, uint32_t room)
{
	uint32_t head = (uint32_t)(packet->segment.head - packet->bytes);
	uint32_t length = (uint32_t)(packet->segment.bytes - packet->bytes) + part;
	if (part > packet->segment.length || length > room)
		return 0;
	memcpy(into, packet->bytes, length);
	if (part < packet->segment.length)
		into[head + 13] &= (uint8_t)~FLAG_FIN;
	complete(into, head, length);
	return length;
}

uint32_t packet_as_reset(const struct packet *packet, uint32_t sequence, uint8_t *into, uint32_t room)
{
	uint32_t head = (uint32_t)(packet->segment.head - packet->bytes), length = head + 20;
	if (length > room)
		return 0;
	memcpy(into, packet->bytes, length);
	put_word(into + head + 4, sequence);
	into[head + 12] = 5 << 4;
	into[head + 13] = FLAG_RST | FLAG_ACK;
	memset(into + head + 14, 0, 6);
	complete(into, head, length);
	return length;
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
	memset(into, 0, sizeof *into);
	if (talk->ends.family == 4) {
		into->v4.sin_family = AF_INET;
		into->v4.sin_port = htons(port);
		memcpy(&into->v4.sin_addr, host, 4);
		return sizeof into->v4;
	}
	into->v6.sin6_family = AF_INET6;
	into->v6.sin6_port = htons(port);
	memcpy(&into->v6.sin6_addr, host, 16);
	if (IN6_IS_ADDR_LINKLOCAL(&into->v6.sin6_addr))
		into->v6.sin6_scope_id = talk->interface;
	return sizeof into->v6;
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

static enum taking finish(struct queue *queue, struct talk *talk)
{
	struct target_socket now;
	look_up_socket(queue_diagnosis(queue), talk, &now);
	/* It goes a moment later when its program is at it just now. */
	if (now.state != SOCKET_NONE && now.cookie == talk->target.cookie)
		return queue_now_ms() - talk->since_ms > MOST_RESET_MS ? TAKING_FAILED : TAKING_WAITS;
	int fd = make_socket(talk);
	if (fd < 0)
		return TAKING_FAILED;
	queue_tell_taken(queue, talk, fd);
	return TAKING_DONE;
}

static enum taking reset_target(struct queue *queue, struct talk *talk)
{
	uint8_t bytes[128];
	uint32_t length = packet_as_reset(&talk->carrier, talk->given, bytes, sizeof bytes);
	if (length == 0)
		return TAKING_FAILED;
	queue_settle(queue, talk->carrier.id, PASS, bytes, length);
	talk->has_carrier = false;
	talk->is_reset = true;
	talk->since_ms = queue_now_ms();
	return finish(queue, talk);
}

/* The handshake is over for the target when data comes (TCP_DEFER_ACCEPT, or its last part was lost): a byte of it. */
static enum taking grow_up(struct queue *queue, struct talk *talk)
{
	uint8_t bytes[256];
	uint32_t part = talk->given - talk->carrier.segment.sequence + 1;
	uint32_t length = packet_shortened(&talk->carrier, part, bytes, sizeof bytes);
	if (length == 0)
		return TAKING_FAILED;
	queue_settle(queue, talk->carrier.id, PASS, bytes, length);
	talk->has_carrier = false;
	talk->given++;
	return TAKING_WAITS;
}

enum taking take_over(struct queue *queue, struct talk *talk)
{
	struct target_socket now;
	if (talk->is_reset)
		return finish(queue, talk);
	look_up_socket(queue_diagnosis(queue), talk, &now);
	uint64_t now_ms = queue_now_ms();
	if (now.state == SOCKET_NONE || now.state == SOCKET_ENDING || now_ms - talk->since_ms > MOST_WAIT_MS)
		return TAKING_FAILED;
	if (now.state == SOCKET_YOUNG)
		return talk->has_carrier ? grow_up(queue, talk) : TAKING_WAITS;
	bool is_resting = is_at_rest(talk, &now, now_ms, &talk->said);
	talk->target = now;
	return is_resting && talk->has_carrier ? reset_target(queue, talk) : TAKING_WAITS;
}
