/**
 * The local ports that stand for the target's network: for each family a relay that accepts at once and a black hole, on
 * loopback. A family that this machine lacks has none (port 0).
 */
import type { StreamEnd } from "../../base/socket_end.ts";
import { closeDescriptor } from "../../sys/redirected.ts";
import { RelayedEnd } from "../../sys/relayed_end.ts";
import { type BlackHole, type Family, openBlackHole, openRelay, type Relay } from "../../sys/relay.ts";
import { Sockets } from "../../sys/sockets.ts";

export class Relays {
  readonly #sockets: Sockets;
  readonly #relays = new Map<Family, Relay>();
  readonly #holes = new Map<Family, BlackHole>();
  /** Gets the descriptor of everybody who has come, which it owns, and where from. */
  onAccept: (fd: number, address: Uint8Array, port: number) => void = (fd) => closeDescriptor(fd);

  private constructor(sockets: Sockets) {
    this.#sockets = sockets;
  }

  /** Throws when this machine has no more descriptors for us. */
  static open(): Relays {
    const sockets = Sockets.open();
    if (typeof sockets === "number") throw new Error(`Cannot wait for sockets: error ${-sockets}`);
    const relays = new Relays(sockets);
    for (const family of [4, 6] as const) {
      const hole = openBlackHole(family);
      if (typeof hole === "number") continue;
      relays.#holes.set(family, hole);
      const relay = openRelay(family);
      if (typeof relay === "number") continue;
      relays.#relays.set(family, relay);
      sockets.watch(relay.fd, { onReady: () => relays.#acceptFrom(relay) });
    }
    return relays;
  }

  get ports(): { acceptPort4: number; acceptPort6: number; holePort4: number; holePort6: number } {
    return {
      acceptPort4: this.#relays.get(4)?.port ?? 0,
      acceptPort6: this.#relays.get(6)?.port ?? 0,
      holePort4: this.#holes.get(4)?.port ?? 0,
      holePort6: this.#holes.get(6)?.port ?? 0,
    };
  }

  /** The black hole for sockets whose own address this is. */
  hole(address: Uint8Array): BlackHole | undefined {
    return this.#holes.get(address.length === 4 ? 4 : 6);
  }

  /** For a descriptor that a hole has given, or that has come. `port` is the server's at the target. */
  adopt(fd: number, port: number): StreamEnd {
    return new RelayedEnd(this.#sockets, fd, port);
  }

  /** Nobody comes any more. What was adopted stays to be closed. */
  async close(): Promise<void> {
    for (const relay of this.#relays.values()) {
      this.#sockets.forget(relay.fd);
      relay[Symbol.dispose]();
    }
    this.#relays.clear();
    for (const hole of this.#holes.values()) hole[Symbol.dispose]();
    this.#holes.clear();
    await this.#sockets.close();
  }

  #acceptFrom(relay: Relay): void {
    for (let come = relay.accept(); come; come = relay.accept()) {
      this.onAccept(come.fd, come.address, come.port);
    }
  }
}
