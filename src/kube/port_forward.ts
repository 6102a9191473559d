/**
 * The way to an agent in a cluster: one port-forward through API server and kubelet to a port on the pod's loopback,
 * over SPDY or a WebSocket. The intproxy's process uses this module: it must stay light.
 *
 * The kubelet connects to the port only after the way stands; so an agent that does not listen yet shows as an error
 * later, upon which all is tried anew, with what was written until then.
 */
import { concatBytes } from "../base/bytes.ts";
import type { Duplex } from "../base/duplex.ts";
import { UserError, WireError } from "../base/errors.ts";
import type { ApiServer } from "./api_server.ts";
import { delay, withDeadline } from "./deadline.ts";
import { dialApiServer } from "./dial.ts";
import { connectionFailure, refusalOf, RefusedError } from "./refusals.ts";
import { HandshakeError } from "./http_upgrade.ts";
import { openSpdyForward } from "./spdy.ts";
import { openWebSocketForward } from "./websocket_forward.ts";

/** Where an agent is; plain JSON. */
export interface AgentAddress {
  readonly server: ApiServer;
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

const OPEN_MS = 8_000;
/** What would be answered to a WebSocket too: no name, no right, no pod, too many requests. */
const FINAL_STATUSES: ReadonlySet<number> = new Set([401, 403, 404, 429]);
/** How long an agent that was started may take until it listens: Deno needs 0.1 s, a busy node more. */
const PATIENCE_MS = 10_000;
const RETRY_MS = 100;
/** Where the API server says that it is busy, or has failed. */
const TRIES = 4;
const MAX_PAUSE_MS = 5_000;
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
  const first = await dialAgain(address, options.signal);
  return new PatientDuplex(first, () => dialPortForward(address), patienceMs);
}

/** The API server may be too busy for a moment, or fail. */
async function dialAgain(address: AgentAddress, signal: AbortSignal | undefined): Promise<Duplex> {
  for (let tried = 1;; tried++) {
    try {
      return await dialPortForward(address, signal);
    } catch (error) {
      const pauseMs = tried < TRIES ? pauseBeforeNext(error, tried) : undefined;
      if (pauseMs === undefined) throw error;
      await delay(pauseMs, signal);
    }
  }
}

/** Undefined: the next try would end as this one did, or somebody would wait for long. */
function pauseBeforeNext(error: unknown, tried: number): number | undefined {
  if (!(error instanceof RefusedError) || error.status < 500 && error.status !== 429) return undefined;
  const pauseMs = error.retryAfterMs ?? RETRY_MS * 2 ** tried;
  return pauseMs > MAX_PAUSE_MS ? undefined : pauseMs;
}

/** One try: resolves when the way stands, which does not say that something listens at its end. */
export async function dialPortForward(address: AgentAddress, signal?: AbortSignal): Promise<Duplex> {
  const { server, namespace, pod } = address;
  try {
    return await withDeadline(() => openEither(address), { ms: OPEN_MS, signal, discard: (late) => late.close() });
  } catch (error) {
    if (error instanceof HandshakeError) {
      const asked = { verb: "create", resource: "pods/portforward", namespace, name: pod } as const;
      throw refusalOf(server, asked, error.status, error.body, error.retryAfter);
    }
    throw error instanceof WireError ? unreachable(address, error.message) : connectionFailure(server, error);
  }
}

/** SPDY moves more; where something on the way does not know it, a WebSocket. */
async function openEither(address: AgentAddress): Promise<Duplex> {
  const { server, namespace, pod, port } = address;
  const base = new URL(server.url);
  const path = `${base.pathname.replace(/\/$/, "")}/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/` +
    `${encodeURIComponent(pod)}/portforward`;
  const upgrade = { path, host: base.host, headers: server.headers };
  const explain = (words: string) => unreachable(address, words);
  let first: unknown;
  try {
    return await openOver(server, (duplex) => openSpdyForward(duplex, upgrade, port, explain));
  } catch (error) {
    const isFinal = error instanceof HandshakeError ? FINAL_STATUSES.has(error.status) : !(error instanceof WireError);
    if (isFinal) throw error;
    first = error;
  }
  const asked = { ...upgrade, path: `${path}?ports=${port}` };
  try {
    return await openOver(server, (duplex) => openWebSocketForward(duplex, asked, explain));
  } catch (error) {
    // A WebSocket is a GET: to access rules that is another verb than SPDY's, and nobody needs the right to both.
    throw error instanceof HandshakeError && error.status === 403 ? first : error;
  }
}

async function openOver(server: ApiServer, open: (duplex: Duplex) => Promise<Duplex>): Promise<Duplex> {
  const duplex = await dialApiServer(server);
  try {
    return await open(duplex);
  } catch (error) {
    duplex.close();
    throw error;
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
