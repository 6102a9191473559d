/** Entering another process's network, asking for its host name: native/sys/namespaces.c for TypeScript. */
import { cString, loadSys } from "./load.ts";

const sys = loadSys({
  namespaces_enter_network: { parameters: ["buffer"], result: "i32" },
  namespaces_hostname: { parameters: ["buffer", "buffer", "u32"], result: "i32" },
});

/** HOST_NAME_MAX of Linux. */
const HOSTNAME_BYTES = 64;

/**
 * Moves the main thread, which must be the caller, into the network namespace of a process: sockets made from now on live
 * there, those made before stay. 0 or -errno.
 */
export function enterNetworkOf(pid: number): number {
  return sys.namespaces_enter_network(cString(`/proc/${pid}/ns/net`));
}

/** Host name as a process sees it, or -errno. */
export function hostnameOf(pid: number | "self"): string | number {
  const name = new Uint8Array(HOSTNAME_BYTES + 1);
  const length = sys.namespaces_hostname(cString(`/proc/${pid}/ns/uts`), name, name.length);
  return length < 0 ? length : new TextDecoder().decode(name.subarray(0, length));
}
