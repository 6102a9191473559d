/**
 * The way to an agent in a cluster: one port-forward through API server and kubelet to a port on the pod's loopback, over
 * one WebSocket of the protocol v4.channel.k8s.io. The intproxy's process uses this module: it must stay light.
 *
 * Every message begins with a channel: 0 is data, 1 an error in words. Each channel's first two bytes are the port. There
 * is no half-close. The kubelet connects to the port only after the WebSocket stands; so an agent that does not listen
 * yet shows as an error later, upon which all is tried anew, with what was written until then.
 */
import { concatBytes, fromUtf8 } from "../base/bytes.ts";
import type { Duplex } from "../base/duplex.ts";
import { UserError, WireError } from "../base/errors.ts";
import type { ApiServer } from "./api_server.ts";
import { delay, withDeadline } from "./deadline.ts";
import { dialApiServer } from "./dial.ts";
import { connectionFailure, refusalOf } from "./refusals.ts";
import { HandshakeError, openWebSocket, type WebSocketStream } from "./websocket.ts";

/** Where an agent is; plain JSON. */
export interface AgentAddress {
  readonly server: ApiServer;
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

const PROTOCOL = "v4.channel.k8s.io";
const CHANNEL = { data: 0, error: 1 } as const;
const OPEN_MS = 10_000;
/** How long an agent that was started may take until it listens: Deno needs 0.1 s, a busy node more. */
const PATIENCE_MS = 10_000;
const RETRY_MS = 100;
/** What is kept for another try at most: a handshake. Who writes more without an answer has no other try. */
const KEPT_BYTES = 4096;

/** Nothing listens on the port (yet). */
export class NotListeningError extends UserError {}

/** A byte stream to the agent. Reading and writing reject with `UserError` when the way to it breaks. */
export async function openPortForward(
  address: AgentAddress,
  options: { signal?: AbortSignal; patienceMs?: number } = {},
): Promise<Duplex> {
  const patienceMs = options.patienceMs ?? PATIENCE_MS;
  const first = await dialPortForward(address, options.signal);
  return new PatientDuplex(first, () => dialPortForward(address), patienceMs);
}

/** One try: resolves when the WebSocket stands, which does not say that something listens behind it. */
export async function dialPortForward(address: AgentAddress, signal?: AbortSignal): Promise<Duplex> {
  const { server, namespace, pod, port } = address;
  const base = new URL(server.url);
  const path = `${base.pathname.replace(/\/$/, "")}/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/` +
    `${encodeURIComponent(pod)}/portforward?ports=${port}`;
  const open = async (): Promise<Duplex> => {
    const duplex = await dialApiServer(server);
    try {
      const handshake = { path, host: base.host, protocol: PROTOCOL, headers: server.headers };
      return new PortForward(await openWebSocket(duplex, handshake), address);
    } catch (error) {
      duplex.close();
      throw error;
    }
  };
  try {
    return await withDeadline(open, { ms: OPEN_MS, signal, discard: (late) => late.close() });
  } catch (error) {
    if (error instanceof HandshakeError) {
      const asked = { verb: "create", resource: "pods/portforward", namespace, name: pod } as const;
      throw refusalOf(server, asked, error.status, error.body);
    }
    throw error instanceof WireError ? unreachable(address, error.message) : connectionFailure(server, error);
  }
}

class PortForward implements Duplex {
  readonly #socket: WebSocketStream;
  readonly #address: AgentAddress;
  #channel: number | undefined;
  /** Bytes of the port that each channel still has to send. */
  readonly #portBytesDue: number[] = [2, 2];
  readonly #scratch = new Uint8Array(1024);

  constructor(socket: WebSocketStream, address: AgentAddress) {
    this.#socket = socket;
    this.#address = address;
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (true) {
      if (this.#channel === undefined) {
        if (!await this.#nextChannel()) return null;
      } else if (this.#portBytesDue[this.#channel]! > 0) {
        const due = this.#portBytesDue[this.#channel]!;
        const count = await this.#socket.read(this.#scratch.subarray(0, due));
        if (count === null) return null;
        if (count === 0) this.#channel = undefined;
        else this.#portBytesDue[this.#channel] = due - count;
      } else if (this.#channel === CHANNEL.error) {
        const count = await this.#socket.read(this.#scratch);
        if (count) throw unreachable(this.#address, fromUtf8(this.#scratch.subarray(0, count)));
        this.#channel = undefined;
      } else {
        const count = await this.#socket.read(into);
        if (count !== 0) return count;
        this.#channel = undefined;
      }
    }
  }

  writeAll(bytes: Uint8Array): Promise<void> {
    return this.#socket.send(CHANNEL.data, bytes);
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #lastChannel = 0;

  /** Goes on to the next frame; a message's first byte is its channel. */
  async #nextChannel(): Promise<boolean> {
    const frame = await this.#socket.nextFrame();
    if (!frame) return false;
    if (frame.isFirst) {
      if (await this.#socket.read(this.#scratch.subarray(0, 1)) !== 1) return false;
      this.#lastChannel = this.#scratch[0]!;
    }
    if (this.#lastChannel > CHANNEL.error) {
      throw unreachable(this.#address, "it speaks of a channel we did not ask for");
    }
    this.#channel = this.#lastChannel;
    return true;
  }
}

/** Begins anew, with the same bytes, as long as nothing came back and nothing listens. */
class PatientDuplex implements Duplex {
  #inner: Duplex;
  readonly #dial: () => Promise<Duplex>;
  readonly #until: number;
  /** Written so far; undefined once it is too late for another try. */
  #kept: Uint8Array | undefined = new Uint8Array();
  #isClosed = false;

  constructor(inner: Duplex, dial: () => Promise<Duplex>, patienceMs: number) {
    this.#inner = inner;
    this.#dial = dial;
    this.#until = performance.now() + patienceMs;
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (!this.#kept) return await this.#inner.read(into);
    while (true) {
      try {
        const count = await this.#inner.read(into);
        this.#kept = undefined;
        return count;
      } catch (error) {
        if (!(error instanceof NotListeningError) || !this.#kept || this.#isClosed) throw error;
        if (performance.now() > this.#until) throw error;
      }
      await this.#again();
    }
  }

  async writeAll(bytes: Uint8Array): Promise<void> {
    if (this.#kept) {
      this.#kept = this.#kept.length + bytes.length > KEPT_BYTES ? undefined : concatBytes([this.#kept, bytes]);
    }
    const inner = this.#inner;
    try {
      await inner.writeAll(bytes);
    } catch (error) {
      // With these bytes kept, the reader finds out why, and whether there is another try.
      if (!this.#kept) throw error;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#inner.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #again(): Promise<void> {
    this.#inner.close();
    await delay(RETRY_MS);
    if (this.#isClosed) throw new WireError("The port-forward was closed");
    const inner = await this.#dial();
    this.#inner = inner;
    if (this.#isClosed) inner.close();
    else if (this.#kept?.length) await inner.writeAll(this.#kept);
  }
}

function unreachable({ namespace, pod, port }: AgentAddress, reason: string): UserError {
  const isRefused = /connection refused/i.test(reason);
  const Kind = isRefused ? NotListeningError : UserError;
  const because = isRefused ? "nothing listens on it" : reason.trim();
  return new Kind(
    "AGENT_UNREACHABLE",
    `Cannot reach port ${port} of pod "${pod}" in namespace "${namespace}": ${because}`,
    { hint: `\`kubectl describe pod ${pod} --namespace ${namespace}\` tells what became of it` },
  );
}
