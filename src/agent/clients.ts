/**
 * All clients of one agent, and the question whether there is still a reason to stay.
 *
 * Event							Then
 * first client proves itself		the wait for somebody is over
 * last client leaves				leave, unless another is just proving itself, or one may still come (keep-alive)
 * nobody came in time				leave
 * `leave(reason)` or the signal	tell the clients, let what was sent go out, close them, leave
 */
import { LEAVING } from "../proto/agent.ts";
import type { Duplex } from "../base/duplex.ts";
import { Session, type SessionContext } from "./session.ts";
import type { Transport } from "./transport.ts";

/** Connections at once; more are closed at once. A run has one, two while it reconnects. */
const MAX_SESSIONS = 64;

export class Clients {
  readonly #context: SessionContext;
  /** Connected clients and the promise of their end. */
  readonly #sessions = new Map<Session, Promise<void>>();
  readonly #leaving = Promise.withResolvers<string>();
  #hasHadClients = false;
  /** How long to stay alone. */
  #nextMs = 0;
  #alone: ReturnType<typeof setTimeout> | undefined;
  /** That time is over; whoever is just proving itself may still be welcome. */
  #isLate = false;
  #isLeaving = false;
  /** Nobody else can come (stdio). */
  #isClosedToNew = false;

  constructor(context: SessionContext) {
    this.#context = context;
  }

  /** Serves whoever comes; resolves with the reason to leave when everybody has been seen off. */
  async serve(
    transport: Transport,
    waits: { readonly firstMs: number; readonly nextMs: number },
    signal: AbortSignal,
  ): Promise<string> {
    this.#nextMs = waits.nextMs;
    const nobody = setTimeout(() => {
      if (!this.#hasHadClients) this.leave("Nobody came");
    }, waits.firstMs);
    const stop = () => this.leave("Told to stop");
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    const accepting = this.#accept(transport);
    const reason = await this.#leaving.promise;
    signal.removeEventListener("abort", stop);
    clearTimeout(nobody);
    clearTimeout(this.#alone);
    // Clients first: stdin and stdout are transport and client in one.
    this.#isLeaving = true;
    for (const session of this.#sessions.keys()) session.warn(`${reason}${LEAVING}`);
    await Promise.all([...this.#sessions.keys()].map((session) => session.close()));
    transport[Symbol.dispose]();
    await Promise.all([accepting, ...this.#sessions.values()]);
    return reason;
  }

  leave(reason: string): void {
    this.#leaving.resolve(reason);
  }

  async #accept(transport: Transport): Promise<void> {
    for await (const duplex of transport.accept()) {
      if (this.#isLeaving || this.#sessions.size >= MAX_SESSIONS) duplex.close();
      else this.#begin(duplex);
    }
    this.#isClosedToNew = true;
    this.#leaveIfAlone();
  }

  #begin(duplex: Duplex): void {
    const session = new Session(duplex, this.#context);
    const onWelcome = () => {
      this.#hasHadClients = true;
      clearTimeout(this.#alone);
      this.#alone = undefined;
      this.#isLate = false;
    };
    const served = session.serve(onWelcome).finally(() => {
      this.#sessions.delete(session);
      this.#leaveIfAlone();
    });
    this.#sessions.set(session, served);
  }

  #leaveIfAlone(): void {
    const isOver = this.#hasHadClients || this.#isClosedToNew;
    if (!isOver || this.#sessions.size > 0 || this.#isLeaving) return;
    if (this.#isClosedToNew || this.#nextMs === 0 || this.#isLate) return this.leave("The last client has left");
    // Who only knocks does not prolong the wait.
    this.#alone ??= setTimeout(() => {
      this.#alone = undefined;
      this.#isLate = true;
      if (this.#sessions.size === 0) this.leave("Nobody came back");
    }, this.#nextMs);
  }
}
