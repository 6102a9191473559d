/**
 * Which ports' requests are looked at on their way to the target (sys/queue.ts), by what is known of the ports.
 *
 * Known                        Connections                       The target's words
 * nobody listens               redirected: we can accept them    -
 * nothing else                 looked at                         looked at: HTTP/2 may begin there
 * HTTP/1                       looked at                         not, but for ends
 * HTTP/2                       redirected from now on            not, when those on their way are over
 * another agent redirects it   both: they come to it first       as above
 *
 * Refuses nothing: what cannot be read is listened on.
 */
import type { PassageFilters } from "../../sys/passage.ts";
import { type LookedPort, SPOKEN } from "../../sys/queue.ts";

const LISTEN = "0A"; // TCP_LISTEN of net/tcp_states.h, as /proc/net/tcp prints it
/** Of this thread's network: the target's. */
const TABLES = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"];
/** A connection of HTTP/2 that began to be taken over has been by then. */
const TAKEN_MS = 2000;
const AGAIN_MS = 1000;

export interface PortPlan {
  readonly isLookedAt: boolean;
  readonly isRedirected: boolean;
  readonly asksAnswers: boolean;
  /** See RedirectRule. */
  readonly needs?: readonly string[] | undefined;
}

const REDIRECTED: PortPlan = { isLookedAt: false, isRedirected: true, asksAnswers: false };

export class LookedPorts {
  /** "false": all are redirected. */
  #isWanted = Deno.env.get("MIRRORD_AGENT_PACKET_QUEUE") !== "false";
  readonly #spoken = new Map<number, { bits: number; http2Since: number }>();
  readonly #onChange: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `onChange`: plans may be others by now. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get isWanted(): boolean {
    return this.#isWanted;
  }

  /** It cannot be had here. */
  giveUp(): void {
    this.#isWanted = false;
  }

  learn(port: number, bits: number): void {
    const { http2Since } = this.#spoken.get(port) ?? {};
    this.#spoken.set(port, { bits, http2Since: http2Since ?? (bits & SPOKEN.http2 ? Date.now() : 0) });
    this.#onChange();
  }

  /** For native code. */
  wanted(
    ports: readonly number[],
    settles: (port: number) => boolean,
    filtersOf: (port: number) => PassageFilters,
  ): Map<number, LookedPort> {
    const spokenOn = (port: number) => this.#spoken.get(port)?.bits ?? 0;
    return new Map(ports.map((port) => {
      return [port, { filters: filtersOf(port), spoken: spokenOn(port), settles: settles(port) }];
    }));
  }

  /** `byHeads`: those whose filters heads decide; `shared`: those that another agent redirects. Others are redirected. */
  plan(
    byHeads: readonly number[],
    shared: readonly number[],
    needsOf: (port: number) => readonly string[] | undefined,
  ): (port: number) => PortPlan {
    this.close();
    // Their programs may be others when they are wanted again.
    for (const port of this.#spoken.keys()) if (!byHeads.includes(port)) this.#spoken.delete(port);
    if (!this.#isWanted) return () => REDIRECTED;
    const listened = listenedOn(byHeads, shared);
    const since = Date.now() - TAKEN_MS;
    const plans = new Map(listened.map((port) => {
      const { bits, http2Since } = this.#spoken.get(port) ?? { bits: 0, http2Since: 0 };
      const isHttp2 = (bits & SPOKEN.http2) !== 0;
      const asksAnswers = !(bits & SPOKEN.http1) && !(isHttp2 && http2Since < since);
      const isRedirected = isHttp2 || shared.includes(port);
      return [port, { isLookedAt: true, isRedirected, asksAnswers, needs: needsOf(port) }];
    }));
    const isPassing = [...plans.values()].some((it) => it.asksAnswers && it.isRedirected);
    if (isPassing || listened.length < byHeads.length) this.#timer = setTimeout(this.#onChange, AGAIN_MS);
    return (port) => plans.get(port) ?? REDIRECTED;
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}

/**
 * Those of `ports` on which the kernel does not refuse connections before anything can be asked of them: somebody
 * listens there, or another agent takes them (`shared`; nothing is read for those, for their clients do not wait for us).
 */
function listenedOn(ports: readonly number[], shared: readonly number[]): readonly number[] {
  if (ports.every((it) => shared.includes(it))) return ports;
  const texts = TABLES.map(readText);
  if (texts.every((it) => it === "")) return ports;
  const found = new Set<number>();
  for (
    const [, own, state] of texts.join("\n").matchAll(/^ *\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} (\w\w) /gm)
  ) {
    if (state === LISTEN) found.add(Number.parseInt(own!, 16));
  }
  return ports.filter((it) => found.has(it) || shared.includes(it));
}

function readText(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
