/** Questions to the kernel about a network: native/sys/network_questions.c for TypeScript. To be called on the main thread. */
import { loadSys } from "./load.ts";

const sys = loadSys({
  network_ask_netlink: { parameters: ["i32", "u32", "buffer", "u32", "buffer", "u32"], result: "i32" },
  network_ask_interface: { parameters: ["i32", "u32", "u32", "buffer", "buffer", "u32"], result: "i32" },
});

/** A frame of the wire holds it. What would be more is ENOBUFS. */
const MOST_BYTES = 3 << 20;
/** Of SIOCGIFCONF: 40 bytes for each address. */
const MOST_INTERFACE_BYTES = 256 << 10;
const IFREQ_BYTES = 40;

let room: Uint8Array<ArrayBuffer> | undefined;

/** The kernel's messages in answer to one, or -errno. `protocol` and `options` as in the agent's AskNetlink. */
export function askNetlink(protocol: number, options: number, request: Uint8Array<ArrayBuffer>): Uint8Array | number {
  room ??= new Uint8Array(MOST_BYTES);
  const bytes = sys.network_ask_netlink(protocol, options, request, request.length, room, room.length);
  return bytes < 0 ? bytes : room.slice(0, bytes);
}

/** As the agent's AskInterface is answered, or -errno. */
export function askInterface(
  { family, request, command, ifreq }: { family: number; request: number; command: number; ifreq: Uint8Array },
): Uint8Array | number {
  const own = new Uint8Array(IFREQ_BYTES);
  own.set(ifreq.subarray(0, IFREQ_BYTES));
  room ??= new Uint8Array(MOST_BYTES);
  const bytes = sys.network_ask_interface(family, request, command, own, room, MOST_INTERFACE_BYTES);
  return bytes < 0 ? bytes : room.slice(0, bytes);
}
