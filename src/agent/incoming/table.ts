/**
 * The agent's table of redirects, and those of other agents in the same network.
 *
 * A table is named `mirrord-PID-STARTED-LEVEL`: its process, when that was started (so a later process of the same number is
 * not taken for it), and its rank: of two agents the one with the lower level sees connections first. Where the kernel does
 * not remove the table of a dead agent (before Linux 5.12) a guard process does, and should that be killed too, the next agent.
 * A table whose process lives, or that has an owner, is never touched.
 */
import { ERRNO } from "../../base/errors.ts";
import {
  closeTable,
  commitRules,
  guardTable,
  listRules,
  listTables,
  listTranslatingTables,
  openTable,
  QUEUE_WAYS,
  type QueueWay,
  REDIRECT_CLASSES,
  type RedirectClass,
  type RedirectRule,
  removeTable,
} from "../../sys/netfilter.ts";
import type { QueueMarks } from "../../sys/queue.ts";
import { closeDescriptor } from "../../sys/redirected.ts";
import { readStat } from "../target.ts";

/** "m" and room for a class and a level: connections passed on by the first agent that looked at them carry it. */
const MARK = 0x6d00_0000;
const NAME = /^mirrord-(\d+)-(\d+)-(\d+)$/;
/** Levels are 16 bits of a mark. */
const MOST_LEVELS = 0x1_0000;
const ATTEMPTS = 8;

/** What becomes of a port. */
export interface PortRule extends RedirectRule {
  /** Connections are redirected beside a queue, too; without one they are in any case. */
  readonly isRedirected: boolean;
}

/** A port that another agent redirects. */
export interface Neighbour {
  readonly redirectClass: RedirectClass;
  readonly who: string;
  /** It sees connections before us. */
  readonly isOlder: boolean;
}

export class RedirectTable implements Disposable {
  readonly #name: string;
  readonly #level: number;
  readonly #fd: number;
  readonly #guard: number;
  readonly #log: (line: string) => void;
  #translates = false;
  #isQueueing = false;
  /** The kernel can let plain requests pass. */
  #passesPlain = true;
  /** How a queue may be had here. */
  readonly #ways: QueueWay[] = [...QUEUE_WAYS];

  private constructor(name: string, level: number, fd: number, guard: number, log: (line: string) => void) {
    this.#log = log;
    this.#name = name;
    this.#level = level;
    this.#fd = fd;
    this.#guard = guard;
  }

  /** Makes the table, after removing those of the dead. Or -errno. `wantsOwner` is false in tests of older kernels' ways. */
  static open(log: (line: string) => void, wantsOwner = true): RedirectTable | number {
    removeLeftovers(log);
    const own = `mirrord-${Deno.pid}-${readStat(Deno.pid)?.startTicks ?? 0}`;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const level = nextLevel();
      if (level >= MOST_LEVELS) return -ERRNO.ENOSPC;
      const name = `${own}-${level}`;
      const table = openTable(name, level, wantsOwner);
      if (typeof table === "number") return table;
      // Another may have chosen the same level at the same moment: the smaller name keeps it.
      if (namesAt(level).some((other) => other < name)) {
        closeTable(table.fd, name);
        continue;
      }
      const guard = table.isOwned ? -1 : guardTable(name);
      if (!table.isOwned) log(`The kernel is old: ${guard < 0 ? "nobody" : "a process"} guards table ${name}`);
      return new RedirectTable(name, level, table.fd, guard, log);
    }
    return -ERRNO.EBUSY;
  }

  /** The table's rules become these; ports with a queue are redirected only where it cannot be had. 0 or -errno. */
  commit(rules: readonly PortRule[]): number {
    const commit = (rules: readonly RedirectRule[], way?: QueueWay) => {
      const translates = this.#translates || rules.some(({ toPort, queue }) => toPort > 0 || queue === 0);
      const status = commitRules(this.#fd, this.#name, this.#level, MARK, rules, { way, translates });
      if (status === 0) this.#translates = translates;
      return status;
    };
    while (this.#ways.length > 0 && rules.some(({ queue }) => queue > 0)) {
      const [way] = this.#ways;
      const looked = rules.map((it) => it.queue > 0 && !it.isRedirected ? { ...it, toPort: 0 } : it);
      const status = this.#passesPlain ? commit(looked, way) : commit(looked.map(asked), way);
      if (status === 0) {
        if (!this.#isQueueing) this.#log(`Requests to filtered ports are looked at on their way, in a queue by ${way}`);
        this.#isQueueing = true;
        return 0;
      }
      if (this.#passesPlain && rules.some(({ needs }) => needs) && commit(looked.map(asked), way) === 0) {
        this.#log(`The kernel lets no requests pass by itself: error ${-status}`);
        this.#passesPlain = false;
        return 0;
      }
      this.#log(`The kernel takes no queue by ${way}: error ${-status}`);
      this.#ways.shift();
    }
    return commit(rules.map((it) => ({ ...it, queue: 0 })));
  }

  /** It has redirected connections, which may still stand. */
  get translates(): boolean {
    return this.#translates;
  }

  /** C's PASS_MARK and SETTLED_MARK. */
  get marks(): QueueMarks {
    return { pass: MARK + 0xff_ffff, settled: MARK + 0xff_fffe };
  }

  /** As far as is known. */
  get passesPlain(): boolean {
    return this.#passesPlain;
  }

  /** What connections carry that chains of this class let pass on. */
  markOf(redirectClass: RedirectClass): number {
    return MARK + (REDIRECT_CLASSES.indexOf(redirectClass) << 16 | this.#level);
  }

  /** What other agents redirect of a port. */
  neighbours(port: number): Neighbour[] {
    return neighboursAt(port, this.#level);
  }

  [Symbol.dispose](): void {
    closeTable(this.#fd, this.#name);
    if (this.#guard >= 0) closeDescriptor(this.#guard);
  }
}

/** All that comes to the port is asked about. */
function asked(rule: RedirectRule): RedirectRule {
  return { ...rule, needs: undefined };
}

/** What agents redirect of a port; not the one of this level. */
export function neighboursAt(port: number, ownLevel = MOST_LEVELS): Neighbour[] {
  const rules = listRules();
  if (typeof rules === "number") return [];
  return rules.flatMap(({ table, chain, comment }) => {
    const level = levelOf(table);
    const [redirectClass, hook] = chain.split("_");
    const isOther = level !== undefined && level !== ownLevel;
    if (!isOther || hook !== "prerouting" || !comment.startsWith(`${port} `)) return [];
    const who = comment.slice(`${port} `.length);
    return [{ redirectClass: redirectClass as RedirectClass, who, isOlder: level < ownLevel }];
  });
}

/** Do other agents look at what is said to this port, and do not redirect it (yet)? A redirect of ours would come before their look. */
export function isLookedAtAlone(port: number): boolean {
  const rules = listRules();
  if (typeof rules === "number") return false;
  const about = rules.filter(({ table, comment }) => levelOf(table) !== undefined && comment.startsWith(`${port} `));
  const having = (hook: string) => about.filter(({ chain }) => chain.endsWith(`_${hook}`)).map(({ table }) => table);
  const redirecting = having("prerouting");
  return having("input").some((table) => !redirecting.includes(table));
}

/** Does anybody but agents that mirror translate addresses here, so that a segment's port is not yet its connection's? */
export function isTranslating(port: number): boolean {
  const tables = listTranslatingTables();
  if (typeof tables === "number" || tables.some((name) => levelOf(name) === undefined)) return true;
  return neighboursAt(port).some((it) => it.redirectClass !== "mirror");
}

function levelOf(table: string): number | undefined {
  const match = NAME.exec(table);
  return match ? Number(match[3]) : undefined;
}

function nextLevel(): number {
  const tables = listTables();
  if (typeof tables === "number") return 0;
  return Math.max(-1, ...tables.map(({ name }) => levelOf(name) ?? -1)) + 1;
}

function namesAt(level: number): string[] {
  const tables = listTables();
  return typeof tables === "number" ? [] : tables.map(({ name }) => name).filter((name) => levelOf(name) === level);
}

function removeLeftovers(log: (line: string) => void): void {
  const tables = listTables();
  if (typeof tables === "number") return;
  for (const { name, isOwned } of tables) {
    const match = NAME.exec(name);
    if (isOwned || !match) continue;
    const stat = readStat(Number(match[1]));
    if (stat && !stat.isDead && stat.startTicks === match[2]) continue;
    log(`Removing table ${name}, left over from an agent that has ended: ${removeTable(name)}`);
  }
}
