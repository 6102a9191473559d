/**
 * Whether a port of this machine is one on which the run's own programs listen: then connecting to it stays local.
 *
 * Asked at every connect to loopback, so the common answer ("nobody listens") must be cheap: sock_diag tells it in microseconds,
 * /proc/net/tcp (where the kernel lacks that) in milliseconds. Whose a listener is costs a walk through /proc, and is
 * remembered by the socket's inode: it belongs to that socket alone as long as it listens.
 */
import { equalBytes } from "../../base/bytes.ts";
import { acceptorsAt, type Listener, listenersOn } from "../../sys/relay.ts";

/** For so long a listener that is not the run's is believed not to become the run's (somebody may hand it over). */
const FOREIGN_MS = 1000;

export class Listeners {
  /** Processes that belong to the run. */
  readonly #family: () => Set<number>;
  /** By inode; `until` in the clock of performance.now(). */
  readonly #known = new Map<number, { isOurs: boolean; until: number }>();

  constructor(family: () => Set<number>) {
    this.#family = family;
  }

  /** Whether a process of the run listens on one of these loopback addresses (4 or 16 bytes) and this port. */
  has(addresses: readonly Uint8Array[], port: number): boolean {
    const inodes = acceptorsAt(addresses, port);
    if (typeof inodes !== "number") return inodes.some((inode) => this.#isOurs(inode));
    const told = listenersByProc(port);
    return addresses.some((address) => this.#isAnyOurs(told, address));
  }

  /** Whether a process of the run has a UDP socket bound to this address and port. */
  hasDatagramSocket(address: Uint8Array, port: number): boolean {
    const told = listenersOn(port, "udp");
    return typeof told !== "number" && this.#isAnyOurs(told, address);
  }

  #isAnyOurs(listeners: readonly Listener[], address: Uint8Array): boolean {
    const inodes = listeners.filter((listener) => serves(listener.address, address)).map(({ inode }) => inode);
    return inodes.length > 0 && inodes.some((inode) => this.#isOurs(inode));
  }

  #isOurs(inode: number): boolean {
    const known = this.#known.get(inode);
    if (known && known.until > performance.now()) return known.isOurs;
    const isOurs = [...this.#family()].some((pid) => holdsSocket(pid, inode));
    // Inodes of sockets long gone pile up otherwise.
    if (this.#known.size > MOST_KNOWN) this.#known.clear();
    this.#known.set(inode, { isOurs, until: isOurs ? Infinity : performance.now() + FOREIGN_MS });
    return isOurs;
  }
}

const MOST_KNOWN = 1000;

/** A socket bound to `bound` is reached at `address`: it is the same, or a wildcard, or IPv4 at a socket for both. */
function serves(bound: Uint8Array, address: Uint8Array): boolean {
  if (bound.every((byte) => byte === 0)) return bound.length === 16 || address.length === 4;
  if (bound.length === address.length) return equalBytes(bound, address);
  return bound.length === 16 && equalBytes(bound, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...address));
}

const LISTEN = "0A"; // TCP_LISTEN of net/tcp_states.h, as /proc/net/tcp prints it

/** The listeners on a port as /proc tells them. */
export function listenersByProc(port: number): Listener[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((table) => readText(table).split("\n").slice(1));
  return rows.map((row) => row.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(suffix) && fields[3] === LISTEN)
    .map((fields) => ({ inode: Number(fields[9]), address: addressOf(fields[1]!.slice(0, -suffix.length)) }));
}

/** The kernel prints words of 32 bits in the machine's order: little-endian on all that we run on. */
function addressOf(hex: string): Uint8Array {
  const words = hex.match(/.{8}/g) ?? [];
  return Uint8Array.from(words.flatMap((word) => [...Uint8Array.fromHex(word)].reverse()));
}

function holdsSocket(pid: number, inode: number): boolean {
  try {
    for (const entry of Deno.readDirSync(`/proc/${pid}/fd`)) {
      if (readLink(`/proc/${pid}/fd/${entry.name}`) === `socket:[${inode}]`) return true;
    }
  } catch {
    // The process has ended, or is another user's now.
  }
  return false;
}

function readText(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

function readLink(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "";
  }
}
