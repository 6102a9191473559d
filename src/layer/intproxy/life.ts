/**
 * When a run is over, and who belongs to it.
 *
 * State      event                                          action > next
 * ATTENDED   a lifeline is open                             nothing to do: its end will tell
 * ALONE      no lifeline, but a known process lives         look again (LOOK_MS) > ALONE; a lifeline opens > ATTENDED
 * ALONE      no known process lives                         search by environment: somebody found > ALONE; nobody > OVER
 *
 * ALONE is the program before the shim has entered it, between two images, or one that the shim cannot enter.
 */
import type { Hello } from "./shim_connection.ts";
import { Listeners } from "./listeners.ts";
import { hasVariable, processesWithVariable, RunProcesses } from "./processes.ts";

const LEAST_LOOK_MS = 5;
const MOST_LOOK_MS = 150;

export class Life {
  /** Resolves when no process of the run is left. */
  readonly over: Promise<void>;
  /** Resolves when the shim has entered a first process. */
  readonly attended: Promise<void>;
  readonly #onOver: () => void;
  readonly #onAttended: () => void;
  readonly #processes = new RunProcesses();
  /** "NAME=value" that every process of the run has in its environment. */
  readonly #mark: Uint8Array;
  readonly #listeners = new Listeners(() => this.everybody());
  #lifelines = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(rootPid: number, mark: Uint8Array) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.over = promise;
    this.#onOver = resolve;
    const attended = Promise.withResolvers<void>();
    this.attended = attended.promise;
    this.#onAttended = attended.resolve;
    this.#mark = mark;
    this.#processes.add(rootPid);
    this.#lookSoon(LEAST_LOOK_MS);
  }

  connectionOpened(hello: Hello): void {
    if (!hello.isLifeline) return;
    this.#lifelines++;
    this.#onAttended();
    // In a pid namespace of its own a process calls itself by a number that is another's here.
    if (hasVariable(hello.pid, this.#mark)) this.#processes.add(hello.pid);
  }

  connectionClosed(hello: Hello): void {
    if (!hello.isLifeline) return;
    this.#lifelines--;
    this.#lookSoon(0);
  }

  /** Whether a process of the run listens on one of these loopback addresses and this port of this machine. */
  listensOn(addresses: readonly Uint8Array[], port: number): boolean {
    return this.#listeners.has(addresses, port);
  }

  /** Whether a process of the run has a UDP socket on this address and port of this machine. */
  hasDatagramSocket(address: Uint8Array, port: number): boolean {
    return this.#listeners.hasDatagramSocket(address, port);
  }

  /** The living: known ones, their descendants, and who carries the mark in its environment. */
  everybody(): Set<number> {
    for (const pid of processesWithVariable(this.#mark)) this.#processes.add(pid);
    return this.#processes.family();
  }

  /** Stops looking; `over` resolves. */
  close(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#onOver();
  }

  #look(pauseMs: number): void {
    if (this.#lifelines > 0 || this.#isOver) return;
    if (this.#processes.living().length === 0 && this.everybody().size === 0) return this.close();
    this.#lookSoon(Math.min(pauseMs * 2 || LEAST_LOOK_MS, MOST_LOOK_MS));
  }

  #lookSoon(pauseMs: number): void {
    if (this.#isOver) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(pauseMs), pauseMs);
  }
}
