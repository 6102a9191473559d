/**
 * Files that the agent keeps open because they were too big to come whole, and who may still ask for them.
 *
 * The shim names a file by its handle for as long as any process has the descriptor: after dup, fork, exec and the end of
 * who opened it. Nobody counts these descriptors. When a process closes one, or ends, the kernel is asked who of the run
 * still has it (descriptors.ts), and a file that nobody has is closed at the agent. Its record stays: should somebody
 * nevertheless ask (a process we cannot look into), or were there too many files to keep them all open, it is opened again
 * by its path, and served only if it is the same file.
 */
import type { Listing } from "./listing.ts";

export interface Handle {
  readonly pid: number;
  /** What stat said; 0 for files that have none to say. */
  readonly size: number;
  /** Of a directory: where its entries are noted as they come. */
  readonly listing?: Listing;
  /** How much of it came with the answer to Open. */
  readonly firstBytes?: number;
  /** Of a file that is read on demand: how to open it again, and how to know it. */
  readonly identity?: { readonly path: Uint8Array; readonly flags: number; readonly dev: bigint; readonly ino: bigint };
}

/** A file with its number at the agent: none while it is closed there. */
export type Kept = Handle & { atAgent: bigint | undefined };

/** Handles of which a process of the run has a descriptor. */
export type InUse = () => ReadonlySet<bigint>;

/** From the end of an old image's connections to the first of the new one; and how seldom the kernel is asked. */
const EXEC_GRACE_MS = 1000;
/** Half of what the agent keeps open for one client. */
const MOST_AT_AGENT = 8192;
/** Closed ones; each is a path and some numbers. */
const MOST_RECORDS = 65_536;
/** Handles that are no numbers of the agent's begin here: it counts from 1. */
const OWN_NUMBERS = 1n << 31n;

export class Handles implements Disposable {
  /** By the number that the shim knows, least recently used first: open at the agent, and closed there. */
  readonly #open = new Map<bigint, Kept>();
  readonly #closed = new Map<bigint, Kept>();
  /** Those that perhaps nobody has any more. */
  readonly #suspects = new Set<bigint>();
  readonly #connections = new Map<number, number>();
  readonly #closeAtAgent: (handle: bigint) => void;
  readonly #inUse: InUse;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastOwn = OWN_NUMBERS;

  constructor(closeAtAgent: (handle: bigint) => void, inUse: InUse = () => new Set()) {
    this.#closeAtAgent = closeAtAgent;
    this.#inUse = inUse;
  }

  /** Open at the agent. */
  get size(): number {
    return this.#open.size;
  }

  add(handle: bigint, owner: Handle): void {
    this.#keepOpen(handle, { ...owner, atAgent: handle });
    // Who asked may have gone while the agent opened the file.
    if (!this.#connections.has(owner.pid)) this.#suspect(handle);
  }

  /** A file that came whole, so the agent has closed it: to ask later whether it has changed. */
  addClosed(owner: Handle): bigint {
    this.#lastOwn = this.#lastOwn === 2n * OWN_NUMBERS - 1n ? OWN_NUMBERS : this.#lastOwn + 1n;
    this.#keepClosed(this.#lastOwn, { ...owner, atAgent: undefined });
    return this.#lastOwn;
  }

  get(handle: bigint): Kept | undefined {
    const open = this.#open.get(handle);
    if (!open) return this.#closed.get(handle);
    this.#open.delete(handle);
    this.#open.set(handle, open);
    return open;
  }

  /** The agent has opened it again. */
  reopened(handle: bigint, atAgent: bigint): void {
    const kept = this.#closed.get(handle);
    if (!kept) return this.#closeAtAgent(atAgent);
    this.#closed.delete(handle);
    kept.atAgent = atAgent;
    this.#keepOpen(handle, kept);
    this.#suspect(handle);
  }

  /** Nobody will ask for it any more. */
  close(handle: bigint): void {
    this.#release(handle);
    this.#closed.delete(handle);
  }

  /** A process has closed a descriptor of it: perhaps the last. */
  descriptorClosed(handle: bigint): void {
    if (this.#open.has(handle)) this.#suspect(handle);
  }

  connectionOpened(pid: number): void {
    this.#connections.set(pid, (this.#connections.get(pid) ?? 0) + 1);
  }

  connectionClosed(pid: number): void {
    const left = (this.#connections.get(pid) ?? 1) - 1;
    if (left > 0) return void this.#connections.set(pid, left);
    this.#connections.delete(pid);
    for (const [handle, owner] of this.#open) {
      if (owner.pid === pid || !this.#connections.has(owner.pid)) this.#suspect(handle);
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#open.clear();
    this.#closed.clear();
  }

  #suspect(handle: bigint): void {
    this.#suspects.add(handle);
    this.#timer ??= setTimeout(() => this.#sweep(), EXEC_GRACE_MS);
  }

  #sweep(): void {
    this.#timer = undefined;
    const inUse = this.#inUse();
    for (const handle of this.#suspects) {
      const kept = this.#open.get(handle);
      if (!kept || inUse.has(handle)) continue;
      if (kept.identity) this.#release(handle);
      else this.close(handle);
    }
    this.#suspects.clear();
  }

  #keepOpen(handle: bigint, kept: Kept): void {
    this.#open.set(handle, kept);
    for (const [oldest, { identity }] of this.#open) {
      if (this.#open.size <= MOST_AT_AGENT) break;
      if (identity) this.#release(oldest);
    }
  }

  /** Closes it at the agent; the record stays. */
  #release(handle: bigint): void {
    const kept = this.#open.get(handle);
    if (!kept) return;
    this.#open.delete(handle);
    this.#closeAtAgent(kept.atAgent!);
    kept.atAgent = undefined;
    this.#keepClosed(handle, kept);
  }

  #keepClosed(handle: bigint, kept: Kept): void {
    this.#closed.set(handle, kept);
    for (const oldest of this.#closed.keys()) {
      if (this.#closed.size <= MOST_RECORDS) break;
      this.#closed.delete(oldest);
    }
  }
}
