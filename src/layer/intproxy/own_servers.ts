/**
 * Connections of the run to a server of the run itself, at an address of the target, as they are inside it: the program's own
 * server is reached there by the pod's address and by its host name. The agent would find the target's program in its place, or nobody.
 *
 * A port that is stolen by a filter is left to the agent: who the filter does not match is for the target's program.
 */
import { isLoopback } from "../../base/addresses.ts";
import type { StreamEnd } from "../../base/socket_end.ts";
import { acceptorsAt } from "../../sys/relay.ts";
import { RelayedEnd } from "../../sys/relayed_end.ts";
import { Sockets } from "../../sys/sockets.ts";
import type { OwnSockets } from "./destinations.ts";
import type { Incoming, Named, Reachable } from "./incoming.ts";
import type { OwnAddresses } from "./own_addresses.ts";

const CHUNK_BYTES = 64 << 10;

export class OwnServers {
  readonly #incoming: Incoming;
  readonly #addresses: OwnAddresses;
  readonly #own: OwnSockets;
  readonly #ends = new Set<StreamEnd>();
  readonly #relays = new Set<Promise<void>>();
  /** Since the first one. */
  #sockets: Sockets | number | undefined;

  constructor(incoming: Incoming, addresses: OwnAddresses, own: OwnSockets) {
    this.#incoming = incoming;
    this.#addresses = addresses;
    this.#own = own;
  }

  /** Whether there may be one: cheap, and mostly not. */
  find(address: Uint8Array<ArrayBuffer>, port: number): Reachable | undefined {
    const known = this.#incoming.listenerAt(address, port);
    // One that is where it is asked for is reached without us, on loopback.
    if (isLoopback(address)) return known && known.realPort !== port ? known : undefined;
    if (known || this.#incoming.isFiltered(port)) return known;
    return this.#own.listensOn([address], port)
      ? { realAddress: new Uint8Array(address.length), realPort: port }
      : this.#findMoved(address, port);
  }

  /** One that was bound to an address which only the target has, and is on loopback really. */
  #findMoved(address: Uint8Array<ArrayBuffer>, port: number): Reachable | undefined {
    if (!this.#addresses.hasNames) return undefined;
    const realAddress = loopback(address.length);
    const inodes = acceptorsAt([realAddress], port);
    const isThere = typeof inodes !== "number" && inodes.some((it) => this.#addresses.isCalled(it, address, port));
    return isThere ? { realAddress, realPort: port } : undefined;
  }

  /** Connects to it, if the address is one of the target's. A descriptor or -errno; undefined: it is not. */
  async reach(server: Reachable, names: { peer: Named; own: Named }): Promise<number | undefined> {
    const { address } = names.own;
    if (!isLoopback(address) && !await this.#addresses.isOwn(address)) return undefined;
    return await this.#incoming.dialFor(server, names);
  }

  /** Carries what is said between `end` and the server, both of which are owned from now on. */
  join(end: StreamEnd, fd: number, port: number): void {
    const sockets = this.#sockets ??= Sockets.open();
    if (typeof sockets === "number") return end.reset();
    const server = new RelayedEnd(sockets, fd, port);
    const ends = [end, server];
    for (const it of ends) this.#ends.add(it);
    const relay = Promise.all([carry(end, server), carry(server, end)])
      .catch(() => ends.forEach((it) => it.reset()))
      .then(() => {
        for (const it of ends) {
          it.close();
          this.#ends.delete(it);
        }
      });
    this.#relays.add(relay);
    relay.finally(() => this.#relays.delete(relay));
  }

  async close(): Promise<void> {
    for (const end of this.#ends) end.reset();
    await Promise.all(this.#relays);
    if (this.#sockets instanceof Sockets) await this.#sockets.close();
  }
}

function loopback(bytes: number): Uint8Array<ArrayBuffer> {
  const address = new Uint8Array(bytes);
  address[bytes - 1] = 1;
  if (bytes === 4) address[0] = 127;
  return address;
}

/** Until one has ended, which the other is told. */
async function carry(from: StreamEnd, to: StreamEnd): Promise<void> {
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let count = await from.read(chunk); count !== null; count = await from.read(chunk)) {
    await to.writeAll(chunk.subarray(0, count), from.isUrgent);
  }
  await to.closeWrite();
}
