/**
 * An API server that follows a script, over plain HTTP on loopback: tests say what it answers, and see what it was asked.
 */
import type { ApiServer } from "../../src/kube/api_server.ts";
import type { ContainerStatus, KubeEvent, Pod } from "../../src/kube/objects.ts";

export interface ScriptedRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  readonly body: unknown;
  /** For upgrades. */
  readonly raw: Request;
}

export interface ScriptedServer extends AsyncDisposable {
  readonly server: ApiServer;
  readonly requests: ScriptedRequest[];
}

export type Script = (request: ScriptedRequest) => Response | Promise<Response>;

export function startApiServer(script: Script, tls?: { cert: string; key: string }): ScriptedServer {
  const requests: ScriptedRequest[] = [];
  const handler = async (raw: Request): Promise<Response> => {
    const { pathname: path, searchParams: query } = new URL(raw.url);
    const text = await raw.text();
    const body: unknown = text === "" ? undefined : JSON.parse(text);
    const headers = new Headers(raw.headers); // the request's own are gone after an upgrade
    const request = { method: raw.method, path, query, headers, body, raw };
    requests.push(request);
    return await script(request);
  };
  const listening = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
  const serving = tls ? Deno.serve({ ...listening, ...tls }, handler) : Deno.serve(listening, handler);
  const url = `${tls ? "https" : "http"}://127.0.0.1:${serving.addr.port}`;
  return {
    server: { url, context: "scripted", headers: {} },
    requests,
    [Symbol.asyncDispose]: () => serving.shutdown(),
  };
}

/** As the API server refuses. */
export function refuse(code: number, message: string, reason = "", headers: Record<string, string> = {}): Response {
  return Response.json({ kind: "Status", status: "Failure", code, message, reason }, { status: code, headers });
}

export function listOf(items: readonly unknown[], more: { continue?: string } = {}): Response {
  return Response.json({ items, metadata: { resourceVersion: "1", ...more } });
}

/** A watch that tells these events and then ends, or stays open when `isOpen`. */
export function watchOf(events: readonly unknown[], isOpen = false): Response {
  const lines = events.map((it) => `${JSON.stringify(it)}\n`).join("");
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      if (lines !== "") controller.enqueue(new TextEncoder().encode(lines));
      if (!isOpen) controller.close();
    },
  });
  return new Response(body, { headers: { "content-type": "application/json" } });
}

/** Jobs, pods and events of one namespace, as far as starting an agent asks for them. */
export class ScriptedCluster implements AsyncDisposable {
  readonly #http: ScriptedServer;
  readonly #watchers = new Map<ReadableStreamDefaultController<Uint8Array>, (object: unknown) => boolean>();
  readonly #pods: Pod[] = [];
  readonly #events: KubeEvent[] = [];
  readonly jobs: { metadata: { name: string } }[] = [];
  readonly deletedJobs: string[] = [];
  /** What happens when the Job is made; its name and, usually, `putPod` and `putEvent`. */
  onJob: (name: string) => Response | void = () => {};
  onPortForward: (socket: WebSocket) => void = (socket) => void socket.addEventListener("open", () => socket.close());
  /** Answers before everything else. */
  override: Script = () => new Response(null, { status: 404, headers: { "x-not": "overridden" } });

  constructor() {
    this.#http = startApiServer(async (request) => {
      const response = await this.override(request);
      return response.headers.has("x-not") ? this.#answer(request) : response;
    });
  }

  get server(): ApiServer {
    return this.#http.server;
  }

  get requests(): readonly ScriptedRequest[] {
    return this.#http.requests;
  }

  putPod(job: string, pod: Partial<Pod["status"] & Pod["metadata"]> & { nodeName?: string }): void {
    const { nodeName, deletionTimestamp, ...status } = pod;
    const object: Pod = {
      metadata: {
        name: `${job}-pod`,
        labels: { "job-name": job },
        ...(deletionTimestamp ? { deletionTimestamp } : {}),
      },
      spec: { containers: [{ name: "mirrord-agent" }], ...(nodeName ? { nodeName } : {}) },
      status,
    };
    this.#pods.splice(0, this.#pods.length, object);
    this.#tell({ type: "MODIFIED", object });
  }

  /** A pod that runs, and what it says of its ephemeral containers. */
  putTarget(name: string, ephemeralContainerStatuses: readonly ContainerStatus[]): void {
    const status = { phase: "Running", ephemeralContainerStatuses };
    const object: Pod = { metadata: { name }, spec: { containers: [{ name: "app" }] }, status };
    this.#pods.splice(0, this.#pods.length, object);
    this.#tell({ type: "MODIFIED", object });
  }

  putEvent(kind: "Job" | "Pod", name: string, reason: string, message: string, fieldPath?: string): void {
    const object: KubeEvent = {
      metadata: { name: `event-${this.#events.length}` },
      type: "Warning",
      reason,
      message,
      involvedObject: { kind, name, ...(fieldPath === undefined ? {} : { fieldPath }) },
    };
    this.#events.push(object);
    this.#tell({ type: "ADDED", object });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const controller of this.#watchers.keys()) controller.close();
    this.#watchers.clear();
    await this.#http[Symbol.asyncDispose]();
  }

  #tell(event: { type: string; object: unknown }): void {
    for (const [controller, isWanted] of this.#watchers) {
      if (isWanted(event.object)) controller.enqueue(new TextEncoder().encode(`${JSON.stringify(event)}\n`));
    }
  }

  #answer(request: ScriptedRequest): Response {
    const { method, path, query, body } = request;
    const resource = path.split("/").slice(path.indexOf("/namespaces/") < 0 ? 0 : -2).join("/");
    if (path.endsWith("/portforward")) return this.#portForward(request.raw);
    if (path.endsWith("/jobs") && method === "POST") {
      const job = body as { metadata: { name: string } };
      const response = this.onJob(job.metadata.name);
      if (response) return response;
      this.jobs.push(job);
      return Response.json(job, { status: 201 });
    }
    if (method === "DELETE") {
      this.deletedJobs.push(path.split("/").at(-1)!);
      return Response.json({});
    }
    const isPods = path.endsWith("/pods");
    if (!isPods && !path.endsWith("/events")) {
      const pod = this.#pods.find((it) => path.endsWith(`/pods/${it.metadata.name}`));
      return pod ? Response.json(pod) : refuse(404, `${resource} not found`, "NotFound");
    }
    const isWanted = isPods
      ? (it: unknown) =>
        isPod(it) && (`job-name=${it.metadata.labels?.["job-name"]}` === query.get("labelSelector") ||
          `metadata.name=${it.metadata.name}` === query.get("fieldSelector"))
      : (it: unknown) => isEvent(it) && `involvedObject.name=${it.involvedObject.name}` === query.get("fieldSelector");
    if (query.get("watch") !== "true") return listOf([...this.#pods, ...this.#events].filter(isWanted));
    return this.#watch(isWanted);
  }

  #watch(isWanted: (object: unknown) => boolean): Response {
    let own: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        own = controller;
        this.#watchers.set(controller, isWanted);
        // What came between list and watch.
        for (const object of [...this.#pods, ...this.#events].filter(isWanted)) {
          controller.enqueue(new TextEncoder().encode(`${JSON.stringify({ type: "MODIFIED", object })}\n`));
        }
      },
      cancel: () => void this.#watchers.delete(own),
    });
    return new Response(body);
  }

  #portForward(raw: Request): Response {
    if (raw.headers.get("upgrade") !== "websocket") return refuse(400, "only WebSockets here");
    const { socket, response } = Deno.upgradeWebSocket(raw, { protocol: "v4.channel.k8s.io" });
    socket.binaryType = "arraybuffer";
    this.onPortForward(socket);
    return response;
  }
}

function isPod(object: unknown): object is Pod {
  return typeof object === "object" && object !== null && "spec" in object;
}

function isEvent(object: unknown): object is KubeEvent {
  return typeof object === "object" && object !== null && "involvedObject" in object;
}

/** The other end of a port-forward, as the kubelet plays it. */
export class PortForwardPeer {
  readonly received: number[] = [];
  #onData: (bytes: Uint8Array) => void = (bytes) => this.received.push(...bytes);

  constructor(readonly socket: WebSocket, port: number) {
    socket.addEventListener("open", () => {
      for (const channel of [0, 1]) socket.send(Uint8Array.of(channel, port & 0xff, port >> 8));
    });
    socket.addEventListener("message", ({ data }) => {
      const bytes = new Uint8Array(data as ArrayBuffer);
      if (bytes[0] === 0) this.#onData(bytes.subarray(1));
    });
  }

  onData(handle: (bytes: Uint8Array) => void): void {
    this.#onData = handle;
  }

  send(bytes: Uint8Array): void {
    const message = new Uint8Array(bytes.length + 1);
    message.set(bytes, 1);
    this.socket.send(message);
  }

  fail(text: string): void {
    const words = new TextEncoder().encode(text);
    const message = new Uint8Array(words.length + 1);
    message[0] = 1;
    message.set(words, 1);
    this.socket.send(message);
    this.socket.close();
  }
}
