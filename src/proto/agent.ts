/**
 * The wire between intproxy and agent: CBOR maps `{ id, type, … }` in frames of a u32 little-endian length.
 *
 * The client numbers its requests from 1; an answer carries the id of its request. Answers come in any order. Stream
 * messages (Data, End, Reset, Credit) and Warning carry id 0. A type the peer does not know is answered by Refused.
 * The first message each way is Hello and HelloReply; nothing else is answered before the secret was right.
 */
import type { MessageOf, Schema } from "./schema.ts";
import { NETWORK_OF_AGENT } from "./network.ts";
import { ATTRIBUTES, TREE } from "./tree.ts";
import { UNBOUNDED, WRITE, WRITING } from "./writing.ts";

export { UNBOUNDED, WRITE };

/** Raised when an existing message changes its meaning; the handshake states it. */
export const AGENT_PROTOCOL = 1;

export const AGENT_LIMITS = {
  /** Longest frame either side accepts, in bytes. */
  frameBytes: 4 << 20,
  /** Longest frame before the handshake is done. */
  helloFrameBytes: 4096,
  /** Bulk bytes in one Data or ReadReply at most. */
  chunkBytes: 256 << 10,
  /** Bytes one stream may have under way unacknowledged, per direction; Credit gives back. */
  streamWindowBytes: 4 << 20,
  /** Linux PATH_MAX: longer paths are ENAMETOOLONG without asking. */
  pathBytes: 4096,
  /** Outgoing streams open at once over one connection. */
  openStreams: 65536,
  /** UDP sockets open at once over one connection. */
  openFlows: 4096,
  /** Bytes of one UDP datagram at most (over IPv4). */
  datagramBytes: 65507,
  /** Files kept open for later reads (handles) over one connection. */
  openHandles: 16384,
  /** Entries whose lstat one answer carries at most. */
  statEntries: 2048,
} as const;

export const AGENT = {
  GetFeatures: { id: 165, doc: "what the agent may do, and what its kernel can", fields: {} },
  Features: {
    id: 166,
    doc:
      "`capabilities`: bits as in /proc/PID/status; `redirectErrno`: 0, or why ports of the target cannot be redirected",
    fields: { kernel: "str", user: "u32", capabilities: "u64", redirectErrno: "i32" },
  },
  Hello: {
    id: 1,
    doc: "first message of the client; `secret` is the 32 bytes whose SHA-256 the agent was given",
    fields: { protocol: "u32", version: "str", secret: "bytes" },
  },
  HelloReply: {
    id: 2,
    doc: "`error` is empty when the client is welcome; else the agent closes after it",
    fields: { protocol: "u32", version: "str", error: "str" },
  },
  Refused: { id: 3, doc: "the request with this id is not known here", fields: { error: "str" } },
  Ping: { id: 4, doc: "sign of life, answered by Pong", fields: {} },
  Pong: { id: 5, doc: "answer to Ping", fields: {} },
  Warning: { id: 6, doc: "agent to client: a sentence for the log and the user", fields: { text: "str" } },

  GetTarget: { id: 10, doc: "who the target is", fields: {} },
  Target: {
    id: 11,
    doc: "`environ` as /proc/PID/environ has it; `hostname` from the target's UTS namespace",
    fields: { errno: "i32", hostname: "str", environ: "bytes" },
  },

  Open: {
    id: 20,
    doc: "open(2) for reading; `flags` are Linux open flags. Directories are answered with their entries as data",
    fields: { path: "bytes", flags: "u32", inlineBytes: "u32" },
  },
  OpenReply: {
    id: 21,
    doc: "`isWhole`: `data` is all of it and `handle` is 0. Else `data` is its beginning, and `handle` serves ReadAt",
    fields: { errno: "i32", stat: "stat", isWhole: "bool", handle: "u64", data: "bytes" },
  },
  ReadAt: { id: 22, doc: "pread(2)", fields: { handle: "u64", offset: "u64", length: "u32" } },
  ReadReply: { id: 23, doc: "fewer bytes than asked for, or none: the end", fields: { errno: "i32", data: "bytes" } },
  CloseHandle: { id: 24, doc: "the handle is not needed any more; not answered", fields: { handle: "u64" } },
  Stat: {
    id: 25,
    doc: "statx(2); `flags` knows AT_SYMLINK_NOFOLLOW (0x100)",
    fields: { path: "bytes", flags: "u32" },
  },
  StatReply: { id: 26, doc: "", fields: { errno: "i32", stat: "stat" } },
  Access: { id: 27, doc: "faccessat2(2)", fields: { path: "bytes", mode: "u32", flags: "u32" } },
  Done: { id: 28, doc: "answer that carries success or an errno", fields: { errno: "i32" } },
  ReadLink: { id: 29, doc: "readlink(2)", fields: { path: "bytes" } },
  RealPath: { id: 30, doc: "realpath(3): every symlink resolved below the target's root", fields: { path: "bytes" } },
  PathReply: { id: 31, doc: "", fields: { errno: "i32", path: "bytes" } },
  List: {
    id: 32,
    doc: "open(2) of a directory for reading, and lstat(2) of its first `statEntries` entries but for `.` and `..`",
    fields: { path: "bytes", flags: "u32", inlineBytes: "u32", statEntries: "u32" },
  },
  ListReply: {
    id: 33,
    doc:
      "as OpenReply, but only `entryBytes` of `data` are entries; behind them are records (errno i32, then the stat " +
      "as the layer wire has it) of the first entries, if `isWhole` and as many as have room. `isAll`: any other name " +
      "in this directory was ENOENT",
    fields: {
      errno: "i32",
      stat: "stat",
      isWhole: "bool",
      handle: "u64",
      isAll: "bool",
      entryBytes: "u32",
      data: "bytes",
    },
  },
  StatEntries: {
    id: 34,
    doc: "lstat(2) of entries of the directory `path`; `names` are NUL-terminated, without `/`, none is `.` or `..`",
    fields: { path: "bytes", names: "bytes" },
  },
  EntryStats: {
    id: 35,
    doc: "`data` are records as those of ListReply, in the order of the names",
    fields: { errno: "i32", data: "bytes" },
  },

  Walk: {
    id: 170,
    doc:
      "List of a directory that will be walked: the client goes on believing what it is told, until Changed of this " +
      "`watch`, a number that it chose",
    fields: { path: "bytes", flags: "u32", inlineBytes: "u32", statEntries: "u32", watch: "u32" },
  },
  WalkReply: {
    id: 171,
    doc: "ListReply; `isWatched` false: there will be no Changed (or there was)",
    fields: {
      errno: "i32",
      stat: "stat",
      isWhole: "bool",
      handle: "u64",
      isAll: "bool",
      isWatched: "bool",
      entryBytes: "u32",
      data: "bytes",
    },
  },
  Changed: {
    id: 172,
    doc:
      "agent to client: the entry `name` of a watched directory is not as it was and may change on and on; without a " +
      "name: anything may, and the watch is over. Precedes whatever the agent learnt or did later",
    fields: { watch: "u32", name: "bytes" },
  },
  Unwatch: { id: 173, doc: "not answered", fields: { watch: "u32" } },
  ReadEntries: {
    id: 174,
    doc:
      "the contents of small files of the directory `path`; `names` as in StatEntries. At most `eachBytes` of each, " +
      "`mostBytes` of all",
    fields: { path: "bytes", names: "bytes", eachBytes: "u32", mostBytes: "u32" },
  },
  EntryContents: {
    id: 175,
    doc:
      "for as many of the names as have room, in their order: the record as in EntryStats (an errno: better opened " +
      "alone), u32 length, the whole contents",
    fields: { errno: "i32", data: "bytes" },
  },

  WatchEvents: {
    id: 200,
    doc: "inotify_add_watch(2) of a program: the client is told what happens (Events) by this number, which it chose",
    fields: { path: "bytes", mask: "u32", watch: "u32" },
  },
  WatchEventsReply: {
    id: 201,
    doc:
      "`path`: without links. `entries` of a directory, by then: `d` (a directory) or `f` and the name, NUL-terminated",
    fields: { errno: "i32", path: "bytes", isDirectory: "bool", entries: "bytes" },
  },
  Events: {
    id: 202,
    doc:
      "agent to client: records of u32 watch, u32 mask, u32 cookie, u16 length of the name, name; as inotify(7) has them",
    fields: { events: "bytes" },
  },
  UnwatchEvents: { id: 203, doc: "not answered", fields: { watch: "u32" } },

  StatFs: { id: 36, doc: "statfs(2)", fields: { path: "bytes" } },
  StatFsReply: {
    id: 37,
    doc: "`words`: u64 each: type, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen, frsize, flags",
    fields: { errno: "i32", words: "bytes" },
  },

  ...TREE,
  ...ATTRIBUTES,
  EntryAttributes: {
    id: 94,
    doc:
      "getxattr(2) of several attributes (an empty one: listxattr) of entries of the directory `path`; `names` as in " +
      "StatEntries, `attributes` likewise. Answered by AttributeReply: for each entry a byte per attribute, the errno " +
      "(ENODATA for an empty list), or 0: it has to be asked alone, as it has some, or is a symbolic link",
    fields: { path: "bytes", names: "bytes", attributes: "bytes" },
  },

  StatHandle: { id: 60, doc: "fstat(2), answered by StatReply", fields: { handle: "u64" } },

  Resolve: {
    id: 40,
    doc:
      "the name part of getaddrinfo(3); `family` 0, 4 or 6; `flags` are AI_* of <netdb.h>, and 0x40000000: aliases follow the canonical name, with spaces between",
    fields: { name: "str", family: "u8", flags: "u32" },
  },
  ResolveReply: {
    id: 41,
    doc:
      "`eai` is 0 or EAI_* of <netdb.h>; `addresses` are records of 17 bytes: 4 or 6, then 16 bytes (v4 in the first 4)",
    fields: { eai: "i32", canonicalName: "str", addresses: "bytes" },
  },
  ReverseName: { id: 42, doc: "address to name; `address` has 4 or 16 bytes", fields: { address: "bytes" } },
  NameReply: { id: 43, doc: "", fields: { eai: "i32", name: "str" } },

  OpenDatagrams: {
    id: 44,
    doc:
      "a UDP socket in the target's network, of `family` 4 or 6, bound to any port; `flow` is chosen by the client, " +
      "unused and not 0. With an `address` it is connected: it hears that peer alone",
    fields: { flow: "u32", family: "u8", address: "bytes", port: "u16" },
  },
  DatagramsOpened: {
    id: 45,
    doc: "the local end as the target sees it (zeros where it is not connected); the flow exists when errno is 0",
    fields: { errno: "i32", localAddress: "bytes", localPort: "u16" },
  },
  Datagram: {
    id: 46,
    doc: "both ways: one datagram, to or from that peer. May be lost, as UDP has it",
    fields: { flow: "u32", address: "bytes", port: "u16", data: "bytes" },
  },
  DatagramFailed: {
    id: 47,
    doc: "agent to client: what the kernel learnt of the peer of a connected flow (ECONNREFUSED)",
    fields: { flow: "u32", errno: "i32" },
  },
  CloseDatagrams: { id: 48, doc: "the flow is not needed any more; not answered", fields: { flow: "u32" } },

  Connect: {
    id: 50,
    doc: "TCP from the target; `address` has 4 or 16 bytes; `stream` is chosen by the client, unused and not 0",
    fields: { stream: "u32", address: "bytes", port: "u16" },
  },
  ConnectReply: {
    id: 51,
    doc: "the local end as the target sees it; the stream exists when errno is 0",
    fields: { errno: "i32", localAddress: "bytes", localPort: "u16" },
  },
  Data: { id: 52, doc: "both ways: bytes of a stream, within its window", fields: { stream: "u32", data: "bytes" } },
  Urgent: {
    id: 195,
    doc:
      "both ways: the next Data of this stream is one byte, sent with MSG_OOB. Who does not know it has the byte all the same",
    fields: { stream: "u32" },
  },
  End: { id: 53, doc: "both ways: no more Data from this side (half-close)", fields: { stream: "u32" } },
  Reset: {
    id: 54,
    doc: "both ways: the stream is broken off (RST); nothing follows in either direction",
    fields: { stream: "u32" },
  },
  Untouched: {
    id: 227,
    doc:
      "client to agent, of a stream by NewConnection that ends next: no program has seen anything of what was said on it. Who does not know it " +
      "takes it for one that may have",
    fields: { stream: "u32" },
  },
  Credit: {
    id: 55,
    doc: "both ways: `bytes` more of the peer's Data were passed on and may be sent anew",
    fields: { stream: "u32", bytes: "u32" },
  },

  ConnectUnix: {
    id: 160,
    doc: "to a Unix socket of the target: `name` is a path, or NUL and an abstract name; `stream` as in Connect. " +
      "isPackets: SOCK_SEQPACKET, a message is u32 (its length) and its bytes. isBlocking: who has too many waiting is waited for",
    fields: { stream: "u32", name: "bytes", isPackets: "bool", isBlocking: "bool" },
  },
  ConnectUnixReply: {
    id: 161,
    doc: "who serves there, as the target sees it; the stream exists when errno is 0",
    fields: { errno: "i32", name: "bytes", pid: "i32", uid: "u32", gid: "u32" },
  },

  OpenFifo: {
    id: 214,
    doc:
      "an end of the FIFO at `path`, if it is this inode: `stream` as in Connect; its bytes go to the FIFO (isWriting) or " +
      "come from it. Answered by Done when it has another end; isWaiting false: ENXIO where it has none now. End: the " +
      "last writer has gone; Reset: the last reader",
    fields: { stream: "u32", path: "bytes", dev: "u64", ino: "u64", isWriting: "bool", isWaiting: "bool" },
  },

  ConnectFrom: {
    id: 162,
    doc:
      "as Connect, from a socket that was bound before: to `ownAddress` (empty: any) and `ownPort` (0: any) if they are to be had",
    fields: { stream: "u32", address: "bytes", port: "u16", ownAddress: "bytes", ownPort: "u16" },
  },
  GetInterfaces: { id: 163, doc: "getifaddrs(3) in the target's network", fields: {} },
  Interfaces: {
    id: 164,
    doc: "records of 80 bytes (native/sys/interfaces.c); none where it cannot be told",
    fields: { records: "bytes" },
  },

  ...NETWORK_OF_AGENT,
  AskDns: {
    id: 180,
    doc:
      "res_query(3) (isSearch: res_search) of a name, or with a `query` res_send(3). `options` are RES_* of <resolv.h>; `servers` are " +
      "records of 19 bytes (4 or 6, the address in 16, the port in network order), none: the target's",
    fields: {
      name: "str",
      recordType: "u16",
      recordClass: "u16",
      isSearch: "bool",
      options: "u32",
      servers: "bytes",
      query: "bytes",
    },
  },
  DnsAnswer: {
    id: 181,
    doc: "the name server's message, if one has answered; `netError` as <netdb.h> has it",
    fields: { netError: "i32", errno: "i32", answer: "bytes" },
  },
  GetResolver: {
    id: 182,
    doc:
      "the target's resolv.conf, answered by DnsAnswer: a byte each for how many servers, ndots, attempts and seconds, then " +
      "servers as in AskDns, then the search list",
    fields: {},
  },

  ...WRITING,
  Subscribe: {
    id: 110,
    doc: "incoming TCP connections to this port of the target: stolen, or mirrored. `who` is the run, for others to " +
      "read. `filter` is JSON (src/proto/http_filter.ts) or empty: every connection. `isFlush`: connections that exist are reset. Answered by SubscribeReply",
    fields: { port: "u16", isSteal: "bool", isFlush: "bool", who: "str", filter: "str" },
  },
  SubscribeReply: {
    id: 111,
    doc: "EADDRINUSE: somebody else steals it, `error` says who. Any other errno: no redirect there, `error` says why",
    fields: { errno: "i32", error: "str" },
  },
  Unsubscribe: {
    id: 112,
    doc: "no new connections; answered by Done when the target's own program gets them again",
    fields: { port: "u16" },
  },
  NewConnection: {
    id: 113,
    doc:
      "agent to client: somebody has connected to a subscribed port; bytes follow as the stream, whose number is 2^31 " +
      "or more. The client resets it when it cannot take it. `isMirror`: what the client sends goes nowhere",
    fields: {
      stream: "u32",
      port: "u16",
      isMirror: "bool",
      peerAddress: "bytes",
      peerPort: "u16",
      ownAddress: "bytes",
      ownPort: "u16",
    },
  },
} as const satisfies Schema;

/** Streams from here on are the agent's to number (NewConnection), those below the client's (Connect). */
export const FIRST_INCOMING_STREAM = 0x8000_0000;

/** The end of a Warning behind which the connection ends: what stands before it is why. */
export const LEAVING = ": the agent leaves";

export type AgentMessage = MessageOf<typeof AGENT>;
/** A message with the number that ties an answer to its request; 0 for messages that are neither. */
export type AgentFrame = AgentMessage & { id: number };
