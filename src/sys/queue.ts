/** What clients say on ports of this network, before the target hears it: native/sys/queue.c. The passage's listener hears of connections that were taken over. */
import { loadSys } from "./load.ts";
import type { Passage, PassageFilters } from "./passage.ts";

const sys = loadSys({
  queue_open: { parameters: ["pointer", "u32", "u32", "buffer"], result: "pointer" },
  queue_port: { parameters: ["pointer", "u32", "pointer", "u32", "u32"], result: "void" },
  queue_is_taking: { parameters: ["pointer", "u32"], result: "i32" },
  queue_close: { parameters: ["pointer"], result: "void" },
});

/** Bits: C's enum spoken. */
export const SPOKEN = { http1: 1, http2: 2 } as const;

export interface LookedPort {
  readonly filters: PassageFilters;
  /** What is known to be spoken there. */
  readonly spoken: number;
  /** The table lets plain requests pass by itself (see RedirectRule.needs). */
  readonly settles: boolean;
}

/** What packets carry: of connections that were taken over, and when their connections become settled (native/sys/nft_plain.h). */
export interface QueueMarks {
  readonly pass: number;
  readonly settled: number;
}

export class PacketQueue {
  /** For rules that send packets to it. */
  readonly number: number;
  readonly #pointer: Deno.PointerValue;
  #ports: readonly number[] = [];

  private constructor(pointer: Deno.PointerValue, number: number) {
    this.#pointer = pointer;
    this.number = number;
  }

  /** Of this thread's network. Or -errno: it needs the capability NET_ADMIN. */
  static open(passage: Passage, { pass, settled }: QueueMarks): PacketQueue | number {
    const result = new Int32Array(1);
    const pointer = sys.queue_open(passage.hub, pass, settled, result);
    return pointer === null ? result[0]! : new PacketQueue(pointer, result[0]!);
  }

  /** Requests to these ports are looked at, and no others. */
  look(wanted: ReadonlyMap<number, LookedPort>): void {
    for (const port of this.#ports) if (!wanted.has(port)) sys.queue_port(this.#pointer, port, null, 0, 0);
    for (const [port, { filters, spoken, settles }] of wanted) {
      sys.queue_port(this.#pointer, port, filters.pointer, spoken, settles ? 1 : 0);
    }
    this.#ports = [...wanted.keys()];
  }

  /** Connections to it are just being taken over. */
  isTaking(port: number): boolean {
    return sys.queue_is_taking(this.#pointer, port) !== 0;
  }

  /** Before its passage. */
  close(): void {
    sys.queue_close(this.#pointer);
  }
}
