/** Options of TCP connections that Deno has no words for. */
import { loadSys } from "./load.ts";

const sys = loadSys({ tcp_no_delay: { parameters: ["u32", "u32"], result: "i32" } });

/** Small writes leave at once (TCP_NODELAY). Answers 0 or -errno. */
export function setNoDelay(conn: Deno.Conn<Deno.NetAddr>): number {
  return sys.tcp_no_delay(conn.localAddr.port, conn.remoteAddr.port);
}
