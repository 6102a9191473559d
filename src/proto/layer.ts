/**
 * The wire between shim and intproxy: little-endian frames (u32 length of what follows, u8 type, u32 id, fields) on a
 * Unix stream socket in the session's private directory; declared here, the C is printed from it (`deno task gen`).
 *
 * The first frame on a connection is Hello, which is not answered. A request is answered by one frame with its id
 * (Fetch by several). Both ends come from one build: a Hello with another build id ends the connection.
 * The file `settings` beside the socket is one frame of type Settings: what every process of the run has to know.
 */
import { FIFOS } from "./fifos.ts";
import type { MessageOf, Schema } from "./schema.ts";
import { NETWORK_OF_LAYER } from "./network.ts";
import { ATTRIBUTES, TREE } from "./tree.ts";

export const LAYER_LIMITS = {
  /** Longest frame either side accepts, in bytes, length word excluded. */
  frameBytes: 4 << 20,
  /** Files up to this size come whole with the answer to Open. */
  inlineBytes: 1 << 20,
  /** Bytes in one Chunk at most. */
  chunkBytes: 1 << 20,
  pathBytes: 4096,
} as const;

export const LAYER = {
  Settings: {
    id: 1,
    doc: "the file `settings`: what all processes of the run share. Lists are NUL-terminated strings end to end",
    fields: {
      /** What every Hello of the run repeats. */
      build: "str",
      /** 0 local, 1 localwithoverrides, 2 read, 3 write. */
      fsMode: "u8",
      /** Names, host name and outgoing TCP are the target's (else this machine's own). */
      isDnsRemote: "bool",
      isHostnameRemote: "bool",
      isTcpRemote: "bool",
      isUdpRemote: "bool",
      /** Some destinations are not the target's: the intproxy knows which. */
      asksDestinations: "bool",
      /** The target's variables are in the file `environment`, for every process to set by itself. */
      isEnvironmentHere: "bool",
      hostname: "str",
      /** Directory in which the user typed the command, their home, $TMPDIR, the program: stay local. */
      launchDirectory: "bytes",
      home: "bytes",
      temporaryDirectory: "bytes",
      program: "bytes",
      /** Path of the shim itself, for LD_PRELOAD of programs that made their own environment. */
      shim: "bytes",
      /** Path of the supervisor, through which programs are started that the shim cannot enter; empty: there is none. */
      supervisor: "bytes",
      /** Target mounts (ConfigMaps, Secrets, volumes): remote for reading. */
      mounts: "bytes",
      /** The user's patterns for paths and the patterns of `mapping`, each as a table of src/config/regex/dfa.ts or empty. */
      pathRules: "bytes",
      pathMappings: "bytes",
      /** Names of processes that are left alone. */
      skipProcesses: "bytes",
      /** Names of those that are left alone unless their working directory is the target's. */
      buildTools: "bytes",
      /** Ports of the relays on loopback: accepting at once (blocking connect), black holes (non-blocking). */
      acceptPort4: "u16",
      acceptPort6: "u16",
      holePort4: "u16",
      holePort6: "u16",
      /** IPv4 address on loopback, as a number, at which all UDP relays of the run for IPv4 sockets are. */
      datagramRelay: "u32",
      /** TCP ports that the program listens on may be the target's. */
      isIncomingRemote: "bool",
      /** No IPv6 sockets; no IPv6 addresses in getifaddrs(3). */
      isIpv6Off: "bool",
      isIpv6Hidden: "bool",
      /** The user's patterns for Unix sockets of the target, as a table; what the kernel calls the relays for them. */
      unixSockets: "bytes",
      streamRelay: "bytes",
      packetRelay: "bytes",
      /** Somebody wants to read of the paths that are left to this machine: each is a Note. */
      isTracing: "bool",
    },
  },
  Hello: {
    id: 2,
    doc:
      "first frame; `isLifeline`: opened at start and inherited by fork, its end tells that the process image is gone",
    fields: { build: "str", pid: "u32", isLifeline: "bool", program: "str" },
  },
  Done: { id: 3, doc: "answer that carries success or an errno", fields: { errno: "i32" } },
  Note: {
    id: 4,
    doc: "for the log, not answered: what the shim could not do and why (a static child, a refused call)",
    fields: { text: "str" },
  },

  Open: {
    id: 10,
    doc:
      "open(2) for reading of a remote path (absolute); a directory's data are its entries as getdents64(2) has them",
    fields: { path: "bytes", flags: "u32" },
  },
  OpenReply: {
    id: 11,
    doc: "`isWhole`: `data` is all of it. Else `data` is its beginning. `handle` serves Fetch, ReadFile and Refresh. " +
      "errno -1: the run writes this file, the shelf hands out `handle`",
    fields: { errno: "i32", stat: "stat", isWhole: "bool", handle: "u64", data: "bytes" },
  },
  Fetch: {
    id: 12,
    doc: "answered by Chunks in order until one says isLast; the length 2^64-1 means: to the end",
    fields: { handle: "u64", offset: "u64", length: "u64" },
  },
  Chunk: { id: 13, doc: "", fields: { errno: "i32", isLast: "bool", data: "bytes" } },
  CloseHandle: { id: 14, doc: "not answered", fields: { handle: "u64" } },
  Stat: { id: 15, doc: "statx(2); AT_SYMLINK_NOFOLLOW in flags", fields: { path: "bytes", flags: "u32" } },
  StatReply: { id: 16, doc: "", fields: { errno: "i32", stat: "stat" } },
  Access: { id: 17, doc: "faccessat2(2)", fields: { path: "bytes", mode: "u32", flags: "u32" } },
  ReadLink: { id: 18, doc: "readlink(2)", fields: { path: "bytes" } },
  RealPath: { id: 19, doc: "realpath(3)", fields: { path: "bytes" } },
  PathReply: { id: 20, doc: "", fields: { errno: "i32", path: "bytes" } },

  StatFs: { id: 21, doc: "statfs(2)", fields: { path: "bytes" } },
  StatFsReply: {
    id: 22,
    doc: "`words`: u64 each: type, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen, frsize, flags",
    fields: { errno: "i32", words: "bytes" },
  },

  ...TREE,
  ...ATTRIBUTES,
  PathOf: {
    id: 93,
    doc: "by which path was this file of the target opened, or what became of it since? Answered by PathReply",
    fields: { dev: "u64", ino: "u64" },
  },

  Resolve: {
    id: 30,
    doc: "the name part of getaddrinfo(3); family 0, 4 or 6; flags as the agent's",
    fields: { name: "str", family: "u8", flags: "u32" },
  },
  ResolveReply: {
    id: 31,
    doc: "`eai` is 0 or EAI_*; `addresses` are records of 17 bytes: 4 or 6, then 16 bytes (v4 in the first 4); " +
      "isLocal: this name is to be resolved on this machine",
    fields: { eai: "i32", isLocal: "bool", canonicalName: "str", addresses: "bytes" },
  },
  ReverseName: {
    id: 32,
    doc: "address (4 or 16 bytes) to name; withAliases: and to its other names, with spaces between",
    fields: { address: "bytes", withAliases: "bool" },
  },
  NameReply: { id: 33, doc: "", fields: { eai: "i32", name: "str" } },

  ReadFile: {
    id: 60,
    doc: "pread(2) of a file that did not come whole, answered by one Chunk: at least `length` bytes (fewer: it ends " +
      "there), at most `most`; the intproxy reads ahead of who reads in order",
    fields: { handle: "u64", offset: "u64", length: "u32", most: "u32" },
  },
  Refresh: {
    id: 62,
    doc: "fstat(2) of an opened file as it is by now, answered by StatReply; ESTALE: its path leads to another one",
    fields: { handle: "u64" },
  },
  DescriptorClosed: {
    id: 61,
    doc: "not answered: a descriptor of this file was closed, perhaps the last one",
    fields: { handle: "u64" },
  },

  Destination: {
    id: 39,
    doc:
      "does a TCP connection to there leave from this machine? Asked for loopback addresses (a listener of the run " +
      "itself is local) and, if `asksDestinations`, for all",
    fields: { address: "bytes", port: "u16" },
  },
  DestinationReply: { id: 46, doc: "", fields: { isLocal: "bool" } },
  Connect: {
    id: 40,
    doc: "the app's socket at `localAddress`:`localPort` (loopback) wants to reach `address`:`port`. " +
      "isBlocking: answered by ConnectReply when the agent has answered; at success the shim then connects the socket to " +
      "acceptPort. Else not answered: the shim has connected the socket to holePort, where it stays in SYN_SENT until the " +
      "intproxy completes it (by simultaneous open) or breaks it",
    fields: {
      address: "bytes",
      port: "u16",
      localAddress: "bytes",
      localPort: "u16",
      isBlocking: "bool",
      /** Of a socket that the program has bound before, and to what; 0: it has not. */
      boundInode: "u64",
      boundAddress: "bytes",
      boundPort: "u16",
    },
  },
  ConnectReply: { id: 41, doc: "how the agent's connect ended", fields: { errno: "i32" } },
  ConnectStatus: {
    id: 42,
    doc: "how a connect of the socket at this local address went; answered by ConnectStatusReply",
    fields: { localAddress: "bytes", localPort: "u16" },
  },
  ConnectStatusReply: {
    id: 43,
    doc: "`isKnown` false: not ours. `isPending`: no answer of the agent yet. Else errno is how it ended",
    fields: { isKnown: "bool", isPending: "bool", errno: "i32" },
  },
  SocketNames: {
    id: 44,
    doc:
      "what getpeername and getsockname tell of the socket at this local address (waits while the connect is pending)",
    fields: { localAddress: "bytes", localPort: "u16" },
  },
  SocketNamesReply: {
    id: 45,
    doc: "addresses have 4 or 16 bytes; isKnown false: not ours",
    fields: { isKnown: "bool", peerAddress: "bytes", peerPort: "u16", ownAddress: "bytes", ownPort: "u16" },
  },

  RelayDatagrams: {
    id: 47,
    doc: "the app's UDP socket, bound to `localPort`, wants to send to `address`:`port`; answered by " +
      "RelayDatagramsReply. isConnect: it is about to be connected, and the answer tells how connect(2) ends in the " +
      "target. isIpv6Only: the socket cannot use IPv4, so the relay is on ::1",
    fields: {
      address: "bytes",
      port: "u16",
      localPort: "u16",
      isConnect: "bool",
      isIpv6Only: "bool",
      /** Where the process that asks has the socket, and which one it is. */
      fd: "i32",
      inode: "u64",
    },
  },
  RelayDatagramsReply: {
    id: 48,
    doc: "isLocal: what is sent there leaves from this machine. Else the port of the relay for this peer",
    fields: { errno: "i32", isLocal: "bool", relayPort: "u16" },
  },
  DatagramNames: {
    id: 49,
    doc:
      "for whom a UDP relay stands, and the own end of the app's socket at `localPort`; answered by SocketNamesReply",
    fields: { relayPort: "u16", localPort: "u16", isIpv6Only: "bool" },
  },

  ConnectUnix: {
    id: 130,
    doc:
      "the app's Unix socket (`inode`) wants to reach `name`: an absolute path, or NUL and an abstract name. Answered " +
      "when the agent has answered; at success the shim connects the socket to the relay for its kind (isPackets: " +
      "SOCK_SEQPACKET) and sends `token`, 8 bytes, as the first that it says",
    fields: { inode: "u64", name: "bytes", isPackets: "bool", isBlocking: "bool" },
  },
  ConnectUnixReply: { id: 131, doc: "", fields: { errno: "i32", token: "u64" } },
  UnixPeer: { id: 132, doc: "whom the socket `inode` reached at the target", fields: { inode: "u64" } },
  UnixPeerReply: {
    id: 133,
    doc: "what getpeername and SO_PEERCRED tell; isKnown false: not ours",
    fields: { isKnown: "bool", name: "bytes", pid: "i32", uid: "u32", gid: "u32" },
  },

  ...FIFOS,

  GetInterfaces: {
    id: 134,
    doc: "getifaddrs(3); `family` 4, or 0: all. Answered by Interfaces",
    fields: { family: "u8" },
  },
  Interfaces: {
    id: 135,
    doc: "records of 80 bytes (native/interfaces.c); none when nobody knows",
    fields: { records: "bytes" },
  },
  BindElsewhere: {
    id: 136,
    doc:
      "the socket `inode` shall be bound to an address that this machine does not have; answered by Done: EADDRNOTAVAIL, or " +
      "0 when it is the target's, and then its name is this, wherever it is bound really",
    fields: { inode: "u64", address: "bytes", port: "u16" },
  },

  ...NETWORK_OF_LAYER,
  AskDns: {
    id: 137,
    doc: "as the agent's AskDns",
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
  DnsAnswer: { id: 138, doc: "", fields: { isLocal: "bool", netError: "i32", errno: "i32", answer: "bytes" } },
  GetResolver: { id: 139, doc: "the target's resolv.conf, as the agent's GetResolver", fields: { family: "u8" } },

  OpenWriting: {
    id: 70,
    doc: "open(2) of a remote path for writing or creating; `umask` is the program's. Answered by OnShelf",
    fields: { path: "bytes", flags: "u32", mode: "u32", umask: "u32" },
  },
  OnShelf: {
    id: 71,
    doc: "the shelf (docs/decisions/0011) hands out the file of this number",
    fields: { errno: "i32", file: "u64" },
  },
  SyncWriting: {
    id: 72,
    doc:
      "what was written to the file (0: to all files of the run) is at the target when Done is answered. `how`: 1 and " +
      "fdatasync(2), 2 and fsync(2)",
    fields: { file: "u64", how: "u32" },
  },
  StatWriting: { id: 73, doc: "fstat(2) of a file of the shelf; answered by StatReply", fields: { file: "u64" } },
  AllocateWriting: {
    id: 74,
    doc: "fallocate(2) at the target of a file of the shelf; answered by Done",
    fields: { file: "u64", mode: "u32", offset: "u64", length: "u64" },
  },
  MappedWriting: { id: 75, doc: "the file is mapped shared and writable; not answered", fields: { file: "u64" } },
  CheckWriting: {
    id: 158,
    doc:
      "`length` bytes were written to a file whose mode says that this is to be asked: does the target have them, or room " +
      "for them? Answered by Wrote",
    fields: { file: "u64", length: "u64" },
  },
  Wrote: {
    id: 159,
    doc: "errno, and up to where the target has the file: what it could not take is not here any more either",
    fields: { errno: "i32", size: "u64" },
  },
  FindWriting: {
    id: 160,
    doc:
      "the number on the shelf of this file of the target; answered by OnShelf, ENOENT: the run does not write it, " +
      "EAGAIN: not all of it is here. isToTake: it is taken from the shelf then",
    fields: { dev: "u64", ino: "u64", isToTake: "bool" },
  },
  ChangeDirectory: {
    id: 100,
    doc: "may this be the working directory? Answered by PathReply: the path without links",
    fields: { path: "bytes" },
  },

  WatchPath: {
    id: 163,
    doc: "inotify_add_watch(2) of a path of the target; answered by PathReply: what to watch here in its place",
    fields: { path: "bytes", mask: "u32" },
  },
  MapPath: {
    id: 105,
    doc: "which path `path` stands for by `feature.fs.mapping`; answered by PathReply, ENOENT: it stands for itself",
    fields: { path: "bytes" },
  },

  Bind: {
    id: 110,
    doc: "bind(2) of a TCP socket (`inode`) to a port that is not 0, about to happen",
    fields: { inode: "u64", address: "bytes", port: "u16", isV6Only: "bool" },
  },
  BindReply: {
    id: 111,
    doc: "`isIncoming` false: all local. `port` is where to bind really (listen_ports), `isFixed`: and nowhere else. " +
      "`takenPort` is where another socket of the run is really bound that this one cannot be beside, 0: none",
    fields: { isIncoming: "bool", port: "u16", isFixed: "bool", takenPort: "u16" },
  },
  Listen: {
    id: 112,
    doc:
      "the socket listens, really at this address; answered by Done when the target's port is subscribed, or is not to be",
    fields: { inode: "u64", address: "bytes", port: "u16" },
  },
  ListenerClosed: {
    id: 113,
    doc: "the descriptor `fd` of a listening socket was closed: is the socket still there? Answered by " +
      "Done, when the target's port is the target's again if it is not",
    fields: { fd: "i32" },
  },
  BoundName: {
    id: 114,
    doc: "what getsockname tells of a bound socket; answered by SocketNamesReply, own* only",
    fields: { inode: "u64" },
  },
  AcceptedNames: {
    id: 115,
    doc: "who is at the other end of an accepted connection that comes from this local address; SocketNamesReply",
    fields: { peerAddress: "bytes", peerPort: "u16", localPort: "u16" },
  },
} as const satisfies Schema;

export type LayerMessage = MessageOf<typeof LAYER>;
export type LayerFrame = LayerMessage & { id: number };
