/**
 * The agent: our process next to the target. Given a process or a container, it reads files, resolves names and opens
 * connections as the target would, for clients that know the run's secret; it changes nothing of the target.
 */
export { type AgentOptions, runAgent } from "./run.ts";
export type { TargetChoice } from "./target.ts";
export type { TransportChoice } from "./transport.ts";
