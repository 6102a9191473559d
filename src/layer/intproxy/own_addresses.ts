/**
 * Addresses of the target, where the program asks for its own: the list of interfaces, and sockets that it has bound to an address
 * that this machine does not have. They are bound to loopback really, and their names are told as the program asked.
 */
import { equalBytes } from "../../base/bytes.ts";
import { ERRNO } from "../../base/errors.ts";
import { isLoopback } from "../../base/addresses.ts";
import type { LayerMessage } from "../../proto/layer.ts";
import type { AgentClient } from "./agent_client.ts";
import type { ShimConnection } from "./shim_connection.ts";

export type OwnAddressRequest = Extract<LayerMessage, { type: "GetInterfaces" | "BindElsewhere" }>;

export interface OwnName {
  readonly address: Uint8Array<ArrayBuffer>;
  /** 0: what the kernel chose. */
  readonly port: number;
}

/** A record of native/sys/interfaces.c: where its family and its address are. */
const RECORD_BYTES = 80;
const FAMILY_AT = 24;
const ADDRESS_AT = 32;
/** Addresses of a pod do not change; those of a node may. */
const KNOWN_MS = 2000;
const MOST_NAMES = 4096;
const NOTHING = new Uint8Array(0);

export class OwnAddresses {
  readonly #agent: AgentClient;
  readonly #names = new Map<number, OwnName>();
  readonly #tasks = new Set<Promise<void>>();
  #known: { records: Promise<Uint8Array>; until: number } | undefined;

  constructor(agent: AgentClient) {
    this.#agent = agent;
  }

  onRequest(message: OwnAddressRequest, id: number, shim: ShimConnection): void {
    const task = message.type === "GetInterfaces"
      ? this.#interfaces().then((records) => shim.send({ type: "Interfaces", records }, id))
      : this.#bind(Number(message.inode), { address: message.address.slice(), port: message.port }, id, shim);
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }

  /** What the program has bound this socket to, if that was an address of the target. */
  nameOf(inode: number): OwnName | undefined {
    return this.#names.get(inode);
  }

  /** Whether a socket with this inode is called so by the program. */
  isCalled(inode: number, address: Uint8Array, port: number): boolean {
    const name = this.#names.get(inode);
    return name !== undefined && (name.port === 0 || name.port === port) && equalBytes(name.address, address);
  }

  get hasNames(): boolean {
    return this.#names.size > 0;
  }

  /** Resolves when no question is open any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#tasks);
  }

  async #bind(inode: number, name: OwnName, id: number, shim: ShimConnection): Promise<void> {
    const isOfTarget = isLoopback(name.address) || await this.isOwn(name.address);
    if (isOfTarget) {
      this.#names.delete(inode);
      this.#names.set(inode, name);
      if (this.#names.size > MOST_NAMES) this.#names.delete(this.#names.keys().next().value!);
    }
    shim.send({ type: "Done", errno: isOfTarget ? 0 : ERRNO.EADDRNOTAVAIL }, id);
  }

  /** Whether it is an address of the target's. */
  async isOwn(address: Uint8Array): Promise<boolean> {
    const records = await this.#interfaces();
    for (let at = 0; at + RECORD_BYTES <= records.length; at += RECORD_BYTES) {
      const bytes = records[at + FAMILY_AT] === 4 ? 4 : records[at + FAMILY_AT] === 6 ? 16 : 0;
      const start = at + ADDRESS_AT;
      if (bytes > 0 && equalBytes(records.subarray(start, start + bytes), address)) return true;
    }
    return false;
  }

  #interfaces(): Promise<Uint8Array> {
    if (this.#known && this.#known.until > performance.now()) return this.#known.records;
    const records = this.#agent.ask({ type: "GetInterfaces" }, (answer) => answer?.records.slice() ?? NOTHING);
    this.#known = { records, until: performance.now() + KNOWN_MS };
    return records;
  }
}
