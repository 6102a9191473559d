/**
 * Reading one big file on demand: what is read in order is asked for ahead of the program, what is read at random is not.
 *
 * A file has some streams, each a place where somebody reads on. A read that continues a stream doubles its window, up to
 * WINDOW_BYTES under way or waiting here; a read elsewhere begins a new stream with little. Bytes are given out once: the shim
 * keeps them. All files of a session share AHEAD_BYTES; who read longest ago loses what waits for him.
 */
import { AGENT_LIMITS } from "../../proto/agent.ts";

export interface Part {
  /** 0, or why there are no data. */
  readonly errno: number;
  /** Fewer bytes than asked for: the file ends there. */
  readonly data: Uint8Array;
}

/** Asks the agent: resolves with bytes that stay good. Never rejects. */
export type ReadAt = (offset: number, length: number) => Promise<Part>;

const PIECE_BYTES = AGENT_LIMITS.chunkBytes;
/** What a read at random brings at least: the neighbourhood, for the price of some bytes and not of a round trip. */
const RANDOM_BYTES = 64 << 10;
/** Enough for 40 ms of round trip at 200 MB/s. */
const FIRST_WINDOW_BYTES = 1 << 20;
const WINDOW_BYTES = 8 << 20;
/** What a reader in order may leap over (what it finds in its memory already) and still be one. */
const LEAP_BYTES = 128 << 10;
const STREAMS = 4;
/** A reader who lets it wait longer than this gets a smaller window; and what waits longer than that is asked for anew. */
const SLOW_MS = 1000;
const FRESH_MS = 10_000;
/** Read ahead and not yet given out, of all files of a session. */
const AHEAD_BYTES = 48 << 20;

interface Piece {
  readonly offset: number;
  readonly length: number;
  readonly askedAt: number;
  readonly part: Promise<Part>;
}

interface Stream {
  /** Where its reader goes on. */
  next: number;
  window: number;
  /** In order and without gaps, from before `next` on. */
  pieces: Piece[];
}

/** What all files of a session have waiting, least recently read first. */
export class AheadBudget {
  readonly #streams = new Map<Stream, number>();
  #bytes = 0;

  /** Notes that a stream has so much waiting now, as the one that was read last. */
  note(stream: Stream, bytes: number): void {
    this.#bytes += bytes - (this.#streams.get(stream) ?? 0);
    this.#streams.delete(stream);
    if (bytes > 0) this.#streams.set(stream, bytes);
    for (const [oldest, waiting] of this.#streams) {
      if (this.#bytes <= AHEAD_BYTES || oldest === stream) break;
      this.#streams.delete(oldest);
      this.#bytes -= waiting;
      oldest.pieces = [];
      oldest.window = 0;
    }
  }
}

export class ReadAhead {
  readonly #readAt: ReadAt;
  readonly #size: number;
  readonly #budget: AheadBudget;
  readonly #now: () => number;
  #streams: Stream[];

  /** `firstBytes` of the file are with the shim already. */
  constructor(readAt: ReadAt, size: number, firstBytes: number, budget: AheadBudget, now: () => number) {
    this.#readAt = readAt;
    this.#size = size;
    this.#budget = budget;
    this.#now = now;
    this.#streams = [{ next: firstBytes, window: 0, pieces: [] }];
  }

  /** At least `length` bytes from `offset` on (fewer: the file ends there), at most `most`. */
  async read(offset: number, length: number, most: number): Promise<Part> {
    const stream = this.#streamAt(offset);
    this.#fill(stream, offset, length, most);
    const pieces = stream.pieces.slice();
    stream.next = offset + length;
    const { isEnd, ...part } = await gather(pieces, offset, length, most);
    // What is the end now need not be the end for long.
    if (isEnd) stream.pieces = [];
    // Others may have read on here meanwhile.
    stream.next = Math.max(stream.next, offset + part.data.length);
    return part;
  }

  /** Nothing waits here any more. */
  drop(): void {
    for (const stream of this.#streams) this.#budget.note(stream, 0);
    this.#streams = [];
  }

  /** The stream that this read continues, moved to the front; or a new one. */
  #streamAt(offset: number): Stream {
    const at = this.#streams.findIndex(({ next, pieces }) => {
      const first = Math.min(next, pieces[0]?.offset ?? next);
      return offset >= first && offset <= next + LEAP_BYTES;
    });
    const stream = at >= 0 ? this.#streams.splice(at, 1)[0]! : { next: offset, window: -1, pieces: [] };
    this.#streams.unshift(stream);
    const surplus = this.#streams.length > STREAMS ? this.#streams.pop() : undefined;
    if (surplus) this.#budget.note(surplus, 0);
    return stream;
  }

  #windowOf({ window, pieces }: Stream, now: number): number {
    if (window < 0) return 0;
    const isSlow = pieces[0] !== undefined && now - pieces[0].askedAt > SLOW_MS;
    if (isSlow) return Math.max(window / 2, PIECE_BYTES);
    return Math.min(Math.max(2 * window, FIRST_WINDOW_BYTES), WINDOW_BYTES);
  }

  /** Drops what was read already, asks for what will be. */
  #fill(stream: Stream, offset: number, length: number, most: number): void {
    const now = this.#now();
    const from = stream.pieces.findIndex((it) => it.offset + it.length > offset && now - it.askedAt < FRESH_MS);
    stream.pieces = from < 0 || stream.pieces[from]!.offset > offset ? [] : stream.pieces.slice(from);
    stream.window = this.#windowOf(stream, now);
    const last = stream.pieces.at(-1);
    let end = last ? last.offset + last.length : offset;
    const needed = Math.max(length, Math.min(most, RANDOM_BYTES));
    const until = Math.max(offset + needed, Math.min(offset + stream.window, this.#size));
    while (end < until) {
      // A file that has grown is read beyond what its size was.
      const most = end < this.#size ? Math.min(until, this.#size) - end : until - end;
      const size = Math.min(PIECE_BYTES, most);
      stream.pieces.push({ offset: end, length: size, askedAt: now, part: this.#readAt(end, size) });
      end += size;
    }
    this.#budget.note(stream, end - offset);
  }
}

/** Puts together what lies from `offset` on: one piece as it is, more only when one is not enough. */
async function gather(
  pieces: readonly Piece[],
  offset: number,
  length: number,
  most: number,
): Promise<Part & { isEnd: boolean }> {
  const parts: Uint8Array[] = [];
  let have = 0;
  let isEnd = false;
  for (const piece of pieces) {
    const { errno, data } = await piece.part;
    if (errno !== 0) return { errno, data, isEnd: true };
    const skipped = Math.max(0, offset - piece.offset);
    const taken = data.subarray(skipped, skipped + most - have);
    parts.push(taken);
    have += taken.length;
    isEnd = data.length < piece.length;
    if (have >= length || isEnd) break;
  }
  return { errno: 0, data: join(parts, have), isEnd };
}

function join(parts: readonly Uint8Array[], length: number): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const joined = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
