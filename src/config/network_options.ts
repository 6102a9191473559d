/** The rows of the table of options that say where connections, datagrams and names go (options.ts). */
import type { KeyDecl } from "./options.ts";

export type NetworkKey =
  | "feature.network.outgoing.ignore_localhost"
  | "feature.network.outgoing.filter.remote"
  | "feature.network.outgoing.filter.local"
  | "feature.network.outgoing.unix_streams"
  | "feature.network.ipv6"
  | "experimental.hide_ipv6_interfaces"
  | "feature.network.dns.filter.remote"
  | "feature.network.dns.filter.local";

export const NETWORK_FILE_OPTIONS: readonly KeyDecl[] = [
  {
    key: "feature.network.outgoing.filter.remote",
    kind: "addresses",
    doc: "Only what goes there leaves from the target; all else from this machine",
    group: "What is the target's",
  },
  {
    key: "feature.network.outgoing.filter.local",
    kind: "addresses",
    doc: "What goes there leaves from this machine; all else from the target",
    group: "What is the target's",
  },
  {
    key: "feature.network.outgoing.ignore_localhost",
    kind: "boolean",
    env: "MIRRORD_OUTGOING_IGNORE_LOCALHOST",
    doc: "Whether 127.0.0.0/8 and ::1 are this machine's, not the target's",
    default: "false",
    group: "What is the target's",
  },
  {
    key: "feature.network.outgoing.unix_streams",
    kind: "patterns",
    env: "MIRRORD_OUTGOING_REMOTE_UNIX_STREAMS",
    doc:
      "Unix sockets (stream, seqpacket, datagram) that are the target's: paths, and abstract names behind an @; case counts",
    group: "What is the target's",
  },
  {
    key: "feature.network.ipv6",
    kind: "boolean",
    env: "MIRRORD_ENABLE_IPV6",
    doc: "Whether the program can have IPv6 sockets; without, making one is EAFNOSUPPORT",
    default: "true",
    group: "What is the target's",
  },
  {
    key: "experimental.hide_ipv6_interfaces",
    kind: "boolean",
    doc: "Leave IPv6 addresses out of the list of interfaces (getifaddrs)",
    default: "false",
    group: "What is the target's",
  },
  {
    key: "feature.network.dns.filter.remote",
    kind: "addresses",
    doc: "Only these names are resolved at the target; the names of the outgoing filter join them",
    group: "What is the target's",
  },
  {
    key: "feature.network.dns.filter.local",
    kind: "addresses",
    doc: "These names are resolved on this machine; the names of the outgoing filter join them",
    group: "What is the target's",
  },
];
