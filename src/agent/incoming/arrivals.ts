/**
 * What becomes of a connection when it has arrived here, by who subscribes its port at that moment; and again when the run that it went
 * to has left without a word.
 */
import type { Tap } from "../../sys/passage.ts";
import type { RedirectClass } from "../../sys/netfilter.ts";
import type { Arrival, Endpoint } from "../../sys/redirected.ts";
import type { Connections, Wanted } from "./connections.ts";
import { HeadFilters } from "./head_filters.ts";
import { copyFor, cutOff, deliverCopy, feedAll, missed } from "./mirror_copy.ts";
import { MirrorEnd } from "./mirror_end.ts";
import { StolenEnd } from "./stolen_end.ts";
import type { RedirectTable } from "./table.ts";
import { isWhole, type Subscription } from "./wishes.ts";

/** When nobody subscribes a port any more: who has not begun to speak HTTP by then may be waiting for the target's first word. */
const LEFT_MS = 100;

export class Arrivals {
  readonly #subscriptions: readonly Subscription[];
  readonly #own: (task: Promise<void>) => void;
  readonly filters: HeadFilters;

  /** `subscriptions` change; `own` takes tasks. */
  constructor(subscriptions: readonly Subscription[], own: (task: Promise<void>) => void) {
    this.#subscriptions = subscriptions;
    this.#own = own;
    this.filters = new HeadFilters((port) => this.#of(port));
  }

  /** Its peer has said `bytes`; `isHttp`: that is what it speaks. */
  serve(
    arrival: Arrival,
    table: RedirectTable,
    connections: Connections,
    bytes = new Uint8Array(),
    isHttp = false,
  ): void {
    const { port } = arrival.original;
    const all = this.#of(port);
    const mark = table.markOf(all.length > 0 ? classOf(all) : "whole");
    // Of a port that nobody wants any more requests are told apart, to see their clients off between them.
    const isByRequest = all.length === 0 || all.some((it) => it.filter !== "");
    if (isByRequest) return connections.filter(arrival, mark, this.wantedOf(port), bytes, isHttp);
    const stealer = all.find(isWhole);
    if (stealer && bytes.length === 0 && this.#deliver(stealer, arrival, table, connections)) return;
    const taps = connections.taps();
    for (const mirror of all) if (!mirror.isSteal) copyFor(mirror, arrival, taps);
    connections.pass(arrival, mark, taps, bytes);
  }

  /** Somebody has connected to the target, and what he says is copied. */
  mirror(tap: Tap, peer: Endpoint, own: Endpoint): void {
    const mirrors = this.#mirrorsOf(own.port);
    if (mirrors.length === 1) return deliverCopy(mirrors[0]!, peer, own, tap);
    const copies = mirrors.map(({ client, port }) => {
      const copy = new MirrorEnd(() => client.warn(cutOff(port)));
      return client.deliver({ port, isMirror: true, peer, own }, copy) ? copy : undefined;
    });
    this.#own(feedAll(tap, copies.filter((it) => it !== undefined)));
  }

  /** So many come to this port that some are not copied. */
  tellMissed(port: number): void {
    for (const { client } of this.#mirrorsOf(port)) client.warn(missed(port));
  }

  wantedOf(port: number): Wanted {
    return {
      subscriptions: () => this.#of(port),
      detectionMs: this.#detectionMs(port),
      filters: () => this.#of(port).length === 0 ? this.filters.ofDeserted() : this.filters.of(port),
    };
  }

  /** False: it has no room. */
  #deliver(stealer: Subscription, arrival: Arrival, table: RedirectTable, connections: Connections): boolean {
    const { peer, original: own } = arrival;
    const end = connections.adopt(arrival.fd, true);
    const stolen = new StolenEnd(end, {
      hasLeft: () => !this.#subscriptions.includes(stealer),
      goOn: (fd, bytes, isHttp) => this.serve({ ...arrival, fd }, table, connections, bytes, isHttp),
      own: this.#own,
    });
    if (stealer.client.deliver({ port: own.port, isMirror: false, peer, own }, stolen)) return true;
    end.release();
    return false;
  }

  #detectionMs(port: number): number {
    const all = this.#of(port);
    return all.length === 0 ? LEFT_MS : Math.max(...all.map(({ settings }) => settings?.detectionMs ?? 0));
  }

  #of(port: number): Subscription[] {
    return this.#subscriptions.filter((it) => it.port === port);
  }

  #mirrorsOf(port: number): Subscription[] {
    return this.#of(port).filter((it) => !it.isSteal && it.filter === "");
  }
}

/** Of a port with these subscriptions. */
export function classOf(all: readonly Subscription[]): RedirectClass {
  if (all.some((it) => !it.isSteal)) return "mirror";
  return all.some((it) => it.filter !== "") ? "filtered" : "whole";
}
