/** Messages about the network that programs look at, on both wires. */
import type { Schema } from "./schema.ts";

export const NETWORK_OF_AGENT = {
  AskNetlink: {
    id: 219,
    doc:
      "one message by netlink(7) to the kernel in the target's network, a question: of rtnetlink (`protocol` 0) or sock_diag (4). `options`: 1 " +
      "NETLINK_GET_STRICT_CHK, 2 NETLINK_EXT_ACK, 4 NETLINK_CAP_ACK. Answered by NetworkAnswer: the kernel's messages end to end; EPERM: it is none",
    fields: { protocol: "u8", options: "u32", request: "bytes" },
  },
  AskInterface: {
    id: 220,
    doc:
      "ioctl(2) SIOCGIF… on a socket of `family` in the target's network; `ifreq` as <net/if.h> has it, `command` of SIOCETHTOOL. Answered by " +
      "NetworkAnswer: SIOCGIFCONF: ifreqs; SIOCETHTOOL: what its command tells; else records of u32 request, i32 errno, ifreq: of all " +
      "that can be asked of the interface, whichever was",
    fields: { family: "u8", request: "u32", command: "u32", ifreq: "bytes" },
  },
  NetworkAnswer: { id: 221, doc: "", fields: { errno: "i32", data: "bytes" } },

  ReverseNames: {
    id: 223,
    doc: "as ReverseName; the name in NameReply is followed by its aliases, with spaces between",
    fields: { address: "bytes" },
  },

  ConnectUnixDatagrams: {
    id: 222,
    doc:
      "as ConnectUnix, of a SOCK_DGRAM socket: each message of the stream, u32 (its length) and its bytes, is a datagram. Nothing comes back. " +
      "Answered by ConnectUnixReply",
    fields: { stream: "u32", name: "bytes" },
  },
} as const satisfies Schema;

export const NETWORK_OF_LAYER = {
  AskNetlink: {
    id: 188,
    doc: "as the agent's AskNetlink",
    fields: { protocol: "u8", options: "u32", request: "bytes" },
  },
  AskInterface: {
    id: 189,
    doc: "as the agent's AskInterface, but a record of what was asked is the answer",
    fields: { family: "u8", request: "u32", command: "u32", ifreq: "bytes" },
  },
  NetworkAnswer: { id: 190, doc: "", fields: { errno: "i32", data: "bytes" } },

  RelayUnixDatagrams: {
    id: 191,
    doc: "the app wants to send datagrams to a Unix socket of the target, `name` as in ConnectUnix",
    fields: { name: "bytes" },
  },
  RelayUnixDatagramsReply: {
    id: 192,
    doc: "the relay for them is `datagrams-` and this number, in the session's directory",
    fields: { errno: "i32", number: "u32" },
  },
} as const satisfies Schema;
