/** The filters of a port as native/sys/http_filter.c runs them: rows of nodes. */
import { concatBytes } from "../../../base/bytes.ts";
import type { HttpFilter } from "../../../proto/http_filter.ts";

/** Nodes of native/sys/http_filter.c. */
const KINDS = { header: 1, path: 2, method: 3, all: 4, any: 5 } as const;
/** For TypeScript to decide. */
const LATER = 6;

/** Each is a subscription's; undefined: it wants every request. */
export function programOf(filters: readonly (HttpFilter | undefined)[]): Uint8Array<ArrayBuffer> {
  return concatBytes(filters.map((it) => it ? nodeOf(it) : node(LATER, new Uint8Array())));
}

function nodeOf(filter: HttpFilter): Uint8Array<ArrayBuffer> {
  switch (filter.kind) {
    case "body":
    case "jq":
      return node(LATER, new Uint8Array());
    case "all":
    case "any":
      return node(KINDS[filter.kind], concatBytes(filter.of.map(nodeOf)));
    default:
      return node(KINDS[filter.kind], Uint8Array.fromBase64(filter.table));
  }
}

function node(kind: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const length = (body.length + 3) & ~3;
  const bytes = new Uint8Array(8 + length);
  bytes.set(new Uint8Array(new Uint32Array([kind, length]).buffer));
  bytes.set(body, 8);
  return bytes;
}
