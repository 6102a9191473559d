/**
 * Files that the agent keeps open because they were too big to come whole, and who may still ask for them.
 *
 * A handle belongs to the process that opened it. Threads of it come over connections of their own, forked children hold
 * its lifeline; so it is closed when the last connection of that process has ended, after a moment in which exec may have
 * made it another program's that opens a new one.
 */
import type { Listing } from "./listing.ts";

export interface Handle {
  readonly pid: number;
  /** What stat said; 0 for files that have none to say. */
  readonly size: number;
  /** Of a directory: where its entries are noted as they come. */
  readonly listing?: Listing;
}

/** From the end of an old image's connections to the first of the new one. */
const EXEC_GRACE_MS = 1000;

export class Handles implements Disposable {
  readonly #handles = new Map<bigint, Handle>();
  readonly #connections = new Map<number, number>();
  readonly #timers = new Map<number, ReturnType<typeof setTimeout>>();
  readonly #closeAtAgent: (handle: bigint) => void;

  constructor(closeAtAgent: (handle: bigint) => void) {
    this.#closeAtAgent = closeAtAgent;
  }

  get size(): number {
    return this.#handles.size;
  }

  add(handle: bigint, owner: Handle): void {
    this.#handles.set(handle, owner);
    // Who asked may have gone while the agent opened the file.
    if (!this.#connections.has(owner.pid)) this.#closeSoon(owner.pid);
  }

  get(handle: bigint): Handle | undefined {
    return this.#handles.get(handle);
  }

  close(handle: bigint): void {
    if (this.#handles.delete(handle)) this.#closeAtAgent(handle);
  }

  connectionOpened(pid: number): void {
    this.#connections.set(pid, (this.#connections.get(pid) ?? 0) + 1);
    clearTimeout(this.#timers.get(pid));
    this.#timers.delete(pid);
  }

  connectionClosed(pid: number): void {
    const left = (this.#connections.get(pid) ?? 1) - 1;
    if (left > 0) return void this.#connections.set(pid, left);
    this.#connections.delete(pid);
    if (this.#ownedBy(pid).length > 0) this.#closeSoon(pid);
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#handles.clear();
  }

  #closeSoon(pid: number): void {
    if (this.#timers.has(pid)) return;
    const close = () => {
      this.#timers.delete(pid);
      for (const handle of this.#ownedBy(pid)) this.close(handle);
    };
    this.#timers.set(pid, setTimeout(close, EXEC_GRACE_MS));
  }

  #ownedBy(pid: number): bigint[] {
    return [...this.#handles].filter(([, owner]) => owner.pid === pid).map(([handle]) => handle);
  }
}
