/* netfilter.c - the agent's redirect: one nftables table of its own, spoken to the kernel by netlink
 *
 * The table is made with NFT_TABLE_F_OWNER (Linux 5.12): it belongs to the netlink socket that made it, nobody else can
 * change it, and the kernel removes it when that socket is closed, whatever way this process ends. An older kernel gets
 * a table without an owner, and netfilter_guard() a process that removes it.
 *
 * Every change is one batch, which the kernel takes whole or not at all: all chains emptied, all rules written anew.
 *
 * Chains come in three classes (whose traffic is looked at first): mirrors, which pass all of it on; filtered, which pass
 * some of it on; whole, which keep it. Each has a prerouting and an output chain; within a class the older agent is first.
 * `position` says where a class of this agent stands among all agents of this network: it is its priority, and the mark
 * of the connections that it passes on. Those are looked at only by chains that stand behind (a rule in front of each
 * output chain), so nothing is caught twice and nothing by its own agent. All stand behind -100, where meshes have theirs:
 * what a mesh's sidecar takes is taken here when the sidecar hands it to the application, over loopback.
 */
#include "netlink.h"
#include "nft.h"
#include "nft_plain.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH_BYTES (1 << 20)
#define CLASSES 3
#define FIRST_PRIORITY (-99)
#define BEFORE_TRACKING (-300)
/* Behind the mark of position 0: of packets to connections of ours, which no agent looks at; of connections that are settled. */
#define PASS_MARK 0xffffffu
#define SETTLED_MARK 0xfffffeu
#define TCP_FIN_SYN_RST_PSH 0x0f
#define TCP_FIN_RST 0x05
#define TCP_FIN_RST_PSH 0x0d

static const char *const class_names[CLASSES] = { "mirror", "filtered", "whole" };

/* As src/sys/netfilter.ts writes it. */
struct redirect_rule {
	uint32_t class_index;
	uint16_t port;
	uint16_t to_port; /* redirected to there; 0: not, without a queue either it is announced */
	uint16_t queue;	  /* what clients say goes to this queue; 0: not */
	uint16_t asks_answers; /* and what the target says, too: what it speaks is not known yet */
	char comment[116]; /* terminated; for other agents, and for people who list the rules */
	struct needed_texts needed;
};

/* ---- tables, chains, rules ---- */

enum place { PLACE_PREROUTING, PLACE_OUTPUT, PLACE_INPUT, PLACE_ENDS, PLACES };

static void chain_name(char into[32], uint32_t class_index, enum place place)
{
	static const char *const names[PLACES] = { "prerouting", "output", "input", "ends" };
	snprintf(into, 32, "%s_%s", class_names[class_index], names[place]);
}

static void put_table(struct batch *batch, const char *name, bool is_owned)
{
	begin_nft(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
	put_text(batch, NFTA_TABLE_NAME, name);
	put_u32(batch, NFTA_TABLE_FLAGS, is_owned ? NFT_TABLE_F_OWNER : 0);
}

static void put_hooked_chain(struct batch *batch, const char *table, const char *chain, uint32_t hooked, int32_t priority,
			     const char *type)
{
	begin_nft(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	put_text(batch, NFTA_CHAIN_TABLE, table);
	put_text(batch, NFTA_CHAIN_NAME, chain);
	struct nlattr *hook = nest(batch, NFTA_CHAIN_HOOK);
	put_u32(batch, NFTA_HOOK_HOOKNUM, hooked);
	put_u32(batch, NFTA_HOOK_PRIORITY, (uint32_t)priority);
	end_nest(batch, hook);
	put_text(batch, NFTA_CHAIN_TYPE, type);
	put_u32(batch, NFTA_CHAIN_POLICY, NF_ACCEPT);
}

static void put_chain(struct batch *batch, const char *table, uint32_t class_index, enum place place, int32_t priority)
{
	static const uint32_t hooks[PLACES] = { NF_INET_PRE_ROUTING, NF_INET_LOCAL_OUT, NF_INET_LOCAL_IN,
						NF_INET_LOCAL_OUT };
	char name[32];
	chain_name(name, class_index, place);
	put_hooked_chain(batch, table, name, hooks[place], priority, place >= PLACE_INPUT ? "filter" : "nat");
}

static void put_inner_chain(struct batch *batch, const char *table, const char *chain)
{
	begin_nft(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	put_text(batch, NFTA_CHAIN_TABLE, table);
	put_text(batch, NFTA_CHAIN_NAME, chain);
}

/* Packets of our own to a connection (queue.c) are nothing to the kernel's tracking of it, which begins at -200. */
static void put_untracked(struct batch *batch, const char *table, uint32_t mark)
{
	struct nlattr *expressions = begin_rule(batch, table, "untracked", NULL);
	load_meta(batch, NFT_META_MARK);
	must_equal(batch, &mark, sizeof mark);
	end_expression(batch, begin_expression(batch, "notrack"));
	end_nest(batch, expressions);
}

static void empty_chain(struct batch *batch, const char *table, const char *chain)
{
	begin_nft(batch, NFT_MSG_DELRULE, 0);
	put_text(batch, NFTA_RULE_TABLE, table);
	put_text(batch, NFTA_RULE_CHAIN, chain);
}

/* The kernel tracks connections of a network, and so translates their packets, only while some rule of it has to do with
 * that. When the redirects have gone and connections still stand, this one is left: in a chain that nobody enters. */
static void put_tracking(struct batch *batch, const char *table)
{
	put_inner_chain(batch, table, "tracking");
	empty_chain(batch, table, "tracking");
	struct nlattr *expressions = begin_rule(batch, table, "tracking", "translates while connections stand");
	struct expression it = begin_expression(batch, "ct");
	put_u32(batch, NFTA_CT_DREG, NFT_REG_1);
	put_u32(batch, NFTA_CT_KEY, NFT_CT_STATE);
	end_expression(batch, it);
	end_nest(batch, expressions);
}

static void put_redirect(struct batch *batch, const char *table, const struct redirect_rule *rule, enum place place)
{
	char chain[32];
	chain_name(chain, rule->class_index, place);
	struct nlattr *expressions = begin_rule(batch, table, chain, rule->comment);
	must_be_tcp(batch, SIDE_TO, rule->port);
	must_begin_a_connection(batch);
	if (place == PLACE_OUTPUT)
		must_leave_by_loopback(batch);
	else
		must_be_for_this_host(batch);
	redirect_to(batch, rule->to_port);
	end_nest(batch, expressions);
}

/* A rule that does nothing, for other agents to read: its port will be redirected when they are ready. */
static void put_announcement(struct batch *batch, const char *table, const struct redirect_rule *rule)
{
	char chain[32];
	chain_name(chain, rule->class_index, PLACE_PREROUTING);
	struct nlattr *expressions = begin_rule(batch, table, chain, rule->comment);
	must_be_tcp(batch, SIDE_TO, rule->port);
	end_nest(batch, expressions);
}

/* What comes to a port is looked at in the chain "asked"; of what leaves it, what ends a connection goes to the queue, and first words. */
static void put_question(struct batch *batch, const char *table, const struct redirect_rule *rule, uint32_t way)
{
	char chain[32];
	chain_name(chain, rule->class_index, PLACE_INPUT);
	struct nlattr *expressions = begin_rule(batch, table, chain, rule->comment);
	must_be_tcp(batch, SIDE_TO, rule->port);
	conclude(batch, NFT_JUMP, "asked");
	end_nest(batch, expressions);
	chain_name(chain, rule->class_index, PLACE_ENDS);
	expressions = begin_rule(batch, table, chain, rule->comment);
	must_be_tcp(batch, SIDE_FROM, rule->port);
	must_have_flag(batch, rule->asks_answers ? TCP_FIN_RST_PSH : TCP_FIN_RST);
	put_to_queue(batch, rule->queue, way);
	end_nest(batch, expressions);
}

/* What begins or ends a connection, or carries anything, goes to the queue. Most of what does ends with PSH; most of what does not is as
 * short as can be, with timestamps or without: of the rest we are asked too. */
static void put_questions(struct batch *batch, const char *table, uint16_t queue, uint32_t way, bool are_settled)
{
	static const struct { uint8_t head_words, ip_bytes; } short_ones[] = { { 8, 20 }, { 5, 20 }, { 8, 40 }, { 5, 40 } };
	if (are_settled)
		put_unsettling(batch, table, "asked", TCP_FIN_SYN_RST_PSH);
	struct nlattr *expressions = begin_rule(batch, table, "asked", NULL);
	must_have_flag(batch, TCP_FIN_SYN_RST_PSH);
	put_to_queue(batch, queue, way);
	end_nest(batch, expressions);
	for (size_t index = 0; index < sizeof short_ones / sizeof *short_ones; index++) {
		expressions = begin_rule(batch, table, "asked", NULL);
		must_only_acknowledge(batch, short_ones[index].head_words, short_ones[index].ip_bytes);
		conclude(batch, NFT_RETURN, NULL);
		end_nest(batch, expressions);
	}
	if (are_settled)
		put_unsettling(batch, table, "asked", 0);
	expressions = begin_rule(batch, table, "asked", NULL);
	put_to_queue(batch, queue, way);
	end_nest(batch, expressions);
}

/* ---- speaking with the kernel ---- */

static int open_netlink(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0)
		return -errno;
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };
	int bytes = BATCH_BYTES;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
	if (bind(fd, (struct sockaddr *)&self, sizeof self) == 0)
		return fd;
	int error = errno;
	close(fd);
	return -error;
}

static bool begin_batch(struct batch *batch)
{
	*batch = (struct batch){ .start = malloc(BATCH_BYTES) };
	if (!batch->start)
		return false;
	batch->at = batch->start;
	batch->end = batch->start + BATCH_BYTES;
	begin_message(batch, NFNL_MSG_BATCH_BEGIN, 0, NFNL_SUBSYS_NFTABLES);
	return true;
}

/* The kernel has judged when send() returns: what it says lies there, or nothing does. */
static int hear_verdict(int fd)
{
	_Alignas(struct nlmsghdr) char buffer[32768];
	int error = 0;
	while (1) {
		ssize_t length = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return error != 0 || errno == EAGAIN ? error : -errno;
		for (struct nlmsghdr *head = (void *)buffer; NLMSG_OK(head, length); head = NLMSG_NEXT(head, length)) {
			if (head->nlmsg_type == NLMSG_ERROR && error == 0)
				error = ((struct nlmsgerr *)NLMSG_DATA(head))->error;
		}
	}
}

static int commit(int fd, struct batch *batch)
{
	begin_message(batch, NFNL_MSG_BATCH_END, 0, NFNL_SUBSYS_NFTABLES);
	end_message(batch);
	int error = batch->is_full ? -E2BIG : 0;
	if (!error && send(fd, batch->start, (size_t)(batch->at - batch->start), 0) < 0)
		error = -errno;
	if (!error)
		error = hear_verdict(fd);
	free(batch->start);
	return error;
}

static int32_t priority_of(uint32_t class_index, uint32_t level)
{
	return FIRST_PRIORITY + (int32_t)(class_index << 16 | level);
}

static int create(int fd, const char *name, uint32_t level, bool is_owned)
{
	struct batch batch;
	if (!begin_batch(&batch))
		return -ENOMEM;
	put_table(&batch, name, is_owned);
	for (uint32_t class_index = 0; class_index < CLASSES; class_index++) {
		int32_t priority = priority_of(class_index, level);
		put_chain(&batch, name, class_index, PLACE_INPUT, priority);
		put_chain(&batch, name, class_index, PLACE_ENDS, priority);
	}
	put_inner_chain(&batch, name, "asked");
	put_inner_chain(&batch, name, "settled");
	put_hooked_chain(&batch, name, "untracked", NF_INET_LOCAL_OUT, BEFORE_TRACKING, "filter");
	return commit(fd, &batch);
}


/* A dying process closes its descriptors last first (task_work_run): connections are reset while the table, made before
 * them, still translates their packets. Makes the table, empty. The result is the descriptor that owns it, or -errno; `is_owned` says whether the kernel
 * removes the table when it is closed. `wants_owner` is false in tests of older kernels' ways. */
SYS int32_t netfilter_open(const char *name, uint32_t level, uint32_t wants_owner, uint32_t *is_owned)
{
	int fd = open_netlink();
	if (fd < 0)
		return fd;
	*is_owned = wants_owner;
	int error = create(fd, name, level, wants_owner);
	if ((error == -EOPNOTSUPP || error == -EINVAL) && wants_owner) {
		*is_owned = 0;
		error = create(fd, name, level, false);
	}
	if (!error)
		return fd;
	close(fd);
	return error;
}

/* Verdicts of queue.c send packets through their chain once more, with this mark. */
static void put_way_to_settled(struct batch *batch, const char *table, const char *chain, uint32_t mark)
{
	struct nlattr *expressions = begin_rule(batch, table, chain, NULL);
	load_meta(batch, NFT_META_MARK);
	must_equal(batch, &mark, sizeof mark);
	conclude(batch, NFT_GOTO, "settled");
	end_nest(batch, expressions);
}

static void put_rule(struct batch *batch, const char *table, const struct redirect_rule *rule, uint32_t way)
{
	if (rule->to_port != 0) {
		put_redirect(batch, table, rule, PLACE_PREROUTING);
		put_redirect(batch, table, rule, PLACE_OUTPUT);
	}
	if (rule->to_port == 0 && rule->queue == 0)
		put_announcement(batch, table, rule);
	if (rule->queue != 0)
		put_question(batch, table, rule, way);
}

/* What stands before the rules of ports, in chains that have some: every packet of this network comes by. */
static void begin_chain(struct batch *batch, const char *table, const char *chain, enum place place, uint32_t class_index, uint32_t mark,
			uint32_t position, const struct redirect_rule *rules, uint32_t count)
{
	bool is_used = false;
	for (uint32_t index = 0; index < count; index++) {
		const struct redirect_rule *rule = &rules[index];
		if (rule->class_index != class_index)
			continue;
		is_used |= place == PLACE_OUTPUT ? rule->to_port != 0 : rule->queue != 0;
		if (place == PLACE_INPUT && rule->queue != 0 && rule->needed.is_known)
			put_plain_requests(batch, table, chain, rule->port, &rule->needed);
	}
	if (!is_used)
		return;
	if (place == PLACE_INPUT)
		put_way_to_settled(batch, table, chain, mark + SETTLED_MARK);
	struct nlattr *expressions = begin_rule(batch, table, chain, NULL);
	pass_marked(batch, mark + position, mark + PASS_MARK);
	end_nest(batch, expressions);
}

/* The rules of the table become these. `mark` is that of position 0; `way` is how the kernel is told of a queue: nftables' own expression
 * (0), or the target of iptables (1), for kernels that have but that. Once it `translates`, it has to go on: without, nothing of this
 * network is tracked for us. 0 or -errno. */
SYS int32_t netfilter_commit(int32_t fd, const char *table, uint32_t level, uint32_t mark,
			     const struct redirect_rule *rules, uint32_t count, uint32_t way,
			     uint32_t translates)
{
	struct batch batch;
	uint16_t queue = 0;
	bool are_settled = false;
	if (!begin_batch(&batch))
		return -ENOMEM;
	for (uint32_t index = 0; index < count; index++)
		are_settled |= rules[index].queue != 0 && rules[index].needed.is_known != 0;
	if (are_settled)
		put_settled_sets(&batch, table);
	for (uint32_t class_index = 0; class_index < CLASSES; class_index++) {
		for (enum place place = translates ? PLACE_PREROUTING : PLACE_INPUT; place < PLACES; place++) {
			char name[32];
			if (place < PLACE_INPUT)
				put_chain(&batch, table, class_index, place, priority_of(class_index, level));
			chain_name(name, class_index, place);
			empty_chain(&batch, table, name);
			if (place != PLACE_PREROUTING)
				begin_chain(&batch, table, name, place, class_index, mark, class_index << 16 | level, rules, count);
		}
	}
	if (translates)
		put_tracking(&batch, table);
	empty_chain(&batch, table, "asked");
	empty_chain(&batch, table, "settled");
	empty_chain(&batch, table, "untracked");
	put_settling(&batch, table, are_settled);
	for (uint32_t index = 0; index < count; index++) {
		put_rule(&batch, table, &rules[index], way);
		queue = rules[index].queue != 0 ? rules[index].queue : queue;
	}
	if (queue != 0) {
		put_questions(&batch, table, queue, way, are_settled);
		put_untracked(&batch, table, mark + PASS_MARK);
	}
	return commit(fd, &batch);
}

static int delete_table(int fd, const char *name)
{
	struct batch batch;
	if (!begin_batch(&batch))
		return -ENOMEM;
	begin_nft(&batch, NFT_MSG_DELTABLE, 0);
	put_text(&batch, NFTA_TABLE_NAME, name);
	return commit(fd, &batch);
}

/* Removes a table that has no owner. 0 or -errno. */
SYS int32_t netfilter_remove(const char *name)
{
	int fd = open_netlink();
	if (fd < 0)
		return fd;
	int error = delete_table(fd, name);
	close(fd);
	return error;
}

/* Removes the table and closes its descriptor. 0 or -errno. */
SYS int32_t netfilter_close(int32_t fd, const char *name)
{
	int error = delete_table(fd, name);
	close(fd);
	return error;
}

/* What a fork of a process with threads may do: system calls, and what delete_table() does with memory of its own. */
static void guard(int pipe_end, const char *name)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGQUIT };
	for (size_t index = 0; index < sizeof signals / sizeof *signals; index++)
		sigaction(signals[index], &ignore, NULL);
	setsid();
	prctl(PR_SET_NAME, "mirrord-guard");
	dup2(pipe_end, 0);
	close_range(1, ~0U, 0);
	char byte;
	while (read(0, &byte, 1) < 0 && errno == EINTR)
		continue;
	netfilter_remove(name);
	_exit(0);
}

/* Starts a process that removes the table when this one has ended, whatever way. Descriptor that it watches, or -errno. */
SYS int32_t netfilter_guard(const char *name)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		guard(ends[0], name);
	close(ends[0]);
	if (pid > 0)
		return ends[1];
	int error = errno;
	close(ends[1]);
	return -error;
}

/* ---- what is there ---- */

/* A descriptor that has something to read whenever tables or rules of this network have changed; or -errno. */
SYS int32_t netfilter_watch(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
	if (fd < 0)
		return -errno;
	struct sockaddr_nl changes = { .nl_family = AF_NETLINK, .nl_groups = 1 << (NFNLGRP_NFTABLES - 1) };
	if (bind(fd, (struct sockaddr *)&changes, sizeof changes) == 0)
		return fd;
	int error = errno;
	close(fd);
	return -error;
}

/* Reads what such a descriptor has. */
SYS void netfilter_watched(int32_t fd)
{
	char buffer[8192];
	while (recv(fd, buffer, sizeof buffer, MSG_DONTWAIT) >= 0 || errno == ENOBUFS || errno == EINTR)
		continue;
}

struct listing {
	char *at, *end;
	bool is_full;
};

static const void *attribute_of(const struct nlmsghdr *head, uint16_t type, size_t *bytes)
{
	const uint8_t *at = (const uint8_t *)NLMSG_DATA(head) + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	const uint8_t *end = (const uint8_t *)head + head->nlmsg_len;
	while (at + NLA_HDRLEN <= end) {
		const struct nlattr *attribute = (const void *)at;
		if (attribute->nla_len < NLA_HDRLEN || at + attribute->nla_len > end)
			return NULL;
		if ((attribute->nla_type & NLA_TYPE_MASK) == type) {
			*bytes = attribute->nla_len - NLA_HDRLEN;
			return at + NLA_HDRLEN;
		}
		at += NLA_ALIGN(attribute->nla_len);
	}
	return NULL;
}

static void add_text(struct listing *into, const void *text, size_t bytes, char end)
{
	size_t length = text ? strnlen(text, bytes) : 0;
	if ((size_t)(into->end - into->at) < length + 1) {
		into->is_full = true;
		return;
	}
	if (length)
		memcpy(into->at, text, length);
	into->at += length;
	*into->at++ = end;
}

/* A line of a table: its name, and "owned" or nothing; of a rule: its table, its chain, its comment; tabs between. */
static void list_one(void *context, struct nlmsghdr *head)
{
	struct listing *into = context;
	size_t bytes;
	const void *text;
	switch (head->nlmsg_type & 0xff) {
	case NFT_MSG_NEWTABLE:
		if ((text = attribute_of(head, NFTA_TABLE_NAME, &bytes)) == NULL)
			return;
		add_text(into, text, bytes, '\t');
		text = attribute_of(head, NFTA_TABLE_FLAGS, &bytes);
		bool is_owned = text && bytes == 4 && (ntohl(*(const uint32_t *)text) & NFT_TABLE_F_OWNER);
		add_text(into, is_owned ? "owned" : "", 6, '\n');
		return;
	case NFT_MSG_NEWCHAIN:
		text = attribute_of(head, NFTA_CHAIN_TABLE, &bytes);
		add_text(into, text, bytes, '\t');
		text = attribute_of(head, NFTA_CHAIN_TYPE, &bytes);
		add_text(into, text, bytes, '\n');
		return;
	case NFT_MSG_NEWRULE:
		text = attribute_of(head, NFTA_RULE_TABLE, &bytes);
		add_text(into, text, bytes, '\t');
		text = attribute_of(head, NFTA_RULE_CHAIN, &bytes);
		add_text(into, text, bytes, '\t');
		text = attribute_of(head, NFTA_RULE_USERDATA, &bytes);
		add_text(into, text, bytes, '\n');
	}
}

/* The tables of the inet family (`wants_rules` 0) or their rules, a line each. The length of the text, or -errno. */
SYS int32_t netfilter_list(uint32_t kind, char *into, uint32_t room)
{
	static const uint16_t asks[] = { NFT_MSG_GETTABLE, NFT_MSG_GETRULE, NFT_MSG_GETCHAIN };
	if (kind > 2)
		return -EINVAL;
	struct {
		struct nlmsghdr head;
		struct nfgenmsg body;
	} request = {
		.head = { .nlmsg_len = sizeof request,
			  .nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | asks[kind],
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.body = { .nfgen_family = kind == 2 ? NFPROTO_UNSPEC : NFPROTO_INET },
	};
	struct listing listing = { into, into + room, false };
	int fd = open_netlink();
	if (fd < 0)
		return fd;
	int error = send(fd, &request, sizeof request, 0) < 0 ? -errno : netlink_hear(fd, list_one, &listing);
	if (!error && listing.is_full)
		error = -E2BIG;
	close(fd);
	return error ? error : (int32_t)(listing.at - into);
}
