/** The fields of a header block (RFC 9113 8), and what they say of a request or an answer. */
import type { RequestFacts } from "../../../proto/http_filter.ts";
import type { FieldEncoder } from "./field_encoder.ts";
import type { Field } from "./field_table.ts";

/** A request as filters see it. */
export interface StreamRequest extends RequestFacts {
  readonly isGrpc: boolean;
  readonly isHead: boolean;
  /** What follows is no body, but bytes both ways (RFC 9113 8.5, RFC 8441). */
  readonly isConnect: boolean;
  /** Its body may wait for an interim answer (RFC 9110 10.1.1). */
  readonly awaitsContinue: boolean;
  /** Of its body, where it is said. */
  readonly length: number | undefined;
}

/** What an encoder made of a block, while nothing in its table has changed since. */
export interface Encoded {
  readonly encoder: FieldEncoder;
  readonly generation: number;
  readonly bytes: Uint8Array;
}

export class HeaderBlock {
  readonly fields: readonly Field[];
  /** There were more than anybody wants to keep; the rest was left out. */
  readonly isTooLarge: boolean;
  encoded: Encoded | undefined;
  #request: StreamRequest | string | undefined;
  #listBytes: number | undefined;
  #extended: HeaderBlock | undefined;
  #status: number | undefined;

  constructor(fields: readonly Field[], isTooLarge = false) {
    this.fields = fields;
    this.isTooLarge = isTooLarge;
  }

  /** Names and values, counted as RFC 9113 10.5.1 does. */
  get listBytes(): number {
    return this.#listBytes ??= this.fields.reduce((sum, it) => sum + listBytesOf(it), 0);
  }

  /** The request that it is; or, in words, why it is none. */
  get request(): StreamRequest | string {
    return this.#request ??= requestOf(this.fields);
  }

  /** The status that it answers with; 0 when it is no answer. */
  get status(): number {
    return this.#status ??= statusOf(this.fields);
  }

  /** The block with this field, and no other of its name; kept: blocks that repeat are the same, and are not written anew. */
  with(name: string, value: string): HeaderBlock {
    const last = this.#extended?.fields.at(-1);
    if (last?.name === name && last.value === value) return this.#extended!;
    const others = this.fields.filter((it) => it.name !== name);
    return this.#extended = new HeaderBlock([...others, { name, value, indexing: "yes" }], this.isTooLarge);
  }

  /** Are these fields that may follow a body? */
  get isTrailer(): boolean {
    return this.fields.every((it) => !it.name.startsWith(":") && faultOf(it) === undefined);
  }
}

export function listBytesOf({ name, value }: Field): number {
  return name.length + value.length + 32;
}

export function blockOf(...fields: readonly (readonly [string, string])[]): HeaderBlock {
  return new HeaderBlock(fields.map(([name, value]) => ({ name, value, indexing: "no" })));
}

/** RFC 9113 8.2.2: what is about one connection has no place here. */
const OF_A_CONNECTION = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);
const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
const NOT_IN_A_VALUE = /[\0\r\n]/;
const OF_A_REQUEST = [":method", ":scheme", ":path", ":authority", ":protocol"];

function faultOf({ name, value }: Field): string | undefined {
  if (!NAME.test(name)) return "a field has no proper name";
  if (NOT_IN_A_VALUE.test(value)) return "a field has no proper value";
  if (OF_A_CONNECTION.has(name)) return `the field ${name} has no place in HTTP/2`;
  if (name === "te" && value.toLowerCase() !== "trailers") return "the field te has no place in HTTP/2";
  return undefined;
}

function requestOf(fields: readonly Field[]): StreamRequest | string {
  const pseudo = new Map<string, string>();
  const headers: Uint8Array[] = [];
  let hasHost = false;
  let isGrpc = false;
  let awaitsContinue = false;
  let length: number | undefined;
  for (const field of fields) {
    const { name, value } = field;
    if (name.startsWith(":")) {
      if (headers.length > 0) return "a pseudo field follows a field";
      if (!OF_A_REQUEST.includes(name) || pseudo.has(name)) return `the field ${name} has no place there`;
      if (NOT_IN_A_VALUE.test(value)) return "a field has no proper value";
      pseudo.set(name, value);
      continue;
    }
    const fault = faultOf(field);
    if (fault !== undefined) return fault;
    headers.push(latin1(`${name}: ${value}`));
    hasHost ||= name === "host";
    if (name === "content-length") {
      if (!/^[0-9]{1,15}$/.test(value) || (length ?? Number(value)) !== Number(value)) return "its length is not clear";
      length = Number(value);
    }
    awaitsContinue ||= name === "expect" && value.toLowerCase() === "100-continue";
    isGrpc ||= name === "content-type" && value.startsWith("application/grpc");
  }
  const fault = faultOfRequest(pseudo);
  if (fault !== undefined) return fault;
  const authority = pseudo.get(":authority");
  // As the same request would say it in HTTP/1.
  if (authority !== undefined && !hasHost) headers.push(latin1(`host: ${authority}`));
  const method = pseudo.get(":method")!;
  const target = latin1(pseudo.get(":path") ?? authority ?? "");
  const [isHead, isConnect] = [method === "HEAD", method === "CONNECT"];
  return { method: latin1(method), target, headers, isGrpc, isHead, isConnect, awaitsContinue, length };
}

/** RFC 9113 8.3.1, 8.5; RFC 8441 */
function faultOfRequest(pseudo: ReadonlyMap<string, string>): string | undefined {
  if (!pseudo.get(":method")) return "it has no method";
  const isPlainConnect = pseudo.get(":method") === "CONNECT" && !pseudo.has(":protocol");
  if (isPlainConnect) {
    const isSound = pseudo.has(":authority") && !pseudo.has(":path") && !pseudo.has(":scheme");
    return isSound ? undefined : "it asks to connect nowhere";
  }
  return pseudo.get(":path") && pseudo.get(":scheme") ? undefined : "it has no path or no scheme";
}

function statusOf(fields: readonly Field[]): number {
  const first = fields[0];
  if (first?.name !== ":status" || !/^[1-9][0-9]{2}$/.test(first.value)) return 0;
  const others = fields.slice(1);
  return others.every((it) => !it.name.startsWith(":") && faultOf(it) === undefined) ? Number(first.value) : 0;
}

function latin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}
