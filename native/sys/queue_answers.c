/* queue_answers.c - what a target answers to a request that asks to go on with another protocol: its packets of one connection are copied
 * (packet(7)) from before it sees the request until its client speaks again. All other answers go by unseen.
 */
#include "queue.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COPIED_BYTES 4096
#define MOST_COPIES (32 << 10)

/* Segments between the two ports of a connection; which addresses they are of is looked at later. */
static int attach_filter(int fd, const struct ends *ends)
{
	uint32_t ports = (uint32_t)ends->own_port << 16 | ends->peer_port;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 4, 0, 5),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 9),
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0),
		BPF_JUMP(BPF_JMP | BPF_JA, 4, 0, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 0, 5),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 40),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ports, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, COPIED_BYTES),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

int answers_watch(const struct ends *ends)
{
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), bytes = MOST_COPIES;
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
	struct sockaddr_ll everywhere = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	if (attach_filter(fd, ends) == 0 && bind(fd, (struct sockaddr *)&everywhere, sizeof everywhere) == 0)
		return fd;
	close(fd);
	return -1;
}

/* The status that a segment begins with; 0: none but of those before the answer (1xx). */
static unsigned status_in(const uint8_t *bytes, uint32_t length)
{
	struct http1_head head;
	while (length > 0) {
		size_t end = http1_head_end(bytes, length, 0);
		if (end == 0 || !http1_response(bytes, end, false, &head))
			return 0;
		if (head.status == 101 || head.status >= 200)
			return head.status;
		bytes += end;
		length -= (uint32_t)end;
	}
	return 0;
}

unsigned answers_read(int fd, const struct ends *ends)
{
	uint8_t packet[COPIED_BYTES];
	unsigned status = 0;
	ssize_t count;
	while (status == 0 && (count = recv(fd, packet, sizeof packet, 0)) > 0) {
		struct segment segment;
		if (sniff_read(packet, (size_t)count, true, &segment) && memcmp(&segment.ends, ends, sizeof *ends) == 0)
			status = status_in(segment.bytes, segment.length);
	}
	return status;
}
