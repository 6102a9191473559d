/**
 * The layer's face: the shim's way into the program, and the intproxy between the shims of one run and the agent.
 *
 * It knows no Kubernetes: an agent is a duplex byte stream and a secret. It writes to no terminal but for one sentence on the
 * stderr of a program whose agent is lost.
 */
export { environmentFor, unpackShim } from "./inject.ts";
export { holdSession, listenUnnamed, makeSessionDirectory } from "./session_directory.ts";
export type { IncomingWishes } from "./intproxy/incoming.ts";
export type { UserSettings } from "./intproxy/settings.ts";
export { rehearse } from "./rehearsal.ts";
export { type Intproxy, type IntproxyOptions, type Outcome, startIntproxy } from "./session.ts";
