/* wire.gen.h - the layer wire in C. Printed from src/proto/layer.ts by `deno task gen`: do not edit. */
#ifndef MIRRORD_WIRE_GEN_H
#define MIRRORD_WIRE_GEN_H

#include "wire_fields.h"

#define WIRE_FRAME_BYTES 4194304u
#define WIRE_INLINE_BYTES 1048576u
#define WIRE_CHUNK_BYTES 1048576u
#define WIRE_PATH_BYTES 4096u

enum wire_type {
	WIRE_SETTINGS = 1,
	WIRE_HELLO = 2,
	WIRE_DONE = 3,
	WIRE_NOTE = 4,
	WIRE_OPEN = 10,
	WIRE_OPEN_REPLY = 11,
	WIRE_FETCH = 12,
	WIRE_CHUNK = 13,
	WIRE_CLOSE_HANDLE = 14,
	WIRE_STAT = 15,
	WIRE_STAT_REPLY = 16,
	WIRE_ACCESS = 17,
	WIRE_READ_LINK = 18,
	WIRE_REAL_PATH = 19,
	WIRE_PATH_REPLY = 20,
	WIRE_STAT_FS = 21,
	WIRE_STAT_FS_REPLY = 22,
	WIRE_RENAME = 80,
	WIRE_LINK = 81,
	WIRE_SYMLINK = 82,
	WIRE_MAKE_NODE = 83,
	WIRE_REMOVE = 84,
	WIRE_SET_MODE = 85,
	WIRE_SET_OWNER = 86,
	WIRE_SET_TIMES = 87,
	WIRE_TRUNCATE = 88,
	WIRE_SET_ATTRIBUTE = 89,
	WIRE_REMOVE_ATTRIBUTE = 90,
	WIRE_GET_ATTRIBUTE = 91,
	WIRE_ATTRIBUTE_REPLY = 92,
	WIRE_PATH_OF = 93,
	WIRE_RESOLVE = 30,
	WIRE_RESOLVE_REPLY = 31,
	WIRE_REVERSE_NAME = 32,
	WIRE_NAME_REPLY = 33,
	WIRE_READ_FILE = 60,
	WIRE_REFRESH = 62,
	WIRE_DESCRIPTOR_CLOSED = 61,
	WIRE_DESTINATION = 39,
	WIRE_DESTINATION_REPLY = 46,
	WIRE_CONNECT = 40,
	WIRE_CONNECT_REPLY = 41,
	WIRE_CONNECT_STATUS = 42,
	WIRE_CONNECT_STATUS_REPLY = 43,
	WIRE_SOCKET_NAMES = 44,
	WIRE_SOCKET_NAMES_REPLY = 45,
	WIRE_RELAY_DATAGRAMS = 47,
	WIRE_RELAY_DATAGRAMS_REPLY = 48,
	WIRE_DATAGRAM_NAMES = 49,
	WIRE_CONNECT_UNIX = 130,
	WIRE_CONNECT_UNIX_REPLY = 131,
	WIRE_UNIX_PEER = 132,
	WIRE_UNIX_PEER_REPLY = 133,
	WIRE_OPEN_FIFO = 178,
	WIRE_FIFO_PLACE = 179,
	WIRE_FIFO_OPENED = 180,
	WIRE_GET_INTERFACES = 134,
	WIRE_INTERFACES = 135,
	WIRE_BIND_ELSEWHERE = 136,
	WIRE_ASK_NETLINK = 188,
	WIRE_ASK_INTERFACE = 189,
	WIRE_NETWORK_ANSWER = 190,
	WIRE_RELAY_UNIX_DATAGRAMS = 191,
	WIRE_RELAY_UNIX_DATAGRAMS_REPLY = 192,
	WIRE_ASK_DNS = 137,
	WIRE_DNS_ANSWER = 138,
	WIRE_GET_RESOLVER = 139,
	WIRE_OPEN_WRITING = 70,
	WIRE_ON_SHELF = 71,
	WIRE_SYNC_WRITING = 72,
	WIRE_STAT_WRITING = 73,
	WIRE_ALLOCATE_WRITING = 74,
	WIRE_MAPPED_WRITING = 75,
	WIRE_CHECK_WRITING = 158,
	WIRE_WROTE = 159,
	WIRE_FIND_WRITING = 160,
	WIRE_CHANGE_DIRECTORY = 100,
	WIRE_WATCH_PATH = 163,
	WIRE_MAP_PATH = 105,
	WIRE_BIND = 110,
	WIRE_BIND_REPLY = 111,
	WIRE_LISTEN = 112,
	WIRE_LISTENER_CLOSED = 113,
	WIRE_BOUND_NAME = 114,
	WIRE_ACCEPTED_NAMES = 115,
};

struct wire_stat {
	uint64_t dev;
	uint64_t ino;
	uint32_t mode;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint64_t rdev;
	int64_t size;
	uint32_t blksize;
	uint64_t blocks;
	int64_t atime_sec;
	uint32_t atime_nsec;
	int64_t mtime_sec;
	uint32_t mtime_nsec;
	int64_t ctime_sec;
	uint32_t ctime_nsec;
	int64_t btime_sec;
	uint32_t btime_nsec;
};

#define WIRE_STAT_BYTES 108u

static inline void wire_put_stat(struct wire_out *out, struct wire_stat stat)
{
	wire_put_u64(out, stat.dev);
	wire_put_u64(out, stat.ino);
	wire_put_u32(out, stat.mode);
	wire_put_u32(out, stat.nlink);
	wire_put_u32(out, stat.uid);
	wire_put_u32(out, stat.gid);
	wire_put_u64(out, stat.rdev);
	wire_put_i64(out, stat.size);
	wire_put_u32(out, stat.blksize);
	wire_put_u64(out, stat.blocks);
	wire_put_i64(out, stat.atime_sec);
	wire_put_u32(out, stat.atime_nsec);
	wire_put_i64(out, stat.mtime_sec);
	wire_put_u32(out, stat.mtime_nsec);
	wire_put_i64(out, stat.ctime_sec);
	wire_put_u32(out, stat.ctime_nsec);
	wire_put_i64(out, stat.btime_sec);
	wire_put_u32(out, stat.btime_nsec);
}

static inline bool wire_get_stat(struct wire_in *in, struct wire_stat *stat)
{
	return wire_get_u64(in, &stat->dev) &&
	       wire_get_u64(in, &stat->ino) &&
	       wire_get_u32(in, &stat->mode) &&
	       wire_get_u32(in, &stat->nlink) &&
	       wire_get_u32(in, &stat->uid) &&
	       wire_get_u32(in, &stat->gid) &&
	       wire_get_u64(in, &stat->rdev) &&
	       wire_get_i64(in, &stat->size) &&
	       wire_get_u32(in, &stat->blksize) &&
	       wire_get_u64(in, &stat->blocks) &&
	       wire_get_i64(in, &stat->atime_sec) &&
	       wire_get_u32(in, &stat->atime_nsec) &&
	       wire_get_i64(in, &stat->mtime_sec) &&
	       wire_get_u32(in, &stat->mtime_nsec) &&
	       wire_get_i64(in, &stat->ctime_sec) &&
	       wire_get_u32(in, &stat->ctime_nsec) &&
	       wire_get_i64(in, &stat->btime_sec) &&
	       wire_get_u32(in, &stat->btime_nsec);
}

/* the file `settings`: what all processes of the run share. Lists are NUL-terminated strings end to end */
struct wire_settings {
	struct wire_bytes build;
	uint8_t fs_mode;
	bool is_dns_remote;
	bool is_hostname_remote;
	bool is_tcp_remote;
	bool is_udp_remote;
	bool asks_destinations;
	bool is_environment_here;
	struct wire_bytes hostname;
	struct wire_bytes launch_directory;
	struct wire_bytes home;
	struct wire_bytes temporary_directory;
	struct wire_bytes program;
	struct wire_bytes shim;
	struct wire_bytes supervisor;
	struct wire_bytes mounts;
	struct wire_bytes path_rules;
	struct wire_bytes path_mappings;
	struct wire_bytes skip_processes;
	struct wire_bytes build_tools;
	uint16_t accept_port4;
	uint16_t accept_port6;
	uint16_t hole_port4;
	uint16_t hole_port6;
	uint32_t datagram_relay;
	bool is_incoming_remote;
	bool is_ipv6_off;
	bool is_ipv6_hidden;
	struct wire_bytes unix_sockets;
	struct wire_bytes stream_relay;
	struct wire_bytes packet_relay;
	bool is_tracing;
};

static inline size_t wire_put_settings(uint8_t *frame, size_t room, uint32_t id, struct wire_settings message)
{
	struct wire_out out = wire_begin(frame, room, 1, id);
	wire_put_str(&out, message.build);
	wire_put_u8(&out, message.fs_mode);
	wire_put_bool(&out, message.is_dns_remote);
	wire_put_bool(&out, message.is_hostname_remote);
	wire_put_bool(&out, message.is_tcp_remote);
	wire_put_bool(&out, message.is_udp_remote);
	wire_put_bool(&out, message.asks_destinations);
	wire_put_bool(&out, message.is_environment_here);
	wire_put_str(&out, message.hostname);
	wire_put_bytes(&out, message.launch_directory);
	wire_put_bytes(&out, message.home);
	wire_put_bytes(&out, message.temporary_directory);
	wire_put_bytes(&out, message.program);
	wire_put_bytes(&out, message.shim);
	wire_put_bytes(&out, message.supervisor);
	wire_put_bytes(&out, message.mounts);
	wire_put_bytes(&out, message.path_rules);
	wire_put_bytes(&out, message.path_mappings);
	wire_put_bytes(&out, message.skip_processes);
	wire_put_bytes(&out, message.build_tools);
	wire_put_u16(&out, message.accept_port4);
	wire_put_u16(&out, message.accept_port6);
	wire_put_u16(&out, message.hole_port4);
	wire_put_u16(&out, message.hole_port6);
	wire_put_u32(&out, message.datagram_relay);
	wire_put_bool(&out, message.is_incoming_remote);
	wire_put_bool(&out, message.is_ipv6_off);
	wire_put_bool(&out, message.is_ipv6_hidden);
	wire_put_bytes(&out, message.unix_sockets);
	wire_put_bytes(&out, message.stream_relay);
	wire_put_bytes(&out, message.packet_relay);
	wire_put_bool(&out, message.is_tracing);
	return wire_end(&out);
}

static inline bool wire_get_settings(struct wire_in *in, struct wire_settings *message)
{
	return wire_get_str(in, &message->build) &&
	       wire_get_u8(in, &message->fs_mode) &&
	       wire_get_bool(in, &message->is_dns_remote) &&
	       wire_get_bool(in, &message->is_hostname_remote) &&
	       wire_get_bool(in, &message->is_tcp_remote) &&
	       wire_get_bool(in, &message->is_udp_remote) &&
	       wire_get_bool(in, &message->asks_destinations) &&
	       wire_get_bool(in, &message->is_environment_here) &&
	       wire_get_str(in, &message->hostname) &&
	       wire_get_bytes(in, &message->launch_directory) &&
	       wire_get_bytes(in, &message->home) &&
	       wire_get_bytes(in, &message->temporary_directory) &&
	       wire_get_bytes(in, &message->program) &&
	       wire_get_bytes(in, &message->shim) &&
	       wire_get_bytes(in, &message->supervisor) &&
	       wire_get_bytes(in, &message->mounts) &&
	       wire_get_bytes(in, &message->path_rules) &&
	       wire_get_bytes(in, &message->path_mappings) &&
	       wire_get_bytes(in, &message->skip_processes) &&
	       wire_get_bytes(in, &message->build_tools) &&
	       wire_get_u16(in, &message->accept_port4) &&
	       wire_get_u16(in, &message->accept_port6) &&
	       wire_get_u16(in, &message->hole_port4) &&
	       wire_get_u16(in, &message->hole_port6) &&
	       wire_get_u32(in, &message->datagram_relay) &&
	       wire_get_bool(in, &message->is_incoming_remote) &&
	       wire_get_bool(in, &message->is_ipv6_off) &&
	       wire_get_bool(in, &message->is_ipv6_hidden) &&
	       wire_get_bytes(in, &message->unix_sockets) &&
	       wire_get_bytes(in, &message->stream_relay) &&
	       wire_get_bytes(in, &message->packet_relay) &&
	       wire_get_bool(in, &message->is_tracing) &&
	       wire_is_done(in);
}

/* first frame; `isLifeline`: opened at start and inherited by fork, its end tells that the process image is gone */
struct wire_hello {
	struct wire_bytes build;
	uint32_t pid;
	bool is_lifeline;
	struct wire_bytes program;
};

static inline size_t wire_put_hello(uint8_t *frame, size_t room, uint32_t id, struct wire_hello message)
{
	struct wire_out out = wire_begin(frame, room, 2, id);
	wire_put_str(&out, message.build);
	wire_put_u32(&out, message.pid);
	wire_put_bool(&out, message.is_lifeline);
	wire_put_str(&out, message.program);
	return wire_end(&out);
}

static inline bool wire_get_hello(struct wire_in *in, struct wire_hello *message)
{
	return wire_get_str(in, &message->build) &&
	       wire_get_u32(in, &message->pid) &&
	       wire_get_bool(in, &message->is_lifeline) &&
	       wire_tail(in, &message->program) &&
	       wire_is_done(in);
}

/* answer that carries success or an errno */
struct wire_done {
	int32_t error;
};

static inline size_t wire_put_done(uint8_t *frame, size_t room, uint32_t id, struct wire_done message)
{
	struct wire_out out = wire_begin(frame, room, 3, id);
	wire_put_i32(&out, message.error);
	return wire_end(&out);
}

static inline bool wire_get_done(struct wire_in *in, struct wire_done *message)
{
	return wire_get_i32(in, &message->error) &&
	       wire_is_done(in);
}

/* for the log, not answered: what the shim could not do and why (a static child, a refused call) */
struct wire_note {
	struct wire_bytes text;
};

static inline size_t wire_put_note(uint8_t *frame, size_t room, uint32_t id, struct wire_note message)
{
	struct wire_out out = wire_begin(frame, room, 4, id);
	wire_put_str(&out, message.text);
	return wire_end(&out);
}

static inline bool wire_get_note(struct wire_in *in, struct wire_note *message)
{
	return wire_tail(in, &message->text) &&
	       wire_is_done(in);
}

/* open(2) for reading of a remote path (absolute); a directory's data are its entries as getdents64(2) has them */
struct wire_open {
	struct wire_bytes path;
	uint32_t flags;
};

static inline size_t wire_put_open(uint8_t *frame, size_t room, uint32_t id, struct wire_open message)
{
	struct wire_out out = wire_begin(frame, room, 10, id);
	wire_put_bytes(&out, message.path);
	wire_put_u32(&out, message.flags);
	return wire_end(&out);
}

static inline bool wire_get_open(struct wire_in *in, struct wire_open *message)
{
	return wire_get_bytes(in, &message->path) &&
	       wire_get_u32(in, &message->flags) &&
	       wire_is_done(in);
}

/* `isWhole`: `data` is all of it. Else `data` is its beginning. `handle` serves Fetch, ReadFile and Refresh. errno -1: the run writes this file, the shelf hands out `handle` */
struct wire_open_reply {
	int32_t error;
	struct wire_stat stat;
	bool is_whole;
	uint64_t handle;
	struct wire_bytes data;
};

static inline size_t wire_put_open_reply(uint8_t *frame, size_t room, uint32_t id, struct wire_open_reply message)
{
	struct wire_out out = wire_begin(frame, room, 11, id);
	wire_put_i32(&out, message.error);
	wire_put_stat(&out, message.stat);
	wire_put_bool(&out, message.is_whole);
	wire_put_u64(&out, message.handle);
	wire_put_bytes(&out, message.data);
	return wire_end(&out);
}

static inline bool wire_get_open_reply(struct wire_in *in, struct wire_open_reply *message)
{
	return wire_get_i32(in, &message->error) &&
	       wire_get_stat(in, &message->stat) &&
	       wire_get_bool(in, &message->is_whole) &&
	       wire_get_u64(in, &message->handle) &&
	       wire_tail(in, &message->data) &&
	       wire_is_done(in);
}

/* answered by Chunks in order until one says isLast; the length 2^64-1 means: to the end */
struct wire_fetch {
	uint64_t handle;
	uint64_t offset;
	uint64_t length;
};

static inline size_t wire_put_fetch(uint8_t *frame, size_t room, uint32_t id, struct wire_fetch message)
{
	struct wire_out out = wire_begin(frame, room, 12, id);
	wire_put_u64(&out, message.handle);
	wire_put_u64(&out, message.offset);
	wire_put_u64(&out, message.length);
	return wire_end(&out);
}

static inline bool wire_get_fetch(struct wire_in *in, struct wire_fetch *message)
{
	return wire_get_u64(in, &message->handle) &&
	       wire_get_u64(in, &message->offset) &&
	       wire_get_u64(in, &message->length) &&
	       wire_is_done(in);
}

struct wire_chunk {
	int32_t error;
	bool is_last;
	struct wire_bytes data;
};

static inline size_t wire_put_chunk(uint8_t *frame, size_t room, uint32_t id, struct wire_chunk message)
{
	struct wire_out out = wire_begin(frame, room, 13, id);
	wire_put_i32(&out, message.error);
	wire_put_bool(&out, message.is_last);
	wire_put_bytes(&out, message.data);
	return wire_end(&out);
}

static inline bool wire_get_chunk(struct wire_in *in, struct wire_chunk *message)
{
	return wire_get_i32(in, &message->error) &&
	       wire_get_bool(in, &message->is_last) &&
	       wire_tail(in, &message->data) &&
	       wire_is_done(in);
}

/* not answered */
struct wire_close_handle {
	uint64_t handle;
};

static inline size_t wire_put_close_handle(uint8_t *frame, size_t room, uint32_t id, struct wire_close_handle message)
{
	struct wire_out out = wire_begin(frame, room, 14, id);
	wire_put_u64(&out, message.handle);
	return wire_end(&out);
}

static inline bool wire_get_close_handle(struct wire_in *in, struct wire_close_handle *message)
{
	return wire_get_u64(in, &message->handle) &&
	       wire_is_done(in);
}

/* statx(2); AT_SYMLINK_NOFOLLOW in flags */
struct wire_stat_request {
	struct wire_bytes path;
	uint32_t flags;
};

static inline size_t wire_put_stat_request(uint8_t *frame, size_t room, uint32_t id, struct wire_stat_request message)
{
	struct wire_out out = wire_begin(frame, room, 15, id);
	wire_put_bytes(&out, message.path);
	wire_put_u32(&out, message.flags);
	return wire_end(&out);
}

static inline bool wire_get_stat_request(struct wire_in *in, struct wire_stat_request *message)
{
	return wire_get_bytes(in, &message->path) &&
	       wire_get_u32(in, &message->flags) &&
	       wire_is_done(in);
}

struct wire_stat_reply {
	int32_t error;
	struct wire_stat stat;
};

static inline size_t wire_put_stat_reply(uint8_t *frame, size_t room, uint32_t id, struct wire_stat_reply message)
{
	struct wire_out out = wire_begin(frame, room, 16, id);
	wire_put_i32(&out, message.error);
	wire_put_stat(&out, message.stat);
	return wire_end(&out);
}

static inline bool wire_get_stat_reply(struct wire_in *in, struct wire_stat_reply *message)
{
	return wire_get_i32(in, &message->error) &&
	       wire_get_stat(in, &message->stat) &&
	       wire_is_done(in);
}

/* faccessat2(2) */
struct wire_access {
	struct wire_bytes path;
	uint32_t mode;
	uint32_t flags;
};

static inline size_t wire_put_access(uint8_t *frame, size_t room, uint32_t id, struct wire_access message)
{
	struct wire_out out = wire_begin(frame, room, 17, id);
	wire_put_bytes(&out, message.path);
	wire_put_u32(&out, message.mode);
	wire_put_u32(&out, message.flags);
	return wire_end(&out);
}

static inline bool wire_get_access(struct wire_in *in, struct wire_access *message)
{
	return wire_get_bytes(in, &message->path) &&
	       wire_get_u32(in, &message->mode) &&
	       wire_get_u32(in, &message->flags) &&
	       wire_is_done(in);
}

/* readlink(2) */
struct wire_read_link {
	struct wire_bytes path;
};

static inline size_t wire_put_read_link(uint8_t *frame, size_t room, uint32_t id, struct wire_read_link message)
{
	struct wire_out out = wire_begin(frame, room, 18, id);
	wire_put_bytes(&out, message.path);
	return wire_end(&out);
}

static inline bool wire_get_read_link(struct wire_in *in, struct wire_read_link *message)
{
	return wire_tail(in, &message->path) &&
	       wire_is_done(in);
}

/* realpath(3) */
struct wire_real_path {
	struct wire_bytes path;
};

static inline size_t wire_put_real_path(uint8_t *frame, size_t room, uint32_t id, struct wire_real_path message)
{
	struct wire_out out = wire_begin(frame, room, 19, id);
	wire_put_bytes(&out, message.path);
	return wire_end(&out);
}

static inline bool wire_get_real_path(struct wire_in *in, struct wire_real_path *message)
{
	return wire_tail(in, &message->path) &&
	       wire_is_done(in);
}

struct wire_path_reply {
	int32_t error;
	struct wire_bytes path;
};

static inline size_t wire_put_path_reply(uint8_t *frame, size_t room, uint32_t id, struct wire_path_reply message)
{
	struct wire_out out = wire_begin(frame, room, 20, id);
	wire_put_i32(&out, message.error);
	wire_put_bytes(&out, message.path);
	return wire_end(&out);
}

static inline bool wire_get_path_reply(struct wire_in *in, struct wire_path_reply *message)
{
	return wire_get_i32(in, &message->error) &&
	       wire_tail(in, &message->path) &&
	       wire_is_done(in);
}

/* statfs(2) */
struct wire_stat_fs {
	struct wire_bytes path;
};

static inline size_t wire_put_stat_fs(uint8_t *frame, size_t room, uint32_t id, struct wire_stat_fs message)
{
	struct wire_out out = wire_begin(frame, room, 21, id);
	wire_put_bytes(&out, message.path);
	return wire_end(&out);
}

static inline bool wire_get_stat_fs(struct wire_in *in, struct wire_stat_fs *message)
{
	return wire_tail(in, &message->path) &&
	       wire_is_done(in);
}

/* `words`: u64 each: type, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen, frsize, flags */
struct wire_stat_fs_reply {
	int32_t error;
	struct wire_bytes words;
};

static inline size_t wire_put_stat_fs_reply(uint8_t *frame, size_t room, uint32_t id, struct wire_stat_fs_reply message)
{
	struct wire_out out = wire_begin(frame, room, 22, id);
	wire_put_i32(&out, message.error);
	wire_put_bytes(&out, message.words);
	return wire_end(&out);
}

static inline bool wire_get_stat_fs_reply(struct wire_in *in, struct wire_stat_fs_reply *message)
{
	return wire_get_i32(in, &message->error) &&
	       wire_tail(in, &message->words) &&
	       wire_is_done(in);
}

/* renameat2(2) */
struct wire_rename {
	uint32_t flags;
	struct wire_bytes from;
	struct wire_bytes to;
};

static inline size_t wire_put_rename(uint8_t *frame, size_t room, uint32_t id, struct wire_rename message)
{
	struct wire_out out = wire_begin(frame, room, 80, id);
	wire_put_u32(&out, message.flags);
	wire_put_bytes(&out, message.from);
	wire_put_bytes(&out, message.to);
	return wire_end(&out);
}

static inline bool wire_get_rename(struct wire_in *in, struct wire_rename *message)
{
	return wire_get_u32(in, &message->flags) &&
	       wire_get_bytes(in, &message->from) &&
	       wire_tail(in, &message->to) &&
	       wire_is_done(in);
}

/* linkat(2); `dev` and `ino` tell what `from` has to be */
struct wire_link {
	bool is_following;
	uint64_t dev;
	uint64_t ino;
	struct wire_bytes from;
	struct wire_bytes to;
};

static inline size_t wire_put_link(uint8_t *frame, size_t room, uint32_t id, struct wire_link message)
{
	struct wire_out out = wire_begin(frame, room, 81, id);
	wire_put_bool(&out, message.is_following);
	wire_put_u64(&out, message.dev);
	wire_put_u64(&out, message.ino);
	wire_put_bytes(&out, message.from);
	wire_put_bytes(&out, message.to);
	return wire_end(&out);
}

static inline bool wire_get_link(struct wire_in *in, struct wire_link *message)
{
	return wire_get_bool(in, &message->is_following) &&
	       wire_get_u64(in, &message->dev) &&
	       wire_get_u64(in, &message->ino) &&
	       wire_get_bytes(in, &message->from) &&
	       wire_tail(in, &message->to) &&
	       wire_is_done(in);
}

/* symlink(2): `text` becomes its contents */
struct wire_symlink {
	struct wire_bytes path;
	struct wire_bytes text;
};

static inline size_t wire_put_symlink(uint8_t *frame, size_t room, uint32_t id, struct wire_symlink message)
{
	struct wire_out out = wire_begin(frame, room, 82, id);
	wire_put_bytes(&out, message.path);
	wire_put_bytes(&out, message.text);
	return wire_end(&out);
}

static inline bool wire_get_symlink(struct wire_in *in, struct wire_symlink *message)
{
	return wire_get_bytes(in, &message->path) &&
	       wire_tail(in, &message->text) &&
	       wire_is_done(in);
}

/* mkdir(2) when `mode` says S_IFDIR, else mknod(2); `umask` is the program's */
struct wire_make_node {
	uint32_t mode;
	uint32_t umask;
	uint64_t device;
	struct wire_bytes path;
};

static inline size_t wire_put_make_node(uint8_t *frame, size_t room, uint32_t id, struct wire_make_node message)
{
	struct wire_out out = wire_begin(frame, room, 83, id);
	wire_put_u32(&out, message.mode);
	wire_put_u32(&out, message.umask);
	wire_put_u64(&out, message.device);
	wire_put_bytes(&out, message.path);
	return wire_end(&out);
}

static inline bool wire_get_make_node(struct wire_in *in, struct wire_make_node *message)
{
	return wire_get_u32(in, &message->mode) &&
	       wire_get_u32(in, &message->umask) &&
	       wire_get_u64(in, &message->device) &&
	       wire_tail(in, &message->path) &&
	       wire_is_done(in);
}

/* `kinds` 0: unlink(2); 1: rmdir(2); 2: remove(3), whichever it is */
struct wire_remove {
	uint8_t kinds;
	struct wire_bytes path;
};

static inline size_t wire_put_remove(uint8_t *frame, size_t room, uint32_t id, struct wire_remove message)
{
	struct wire_out out = wire_begin(frame, room, 84, id);
	wire_put_u8(&out, message.kinds);
	wire_put_bytes(&out, message.path);
	return wire_end(&out);
}

static inline bool wire_get_remove(struct wire_in *in, struct wire_remove *message)
{
	return wire_get_u8(in, &message->kinds) &&
	       wire_tail(in, &message->path) &&
	       wire_is_done(in);
}

/* chmod(2) */
struct wire_set_mode {
	bool is_following;
	uint64_t dev;
	uint64_t ino;
	uint32_t mode;
	struct wire_bytes path;
};

static inline size_t wire_put_set_mode(uint8_t *frame, size_t room, uint32_t id, struct wire_set_mode message)
{
	struct wire_out out = wire_begin(frame, room, 85, id);
	wire_put_bool(&out, message.is_following);
	wire_put_u64(&out, message.dev);
	wire_put_u64(&out, message.ino);
	wire_put_u32(&out, message.mode);
	wire_put_bytes(&out, message.path);
	return wire_end(&out);
}

static inline bool wire_get_set_mode(struct wire_in *in, struct wire_set_mode *message)
{
	return wire_get_bool(in, &message->is_following) &&
	       wire_get_u64(in, &message->dev) &&
	       wire_get_u64(in, &message->ino) &&
	       wire_get_u32(in, &message->mode) &&
	       wire_tail(in, &message->path) &&
	       wire_is_done(in);
}

/* chown(2); 2^32-1 leaves an id as it is */
struct wire_set_owner {
	bool is_following;
	uint64_t dev;
	uint64_t ino;
	uint32_t uid;
	uint32_t gid;
	struct wire_bytes path;
};

static inline size_t wire_put_set_owner(uint8_t *frame, size_t room, uint32_t id, struct wire_set_owner message)
{
	struct wire_out out = wire_begin(frame, room, 86, id);
	wire_put_bool(&out, message.is_following);
	wire_put_u64(&out, message.dev);
	wire_put_u64(&out, message.ino);
	wire_put_u32(&out, message.uid);
	wire_put_u32(&out, message.gid);
	wire_put_bytes(&out, message.path);
	return wire_end(&out);
}

static inline bool wire_get_set_owner(struct wire_in *in, struct wire_set_owner *message)
{
	return wire_get_bool(in, &message->is_following) &&
	       wire_get_u64(in, &message->dev) &&
	       wire_get_u64(in, &message->ino) &&
	       wire_get_u32(in, &message->uid) &&
	       wire_get_u32(in, &message->gid) &&
	       wire_tail(in, &message->path) &&
	       wire_is_done(in);
}

/* utimensat(2), with UTIME_NOW and UTIME_OMIT among the nanoseconds */
struct wire_set_times {
	bool is_following;
	uint64_t dev;
	uint64_t ino;
	int64_t atime_sec;
	uint32_t atime_nsec;
	int64_t mtime_sec;
	uint32_t mtime_nsec;
	struct wire_bytes path;
};

static inline size_t wire_put_set_times(uint8_t *frame, size_t room, uint32_t id, struct wire_set_times message)
{
	struct wire_out out = wire_begin(frame, room, 87, id);
	wire_put_bool(&out, message.is_following);
	wire_put_u64(&out, message.dev);
	wire_put_u64(&out, message.ino);
	wire_put_i64(&out, message.atime_sec);
	wire_put_u32(&out, message.atime_nsec);
	wire_put_i64(&out, message.mtime_sec);
	wire_put_u32(&out, message.mtime_nsec);
	wire_put_bytes(&out, message.path);
	return wire_end(&out);
}

static inline bool wire_get_set_times(struct wire_in *in, struct wire_set_times *message)
{
	return wire_get_bool(in, &message->is_following) &&
	       wire_get_u64(in, &message->dev) &&
	       wire_get_u64(in, &message->ino) &&
	       wire_get_i64(in, &message->atime_sec) &&
	       wire_get_u32(in, &message->atime_nsec) &&
	       wire_get_i64(in, &message->mtime_sec) &&
	       wire_get_u32(in, &message->mtime_nsec) &&
	       wire_tail(in, &message->path) &&
	       wire_is_done(in);
}

/* truncate(2) */
struct wire_truncate {
	int64_t size;
	struct wire_bytes path;
};

static inline size_t wire_put_truncate(uint8_t *frame, size_t room, uint32_t id, struct wire_truncate message)
{
	struct wire_out out = wire_begin(frame, room, 88, id);
	wire_put_i64(&out, message.size);
	wire_put_bytes(&out, message.path);
	return wire_end(&out);
}

static inline bool wire_get_truncate(struct wire_in *in, struct wire_truncate *message)
{
	return wire_get_i64(in, &message->size) &&
	       wire_tail(in, &message->path) &&
	       wire_is_done(in);
}

/* setxattr(2); `how` are its flags */
struct wire_set_attribute {
	bool is_following;
	uint64_t dev;
	uint64_t ino;
	uint32_t how;
	struct wire_bytes name;
	struct wire_bytes path;
	struct wire_bytes value;
};

static inline size_t wire_put_set_attribute(uint8_t *frame, size_t room, uint32_t id, struct wire_set_attribute message)
{
	struct wire_out out = wire_begin(frame, room, 89, id);
	wire_put_bool(&out, message.is_following);
	wire_put_u64(&out, message.dev);
	wire_put_u64(&out, message.ino);
	wire_put_u32(&out, message.how);
	wire_put_bytes(&out, message.name);
	wire_put_bytes(&out, message.path);
	wire_put_bytes(&out, message.value);
	return wire_end(&out);
}

static inline bool wire_get_set_attribute(struct wire_in *in, struct wire_set_attribute *message)
{
	return wire_get_bool(in, &message->is_following) &&
	       wire_get_u64(in, &message->dev) &&
	       wire_get_u64(in, &message->ino) &&
	       wire_get_u32(in, &message->how) &&
	       wire_get_bytes(in, &message->name) &&
	       wire_get_bytes(in, &message->path) &&
	       wire_tail(in, &message->value) &&
	       wire_is_done(in);
}

/* removexattr(2) */
struct wire_remove_attribute {
	bool is_following;
	uint64_t dev;
	uint64_t ino;
	struct wire_bytes name;
	struct wire_bytes path;
};

static inline size_t wire_put_remove_attribute(uint8_t *frame, size_t room, uint32_t id, struct wire_remove_attribute message)
{
	struct wire_out out = wire_begin(frame, room, 90, id);
	wire_put_bool(&out, message.is_following);
	wire_put_u64(&out, message.dev);
	wire_put_u64(&out, message.ino);
	wire_put_bytes(&out, message.name);
	wire_put_bytes(&out, message.path);
	return wire_end(&out);
}

static inline bool wire_get_remove_attribute(struct wire_in *in, struct wire_remove_attribute *message)
{
	return wire_get_bool(in, &message->is_following) &&
	       wire_get_u64(in, &message->dev) &&
	       wire_get_u64(in, &message->ino) &&
	       wire_get_bytes(in, &message->name) &&
	       wire_tail(in, &message->path) &&
	       wire_is_done(in);
}

/* getxattr(2); listxattr(2) when `name` is empty */
struct wire_get_attribute {
	bool is_following;
	uint64_t dev;
	uint64_t ino;
	struct wire_bytes name;
	struct wire_bytes path;
};

static inline size_t wire_put_get_attribute(uint8_t *frame, size_t room, uint32_t id, struct wire_get_attribute message)
{
	struct wire_out out = wire_begin(frame, room, 91, id);
	wire_put_bool(&out, message.is_following);
	wire_put_u64(&out, message.dev);
	wire_put_u64(&out, message.ino);
	wire_put_bytes(&out, message.name);
	wire_put_bytes(&out, message.path);
	return wire_end(&out);
}

static inline bool wire_get_get_attribute(struct wire_in *in, struct wire_get_attribute *message)
{
	return wire_get_bool(in, &message->is_following) &&
	       wire_get_u64(in, &message->dev) &&
	       wire_get_u64(in, &message->ino) &&
	       wire_get_bytes(in, &message->name) &&
	       wire_tail(in, &message->path) &&
	       wire_is_done(in);
}

struct wire_attribute_reply {
	int32_t error;
	struct wire_bytes value;
};

static inline size_t wire_put_attribute_reply(uint8_t *frame, size_t room, uint32_t id, struct wire_attribute_reply message)
{
	struct wire_out out = wire_begin(frame, room, 92, id);
	wire_put_i32(&out, message.error);
	wire_put_bytes(&out, message.value);
	return wire_end(&out);
}

static inline bool wire_get_attribute_reply(struct wire_in *in, struct wire_attribute_reply *message)
{
	return wire_get_i32(in, &message->error) &&
	       wire_tail(in, &message->value) &&
	       wire_is_done(in);
}

/* by which path was this file of the target opened, or what became of it since? Answered by PathReply */
struct wire_path_of {
	uint64_t dev;
	uint64_t ino;
};

static inline size_t wire_put_path_of(uint8_t *frame, size_t room, uint32_t id, struct wire_path_of message)
{
	struct wire_out out = wire_begin(frame, room, 93, id);
	wire_put_u64(&out, message.dev);
	wire_put_u64(&out, message.ino);
	return wire_end(&out);
}

static inline bool wire_get_path_of(struct wire_in *in, struct wire_path_of *message)
{
	return wire_get_u64(in, &message->dev) &&
	       wire_get_u64(in, &message->ino) &&
	       wire_is_done(in);
}

/* the name part of getaddrinfo(3); family 0, 4 or 6; flags as the agent's */
struct wire_resolve {
	struct wire_bytes name;
	uint8_t family;
	uint32_t flags;
};

static inline size_t wire_put_resolve(uint8_t *frame, size_t room, uint32_t id, struct wire_resolve message)
{
	struct wire_out out = wire_begin(frame, room, 30, id);
	wire_put_str(&out, message.name);
	wire_put_u8(&out, message.family);
	wire_put_u32(&out, message.flags);
	return wire_end(&out);
}

static inline bool wire_get_resolve(struct wire_in *in, struct wire_resolve *message)
{
	return wire_get_str(in, &message->name) &&
	       wire_get_u8(in, &message->family) &&
	       wire_get_u32(in, &message->flags) &&
	       wire_is_done(in);
}

/* `eai` is 0 or EAI_*; `addresses` are records of 17 bytes: 4 or 6, then 16 bytes (v4 in the first 4); isLocal: this name is to be resolved on this machine */
struct wire_resolve_reply {
	int32_t eai;
	bool is_local;
	struct wire_bytes canonical_name;
	struct wire_bytes addresses;
};

static inline size_t wire_put_resolve_reply(uint8_t *frame, size_t room, uint32_t id, struct wire_resolve_reply message)
{
	struct wire_out out = wire_begin(frame, room, 31, id);
	wire_put_i32(&out, message.eai);
	wire_put_bool(&out, message.is_local);
	wire_put_str(&out, message.canonical_name);
	wire_put_bytes(&out, message.addresses);
	return wire_end(&out);
}

static inline bool wire_get_resolve_reply(struct wire_in *in, struct wire_resolve_reply *message)
{
	return wire_get_i32(in, &message->eai) &&
	       wire_get_bool(in, &message->is_local) &&
	       wire_get_str(in, &message->canonical_name) &&
	       wire_tail(in, &message->addresses) &&
	       wire_is_done(in);
}

/* address (4 or 16 bytes) to name; withAliases: and to its other names, with spaces between */
struct wire_reverse_name {
	struct wire_bytes address;
	bool with_aliases;
};

static inline size_t wire_put_reverse_name(uint8_t *frame, size_t room, uint32_t id, struct wire_reverse_name message)
{
	struct wire_out out = wire_begin(frame, room, 32, id);
	wire_put_bytes(&out, message.address);
	wire_put_bool(&out, message.with_aliases);
	return wire_end(&out);
}

static inline bool wire_get_reverse_name(struct wire_in *in, struct wire_reverse_name *message)
{
	return wire_get_bytes(in, &message->address) &&
	       wire_get_bool(in, &message->with_aliases) &&
	       wire_is_done(in);
}

struct wire_name_reply {
	int32_t eai;
	struct wire_bytes name;
};

static inline size_t wire_put_name_reply(uint8_t *frame, size_t room, uint32_t id, struct wire_name_reply message)
{
	struct wire_out out = wire_begin(frame, room, 33, id);
	wire_put_i32(&out, message.eai);
	wire_put_str(&out, message.name);
	return wire_end(&out);
}

static inline bool wire_get_name_reply(struct wire_in *in, struct wire_name_reply *message)
{
	return wire_get_i32(in, &message->eai) &&
	       wire_tail(in, &message->name) &&
	       wire_is_done(in);
}

/* pread(2) of a file that did not come whole, answered by one Chunk: at least `length` bytes (fewer: it ends there), at most `most`; the intproxy reads ahead of who reads in order */
struct wire_read_file {
	uint64_t handle;
	uint64_t offset;
	uint32_t length;
	uint32_t most;
};

static inline size_t wire_put_read_file(uint8_t *frame, size_t room, uint32_t id, struct wire_read_file message)
{
	struct wire_out out = wire_begin(frame, room, 60, id);
	wire_put_u64(&out, message.handle);
	wire_put_u64(&out, message.offset);
	wire_put_u32(&out, message.length);
	wire_put_u32(&out, message.most);
	return wire_end(&out);
}

static inline bool wire_get_read_file(struct wire_in *in, struct wire_read_file *message)
{
	return wire_get_u64(in, &message->handle) &&
	       wire_get_u64(in, &message->offset) &&
	       wire_get_u32(in, &message->length) &&
	       wire_get_u32(in, &message->most) &&
	       wire_is_done(in);
}

/* fstat(2) of an opened file as it is by now, answered by StatReply; ESTALE: its path leads to another one */
struct wire_refresh {
	uint64_t handle;
};

static inline size_t wire_put_refresh(uint8_t *frame, size_t room, uint32_t id, struct wire_refresh message)
{
	struct wire_out out = wire_begin(frame, room, 62, id);
	wire_put_u64(&out, message.handle);
	return wire_end(&out);
}

static inline bool wire_get_refresh(struct wire_in *in, struct wire_refresh *message)
{
	return wire_get_u64(in, &message->handle) &&
	       wire_is_done(in);
}

/* not answered: a descriptor of this file was closed, perhaps the last one */
struct wire_descriptor_closed {
	uint64_t handle;
};

static inline size_t wire_put_descriptor_closed(uint8_t *frame, size_t room, uint32_t id, struct wire_descriptor_closed message)
{
	struct wire_out out = wire_begin(frame, room, 61, id);
	wire_put_u64(&out, message.handle);
	return wire_end(&out);
}

static inline bool wire_get_descriptor_closed(struct wire_in *in, struct wire_descriptor_closed *message)
{
	return wire_get_u64(in, &message->handle) &&
	       wire_is_done(in);
}

/* does a TCP connection to there leave from this machine? Asked for loopback addresses (a listener of the run itself is local) and, if `asksDestinations`, for all */
struct wire_destination {
	struct wire_bytes address;
	uint16_t port;
};

static inline size_t wire_put_destination(uint8_t *frame, size_t room, uint32_t id, struct wire_destination message)
{
	struct wire_out out = wire_begin(frame, room, 39, id);
	wire_put_bytes(&out, message.address);
	wire_put_u16(&out, message.port);
	return wire_end(&out);
}

static inline bool wire_get_destination(struct wire_in *in, struct wire_destination *message)
{
	return wire_get_bytes(in, &message->address) &&
	       wire_get_u16(in, &message->port) &&
	       wire_is_done(in);
}

struct wire_destination_reply {
	bool is_local;
};

static inline size_t wire_put_destination_reply(uint8_t *frame, size_t room, uint32_t id, struct wire_destination_reply message)
{
	struct wire_out out = wire_begin(frame, room, 46, id);
	wire_put_bool(&out, message.is_local);
	return wire_end(&out);
}

static inline bool wire_get_destination_reply(struct wire_in *in, struct wire_destination_reply *message)
{
	return wire_get_bool(in, &message->is_local) &&
	       wire_is_done(in);
}

/* the app's socket at `localAddress`:`localPort` (loopback) wants to reach `address`:`port`. isBlocking: answered by ConnectReply when the agent has answered; at success the shim then connects the socket to acceptPort. Else not answered: the shim has connected the socket to holePort, where it stays in SYN_SENT until the intproxy completes it (by simultaneous open) or breaks it */
struct wire_connect {
	struct wire_bytes address;
	uint16_t port;
	struct wire_bytes local_address;
	uint16_t local_port;
	bool is_blocking;
	uint64_t bound_inode;
	struct wire_bytes bound_address;
	uint16_t bound_port;
};

static inline size_t wire_put_connect(uint8_t *frame, size_t room, uint32_t id, struct wire_connect message)
{
	struct wire_out out = wire_begin(frame, room, 40, id);
	wire_put_bytes(&out, message.address);
	wire_put_u16(&out, message.port);
	wire_put_bytes(&out, message.local_address);
	wire_put_u16(&out, message.local_port);
	wire_put_bool(&out, message.is_blocking);
	wire_put_u64(&out, message.bound_inode);
	wire_put_bytes(&out, message.bound_address);
	wire_put_u16(&out, message.bound_port);
	return wire_end(&out);
}

static inline bool wire_get_connect(struct wire_in *in, struct wire_connect *message)
{
	return wire_get_bytes(in, &message->address) &&
	       wire_get_u16(in, &message->port) &&
	       wire_get_bytes(in, &message->local_address) &&
	       wire_get_u16(in, &message->local_port) &&
	       wire_get_bool(in, &message->is_blocking) &&
	       wire_get_u64(in, &message->bound_inode) &&
	       wire_get_bytes(in, &message->bound_address) &&
	       wire_get_u16(in, &message->bound_port) &&
	       wire_is_done(in);
}

/* how the agent's connect ended */
struct wire_connect_reply {
	int32_t error;
};

static inline size_t wire_put_connect_reply(uint8_t *frame, size_t room, uint32_t id, struct wire_connect_reply message)
{
	struct wire_out out = wire_begin(frame, room, 41, id);
	wire_put_i32(&out, message.error);
	return wire_end(&out);
}

static inline bool wire_get_connect_reply(struct wire_in *in, struct wire_connect_reply *message)
{
	return wire_get_i32(in, &message->error) &&
	       wire_is_done(in);
}

/* how a connect of the socket at this local address went; answered by ConnectStatusReply */
struct wire_connect_status {
	struct wire_bytes local_address;
	uint16_t local_port;
};

static inline size_t wire_put_connect_status(uint8_t *frame, size_t room, uint32_t id, struct wire_connect_status message)
{
	struct wire_out out = wire_begin(frame, room, 42, id);
	wire_put_bytes(&out, message.local_address);
	wire_put_u16(&out, message.local_port);
	return wire_end(&out);
}

static inline bool wire_get_connect_status(struct wire_in *in, struct wire_connect_status *message)
{
	return wire_get_bytes(in, &message->local_address) &&
	       wire_get_u16(in, &message->local_port) &&
	       wire_is_done(in);
}

/* `isKnown` false: not ours. `isPending`: no answer of the agent yet. Else errno is how it ended */
struct wire_connect_status_reply {
	bool is_known;
	bool is_pending;
	int32_t error;
};

static inline size_t wire_put_connect_status_reply(uint8_t *frame, size_t room, uint32_t id, struct wire_connect_status_reply message)
{
	struct wire_out out = wire_begin(frame, room, 43, id);
	wire_put_bool(&out, message.is_known);
	wire_put_bool(&out, message.is_pending);
	wire_put_i32(&out, message.error);
	return wire_end(&out);
}

static inline bool wire_get_connect_status_reply(struct wire_in *in, struct wire_connect_status_reply *message)
{
	return wire_get_bool(in, &message->is_known) &&
	       wire_get_bool(in, &message->is_pending) &&
	       wire_get_i32(in, &message->error) &&
	       wire_is_done(in);
}

/* what getpeername and getsockname tell of the socket at this local address (waits while the connect is pending) */
struct wire_socket_names {
	struct wire_bytes local_address;
	uint16_t local_port;
};

static inline size_t wire_put_socket_names(uint8_t *frame, size_t room, uint32_t id, struct wire_socket_names message)
{
	struct wire_out out = wire_begin(frame, room, 44, id);
	wire_put_bytes(&out, message.local_address);
	wire_put_u16(&out, message.local_port);
	return wire_end(&out);
}

static inline bool wire_get_socket_names(struct wire_in *in, struct wire_socket_names *message)
{
	return wire_get_bytes(in, &message->local_address) &&
	       wire_get_u16(in, &message->local_port) &&
	       wire_is_done(in);
}

/* addresses have 4 or 16 bytes; isKnown false: not ours */
struct wire_socket_names_reply {
	bool is_known;
	struct wire_bytes peer_address;
	uint16_t peer_port;
	struct wire_bytes own_address;
	uint16_t own_port;
};

static inline size_t wire_put_socket_names_reply(uint8_t *frame, size_t room, uint32_t id, struct wire_socket_names_reply message)
{
	struct wire_out out = wire_begin(frame, room, 45, id);
	wire_put_bool(&out, message.is_known);
	wire_put_bytes(&out, message.peer_address);
	wire_put_u16(&out, message.peer_port);
	wire_put_bytes(&out, message.own_address);
	wire_put_u16(&out, message.own_port);
	return wire_end(&out);
}

static inline bool wire_get_socket_names_reply(struct wire_in *in, struct wire_socket_names_reply *message)
{
	return wire_get_bool(in, &message->is_known) &&
	       wire_get_bytes(in, &message->peer_address) &&
	       wire_get_u16(in, &message->peer_port) &&
	       wire_get_bytes(in, &message->own_address) &&
	       wire_get_u16(in, &message->own_port) &&
	       wire_is_done(in);
}

/* the app's UDP socket, bound to `localPort`, wants to send to `address`:`port`; answered by RelayDatagramsReply. isConnect: it is about to be connected, and the answer tells how connect(2) ends in the target. isIpv6Only: the socket cannot use IPv4, so the relay is on ::1 */
struct wire_relay_datagrams {
	struct wire_bytes address;
	uint16_t port;
	uint16_t local_port;
	bool is_connect;
	bool is_ipv6_only;
	int32_t fd;
	uint64_t inode;
};

static inline size_t wire_put_relay_datagrams(uint8_t *frame, size_t room, uint32_t id, struct wire_relay_datagrams message)
{
	struct wire_out out = wire_begin(frame, room, 47, id);
	wire_put_bytes(&out, message.address);
	wire_put_u16(&out, message.port);
	wire_put_u16(&out, message.local_port);
	wire_put_bool(&out, message.is_connect);
	wire_put_bool(&out, message.is_ipv6_only);
	wire_put_i32(&out, message.fd);
	wire_put_u64(&out, message.inode);
	return wire_end(&out);
}

static inline bool wire_get_relay_datagrams(struct wire_in *in, struct wire_relay_datagrams *message)
{
	return wire_get_bytes(in, &message->address) &&
	       wire_get_u16(in, &message->port) &&
	       wire_get_u16(in, &message->local_port) &&
	       wire_get_bool(in, &message->is_connect) &&
	       wire_get_bool(in, &message->is_ipv6_only) &&
	       wire_get_i32(in, &message->fd) &&
	       wire_get_u64(in, &message->inode) &&
	       wire_is_done(in);
}

/* isLocal: what is sent there leaves from this machine. Else the port of the relay for this peer */
struct wire_relay_datagrams_reply {
	int32_t error;
	bool is_local;
	uint16_t relay_port;
};

static inline size_t wire_put_relay_datagrams_reply(uint8_t *frame, size_t room, uint32_t id, struct wire_relay_datagrams_reply message)
{
	struct wire_out out = wire_begin(frame, room, 48, id);
	wire_put_i32(&out, message.error);
	wire_put_bool(&out, message.is_local);
	wire_put_u16(&out, message.relay_port);
	return wire_end(&out);
}

static inline bool wire_get_relay_datagrams_reply(struct wire_in *in, struct wire_relay_datagrams_reply *message)
{
	return wire_get_i32(in, &message->error) &&
	       wire_get_bool(in, &message->is_local) &&
	       wire_get_u16(in, &message->relay_port) &&
	       wire_is_done(in);
}

/* for whom a UDP relay stands, and the own end of the app's socket at `localPort`; answered by SocketNamesReply */
struct wire_datagram_names {
	uint16_t relay_port;
	uint16_t local_port;
	bool is_ipv6_only;
};

static inline size_t wire_put_datagram_names(uint8_t *frame, size_t room, uint32_t id, struct wire_datagram_names message)
{
	struct wire_out out = wire_begin(frame, room, 49, id);
	wire_put_u16(&out, message.relay_port);
	wire_put_u16(&out, message.local_port);
	wire_put_bool(&out, message.is_ipv6_only);
	return wire_end(&out);
}

static inline bool wire_get_datagram_names(struct wire_in *in, struct wire_datagram_names *message)
{
	return wire_get_u16(in, &message->relay_port) &&
	       wire_get_u16(in, &message->local_port) &&
	       wire_get_bool(in, &message->is_ipv6_only) &&
	       wire_is_done(in);
}

/* the app's Unix socket (`inode`) wants to reach `name`: an absolute path, or NUL and an abstract name. Answered when the agent has answered; at success the shim connects the socket to the relay for its kind (isPackets: SOCK_SEQPACKET) and sends `token`, 8 bytes, as the first that it says */
struct wire_connect_unix {
	uint64_t inode;
	struct wire_bytes name;
	bool is_packets;
	bool is_blocking;
};

static inline size_t wire_put_connect_unix(uint8_t *frame, size_t room, uint32_t id, struct wire_connect_unix message)
{
	struct wire_out out = wire_begin(frame, room, 130, id);
	wire_put_u64(&out, message.inode);
	wire_put_bytes(&out, message.name);
	wire_put_bool(&out, message.is_packets);
	wire_put_bool(&out, message.is_blocking);
	return wire_end(&out);
}

static inline bool wire_get_connect_unix(struct wire_in *in, struct wire_connect_unix *message)
{
	return wire_get_u64(in, &message->inode) &&
	       wire_get_bytes(in, &message->name) &&
	       wire_get_bool(in, &message->is_packets) &&
	       wire_get_bool(in, &message->is_blocking) &&
	       wire_is_done(in);
}

struct wire_connect_unix_reply {
	int32_t error;
	uint64_t token;
};

static inline size_t wire_put_connect_unix_reply(uint8_t *frame, size_t room, uint32_t id, struct wire_connect_unix_reply message)
{
	struct wire_out out = wire_begin(frame, room, 131, id);
	wire_put_i32(&out, message.error);
	wire_put_u64(&out, message.token);
	return wire_end(&out);
}

static inline bool wire_get_connect_unix_reply(struct wire_in *in, struct wire_connect_unix_reply *message)
{
	return wire_get_i32(in, &message->error) &&
	       wire_get_u64(in, &message->token) &&
	       wire_is_done(in);
}

/* whom the socket `inode` reached at the target */
struct wire_unix_peer {
	uint64_t inode;
};

static inline size_t wire_put_unix_peer(uint8_t *frame, size_t room, uint32_t id, struct wire_unix_peer message)
{
	struct wire_out out = wire_begin(frame, room, 132, id);
	wire_put_u64(&out, message.inode);
	return wire_end(&out);
}

static inline bool wire_get_unix_peer(struct wire_in *in, struct wire_unix_peer *message)
{
	return wire_get_u64(in, &message->inode) &&
	       wire_is_done(in);
}

/* what getpeername and SO_PEERCRED tell; isKnown false: not ours */
struct wire_unix_peer_reply {
	bool is_known;
	struct wire_bytes name;
	int32_t pid;
	uint32_t uid;
	uint32_t gid;
};

static inline size_t wire_put_unix_peer_reply(uint8_t *frame, size_t room, uint32_t id, struct wire_unix_peer_reply message)
{
	struct wire_out out = wire_begin(frame, room, 133, id);
	wire_put_bool(&out, message.is_known);
	wire_put_bytes(&out, message.name);
	wire_put_i32(&out, message.pid);
	wire_put_u32(&out, message.uid);
	wire_put_u32(&out, message.gid);
	return wire_end(&out);
}

static inline bool wire_get_unix_peer_reply(struct wire_in *in, struct wire_unix_peer_reply *message)
{
	return wire_get_bool(in, &message->is_known) &&
	       wire_get_bytes(in, &message->name) &&
	       wire_get_i32(in, &message->pid) &&
	       wire_get_u32(in, &message->uid) &&
	       wire_get_u32(in, &message->gid) &&
	       wire_is_done(in);
}

/* open(2) of what is neither a file nor a directory; `flags` are open(2)'s. Answered by FifoPlace */
struct wire_open_fifo {
	struct wire_bytes path;
	uint32_t flags;
};

static inline size_t wire_put_open_fifo(uint8_t *frame, size_t room, uint32_t id, struct wire_open_fifo message)
{
	struct wire_out out = wire_begin(frame, room, 178, id);
	wire_put_bytes(&out, message.path);
	wire_put_u32(&out, message.flags);
	return wire_end(&out);
}

static inline bool wire_get_open_fifo(struct wire_in *in, struct wire_open_fifo *message)
{
	return wire_get_bytes(in, &message->path) &&
	       wire_get_u32(in, &message->flags) &&
	       wire_is_done(in);
}

/* the FIFO of this machine that stands for the target's: the shim opens `path`, which may wait as open(2) does, and says FifoOpened. ENXIO: it is no FIFO, or nobody reads it */
struct wire_fifo_place {
	int32_t error;
	uint64_t token;
	struct wire_bytes path;
};

static inline size_t wire_put_fifo_place(uint8_t *frame, size_t room, uint32_t id, struct wire_fifo_place message)
{
	struct wire_out out = wire_begin(frame, room, 179, id);
	wire_put_i32(&out, message.error);
	wire_put_u64(&out, message.token);
	wire_put_bytes(&out, message.path);
	return wire_end(&out);
}

static inline bool wire_get_fifo_place(struct wire_in *in, struct wire_fifo_place *message)
{
	return wire_get_i32(in, &message->error) &&
	       wire_get_u64(in, &message->token) &&
	       wire_tail(in, &message->path) &&
	       wire_is_done(in);
}

/* open(2) of a FifoPlace has ended, one way or the other; not answered */
struct wire_fifo_opened {
	uint64_t token;
};

static inline size_t wire_put_fifo_opened(uint8_t *frame, size_t room, uint32_t id, struct wire_fifo_opened message)
{
	struct wire_out out = wire_begin(frame, room, 180, id);
	wire_put_u64(&out, message.token);
	return wire_end(&out);
}

static inline bool wire_get_fifo_opened(struct wire_in *in, struct wire_fifo_opened *message)
{
	return wire_get_u64(in, &message->token) &&
	       wire_is_done(in);
}

/* getifaddrs(3); `family` 4, or 0: all. Answered by Interfaces */
struct wire_get_interfaces {
	uint8_t family;
};

static inline size_t wire_put_get_interfaces(uint8_t *frame, size_t room, uint32_t id, struct wire_get_interfaces message)
{
	struct wire_out out = wire_begin(frame, room, 134, id);
	wire_put_u8(&out, message.family);
	return wire_end(&out);
}

static inline bool wire_get_get_interfaces(struct wire_in *in, struct wire_get_interfaces *message)
{
	return wire_get_u8(in, &message->family) &&
	       wire_is_done(in);
}

/* records of 80 bytes (native/interfaces.c); none when nobody knows */
struct wire_interfaces {
	struct wire_bytes records;
};

static inline size_t wire_put_interfaces(uint8_t *frame, size_t room, uint32_t id, struct wire_interfaces message)
{
	struct wire_out out = wire_begin(frame, room, 135, id);
	wire_put_bytes(&out, message.records);
	return wire_end(&out);
}

static inline bool wire_get_interfaces(struct wire_in *in, struct wire_interfaces *message)
{
	return wire_tail(in, &message->records) &&
	       wire_is_done(in);
}

/* the socket `inode` shall be bound to an address that this machine does not have; answered by Done: EADDRNOTAVAIL, or 0 when it is the target's, and then its name is this, wherever it is bound really */
struct wire_bind_elsewhere {
	uint64_t inode;
	struct wire_bytes address;
	uint16_t port;
};

static inline size_t wire_put_bind_elsewhere(uint8_t *frame, size_t room, uint32_t id, struct wire_bind_elsewhere message)
{
	struct wire_out out = wire_begin(frame, room, 136, id);
	wire_put_u64(&out, message.inode);
	wire_put_bytes(&out, message.address);
	wire_put_u16(&out, message.port);
	return wire_end(&out);
}

static inline bool wire_get_bind_elsewhere(struct wire_in *in, struct wire_bind_elsewhere *message)
{
	return wire_get_u64(in, &message->inode) &&
	       wire_get_bytes(in, &message->address) &&
	       wire_get_u16(in, &message->port) &&
	       wire_is_done(in);
}

/* as the agent's AskNetlink */
struct wire_ask_netlink {
	uint8_t protocol;
	uint32_t options;
	struct wire_bytes request;
};

static inline size_t wire_put_ask_netlink(uint8_t *frame, size_t room, uint32_t id, struct wire_ask_netlink message)
{
	struct wire_out out = wire_begin(frame, room, 188, id);
	wire_put_u8(&out, message.protocol);
	wire_put_u32(&out, message.options);
	wire_put_bytes(&out, message.request);
	return wire_end(&out);
}

static inline bool wire_get_ask_netlink(struct wire_in *in, struct wire_ask_netlink *message)
{
	return wire_get_u8(in, &message->protocol) &&
	       wire_get_u32(in, &message->options) &&
	       wire_tail(in, &message->request) &&
	       wire_is_done(in);
}

/* as the agent's AskInterface, but a record of what was asked is the answer */
struct wire_ask_interface {
	uint8_t family;
	uint32_t request;
	uint32_t command;
	struct wire_bytes ifreq;
};

static inline size_t wire_put_ask_interface(uint8_t *frame, size_t room, uint32_t id, struct wire_ask_interface message)
{
	struct wire_out out = wire_begin(frame, room, 189, id);
	wire_put_u8(&out, message.family);
	wire_put_u32(&out, message.request);
	wire_put_u32(&out, message.command);
	wire_put_bytes(&out, message.ifreq);
	return wire_end(&out);
}

static inline bool wire_get_ask_interface(struct wire_in *in, struct wire_ask_interface *message)
{
	return wire_get_u8(in, &message->family) &&
	       wire_get_u32(in, &message->request) &&
	       wire_get_u32(in, &message->command) &&
	       wire_tail(in, &message->ifreq) &&
	       wire_is_done(in);
}

struct wire_network_answer {
	int32_t error;
	struct wire_bytes data;
};

static inline size_t wire_put_network_answer(uint8_t *frame, size_t room, uint32_t id, struct wire_network_answer message)
{
	struct wire_out out = wire_begin(frame, room, 190, id);
	wire_put_i32(&out, message.error);
	wire_put_bytes(&out, message.data);
	return wire_end(&out);
}

static inline bool wire_get_network_answer(struct wire_in *in, struct wire_network_answer *message)
{
	return wire_get_i32(in, &message->error) &&
	       wire_tail(in, &message->data) &&
	       wire_is_done(in);
}

/* the app wants to send datagrams to a Unix socket of the target, `name` as in ConnectUnix */
struct wire_relay_unix_datagrams {
	struct wire_bytes name;
};

static inline size_t wire_put_relay_unix_datagrams(uint8_t *frame, size_t room, uint32_t id, struct wire_relay_unix_datagrams message)
{
	struct wire_out out = wire_begin(frame, room, 191, id);
	wire_put_bytes(&out, message.name);
	return wire_end(&out);
}

static inline bool wire_get_relay_unix_datagrams(struct wire_in *in, struct wire_relay_unix_datagrams *message)
{
	return wire_tail(in, &message->name) &&
	       wire_is_done(in);
}

/* the relay for them is `datagrams-` and this number, in the session's directory */
struct wire_relay_unix_datagrams_reply {
	int32_t error;
	uint32_t number;
};

static inline size_t wire_put_relay_unix_datagrams_reply(uint8_t *frame, size_t room, uint32_t id, struct wire_relay_unix_datagrams_reply message)
{
	struct wire_out out = wire_begin(frame, room, 192, id);
	wire_put_i32(&out, message.error);
	wire_put_u32(&out, message.number);
	return wire_end(&out);
}

static inline bool wire_get_relay_unix_datagrams_reply(struct wire_in *in, struct wire_relay_unix_datagrams_reply *message)
{
	return wire_get_i32(in, &message->error) &&
	       wire_get_u32(in, &message->number) &&
	       wire_is_done(in);
}

/* as the agent's AskDns */
struct wire_ask_dns {
	struct wire_bytes name;
	uint16_t record_type;
	uint16_t record_class;
	bool is_search;
	uint32_t options;
	struct wire_bytes servers;
	struct wire_bytes query;
};

static inline size_t wire_put_ask_dns(uint8_t *frame, size_t room, uint32_t id, struct wire_ask_dns message)
{
	struct wire_out out = wire_begin(frame, room, 137, id);
	wire_put_str(&out, message.name);
	wire_put_u16(&out, message.record_type);
	wire_put_u16(&out, message.record_class);
	wire_put_bool(&out, message.is_search);
	wire_put_u32(&out, message.options);
	wire_put_bytes(&out, message.servers);
	wire_put_bytes(&out, message.query);
	return wire_end(&out);
}

static inline bool wire_get_ask_dns(struct wire_in *in, struct wire_ask_dns *message)
{
	return wire_get_str(in, &message->name) &&
	       wire_get_u16(in, &message->record_type) &&
	       wire_get_u16(in, &message->record_class) &&
	       wire_get_bool(in, &message->is_search) &&
	       wire_get_u32(in, &message->options) &&
	       wire_get_bytes(in, &message->servers) &&
	       wire_tail(in, &message->query) &&
	       wire_is_done(in);
}

struct wire_dns_answer {
	bool is_local;
	int32_t net_error;
	int32_t error;
	struct wire_bytes answer;
};

static inline size_t wire_put_dns_answer(uint8_t *frame, size_t room, uint32_t id, struct wire_dns_answer message)
{
	struct wire_out out = wire_begin(frame, room, 138, id);
	wire_put_bool(&out, message.is_local);
	wire_put_i32(&out, message.net_error);
	wire_put_i32(&out, message.error);
	wire_put_bytes(&out, message.answer);
	return wire_end(&out);
}

static inline bool wire_get_dns_answer(struct wire_in *in, struct wire_dns_answer *message)
{
	return wire_get_bool(in, &message->is_local) &&
	       wire_get_i32(in, &message->net_error) &&
	       wire_get_i32(in, &message->error) &&
	       wire_tail(in, &message->answer) &&
	       wire_is_done(in);
}

/* the target's resolv.conf, as the agent's GetResolver */
struct wire_get_resolver {
	uint8_t family;
};

static inline size_t wire_put_get_resolver(uint8_t *frame, size_t room, uint32_t id, struct wire_get_resolver message)
{
	struct wire_out out = wire_begin(frame, room, 139, id);
	wire_put_u8(&out, message.family);
	return wire_end(&out);
}

static inline bool wire_get_get_resolver(struct wire_in *in, struct wire_get_resolver *message)
{
	return wire_get_u8(in, &message->family) &&
	       wire_is_done(in);
}

/* open(2) of a remote path for writing or creating; `umask` is the program's. Answered by OnShelf */
struct wire_open_writing {
	struct wire_bytes path;
	uint32_t flags;
	uint32_t mode;
	uint32_t umask;
};

static inline size_t wire_put_open_writing(uint8_t *frame, size_t room, uint32_t id, struct wire_open_writing message)
{
	struct wire_out out = wire_begin(frame, room, 70, id);
	wire_put_bytes(&out, message.path);
	wire_put_u32(&out, message.flags);
	wire_put_u32(&out, message.mode);
	wire_put_u32(&out, message.umask);
	return wire_end(&out);
}

static inline bool wire_get_open_writing(struct wire_in *in, struct wire_open_writing *message)
{
	return wire_get_bytes(in, &message->path) &&
	       wire_get_u32(in, &message->flags) &&
	       wire_get_u32(in, &message->mode) &&
	       wire_get_u32(in, &message->umask) &&
	       wire_is_done(in);
}

/* the shelf (docs/decisions/0011) hands out the file of this number */
struct wire_on_shelf {
	int32_t error;
	uint64_t file;
};

static inline size_t wire_put_on_shelf(uint8_t *frame, size_t room, uint32_t id, struct wire_on_shelf message)
{
	struct wire_out out = wire_begin(frame, room, 71, id);
	wire_put_i32(&out, message.error);
	wire_put_u64(&out, message.file);
	return wire_end(&out);
}

static inline bool wire_get_on_shelf(struct wire_in *in, struct wire_on_shelf *message)
{
	return wire_get_i32(in, &message->error) &&
	       wire_get_u64(in, &message->file) &&
	       wire_is_done(in);
}

/* what was written to the file (0: to all files of the run) is at the target when Done is answered. `how`: 1 and fdatasync(2), 2 and fsync(2) */
struct wire_sync_writing {
	uint64_t file;
	uint32_t how;
};

static inline size_t wire_put_sync_writing(uint8_t *frame, size_t room, uint32_t id, struct wire_sync_writing message)
{
	struct wire_out out = wire_begin(frame, room, 72, id);
	wire_put_u64(&out, message.file);
	wire_put_u32(&out, message.how);
	return wire_end(&out);
}

static inline bool wire_get_sync_writing(struct wire_in *in, struct wire_sync_writing *message)
{
	return wire_get_u64(in, &message->file) &&
	       wire_get_u32(in, &message->how) &&
	       wire_is_done(in);
}

/* fstat(2) of a file of the shelf; answered by StatReply */
struct wire_stat_writing {
	uint64_t file;
};

static inline size_t wire_put_stat_writing(uint8_t *frame, size_t room, uint32_t id, struct wire_stat_writing message)
{
	struct wire_out out = wire_begin(frame, room, 73, id);
	wire_put_u64(&out, message.file);
	return wire_end(&out);
}

static inline bool wire_get_stat_writing(struct wire_in *in, struct wire_stat_writing *message)
{
	return wire_get_u64(in, &message->file) &&
	       wire_is_done(in);
}

/* fallocate(2) at the target of a file of the shelf; answered by Done */
struct wire_allocate_writing {
	uint64_t file;
	uint32_t mode;
	uint64_t offset;
	uint64_t length;
};

static inline size_t wire_put_allocate_writing(uint8_t *frame, size_t room, uint32_t id, struct wire_allocate_writing message)
{
	struct wire_out out = wire_begin(frame, room, 74, id);
	wire_put_u64(&out, message.file);
	wire_put_u32(&out, message.mode);
	wire_put_u64(&out, message.offset);
	wire_put_u64(&out, message.length);
	return wire_end(&out);
}

static inline bool wire_get_allocate_writing(struct wire_in *in, struct wire_allocate_writing *message)
{
	return wire_get_u64(in, &message->file) &&
	       wire_get_u32(in, &message->mode) &&
	       wire_get_u64(in, &message->offset) &&
	       wire_get_u64(in, &message->length) &&
	       wire_is_done(in);
}

/* the file is mapped shared and writable; not answered */
struct wire_mapped_writing {
	uint64_t file;
};

static inline size_t wire_put_mapped_writing(uint8_t *frame, size_t room, uint32_t id, struct wire_mapped_writing message)
{
	struct wire_out out = wire_begin(frame, room, 75, id);
	wire_put_u64(&out, message.file);
	return wire_end(&out);
}

static inline bool wire_get_mapped_writing(struct wire_in *in, struct wire_mapped_writing *message)
{
	return wire_get_u64(in, &message->file) &&
	       wire_is_done(in);
}

/* `length` bytes were written to a file whose mode says that this is to be asked: does the target have them, or room for them? Answered by Wrote */
struct wire_check_writing {
	uint64_t file;
	uint64_t length;
};

static inline size_t wire_put_check_writing(uint8_t *frame, size_t room, uint32_t id, struct wire_check_writing message)
{
	struct wire_out out = wire_begin(frame, room, 158, id);
	wire_put_u64(&out, message.file);
	wire_put_u64(&out, message.length);
	return wire_end(&out);
}

static inline bool wire_get_check_writing(struct wire_in *in, struct wire_check_writing *message)
{
	return wire_get_u64(in, &message->file) &&
	       wire_get_u64(in, &message->length) &&
	       wire_is_done(in);
}

/* errno, and up to where the target has the file: what it could not take is not here any more either */
struct wire_wrote {
	int32_t error;
	uint64_t size;
};

static inline size_t wire_put_wrote(uint8_t *frame, size_t room, uint32_t id, struct wire_wrote message)
{
	struct wire_out out = wire_begin(frame, room, 159, id);
	wire_put_i32(&out, message.error);
	wire_put_u64(&out, message.size);
	return wire_end(&out);
}

static inline bool wire_get_wrote(struct wire_in *in, struct wire_wrote *message)
{
	return wire_get_i32(in, &message->error) &&
	       wire_get_u64(in, &message->size) &&
	       wire_is_done(in);
}

/* the number on the shelf of this file of the target; answered by OnShelf, ENOENT: the run does not write it, EAGAIN: not all of it is here. isToTake: it is taken from the shelf then */
struct wire_find_writing {
	uint64_t dev;
	uint64_t ino;
	bool is_to_take;
};

static inline size_t wire_put_find_writing(uint8_t *frame, size_t room, uint32_t id, struct wire_find_writing message)
{
	struct wire_out out = wire_begin(frame, room, 160, id);
	wire_put_u64(&out, message.dev);
	wire_put_u64(&out, message.ino);
	wire_put_bool(&out, message.is_to_take);
	return wire_end(&out);
}

static inline bool wire_get_find_writing(struct wire_in *in, struct wire_find_writing *message)
{
	return wire_get_u64(in, &message->dev) &&
	       wire_get_u64(in, &message->ino) &&
	       wire_get_bool(in, &message->is_to_take) &&
	       wire_is_done(in);
}

/* may this be the working directory? Answered by PathReply: the path without links */
struct wire_change_directory {
	struct wire_bytes path;
};

static inline size_t wire_put_change_directory(uint8_t *frame, size_t room, uint32_t id, struct wire_change_directory message)
{
	struct wire_out out = wire_begin(frame, room, 100, id);
	wire_put_bytes(&out, message.path);
	return wire_end(&out);
}

static inline bool wire_get_change_directory(struct wire_in *in, struct wire_change_directory *message)
{
	return wire_tail(in, &message->path) &&
	       wire_is_done(in);
}

/* inotify_add_watch(2) of a path of the target; answered by PathReply: what to watch here in its place */
struct wire_watch_path {
	struct wire_bytes path;
	uint32_t mask;
};

static inline size_t wire_put_watch_path(uint8_t *frame, size_t room, uint32_t id, struct wire_watch_path message)
{
	struct wire_out out = wire_begin(frame, room, 163, id);
	wire_put_bytes(&out, message.path);
	wire_put_u32(&out, message.mask);
	return wire_end(&out);
}

static inline bool wire_get_watch_path(struct wire_in *in, struct wire_watch_path *message)
{
	return wire_get_bytes(in, &message->path) &&
	       wire_get_u32(in, &message->mask) &&
	       wire_is_done(in);
}

/* which path `path` stands for by `feature.fs.mapping`; answered by PathReply, ENOENT: it stands for itself */
struct wire_map_path {
	struct wire_bytes path;
};

static inline size_t wire_put_map_path(uint8_t *frame, size_t room, uint32_t id, struct wire_map_path message)
{
	struct wire_out out = wire_begin(frame, room, 105, id);
	wire_put_bytes(&out, message.path);
	return wire_end(&out);
}

static inline bool wire_get_map_path(struct wire_in *in, struct wire_map_path *message)
{
	return wire_tail(in, &message->path) &&
	       wire_is_done(in);
}

/* bind(2) of a TCP socket (`inode`) to a port that is not 0, about to happen */
struct wire_bind {
	uint64_t inode;
	struct wire_bytes address;
	uint16_t port;
	bool is_v6_only;
};

static inline size_t wire_put_bind(uint8_t *frame, size_t room, uint32_t id, struct wire_bind message)
{
	struct wire_out out = wire_begin(frame, room, 110, id);
	wire_put_u64(&out, message.inode);
	wire_put_bytes(&out, message.address);
	wire_put_u16(&out, message.port);
	wire_put_bool(&out, message.is_v6_only);
	return wire_end(&out);
}

static inline bool wire_get_bind(struct wire_in *in, struct wire_bind *message)
{
	return wire_get_u64(in, &message->inode) &&
	       wire_get_bytes(in, &message->address) &&
	       wire_get_u16(in, &message->port) &&
	       wire_get_bool(in, &message->is_v6_only) &&
	       wire_is_done(in);
}

/* `isIncoming` false: all local. `port` is where to bind really (listen_ports), `isFixed`: and nowhere else. `takenPort` is where another socket of the run is really bound that this one cannot be beside, 0: none */
struct wire_bind_reply {
	bool is_incoming;
	uint16_t port;
	bool is_fixed;
	uint16_t taken_port;
};

static inline size_t wire_put_bind_reply(uint8_t *frame, size_t room, uint32_t id, struct wire_bind_reply message)
{
	struct wire_out out = wire_begin(frame, room, 111, id);
	wire_put_bool(&out, message.is_incoming);
	wire_put_u16(&out, message.port);
	wire_put_bool(&out, message.is_fixed);
	wire_put_u16(&out, message.taken_port);
	return wire_end(&out);
}

static inline bool wire_get_bind_reply(struct wire_in *in, struct wire_bind_reply *message)
{
	return wire_get_bool(in, &message->is_incoming) &&
	       wire_get_u16(in, &message->port) &&
	       wire_get_bool(in, &message->is_fixed) &&
	       wire_get_u16(in, &message->taken_port) &&
	       wire_is_done(in);
}

/* the socket listens, really at this address; answered by Done when the target's port is subscribed, or is not to be */
struct wire_listen {
	uint64_t inode;
	struct wire_bytes address;
	uint16_t port;
};

static inline size_t wire_put_listen(uint8_t *frame, size_t room, uint32_t id, struct wire_listen message)
{
	struct wire_out out = wire_begin(frame, room, 112, id);
	wire_put_u64(&out, message.inode);
	wire_put_bytes(&out, message.address);
	wire_put_u16(&out, message.port);
	return wire_end(&out);
}

static inline bool wire_get_listen(struct wire_in *in, struct wire_listen *message)
{
	return wire_get_u64(in, &message->inode) &&
	       wire_get_bytes(in, &message->address) &&
	       wire_get_u16(in, &message->port) &&
	       wire_is_done(in);
}

/* the descriptor `fd` of a listening socket was closed: is the socket still there? Answered by Done, when the target's port is the target's again if it is not */
struct wire_listener_closed {
	int32_t fd;
};

static inline size_t wire_put_listener_closed(uint8_t *frame, size_t room, uint32_t id, struct wire_listener_closed message)
{
	struct wire_out out = wire_begin(frame, room, 113, id);
	wire_put_i32(&out, message.fd);
	return wire_end(&out);
}

static inline bool wire_get_listener_closed(struct wire_in *in, struct wire_listener_closed *message)
{
	return wire_get_i32(in, &message->fd) &&
	       wire_is_done(in);
}

/* what getsockname tells of a bound socket; answered by SocketNamesReply, own* only */
struct wire_bound_name {
	uint64_t inode;
};

static inline size_t wire_put_bound_name(uint8_t *frame, size_t room, uint32_t id, struct wire_bound_name message)
{
	struct wire_out out = wire_begin(frame, room, 114, id);
	wire_put_u64(&out, message.inode);
	return wire_end(&out);
}

static inline bool wire_get_bound_name(struct wire_in *in, struct wire_bound_name *message)
{
	return wire_get_u64(in, &message->inode) &&
	       wire_is_done(in);
}

/* who is at the other end of an accepted connection that comes from this local address; SocketNamesReply */
struct wire_accepted_names {
	struct wire_bytes peer_address;
	uint16_t peer_port;
	uint16_t local_port;
};

static inline size_t wire_put_accepted_names(uint8_t *frame, size_t room, uint32_t id, struct wire_accepted_names message)
{
	struct wire_out out = wire_begin(frame, room, 115, id);
	wire_put_bytes(&out, message.peer_address);
	wire_put_u16(&out, message.peer_port);
	wire_put_u16(&out, message.local_port);
	return wire_end(&out);
}

static inline bool wire_get_accepted_names(struct wire_in *in, struct wire_accepted_names *message)
{
	return wire_get_bytes(in, &message->peer_address) &&
	       wire_get_u16(in, &message->peer_port) &&
	       wire_get_u16(in, &message->local_port) &&
	       wire_is_done(in);
}

#endif
