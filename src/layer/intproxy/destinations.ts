/**
 * Where connections, datagrams and names go: to the target, or out of this machine as without mirrord.
 *
 * A rule may speak of a name, a program of an address: an address has the names for which it was an answer in this run, and
 * those names of rules that resolve to it now.
 */
import { lookup } from "node:dns/promises";
import { isLoopback } from "../../base/addresses.ts";
import { equalBytes } from "../../base/bytes.ts";
import {
  type AddressFilter,
  type AddressRule,
  dnsFilterOf,
  matchesRule,
  normalName,
  parseAddressRule,
  type Protocol,
} from "../../config/address_filter.ts";
import type { LAYER } from "../../proto/layer.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import { addressesIn, hostOf } from "./addresses.ts";
import type { AgentClient } from "./agent_client.ts";
import type { ShimConnection } from "./shim_connection.ts";

export interface NetworkRules {
  readonly outgoing?: AddressFilter;
  readonly dns?: AddressFilter;
  /** What goes to loopback addresses stays on this machine. */
  readonly keepsLoopback: boolean;
  /** Names are the target's at all. */
  readonly isDnsRemote: boolean;
}

interface Filter {
  readonly isRemote: boolean;
  readonly rules: readonly AddressRule[];
}

export interface OwnSockets {
  listensOn(addresses: readonly Uint8Array[], port: number): boolean;
  hasDatagramSocket(address: Uint8Array, port: number): boolean;
}

/** Of so many addresses the names are remembered; the oldest goes first. */
const MOST_ADDRESSES = 4096;
/** How long what a rule's name resolved to is believed. */
const RESOLVED_MS = 10_000;

export class Destinations {
  readonly #agent: AgentClient;
  readonly #own: OwnSockets;
  readonly #rules: NetworkRules;
  readonly #outgoing: Filter | undefined;
  readonly #dns: Filter | undefined;
  readonly #namesOf = new Map<string, Set<string>>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #resolved = new Map<string, { addresses: Promise<ReadonlySet<string>>; until: number }>();

  constructor(agent: AgentClient, own: OwnSockets, rules: NetworkRules) {
    this.#agent = agent;
    this.#own = own;
    this.#rules = rules;
    this.#outgoing = filterOf(rules.outgoing);
    this.#dns = filterOf(dnsFilterOf(rules.outgoing, rules.dns));
  }

  /** Whether destinations that are not on loopback have to be asked about as well. */
  get hasFilter(): boolean {
    return this.#outgoing !== undefined;
  }

  onRequest(message: MessageNamed<typeof LAYER, "Destination">, id: number, shim: ShimConnection): void {
    const answer = (isLocal: boolean) => shim.send({ type: "DestinationReply", isLocal }, id);
    const { address, port } = message;
    // The program waits, and mostly there is nothing to wait for.
    if (this.#isLocalLoopback("tcp", address, port)) return answer(true);
    if (!this.#outgoing) return answer(false);
    const task = this.#isLocalByFilter(this.#outgoing, "tcp", address.slice(), port).then(answer)
      .finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }

  /** Resolves when no question is open any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#tasks);
  }

  /** Whether what is sent there leaves from this machine. Never rejects. */
  async isLocal(protocol: Protocol, address: Uint8Array, port: number): Promise<boolean> {
    if (this.#isLocalLoopback(protocol, address, port)) return true;
    return this.#outgoing !== undefined && await this.#isLocalByFilter(this.#outgoing, protocol, address, port);
  }

  /** Whether this name is resolved on this machine. */
  isNameLocal(name: string): boolean {
    const wanted = normalName(name);
    return this.#dns !== undefined &&
      this.#dns.rules.some((rule) => rule.name === wanted || isAny(rule)) !== this.#dns.isRemote;
  }

  /** What a name of the program resolved to; `records` as ResolveReply has them. */
  learn(names: readonly string[], records: Uint8Array): void {
    if (!this.#outgoing) return;
    for (const host of addressesIn(records).map(hostOf)) {
      const known = this.#namesOf.get(host) ?? new Set();
      for (const name of names) if (name !== "") known.add(normalName(name));
      this.#namesOf.delete(host);
      this.#namesOf.set(host, known);
      if (this.#namesOf.size > MOST_ADDRESSES) this.#namesOf.delete(this.#namesOf.keys().next().value!);
    }
  }

  #isLocalLoopback(protocol: Protocol, address: Uint8Array, port: number): boolean {
    if (!isLoopback(address)) return false;
    if (this.#rules.keepsLoopback) return true;
    const all = localhostsOf(address);
    if (protocol === "tcp") return this.#own.listensOn(all, port);
    return all.some((it) => this.#own.hasDatagramSocket(it, port));
  }

  async #isLocalByFilter(filter: Filter, protocol: Protocol, address: Uint8Array, port: number): Promise<boolean> {
    return await this.#isMatched(filter, protocol, address, port) !== filter.isRemote;
  }

  async #isMatched(filter: Filter, protocol: Protocol, address: Uint8Array, port: number): Promise<boolean> {
    const host = hostOf(address);
    const names = this.#namesOf.get(host) ?? new Set<string>();
    if (filter.rules.some((rule) => matchesRule(rule, protocol, address, port, names))) return true;
    const open = filter.rules.filter((rule) =>
      rule.name !== undefined && matchesRule(rule, protocol, address, port, new Set([rule.name]))
    );
    const found = await Promise.all(open.map(async ({ name }) => (await this.#addressesOf(name!)).has(host)));
    return found.includes(true);
  }

  #addressesOf(name: string): Promise<ReadonlySet<string>> {
    const known = this.#resolved.get(name);
    if (known && known.until > performance.now()) return known.addresses;
    const isHere = !this.#rules.isDnsRemote || this.isNameLocal(name);
    const addresses = isHere ? this.#lookUpHere(name) : this.#lookUpThere(name);
    this.#resolved.set(name, { addresses, until: performance.now() + RESOLVED_MS });
    return addresses;
  }

  /** A name that cannot be resolved is nobody's. */
  async #lookUpHere(name: string): Promise<ReadonlySet<string>> {
    const found = await lookup(name, { all: true }).catch(() => []);
    return new Set(found.map(({ address }) => address));
  }

  #lookUpThere(name: string): Promise<ReadonlySet<string>> {
    return this.#agent.ask(
      { type: "Resolve", name, family: 0, flags: 0 },
      (answer) => new Set(answer ? addressesIn(answer.addresses).map(hostOf) : []),
    );
  }
}

const LOCALHOST = Uint8Array.of(127, 0, 0, 1);
const LOCALHOST6 = Uint8Array.of(...new Uint8Array(15), 1);

/**
 * "localhost" is two addresses, and programs try both. A port on which the run listens at one of them is not the target's at the
 * other either: there, where the port is taken, somebody would accept, and the program would not come to its own server.
 */
function localhostsOf(address: Uint8Array): readonly Uint8Array[] {
  return [LOCALHOST, LOCALHOST6].some((it) => equalBytes(it, address)) ? [LOCALHOST, LOCALHOST6] : [address];
}

function filterOf(filter: AddressFilter | undefined): Filter | undefined {
  if (!filter || filter.rules.length === 0) return undefined;
  const rules = filter.rules.map(parseAddressRule).filter((rule) => typeof rule === "object");
  return { isRemote: filter.side === "remote", rules };
}

/** A rule without a host is about every name. */
function isAny(rule: AddressRule): boolean {
  return rule.name === undefined && rule.subnet === undefined;
}
