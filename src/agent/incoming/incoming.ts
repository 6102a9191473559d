/**
 * Incoming connections of the target: who wants which port, and what becomes of each connection that is redirected to us.
 *
 * Subscribed by                     A connection goes to
 * one who steals it whole           them; a second one is refused
 * mirrors alone                     the target's own program as ever; segments are copied as they pass (sys/sniffer.ts)
 * mirrors, beside others            the target's own program by way of us, and a copy of what the peer says to each mirror
 * somebody with a filter            request by request (http/exchange.ts): the oldest whose filter matches, then who steals
 *                                   it whole, then the target's own program
 * nobody (any more)                 the target's own program
 *
 * Rules exist while there is a subscription. Connections outlive the subscription they came by, and the table has to
 * outlive them: the kernel translates their packets only while somebody has a chain of type nat.
 */
import { ERRNO } from "../../base/errors.ts";
import { type Arrival, breakOffConnections, RedirectListener, resetDescriptor } from "../../sys/redirected.ts";
import { MOST_SNIFFED_PORTS } from "../../sys/sniffer.ts";
import { Arrivals, classOf } from "./arrivals.ts";
import { Connections } from "./connections.ts";
import type { JqCommand } from "./judge.ts";
import { Judges } from "./judges.ts";
import { LeavingRules } from "./leaving_rules.ts";
import { LookedPorts, type PortPlan } from "./looked_ports.ts";
import { isLookedAtAlone, isTranslating, type Neighbour, neighboursAt, type PortRule, RedirectTable } from "./table.ts";
import {
  describe,
  type IncomingClient,
  isDecidedByHead,
  isWhole,
  noRedirect,
  settingsOf,
  stolen,
  type Subscription,
  type Verdict,
  WELCOME,
  type Wish,
} from "./wishes.ts";

/** Ports of all clients; each is a rule in six chains. */
const MOST_PORTS = 256;

/** How long the table stays after the last connection, for its last packets; and when we leave, for resets. */
const IDLE_MS = 500;
const RESET_MS = 500;
/** When we leave: how long answers may take, and how long after the last rule somebody may arrive by it. */
const LAST_MS = 5000;
const ARRIVING_MS = 100;
const LOOK_MS = 25;
/** How long others may take to hear that a port is to be stolen whole. */
const TURN_MS = 2048;

interface Redirect {
  readonly table: RedirectTable;
  readonly listener: RedirectListener;
  /** What arrives now is reset. */
  isRetiring: boolean;
  accepting: Promise<void>;
}

export class Incoming {
  readonly #log: (line: string) => void;
  readonly #wantsOwner: boolean;
  readonly #judges: Judges;
  readonly #looked = new LookedPorts(() => void this.#commit("what has changed"));
  /** By age. */
  readonly #subscriptions: Subscription[] = [];
  readonly #tasks = new Set<Promise<void>>();
  readonly #arrivals: Arrivals;
  readonly #allClosed = Promise.withResolvers<void>();
  #isClosing = false;
  #idleTimer: ReturnType<typeof setTimeout> | undefined;
  #connections: Connections | undefined;
  /** While there is a port that is not only sniffed. */
  #redirect: Redirect | undefined;
  /** Ports that are redirected. */
  #redirected = "";
  /** What the table has. */
  #rules: readonly PortRule[] = [];
  readonly #leaving = new LeavingRules(
    (port) => this.#connections?.isTaking(port) ?? false,
    () => void this.#commit(),
  );

  constructor(log: (line: string) => void, options: { wantsOwner?: boolean; jq?: JqCommand | undefined } = {}) {
    this.#log = log;
    this.#judges = new Judges(options.jq, (task) => this.#own(task));
    this.#wantsOwner = options.wantsOwner ?? true;
    this.#arrivals = new Arrivals(this.#subscriptions, (task) => this.#own(task));
  }

  /** A promise: others have to hear of it first. */
  subscribe(client: IncomingClient, wish: Wish): Verdict | Promise<Verdict> {
    const { port } = wish;
    if (this.#subscriptions.some((it) => it.client === client && it.port === port)) {
      return { errno: ERRNO.EADDRINUSE, error: `port ${port} is subscribed already, by this same run` };
    }
    const settings = settingsOf(wish);
    if (settings && "errno" in settings) return settings;
    const opened = this.#open();
    if (typeof opened === "number") return noRedirect(port, opened);
    const hasJq = settings !== undefined && settings.programs.length > 0;
    const judge = hasJq ? this.#judges.share(wish.filter, settings!, (it) => client.warn(it)) : undefined;
    if (typeof judge === "string") {
      this.#closeIfIdle();
      return { errno: ERRNO.ENOSPC, error: `port ${port} has a filter that cannot be run: ${judge}` };
    }
    const isAnnounced = isWhole(wish) && isLookedAtAlone(port);
    const subscription = { ...wish, client, settings, judge, test: settings?.test, since: new Date(), isAnnounced };
    const stealer = isWhole(subscription) ? this.#stealerOf(port) : undefined;
    if (stealer !== undefined) {
      this.#closeIfIdle();
      return stolen(port, stealer);
    }
    this.#subscriptions.push(subscription);
    this.#arrivals.filters.forget();
    const status = this.#commit();
    // Another may have asked for the same at the same moment: the older one keeps it.
    const winner = isWhole(subscription) ? this.#stealerOf(port, "older") : undefined;
    if (winner === undefined) {
      return status === 0 && isAnnounced ? this.#takeTurn(subscription) : this.#begin(subscription, status);
    }
    this.#remove((it) => it === subscription);
    return stolen(port, winner);
  }

  /** Those who look at what is for them redirect it when they have heard of us; until then we would have it. */
  async #takeTurn(subscription: Subscription): Promise<Verdict> {
    const { port } = subscription;
    for (let ms = 1; ms < TURN_MS && isLookedAtAlone(port) && this.#subscriptions.includes(subscription); ms *= 2) {
      await new Promise((resolve) => setTimeout(resolve, ms));
    }
    subscription.isAnnounced = false;
    return this.#begin(subscription, this.#commit());
  }

  #begin(subscription: Subscription, status: number): Verdict {
    const { port, isFlush, isSteal, who } = subscription;
    if (status !== 0) {
      this.#remove((it) => it === subscription);
      return noRedirect(port, status);
    }
    const count = isFlush ? breakOffConnections(port) : 0;
    if (count < 0) this.#log(`Connections to port ${port} that exist stay with the target: error ${-count}`);
    else if (count > 0) this.#log(`${count} connections to port ${port} were reset`);
    this.#log(`Port ${port} is ${isSteal ? "stolen" : "mirrored"} by ${who}`);
    return WELCOME;
  }

  unsubscribe(client: IncomingClient, port: number): void {
    this.#remove((it) => it.client === client && it.port === port);
  }

  /** The client has gone; what it had was its session's to end. */
  leave(client: IncomingClient): void {
    this.#remove((it) => it.client === client);
  }

  /** No redirect is left, connections that are passed on are seen off; resolves when nothing runs any more. */
  async close(): Promise<void> {
    this.#remove(() => true);
    await this.#seeOff();
    this.#isClosing = true;
    const connections = this.#connections;
    await this.#stopAccepting(this.#redirect);
    connections?.resetAll();
    // For the resets to leave; a socket that does not go must not keep us.
    const timer = setTimeout(() => this.#allClosed.resolve(), RESET_MS);
    if (connections && !connections.isEmpty) await this.#allClosed.promise;
    clearTimeout(timer);
    await this.#dispose();
    await Promise.all(this.#tasks);
  }

  /** Who is connected by way of us comes to an answer, and comes anew without us. */
  async #seeOff(): Promise<void> {
    const isRedirecting = this.#redirect?.table.translates ?? false;
    for (let ms = 0; ms < LAST_MS; ms += LOOK_MS) {
      const connections = this.#connections;
      // Who has been sent to us may still be on their way.
      const isQuiet = connections?.isEmpty && this.#leaving.isEmpty;
      if (!connections || (isQuiet && (ms >= ARRIVING_MS || !isRedirecting))) return;
      if (ms >= IDLE_MS) connections.endIdle();
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  #open(): Connections | number {
    clearTimeout(this.#idleTimer);
    if (this.#connections) return this.#connections;
    const connections = Connections.open({
      log: this.#log,
      onGone: () => this.#onGone(),
      onBegun: (tap, peer, own) => this.#arrivals.mirror(tap, peer, own),
      onTaken: (arrival, bytes) => this.#take(arrival, bytes),
      onMissed: (port) => this.#arrivals.tellMissed(port),
      onTables: () => void this.#commit("what has changed"),
      onSpoken: (port, spoken) => this.#looked.learn(port, spoken),
      onRefused: () => void this.#commit("all"),
      own: (task) => this.#own(task),
    });
    if (typeof connections !== "number") this.#connections = connections;
    return connections;
  }

  #openRedirect(connections: Connections): Redirect | number {
    if (this.#redirect) return this.#redirect;
    const table = RedirectTable.open(this.#log, this.#wantsOwner);
    if (typeof table === "number") return table;
    const listener = RedirectListener.open();
    if (typeof listener === "number") {
      table[Symbol.dispose]();
      return listener;
    }
    const redirect: Redirect = { table, listener, isRetiring: false, accepting: Promise.resolve() };
    redirect.accepting = this.#accept(redirect, connections).catch((error) => this.#log(`accepting failed: ${error}`));
    return this.#redirect = redirect;
  }

  #onGone(): void {
    if (!this.#isClosing) this.#closeIfIdle();
    else if (this.#connections?.isEmpty) this.#allClosed.resolve();
  }

  #remove(isMeant: (it: Subscription) => boolean): void {
    const left = this.#subscriptions.filter((it) => !isMeant(it));
    for (const it of this.#subscriptions) if (!left.includes(it)) it.judge?.giveBack();
    if (left.length === this.#subscriptions.length) return;
    this.#subscriptions.splice(0, Infinity, ...left);
    for (const rule of this.#rules) {
      if (rule.queue > 0 && left.every(({ port }) => port !== rule.port)) this.#leaving.add(rule);
    }
    this.#arrivals.filters.forget();
    this.#commit();
    this.#closeIfIdle();
  }

  #closeIfIdle(): void {
    clearTimeout(this.#idleTimer);
    if (this.#subscriptions.length > 0 || !this.#connections?.isEmpty) return;
    this.#idleTimer = setTimeout(() => this.#own(this.#dispose()), IDLE_MS);
  }

  /** Resets leave while the table stands: without it the peers would not see whose they are. */
  async #dispose(): Promise<void> {
    clearTimeout(this.#idleTimer);
    this.#looked.close();
    this.#leaving.close();
    this.#rules = [];
    const [connections, redirect] = [this.#connections, this.#redirect];
    this.#connections = this.#redirect = undefined;
    this.#redirected = "";
    await this.#stopAccepting(redirect);
    await connections?.close();
    redirect?.table[Symbol.dispose]();
  }

  /** Who has arrived and was not accepted yet is reset. */
  async #stopAccepting(redirect: Redirect | undefined): Promise<void> {
    if (!redirect || redirect.isRetiring) return await redirect?.accepting;
    redirect.isRetiring = true;
    redirect.listener.stop();
    await redirect.accepting;
  }

  /** Rules and sniffed ports become what the subscriptions want. 0 or -errno. */
  #commit(which: "all" | "what has changed" = "all"): number {
    const connections = this.#connections;
    if (!connections) return 0;
    const ports = [...new Set(this.#subscriptions.map(({ port }) => port))];
    for (const port of ports) this.#leaving.delete(port);
    if (ports.length > MOST_PORTS) return -ERRNO.ENOSPC;
    const sniffed = ports.filter((port) => this.#isOnlyMirrored(port)).slice(0, MOST_SNIFFED_PORTS);
    const status = connections.sniff(sniffed);
    if (status < 0 && which === "all") this.#log(`Mirrored connections are redirected: sniffing has error ${-status}`);
    const redirected = ports.filter((port) => status < 0 || !sniffed.includes(port) || isTranslating(port));
    const byHeads = redirected.filter((port) => this.#isDecidedByHeads(port));
    const shared = byHeads.filter((port) => this.#isShared(port));
    const planOf = this.#looked.plan(byHeads, shared, (port) => this.#arrivals.filters.needs(port));
    const key = JSON.stringify(redirected.map((port) => [port, planOf(port)]));
    if (which !== "all" && key === this.#redirected) return 0;
    this.#redirected = key;
    if (redirected.length === 0 && !this.#redirect) return 0;
    const redirect = this.#openRedirect(connections);
    if (typeof redirect === "number") return redirect;
    const leaving = this.#leaving.all;
    const looked = redirected.filter((port) => planOf(port).isLookedAt);
    const queue = this.#look(redirect, connections, [...looked, ...leaving.map(({ port }) => port)], planOf);
    const rules = redirected.map((port) => {
      const { isLookedAt, ...plan } = planOf(port);
      return {
        redirectClass: classOf(this.#subscriptions.filter((it) => it.port === port)),
        port,
        toPort: this.#subscriptions.every((it) => it.port !== port || it.isAnnounced) ? 0 : redirect.listener.port,
        queue: isLookedAt ? queue : 0,
        ...plan,
        comment: `${port} ${describe(this.#first(port)!)}`,
      };
    });
    this.#rules = [...rules, ...leaving];
    return redirect.table.commit(this.#rules);
  }

  /** The number of the queue; 0: there is none. */
  #look(
    { table }: Redirect,
    connections: Connections,
    ports: readonly number[],
    planOf: (port: number) => PortPlan,
  ): number {
    if (!this.#looked.isWanted) return 0;
    const settles = (port: number) => table.passesPlain && planOf(port).needs !== undefined;
    const wanted = this.#looked.wanted(ports, settles, (port) => this.#arrivals.filters.of(port));
    const queue = connections.look(wanted, table.marks);
    if (queue >= 0) return queue;
    this.#log(`Filtered connections are redirected: packets cannot be looked at, error ${-queue}`);
    this.#looked.giveUp();
    return 0;
  }

  /** The head of a request decides who wants it, and most of them are nobody's. */
  #isDecidedByHeads(port: number): boolean {
    return this.#subscriptions.every((it) => it.port !== port || isDecidedByHead(it.settings));
  }

  /** Another agent's redirect takes connections to it before they come to our queue. */
  #isShared(port: number): boolean {
    const neighbours = this.#redirect?.table.neighbours(port) ?? neighboursAt(port);
    return neighbours.some(({ redirectClass }) => redirectClass !== "mirror");
  }

  /** Copies can be made of its connections as they pass. */
  #isOnlyMirrored(port: number): boolean {
    return this.#subscriptions.every((it) => it.port !== port || (!it.isSteal && it.filter === ""));
  }

  #first(port: number): Subscription | undefined {
    const all = this.#subscriptions.filter((it) => it.port === port);
    return all.find(isWhole) ?? all[0];
  }

  /** Who steals all of this port, here or by another agent. */
  #stealerOf(port: number, which: "any" | "older" = "any"): string | undefined {
    const here = this.#subscriptions.find((it) => it.port === port && isWhole(it));
    if (here && which === "any") return describe(here);
    const isMeant = (it: Neighbour) => it.redirectClass === "whole" && (which === "any" || it.isOlder);
    return (this.#redirect?.table.neighbours(port) ?? neighboursAt(port)).find(isMeant)?.who;
  }

  async #accept(redirect: Redirect, connections: Connections): Promise<void> {
    for await (const arrivals of redirect.listener.arrivals()) {
      if (typeof arrivals === "number") {
        this.#log(`Cannot accept a redirected connection: error ${-arrivals}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      } else if (redirect.isRetiring) { for (const { fd } of arrivals) resetDescriptor(fd); }
      else for (const arrival of arrivals) this.#arrivals.serve(arrival, redirect.table, connections);
    }
  }

  /** A connection was the target's until now. */
  #take(arrival: Arrival, bytes: Uint8Array<ArrayBuffer>): void {
    const [redirect, connections] = [this.#redirect, this.#connections];
    if (!redirect || !connections || this.#isClosing) resetDescriptor(arrival.fd);
    else this.#arrivals.serve(arrival, redirect.table, connections, bytes);
  }

  #own(task: Promise<void>): void {
    this.#tasks.add(task);
    task.catch((error) => this.#log(`A redirected connection failed: ${error instanceof Error ? error.stack : error}`))
      .finally(() => this.#tasks.delete(task));
  }
}
