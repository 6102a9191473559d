/**
 * The local ports that stand for the target's network: for each family a relay that accepts at once and a black hole, on
 * loopback. A family that this machine lacks has none (port 0).
 */
import { createServer, type Server, type Socket } from "node:net";
import { type BlackHole, type Family, openBlackHole } from "../../sys/relay.ts";

const LOOPBACK: Record<Family, string> = { 4: "127.0.0.1", 6: "::1" };

export class Relays {
  readonly #servers = new Map<Family, Server>();
  readonly #holes = new Map<Family, BlackHole>();
  /** Gets every accepted socket, paused; it owns it. */
  onAccept: (socket: Socket) => void = (socket) => void socket.destroy();

  private constructor() {}

  static async open(): Promise<Relays> {
    const relays = new Relays();
    for (const family of [4, 6] as const) {
      const hole = openBlackHole(family);
      if (typeof hole === "number") continue;
      relays.#holes.set(family, hole);
      relays.#servers.set(family, await listen(LOOPBACK[family], (socket) => relays.onAccept(socket)));
    }
    return relays;
  }

  get ports(): { acceptPort4: number; acceptPort6: number; holePort4: number; holePort6: number } {
    return {
      acceptPort4: portOf(this.#servers.get(4)),
      acceptPort6: portOf(this.#servers.get(6)),
      holePort4: this.#holes.get(4)?.port ?? 0,
      holePort6: this.#holes.get(6)?.port ?? 0,
    };
  }

  /** The black hole for sockets whose own address this is. */
  hole(address: Uint8Array): BlackHole | undefined {
    return this.#holes.get(address.length === 4 ? 4 : 6);
  }

  async close(): Promise<void> {
    for (const hole of this.#holes.values()) hole[Symbol.dispose]();
    this.#holes.clear();
    // The callback waits for accepted sockets too, which are not ours any more; "close" of the listener is at once.
    for (const server of this.#servers.values()) server.close();
    await Promise.resolve();
  }
}

function listen(host: string, onAccept: (socket: Socket) => void): Promise<Server> {
  // Paused and half-open: no byte and no end of the app's may pass unseen before the stream is joined.
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, onAccept);
  const { promise, resolve, reject } = Promise.withResolvers<Server>();
  server.once("error", reject);
  server.listen({ host, port: 0 }, () => resolve(server));
  return promise;
}

function portOf(server: Server | undefined): number {
  const address = server?.address();
  return typeof address === "object" && address ? address.port : 0;
}
