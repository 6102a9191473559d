/** Network interfaces: native/sys/interfaces.c for TypeScript. To be called on the main thread. */
import { loadSys } from "./load.ts";

const sys = loadSys({ interfaces_list: { parameters: ["buffer", "u32"], result: "i32" } });

/** More than a node with a few hundred pods has. */
const MOST_BYTES = 256 << 10;

/** Records as the shim reads them (native/interfaces.c), or -errno. */
export function listInterfaces(): Uint8Array | number {
  const records = new Uint8Array(MOST_BYTES);
  const bytes = sys.interfaces_list(records, records.length);
  return bytes < 0 ? bytes : records.slice(0, bytes);
}
