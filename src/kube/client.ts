/**
 * The API server's REST interface, as thin as this program needs it: get, list in pages, watch, create, delete.
 *
 * Every answer has to come within eight seconds, so that a silent server is told of within ten. Refusals become
 * sentences (refusals.ts). What may be asked again is asked again: everything after 429, reading also after a failure
 * of the server.
 */
import { WireError } from "../base/errors.ts";
import type { ApiServer } from "./api_server.ts";
import { delay, withDeadline } from "./deadline.ts";
import { type Kind, KINDS } from "./kinds.ts";
import type { KubeObject } from "./objects.ts";
import { type Asked, connectionFailure, garbled, isDropped, refusalOf, RefusedError } from "./refusals.ts";
import { isChangeOf, isObjectOf, isPageOf, isRecord } from "./shapes.ts";
import { openTransport, type Transport } from "./transport.ts";

export { type Kind, KINDS };

export interface Selection {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface WatchEvent<T> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: T;
}

interface Page<T> {
  readonly items?: T[];
  readonly metadata?: { readonly continue?: string; readonly resourceVersion?: string };
}

interface Request extends Asked {
  readonly kind: Kind;
  readonly query?: Record<string, string>;
  readonly subresource?: string;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
  /** Of the answer. */
  readonly shape: (value: unknown) => boolean;
}

const ANSWER_MS = 8_000;
const PAGE_ITEMS = 500;
/** A page of objects, each as big as most clusters store them at all. */
const MAX_ANSWER_BYTES = 256 << 20;
/** A server that wants to be left alone for longer is told of at once: somebody waits. */
const MAX_PAUSE_MS = 5_000;
/** Asked again this often at most, after growing pauses. */
const TRIES = 4;
/** Between two watches. */
const MIN_PAUSE_MS = 25;
const MAX_WATCH_PAUSE_MS = 2000;
const SHORT_WATCH_MS = 1000;
/** The server ends a watch after so long, and a new one begins. */
const WATCH_SECONDS = 300;
const METHODS = { get: "GET", list: "GET", watch: "GET", create: "POST", patch: "PATCH", delete: "DELETE" } as const;

export class KubeClient implements Disposable {
  readonly server: ApiServer;
  readonly #transport: Transport;
  readonly #answerMs: number;

  constructor(server: ApiServer, options: { answerMs?: number } = {}) {
    this.server = server;
    this.#transport = openTransport(server);
    this.#answerMs = options.answerMs ?? ANSWER_MS;
  }

  async get<T extends KubeObject>(kind: Kind, namespace: string, name: string, signal?: AbortSignal): Promise<T> {
    const shape = (it: unknown) => isObjectOf(kind, it);
    return await this.#ask<T>({ kind, verb: "get", resource: kind.resource, namespace, name, signal, shape });
  }

  /** Like `get`, but undefined when there is none. */
  async find<T extends KubeObject>(
    kind: Kind,
    namespace: string,
    name: string,
    signal?: AbortSignal,
  ): Promise<T | undefined> {
    try {
      return await this.get<T>(kind, namespace, name, signal);
    } catch (error) {
      if (error instanceof RefusedError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** All objects (of all namespaces without one); `version` is where a watch goes on. */
  async list<T extends KubeObject>(
    kind: Kind,
    namespace: string | undefined,
    selection: Selection = {},
    signal?: AbortSignal,
  ): Promise<{ items: T[]; version: string }> {
    const items: T[] = [];
    const pages = this.pages<T>(kind, namespace, selection, signal);
    while (true) {
      const { done, value } = await pages.next();
      if (done) return { items, version: value };
      items.push(...value);
    }
  }

  /** The same page by page. */
  async *pages<T extends KubeObject>(
    kind: Kind,
    namespace: string | undefined,
    selection: Selection = {},
    signal?: AbortSignal,
  ): AsyncGenerator<T[], string, void> {
    let token: string | undefined;
    while (true) {
      const query = { ...selection, limit: String(PAGE_ITEMS), ...(token ? { continue: token } : {}) };
      const shape = (it: unknown) => isPageOf(kind, it);
      const asked = { kind, verb: "list", resource: kind.resource, namespace, query, signal, shape } as const;
      let page: Page<T>;
      try {
        page = await this.#ask<Page<T>>(asked);
      } catch (error) {
        // The list has become too old meanwhile: the rest of it is as it is now.
        if (!(error instanceof RefusedError) || !error.resume || error.resume === token) throw error;
        token = error.resume;
        continue;
      }
      token = page.metadata?.continue;
      yield page.items ?? [];
      if (!token) return page.metadata?.resourceVersion ?? "";
    }
  }

  async create<T extends KubeObject>(kind: Kind, namespace: string, body: unknown, signal?: AbortSignal): Promise<T> {
    const shape = (it: unknown) => isObjectOf(kind, it);
    return await this.#ask<T>({ kind, verb: "create", resource: kind.resource, namespace, body, signal, shape });
  }

  /** Asks the server to judge something, as a SelfSubjectAccessReview does; of no namespace. */
  async review<T>(kind: Kind, body: unknown, signal?: AbortSignal): Promise<T> {
    const shape = (it: unknown) => isRecord(it) && isRecord(it.status);
    const asked = { kind, verb: "create", resource: kind.resource, namespace: undefined } as const;
    return await this.#ask<T>({ ...asked, body, signal, shape });
  }

  /** Changes a subresource of an object; `body` is a strategic merge patch. */
  async patch<T extends KubeObject>(
    kind: Kind,
    namespace: string,
    name: string,
    subresource: string,
    body: unknown,
    signal?: AbortSignal,
  ): Promise<T> {
    const resource = `${kind.resource}/${subresource}`;
    const shape = isRecord; // of some subresources it is another kind
    return await this.#ask<T>({ kind, verb: "patch", resource, namespace, name, subresource, body, signal, shape });
  }

  /** "v1.29.3" */
  async version(signal?: AbortSignal): Promise<string> {
    const kind = { api: "version", resource: "" };
    const shape = (it: unknown) => isRecord(it) && typeof it.gitVersion === "string";
    const asked = { kind, verb: "get", resource: "version", namespace: undefined, signal, shape } as const;
    return (await this.#ask<{ gitVersion?: string }>(asked)).gitVersion ?? "";
  }

  /** Deletes an object and, in the background, what it owns. It is no failure when it is gone already. */
  async delete(kind: Kind, namespace: string, name: string, signal?: AbortSignal): Promise<void> {
    const body = { kind: "DeleteOptions", apiVersion: "v1", propagationPolicy: "Background" };
    try {
      const asked = { kind, verb: "delete", resource: kind.resource, namespace, name, body, signal } as const;
      await this.#ask({ ...asked, shape: isRecord });
    } catch (error) {
      if (!(error instanceof RefusedError) || error.status !== 404) throw error;
    }
  }

  /** What there is, then every change, until the signal is aborted; the watch is renewed as often as needed. */
  async *observe<T extends KubeObject>(
    kind: Kind,
    namespace: string,
    selection: Selection,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent<T>, void, void> {
    let pauseMs = MIN_PAUSE_MS;
    let failures = 0;
    while (true) {
      const { items, version } = await this.list<T>(kind, namespace, selection, signal);
      for (const object of items) yield { type: "ADDED", object };
      for (let from: string | undefined = version; from !== undefined;) {
        const began = performance.now();
        let last: string | undefined = from;
        try {
          for await (const event of this.#watch<T>(kind, namespace, selection, from, signal)) {
            failures = 0;
            if (event === "expired") {
              last = undefined;
              break;
            }
            last = event.object.metadata.resourceVersion ?? last;
            yield event;
          }
        } catch (error) {
          if (signal.aborted) throw signal.reason;
          if (++failures >= TRIES || !mayPass(error)) throw connectionFailure(this.server, error);
        }
        from = last;
        // One that ends at once, again and again, is not asked for as often as it answers.
        pauseMs = performance.now() - began < SHORT_WATCH_MS ? Math.min(2 * pauseMs, MAX_WATCH_PAUSE_MS) : MIN_PAUSE_MS;
        await delay(pauseMs, signal);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#transport.close();
  }

  async *#watch<T extends KubeObject>(
    kind: Kind,
    namespace: string,
    selection: Selection,
    from: string,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent<T> | "expired", void, void> {
    const query = { ...selection, watch: "true", resourceVersion: from, timeoutSeconds: String(WATCH_SECONDS) };
    const stop = new AbortController();
    const both = AbortSignal.any([signal, stop.signal]);
    try {
      const shape = (it: unknown) => isChangeOf(kind, it);
      const asked = { kind, verb: "watch", resource: kind.resource, namespace, query, signal: both, shape } as const;
      const response = await this.#send(asked);
      for await (const line of linesOf(response)) {
        const event = parsed(line, shape) as WatchEvent<T> | { type: "ERROR" } | undefined;
        if (!event) throw garbled(this.server, asked);
        yield event.type === "ERROR" ? "expired" : event; // mostly 410 Gone: the list says how things are now
      }
    } catch (error) {
      if (error instanceof RefusedError && error.status === 410) yield "expired";
      else if (error instanceof RefusedError && error.status === 429) {
        await delay(pauseAfter(error, TRIES), signal);
        yield "expired";
      } else throw error;
    } finally {
      stop.abort();
    }
  }

  async #ask<T>(request: Request): Promise<T> {
    for (let tried = 1;; tried++) {
      try {
        return await withDeadline(async (signal) => {
          const response = await this.#send({ ...request, signal });
          const text = await textOf(response);
          return parsed(text, request.shape) as T ?? Promise.reject(garbled(this.server, request));
        }, { ms: this.#answerMs, signal: request.signal });
      } catch (error) {
        if (request.signal?.aborted) throw request.signal.reason;
        if (tried < TRIES && mayTryAgain(request, error)) {
          await delay(pauseAfter(error, tried), request.signal);
          continue;
        }
        throw connectionFailure(this.server, error);
      }
    }
  }

  /** Resolves with the answer once it has begun and is one of success. */
  async #send(request: Request): Promise<Response> {
    const path = pathOf(request);
    const headers: Record<string, string> = { accept: "application/json" };
    if (request.body !== undefined) {
      headers["content-type"] = request.verb === "patch"
        ? "application/strategic-merge-patch+json"
        : "application/json";
    }
    const body = request.body === undefined ? null : JSON.stringify(request.body);
    // Only the beginning of the answer has a deadline: a watch goes on for minutes.
    const answer = new AbortController();
    const forward = () => answer.abort(request.signal!.reason);
    request.signal?.addEventListener("abort", forward, { once: true });
    const response = await withDeadline((deadline) => {
      deadline.addEventListener("abort", () => answer.abort(deadline.reason), { once: true });
      return this.#transport.fetch(path, { method: METHODS[request.verb], headers, body, signal: answer.signal });
    }, { ms: this.#answerMs, signal: request.signal });
    if (response.ok) return response;
    const { status, headers: answered } = response;
    throw refusalOf(this.server, request, status, await textOf(response) ?? "", answered.get("retry-after"));
  }
}

/** Undefined: it is no JSON of that shape. */
function parsed(text: string | undefined, shape: (value: unknown) => boolean): object | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return shape(value) ? value as object : undefined;
  } catch {
    return undefined;
  }
}

/** The whole body; undefined: it is longer than any answer of an API server. */
async function textOf(response: Response): Promise<string | undefined> {
  const decoder = new TextDecoder();
  const parts: string[] = [];
  let left = MAX_ANSWER_BYTES;
  for await (const bytes of response.body ?? []) {
    if ((left -= bytes.length) < 0) return undefined;
    parts.push(decoder.decode(bytes, { stream: true }));
  }
  return parts.join("") + decoder.decode();
}

/** As long as the server says, within reason, else longer each time. */
function pauseAfter(error: unknown, tried: number): number {
  const wanted = error instanceof RefusedError ? error.retryAfterMs : undefined;
  return Math.min(wanted ?? 100 * 2 ** tried, MAX_PAUSE_MS);
}

function mayTryAgain(request: Request, error: unknown): boolean {
  if (error instanceof RefusedError && (error.retryAfterMs ?? 0) > MAX_PAUSE_MS) return false;
  if (error instanceof RefusedError && error.status === 429) return true;
  // What is done twice by them is as if it had been done once.
  return ["get", "list", "delete"].includes(request.verb) && mayPass(error);
}

/** The server has failed, or the way to it: perhaps not the next time. */
function mayPass(error: unknown): boolean {
  return error instanceof RefusedError ? [500, 502, 503, 504].includes(error.status) : isDropped(error);
}

function pathOf({ kind, namespace, name, subresource, query }: Request): string {
  const parts = [kind.api, ...(namespace === undefined ? [] : ["namespaces", encodeURIComponent(namespace)])];
  if (kind.resource !== "") parts.push(kind.resource);
  if (name !== undefined) parts.push(encodeURIComponent(name), ...(subresource === undefined ? [] : [subresource]));
  const search = query ? `?${new URLSearchParams(query)}` : "";
  return `/${parts.join("/")}${search}`;
}

/** Lines of a body as they come. The longest one stands for the biggest object a cluster stores. */
async function* linesOf(response: Response): AsyncGenerator<string, void, void> {
  const MAX_LINE_CHARACTERS = 4 << 20;
  let rest = "";
  for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    if (rest.length > MAX_LINE_CHARACTERS) throw new WireError("A watch event is over the limit");
    for (const line of lines) if (line !== "") yield line;
  }
}
