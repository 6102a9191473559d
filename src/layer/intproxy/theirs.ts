/**
 * What others at the target write into a file that the run writes, too: brought here, so that the run's programs read it by
 * whatever way, mappings included, and fstat and bytes agree (docs/decisions/0041).
 *
 * Bytes that the run has written since and that are not sent yet stay as they are. A file that the target's user may not read
 * stays behind. Programs may write meanwhile: so only what others have changed is touched, and
 * a file that is appended to grows by appending alone.
 */
import { ERRNO } from "../../base/errors.ts";
import { AGENT_LIMITS } from "../../proto/agent.ts";
import type { Shelf } from "../../sys/shelf.ts";
import type { AgentClient } from "./agent_client.ts";
import type { WrittenFile } from "./written_file.ts";

/** Of a bigger file only what is behind the end that was known is brought. */
const MOST_BYTES = 64 << 20;
/** More than this that others have appended at once stays there: the run goes on with what it has of the file. */
const MOST_NEW_BYTES = 1 << 30;
const AHEAD_READS = (8 << 20) / AGENT_LIMITS.chunkBytes;
const BLOCK_BYTES = 4096;

/** All of the file that the run has written must have been sent. For WrittenFile.alone. */
export async function mergeTheirs(file: WrittenFile, shelf: Shelf, agent: AgentClient): Promise<void> {
  if (!file.canMerge || !file.hasContents) return void (file.isBehind = false);
  const theirs = Number(file.stat.size);
  const before = shelf.look(file.number, false).size;
  const isQuiet = before === file.sentSize;
  // The program has written in the meantime: when that is sent.
  if (file.isAppending ? !isQuiet : before < file.sentSize) return;
  const from = theirs <= MOST_BYTES ? 0 : Math.min(theirs, before) - Math.min(theirs, before) % BLOCK_BYTES;
  if (theirs - from > MOST_NEW_BYTES) return void (file.isBehind = false);
  const behind = new Behind(file.number, shelf, before);
  const take = (offset: number, data: Uint8Array<ArrayBuffer>) =>
    file.isAppending ? behind.take(offset, data) : shelf.merge(file.number, offset, data);
  file.isBehind = false;
  const errno = await readAll(file, agent, from, theirs, take);
  if (errno !== 0) return void (file.isBehind = errno !== ERRNO.EACCES);
  const after = shelf.look(file.number, false).size;
  if (isQuiet && after > theirs && after === before) shelf.resize(file.number, theirs);
  if (!file.isAppending) shelf.cut(file.number, theirs);
  for (const own of behind.own) await sendOwn(file, shelf, agent, own);
  file.theirsEnd(behind.own.length > 0 ? behind.end : theirs);
}

/** What the target could not take is replaced by what it has there. */
export async function restore(
  file: WrittenFile,
  shelf: Shelf,
  agent: AgentClient,
  from: number,
  until: number,
): Promise<void> {
  const begin = from - from % BLOCK_BYTES;
  const take = (offset: number, data: Uint8Array<ArrayBuffer>) => shelf.fill(file.number, offset, data);
  if (file.canMerge && from < until) await readAll(file, agent, begin, until, take);
}

/** Of a file that is appended to: below the end that was here programs write nothing; what is beyond goes behind all. */
class Behind {
  /** What programs have appended meanwhile, and nobody has sent. */
  readonly own: { from: number; until: number }[] = [];
  end: number;
  readonly #number: bigint;
  readonly #shelf: Shelf;
  readonly #known: number;

  constructor(number: bigint, shelf: Shelf, end: number) {
    this.end = this.#known = end;
    this.#number = number;
    this.#shelf = shelf;
  }

  take(offset: number, data: Uint8Array<ArrayBuffer>): number {
    const inside = data.subarray(0, Math.max(0, this.#known - offset));
    const status = inside.length > 0 ? this.#shelf.fill(this.#number, offset, inside) : 0;
    if (status < 0 || inside.length === data.length) return status;
    const at = this.#shelf.append(this.#number, data.slice(inside.length));
    if (at < 0) return at;
    if (at !== this.end) this.own.push({ from: this.end, until: at });
    this.end = at + data.length - inside.length;
    return 0;
  }
}

async function sendOwn(
  file: WrittenFile,
  shelf: Shelf,
  agent: AgentClient,
  { from, until }: { from: number; until: number },
): Promise<void> {
  for (let at = from; at < until && file.error === 0;) {
    const data = new Uint8Array(Math.min(AGENT_LIMITS.chunkBytes, until - at));
    const count = await shelf.read(file.number, at, data);
    if (count <= 0) return;
    at += count;
    const wish = {
      type: "Write" as const,
      handle: file.handle,
      then: 0,
      size: 0n,
      offset: 0n,
      data: data.subarray(0, count),
    };
    file.error = await agent.ask(wish, (answer) => answer?.errno ?? ERRNO.EIO);
  }
}

/** Reads in order, several requests at a time. 0 or an errno. */
async function readAll(
  file: WrittenFile,
  agent: AgentClient,
  from: number,
  until: number,
  take: (offset: number, data: Uint8Array<ArrayBuffer>) => number,
): Promise<number> {
  const ahead: Promise<{ errno: number; offset: number; data: Uint8Array<ArrayBuffer> }>[] = [];
  for (let at = from; at < until || ahead.length > 0;) {
    while (at < until && ahead.length < AHEAD_READS) {
      const offset = at;
      const length = Math.min(AGENT_LIMITS.chunkBytes, until - at);
      const wish = { type: "ReadWriting" as const, handle: file.handle, offset: BigInt(offset), length };
      ahead.push(agent.ask(wish, (answer) => {
        if (!answer) return { errno: ERRNO.EIO, offset, data: new Uint8Array(0) };
        return { errno: answer.errno, offset, data: answer.data.slice() };
      }));
      at += length;
    }
    const { errno, offset, data } = await ahead.shift()!;
    const status = errno === 0 ? take(offset, data) : -errno;
    if (status === 0) continue;
    await Promise.all(ahead);
    return -status;
  }
  return 0;
}
