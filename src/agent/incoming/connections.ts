/**
 * Redirected connections while they stand. Those that nobody subscribed to, and the requests that nobody wants, are passed on
 * without TypeScript (src/sys/passage.ts); the others are streams of a client, or of http/exchange.ts.
 *
 * State      event                                  action > next
 * PASSED     closed                                 forget it > gone
 * PASSED     handed over                            serve it here > SERVED
 * SERVED     given back                             start it again > PASSED
 * SERVED     over                                   forget it > gone
 */
import type { StreamEnd } from "../../base/socket_end.ts";
import { forgetTableChanges, watchTables } from "../../sys/netfilter.ts";
import { Passage, type PassageFilters, type PassageListener, type Taps } from "../../sys/passage.ts";
import { type LookedPort, PacketQueue, type QueueMarks } from "../../sys/queue.ts";
import { type Arrival, closeDescriptor, dialMarked } from "../../sys/redirected.ts";
import { Sniffer } from "../../sys/sniffer.ts";
import { type FdEnd, Sockets } from "../../sys/sockets.ts";
import { HttpConnection } from "./http/exchange.ts";
import { FilteredRoutes } from "./http/routes.ts";
import type { RoutedSubscription } from "./live_routes.ts";

/** The target's own program may take this long to accept. */
const DIAL_MS = 10_000;

/** Who wants requests of a connection, as long as they do. */
export interface Wanted {
  /** The older ones first. */
  subscriptions(): readonly RoutedSubscription[];
  /** Who speaks first in a protocol that may be HTTP: the client, within this time. */
  readonly detectionMs: number;
  /** The same, for native code. */
  filters(): PassageFilters;
}

interface Passed {
  readonly arrival: Arrival;
  readonly mark: number;
  readonly wanted?: Wanted;
  /** Since a request was somebody's. */
  http?: { readonly connection: HttpConnection; readonly routes: FilteredRoutes };
}

export interface ConnectionsOwner
  extends Pick<PassageListener, "onBegun" | "onTaken" | "onMissed" | "onSpoken" | "onRefused"> {
  /** A socket or a connection is gone. */
  onGone(): void;
  /** Tables of this network have changed. */
  onTables(): void;
  log(line: string): void;
  /** Takes a task. */
  own(task: Promise<void>): void;
}

export class Connections {
  readonly #sockets: Sockets;
  readonly #passage: Passage;
  readonly #owner: ConnectionsOwner;
  /** -errno when it cannot be had. */
  #sniffer: Sniffer | number | undefined;
  #queue: PacketQueue | number | undefined;
  #changes = -1;
  /** Ends that are served here. */
  readonly #ends = new Set<StreamEnd>();
  readonly #passed = new Map<number, Passed>();
  #lastId = 0;
  /** Ports of which it was said. */
  readonly #unclear = new Set<number>();

  /** Or -errno. */
  static open(owner: ConnectionsOwner): Connections | number {
    const sockets = Sockets.open();
    if (typeof sockets === "number") return sockets;
    const connections: { it?: Connections } = {};
    const passage = Passage.open(sockets, {
      onClosed: (id) => connections.it!.#forget(id),
      onHanded: (id, client, target, bytes) => connections.it!.#serve(id, client, target, bytes),
      onBegun: (tap, peer, own) => owner.onBegun(tap, peer, own),
      onTaken: (arrival, bytes) => owner.onTaken(arrival, bytes),
      onMissed: (port) => owner.onMissed(port),
      onSpoken: (port, spoken) => owner.onSpoken(port, spoken),
      onRefused: (port) => owner.onRefused(port),
    });
    if (typeof passage !== "number") return connections.it = new Connections(sockets, passage, owner);
    owner.own(sockets.close());
    return passage;
  }

  private constructor(sockets: Sockets, passage: Passage, owner: ConnectionsOwner) {
    this.#sockets = sockets;
    this.#passage = passage;
    this.#owner = owner;
  }

  get isEmpty(): boolean {
    return this.#ends.size === 0 && this.#passed.size === 0;
  }

  /** An end that is known here until it is closed. */
  adopt(fd: number, keepsUrgent = false): FdEnd {
    const onGone = () => {
      this.#ends.delete(end);
      this.#owner.onGone();
    };
    const end = this.#sockets.adopt(fd, onGone, keepsUrgent);
    this.#ends.add(end);
    return end;
  }

  /** To the target's own program, with a copy for each tap. */
  pass(arrival: Arrival, mark: number, taps?: Taps, bytes = new Uint8Array()): void {
    const id = this.#newId({ arrival, mark });
    this.#passage.start({
      id,
      client: arrival.fd,
      target: -1,
      original: arrival.original,
      mark,
      bytes,
      ...(taps ? { taps } : {}),
    });
  }

  /** Request by request to who wants it, or to the target's own program; its peer has said these `bytes`. */
  filter(arrival: Arrival, mark: number, wanted: Wanted, bytes = new Uint8Array(), isHttp = false): void {
    const id = this.#newId({ arrival, mark, wanted });
    this.#start(id, arrival.fd, -1, bytes, isHttp ? 0 : Math.max(1, wanted.detectionMs));
  }

  /** Connections to these ports, and no others, are copied as they pass. 0 or -errno: that cannot be had. */
  sniff(ports: readonly number[]): number {
    if (this.#sniffer === undefined && ports.length === 0) return 0;
    this.#sniffer ??= this.#openSniffer();
    return typeof this.#sniffer === "number" ? this.#sniffer : this.#sniffer.sniff(ports);
  }

  /**
   * Requests to these ports, and no others, are looked at on their way to the target: who has one that is wanted becomes ours. The number
   * of the queue, or -errno: that cannot be had.
   */
  look(wanted: ReadonlyMap<number, LookedPort>, marks: QueueMarks): number {
    if (this.#queue === undefined && wanted.size === 0) return 0;
    this.#queue ??= this.#openQueue(marks);
    if (typeof this.#queue === "number") return this.#queue;
    this.#queue.look(wanted);
    return this.#queue.number;
  }

  /** Connections to it are just being taken over: `look` at it until they are. */
  isTaking(port: number): boolean {
    return this.#queue instanceof PacketQueue && this.#queue.isTaking(port);
  }

  taps(): Taps {
    return this.#passage.taps();
  }

  /** Connections of HTTP on which nothing is under way are ended, as any server may. */
  endIdle(): void {
    this.#passage.endIdle();
    for (const { http } of this.#passed.values()) {
      http?.connection.endIfIdle();
      http?.routes.retire();
    }
  }

  resetAll(): void {
    this.#passage.resetAll();
    for (const end of [...this.#ends]) end.reset();
  }

  /** All have to be gone, or are reset. */
  async close(): Promise<void> {
    for (const end of [...this.#ends]) end.reset();
    if (this.#sniffer instanceof Sniffer) this.#sniffer.close();
    if (this.#queue instanceof PacketQueue) this.#queue.close();
    if (this.#changes >= 0) closeDescriptor(this.#changes);
    this.#passage.close();
    await this.#sockets.close();
  }

  #openSniffer(): Sniffer | number {
    const error = this.#watchTables();
    return error < 0 ? error : Sniffer.open(this.#passage);
  }

  #openQueue(marks: QueueMarks): PacketQueue | number {
    const error = this.#watchTables();
    return error < 0 ? error : PacketQueue.open(this.#passage, marks);
  }

  /** 0 or -errno. */
  #watchTables(): number {
    if (this.#changes >= 0) return 0;
    const changes = watchTables();
    if (changes < 0) return changes;
    this.#changes = changes;
    this.#sockets.watch(changes, {
      onReady: () => {
        forgetTableChanges(changes);
        this.#owner.onTables();
      },
    });
    return 0;
  }

  #newId(passed: Passed): number {
    do this.#lastId = (this.#lastId + 1) & 0x7fff_ffff; while (this.#passed.has(this.#lastId));
    this.#passed.set(this.#lastId, passed);
    return this.#lastId;
  }

  #start(id: number, client: number, target: number, bytes: Uint8Array<ArrayBuffer>, detectionMs: number): void {
    const { arrival, mark, wanted } = this.#passed.get(id)!;
    const { original } = arrival;
    this.#passage.start({ id, client, target, original, mark, bytes, detectionMs, filters: wanted!.filters() });
  }

  #forget(id: number): void {
    const { http } = this.#passed.get(id) ?? {};
    this.#passed.delete(id);
    http?.connection.close();
    http?.routes.finish();
    this.#owner.onGone();
  }

  #serve(id: number, client: number, target: number, bytes: Uint8Array<ArrayBuffer>): void {
    const passed = this.#passed.get(id);
    if (!passed) {
      for (const fd of [client, target]) if (fd >= 0) closeDescriptor(fd);
      return;
    }
    const http = passed.http ??= this.#newHttp(passed);
    const peer = this.adopt(client);
    const end = target < 0 ? undefined : this.adopt(target);
    this.#owner.own(
      http.connection.resume(peer, bytes, end).then((back) => {
        if (!back) return this.#forget(id);
        const targetFd = back.target ? (back.target as FdEnd).release() : -1;
        this.#start(id, peer.release(), targetFd, back.bytes, 0);
      }),
    );
  }

  /** Once for a port: it may come with every request. */
  #tellUnclear(port: number): void {
    if (this.#unclear.has(port)) return;
    this.#unclear.add(port);
    this.#owner.log(`Port ${port} gets requests that two could read differently: the target has their connections`);
  }

  #newHttp({ arrival, mark, wanted }: Passed): NonNullable<Passed["http"]> {
    const { peer, original: own } = arrival;
    const routes = new FilteredRoutes({
      subscriptions: () => wanted!.subscriptions(),
      delivery: { port: own.port, peer, own },
      dialTarget: async () => {
        const fd = await dialMarked(own, mark, DIAL_MS);
        return fd < 0 ? undefined : this.adopt(fd);
      },
      onUnclear: () => this.#tellUnclear(own.port),
    });
    return { connection: new HttpConnection(routes, wanted!.detectionMs), routes };
  }
}
