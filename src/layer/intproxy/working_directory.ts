/** What chdir(2) asks of a path of the target. */
import { concatBytes } from "../../base/bytes.ts";
import { ERRNO } from "../../base/errors.ts";
import type { AgentClient } from "./agent_client.ts";

const X_OK = 1;
const AT_EACCESS = 0x200;
const SLASH = 0x2f;

/**
 * Calls back with the path without links when it is a directory that may be searched, else with an errno. Both questions
 * travel together: one round trip.
 */
export function askForDirectory(
  agent: AgentClient,
  path: Uint8Array,
  onAnswer: (errno: number, path: Uint8Array) => void,
): void {
  const directory = path.at(-1) === SLASH ? path.slice() : concatBytes([path, Uint8Array.of(SLASH)]);
  let refusal: number | undefined;
  let real: { errno: number; path: Uint8Array } | undefined;
  const answer = () => {
    if (refusal !== undefined && real) onAnswer(refusal || real.errno, real.path);
  };
  agent.request({ type: "Access", path: directory, mode: X_OK, flags: AT_EACCESS }, (done) => {
    refusal = done?.errno ?? ERRNO.EIO;
    answer();
  });
  agent.request({ type: "RealPath", path: directory }, (reply) => {
    real = reply ? { errno: reply.errno, path: reply.path.slice() } : { errno: ERRNO.EIO, path: new Uint8Array(0) };
    answer();
  });
}
