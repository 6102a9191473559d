/**
 * Datagrams to Unix sockets of the target (syslog's /dev/log, systemd's notify socket): one relay for each, in the session's
 * directory, to which all programs of the run send. What comes there goes through a stream to a socket of the agent's.
 *
 * Nothing comes back: who sends to it has no name at the target. When the target's socket is gone, so is the relay: the next
 * datagram is refused, and a program that connects anew finds out what is there by then.
 */
import { ERRNO } from "../../base/errors.ts";
import { SocketEnd } from "../../base/socket_end.ts";
import type { LAYER } from "../../proto/layer.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import { type DatagramRelay, relayDatagrams } from "../../sys/unix.ts";
import { unnamedPlace } from "../session_directory.ts";
import type { AgentClient } from "./agent_client.ts";
import { LateEnd } from "./late_end.ts";
import { keyOf } from "./listing.ts";
import type { ShimConnection } from "./shim_connection.ts";

type Request = MessageNamed<typeof LAYER, "RelayUnixDatagrams">;

interface Relay {
  readonly number: number;
  readonly place: DatagramRelay;
}

const MODE = 0o666;
const MOST_RELAYS = 256;

export class UnixDatagrams {
  readonly #agent: AgentClient;
  readonly #directory: string;
  /** By the name at the target; an errno where there was none to be had just now. */
  readonly #relays = new Map<string, Promise<Relay | number>>();
  readonly #open = new Set<Relay>();
  #lastNumber = 0;
  #isClosed = false;

  constructor(agent: AgentClient, directory: string) {
    this.#agent = agent;
    this.#directory = directory;
  }

  async onRequest({ name }: Request, id: number, shim: ShimConnection): Promise<void> {
    const key = keyOf(name);
    let relay = this.#relays.get(key);
    if (!relay) this.#relays.set(key, relay = this.#begin(name.slice(), key));
    const made = await relay;
    const isMade = typeof made !== "number";
    shim.send({ type: "RelayUnixDatagramsReply", errno: isMade ? 0 : made, number: isMade ? made.number : 0 }, id);
  }

  /** No program is left: what they have sent goes on, and then the streams end. */
  finish(): void {
    for (const { place } of this.#open) place.end();
  }

  close(): void {
    this.#isClosed = true;
    this.finish();
  }

  async #begin(name: Uint8Array, key: string): Promise<Relay | number> {
    const stream = this.#agent.newStream();
    const errno = this.#isClosed || this.#open.size >= MOST_RELAYS ? ERRNO.ECONNREFUSED : await this.#agent.ask(
      { type: "ConnectUnixDatagrams", stream, name },
      (answer) => answer ? answer.errno : ERRNO.ECONNREFUSED,
    );
    const relay = errno === 0 ? this.#listen() : errno;
    if (typeof relay === "number") {
      this.#relays.delete(key);
      if (errno === 0) this.#agent.tell({ type: "Reset", stream });
      return relay;
    }
    this.#open.add(relay);
    const end = new LateEnd(() => this.#retire(relay, key));
    this.#agent.streams.add(stream, end);
    end.arrive(new SocketEnd(relay.place.socket));
    return relay;
  }

  #listen(): Relay | number {
    using place = unnamedPlace(this.#directory);
    const number = ++this.#lastNumber;
    const made = relayDatagrams(`${place.path}/datagrams-${number}`);
    if (typeof made === "number") return -made;
    Deno.chmodSync(`${this.#directory}/datagrams-${number}`, MODE);
    return { number, place: made };
  }

  #retire(relay: Relay, key: string): void {
    this.#open.delete(relay);
    this.#relays.delete(key);
    relay.place.close();
    try {
      Deno.removeSync(`${this.#directory}/datagrams-${relay.number}`);
    } catch {
      // The session's directory is gone already.
    }
  }
}
