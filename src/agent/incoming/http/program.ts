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

/** As struct needed_texts of native/sys/nft_plain.h has room for. */
const MOST_NEEDED = 6;
const NEEDED = /^[!-~]{2,31}$/;

/**
 * Texts without any of which in its head a request is nobody's, and need not be looked at. Undefined: that cannot be said. They come from
 * clients, who harm nobody but themselves with wrong ones.
 */
export function neededTexts(filters: readonly (HttpFilter | undefined)[]): readonly string[] | undefined {
  const needs = filters.map((it) => it && needsOf(it));
  if (!needs.every((it) => it !== undefined)) return undefined;
  const all = [...new Set(needs.flat())];
  const shortest = all.filter((text) => !all.some((other) => other !== text && text.includes(other)));
  return shortest.length <= MOST_NEEDED ? shortest : undefined;
}

function needsOf(filter: HttpFilter): readonly string[] | undefined {
  switch (filter.kind) {
    case "body":
    case "jq":
      return undefined;
    case "any":
      return filter.of.reduce<readonly string[] | undefined>((all, it) => {
        const more = needsOf(it);
        return all && more && [...all, ...more];
      }, []);
    case "all": {
      const known = filter.of.map(needsOf).filter((it) => it !== undefined);
      return known.sort((one, other) => lengthOf(other) - lengthOf(one))[0];
    }
    default: {
      const { needs } = filter;
      const isSound = Array.isArray(needs) && needs.length > 0 && needs.length <= MOST_NEEDED &&
        needs.every((it) => typeof it === "string" && NEEDED.test(it));
      return isSound ? (needs as readonly string[]).map((it) => it.toUpperCase()) : undefined;
    }
  }
}

/** Of the shortest of them: the longer, the rarer. */
function lengthOf(texts: readonly string[]): number {
  return Math.min(...texts.map((it) => it.length));
}

function node(kind: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const length = (body.length + 3) & ~3;
  const bytes = new Uint8Array(8 + length);
  bytes.set(new Uint8Array(new Uint32Array([kind, length]).buffer));
  bytes.set(body, 8);
  return bytes;
}
