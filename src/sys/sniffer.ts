/** Connections to ports of this network, copied as they pass: native/sys/sniff.c. The passage's listener hears of them. */
import { loadSys } from "./load.ts";
import type { Passage } from "./passage.ts";

const sys = loadSys({
  sniff_open: { parameters: ["pointer", "buffer"], result: "pointer" },
  sniff_ports: { parameters: ["pointer", "buffer", "u32"], result: "i32" },
  sniff_close: { parameters: ["pointer"], result: "void" },
});

/** The kernel compares each with every packet. */
export const MOST_SNIFFED_PORTS = 64;

export class Sniffer {
  readonly #pointer: Deno.PointerValue;

  private constructor(pointer: Deno.PointerValue) {
    this.#pointer = pointer;
  }

  /** Of this thread's network; or -errno: it needs the capability NET_RAW. */
  static open(passage: Passage): Sniffer | number {
    const error = new Int32Array(1);
    const pointer = sys.sniff_open(passage.hub, error);
    return pointer === null ? error[0]! : new Sniffer(pointer);
  }

  /** These ports, and no others. 0 or -errno. */
  sniff(ports: readonly number[]): number {
    return sys.sniff_ports(this.#pointer, Uint16Array.from(ports), ports.length);
  }

  /** Before its passage. */
  close(): void {
    sys.sniff_close(this.#pointer);
  }
}
