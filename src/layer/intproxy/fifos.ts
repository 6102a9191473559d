/**
 * FIFOs of the target. For each that the run uses there is a FIFO of this machine, which its programs open: so what they do with one
 * another is the kernel's, from open(2) that waits to SIGPIPE. Where the run has one side only, the target's programs are the other:
 *
 * State      event                                           action > next
 * -          a program opens it, to read (or reads it)       OpenFifo, to read, which waits for a writer > ASKED
 * -          programs only write                             OpenFifo, to write, which waits for a reader > ASKED
 * ASKED      the agent has an end                            open the other end here, join both > JOINED
 * ASKED      the run needs the other end, or none            Reset > -
 * JOINED     the last writer has gone, there or here         what is under way, End > - (after PAUSE_MS)
 * JOINED     the last reader has gone                        Reset: EPIPE to who writes > - (after PAUSE_MS)
 * JOINED, writing: a program of the run reads it             End > -
 *
 * There is never more than one of the two: an end of ours for reading and one for writing would hear each other. Who has it open is the
 * kernel's to tell (fdinfo), when inotify says that something was closed; who is just opening it says so.
 */
import { utf8 } from "../../base/bytes.ts";
import { ERRNO } from "../../base/errors.ts";
import { FRAME_HEAD_BYTES } from "../../proto/codec.ts";
import type { LAYER, LayerMessage } from "../../proto/layer.ts";
import type { MessageNamed, Stat } from "../../proto/schema.ts";
import { closeFifo, FIFO_MODE, FifoEnd, makeFifo, openFifo, watchCloses } from "../../sys/fifo.ts";
import { Sockets } from "../../sys/sockets.ts";
import type { AgentClient } from "./agent_client.ts";
import { type Ends, fifoEnds } from "./descriptors.ts";
import { layerCodec, type ShimConnection } from "./shim_connection.ts";

export type FifoRequest = Extract<LayerMessage, { type: "OpenFifo" | "FifoOpened" }>;
type OpenFifo = MessageNamed<typeof LAYER, "OpenFifo">;

interface Bridge {
  readonly stream: number;
  /** Bytes of the run go to the target. */
  readonly isWriting: boolean;
  /** Undefined: the agent has no other end yet. */
  end?: FifoEnd;
}

interface End {
  isReading: boolean;
  isWriting: boolean;
  /** open(2) waits. */
  isPatient: boolean;
}

interface Fifo {
  readonly key: string;
  readonly name: string;
  readonly path: Uint8Array;
  readonly stat: Stat;
  /** Opens that are under way. */
  readonly opening: Map<bigint, End & { forget: () => void }>;
  bridge: Bridge | undefined;
  /** Both ends in one, so that ours can be opened before the program's. */
  holder: number | undefined;
  /** Until when the agent is not asked again, unless somebody opens it anew. For ever: the target's is not there any more, say. */
  restUntil: number;
}

const O_ACCMODE = 3;
const O_RDONLY = 0;
const O_WRONLY = 1;
const O_NONBLOCK = 0o4000;
const R_OK = 4;
const W_OK = 2;
const S_IFMT = 0o170000;
const S_IFIFO = 0o010000;
/** Who has read to the end closes it, mostly: until then nobody at the target should believe that it is read on. */
const PAUSE_MS = 500;
/** Closes come in groups. */
const LOOK_MS = 2;
const NOTHING = new Uint8Array(0);

export class Fifos implements AsyncDisposable {
  readonly #directory: string;
  readonly #agent: AgentClient;
  readonly #everybody: () => Iterable<number>;
  readonly #byKey = new Map<string, Fifo>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #sockets: Sockets | undefined;
  #endWatch: (() => void) | undefined;
  #isLooking = false;
  #isClosed = false;

  constructor(directory: string, agent: AgentClient, everybody: () => Iterable<number>) {
    this.#directory = `${directory}/fifos`;
    this.#agent = agent;
    this.#everybody = everybody;
  }

  onRequest(message: FifoRequest, id: number, shim: ShimConnection): void {
    if (message.type === "OpenFifo") return void this.#open({ ...message, path: message.path.slice() }, id, shim);
    for (const fifo of this.#byKey.values()) this.#opened(fifo, message.token);
  }

  /** No program comes any more; streams are the agent client's to end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const fifo of this.#byKey.values()) this.#dropHolder(fifo);
    this.#endWatch?.();
    await this.#sockets?.close();
  }

  /** Never rejects. */
  async #open({ path, flags }: OpenFifo, id: number, shim: ShimConnection): Promise<void> {
    const refuse = (errno: number) => shim.send({ type: "FifoPlace", errno, token: 0n, path: NOTHING }, id);
    const end = {
      isReading: (flags & O_ACCMODE) !== O_WRONLY,
      isWriting: (flags & O_ACCMODE) !== O_RDONLY,
      isPatient: (flags & O_NONBLOCK) === 0,
    };
    const stat = await this.#find(path, (end.isReading ? R_OK : 0) | (end.isWriting ? W_OK : 0));
    if (typeof stat === "number" || this.#isClosed) return refuse(typeof stat === "number" ? stat : ERRNO.ENXIO);
    const fifo = this.#known(stat, path);
    if (typeof fifo === "number") return refuse(fifo);
    const token = crypto.getRandomValues(new BigUint64Array(1))[0]!;
    const asksAtOnce = !end.isPatient && !(end.isReading && end.isWriting);
    const meets = asksAtOnce ? this.#endsOf(fifo) : NOBODY;
    fifo.restUntil = 0;
    fifo.opening.set(token, { ...end, forget: shim.onClosed(() => this.#opened(fifo, token)) });
    const answered = (errno: number) => {
      if (errno !== 0 || shim.isClosed) this.#opened(fifo, token);
      if (errno !== 0) refuse(errno);
      else shim.send({ type: "FifoPlace", errno, token, path: utf8(this.#placeOf(fifo)) }, id);
      this.#look();
    };
    if (asksAtOnce) this.#meet(fifo, end, meets, answered);
    else answered(0);
  }

  /** What it is, if the target's user may; or an errno. */
  async #find(path: Uint8Array, mode: number): Promise<Stat | number> {
    const [stat, errno] = await Promise.all([
      this.#agent.ask({ type: "Stat", path, flags: 0 }, (answer) => answer?.errno === 0 ? answer.stat : undefined),
      this.#agent.ask({ type: "Access", path, mode, flags: 0 }, (answer) => answer?.errno ?? ERRNO.EIO),
    ]);
    return !stat || (stat.mode & S_IFMT) !== S_IFIFO ? ERRNO.ENXIO : errno || stat;
  }

  #opened(fifo: Fifo, token: bigint): void {
    const opening = fifo.opening.get(token);
    if (!opening) return;
    opening.forget();
    fifo.opening.delete(token);
    this.#lookSoon();
  }

  /** Who does not wait wants to know at once who is at the other end. */
  #meet(fifo: Fifo, end: End, { readers, writers }: Ends, answered: (errno: number) => void): void {
    const isMet = end.isReading ? writers > 0 : readers > 0 || fifo.bridge?.isWriting && fifo.bridge.end;
    if (isMet || fifo.bridge) return answered(isMet || end.isReading ? 0 : ERRNO.ENXIO);
    this.#ask(fifo, end.isWriting, false, (errno) => answered(end.isWriting ? errno : 0));
  }

  #known(stat: Stat, path: Uint8Array): Fifo | number {
    const key = `${stat.dev}:${stat.ino}:${stat.btimeSec}:${stat.btimeNsec}`;
    const known = this.#byKey.get(key);
    if (known) return known;
    const frame = layerCodec.encode({ type: "StatReply", errno: 0, stat }, 0);
    const name = frame.subarray(FRAME_HEAD_BYTES + 4).toHex();
    const error = this.#start() || makeFifo(`${this.#directory}/${name}`);
    if (error < 0) return -error;
    const nobody = { opening: new Map(), bridge: undefined, holder: undefined, restUntil: 0 };
    const fifo = { key, name, path, stat, ...nobody };
    this.#byKey.set(key, fifo);
    return fifo;
  }

  /** With the first FIFO. 0 or -errno. */
  #start(): number {
    if (this.#endWatch) return 0;
    const sockets = this.#sockets ?? Sockets.open();
    if (typeof sockets === "number") return sockets;
    this.#sockets = sockets;
    Deno.mkdirSync(this.#directory, { recursive: true });
    Deno.chmodSync(this.#directory, 0o711);
    const watching = watchCloses(this.#directory, sockets, () => this.#lookSoon());
    if (typeof watching === "number") return watching;
    this.#endWatch = watching;
    return 0;
  }

  #placeOf(fifo: Fifo): string {
    return `${this.#directory}/${fifo.name}`;
  }

  #lookSoon(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#later(LOOK_MS, () => {
      this.#isLooking = false;
      this.#look();
    });
  }

  #later(ms: number, act: () => void): void {
    if (this.#isClosed) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }

  /** Does for all of them what the table above says. */
  #look(): void {
    if (this.#isClosed || this.#byKey.size === 0) return;
    const ends = fifoEnds(this.#everybody(), this.#directory);
    // Somebody cannot be looked into: it stays as it is.
    if (!ends) return;
    for (const fifo of [...this.#byKey.values()]) this.#settle(fifo, ends.get(fifo.name) ?? NOBODY);
  }

  #endsOf(fifo: Fifo): Ends {
    const ends = { ...fifoEnds(this.#everybody(), this.#directory)?.get(fifo.name) ?? NOBODY };
    for (const { isReading, isWriting } of fifo.opening.values()) {
      if (isReading) ends.readers++;
      if (isWriting) ends.writers++;
    }
    return ends;
  }

  #settle(fifo: Fifo, { readers, writers }: Ends): void {
    const { bridge } = fifo;
    const opening = [...fifo.opening.values()];
    const isRead = readers > 0 || opening.some((it) => it.isReading);
    const isWritten = writers > 0 || opening.some((it) => it.isWriting);
    if (opening.length === 0) this.#dropHolder(fifo);
    if (bridge?.isWriting && bridge.end) {
      // It ends by itself, after the last byte; but not before the reader of the run is there.
      if (readers > 0) bridge.end.close();
      return;
    }
    if (bridge && (isRead ? bridge.isWriting : !(bridge.isWriting && isWritten))) this.#breakOff(fifo, bridge);
    if (!isRead && !isWritten) {
      if (!fifo.bridge) this.#forget(fifo);
    } else if (!fifo.bridge && this.#isDue(fifo, isRead && isWritten)) this.#ask(fifo, !isRead, true, () => {});
  }

  /** With both ends in the run nobody of it meets an end. */
  #isDue({ restUntil }: Fifo, hasBothEnds: boolean): boolean {
    return performance.now() >= restUntil || (hasBothEnds && restUntil !== Infinity);
  }

  #ask(fifo: Fifo, isWriting: boolean, isWaiting: boolean, answered: (errno: number) => void): void {
    const { path, stat: { dev, ino } } = fifo;
    const stream = this.#agent.newStream();
    const bridge: Bridge = { stream, isWriting };
    fifo.bridge = bridge;
    this.#agent.request({ type: "OpenFifo", stream, path, dev, ino, isWriting, isWaiting }, (answer) => {
      const errno = answer ? answer.errno : ERRNO.ENXIO;
      if (fifo.bridge !== bridge || this.#isClosed) {
        if (errno === 0) this.#agent.tell({ type: "Reset", stream });
        return answered(ERRNO.ECONNABORTED);
      }
      if (errno === 0) this.#join(fifo, bridge);
      else fifo.bridge = undefined;
      if (errno !== 0 && isWaiting) fifo.restUntil = Infinity;
      answered(errno);
    });
  }

  #join(fifo: Fifo, bridge: Bridge): void {
    const place = this.#placeOf(fifo);
    // Nobody has to be there to open the one for reading, or both.
    if (!bridge.isWriting && fifo.opening.size > 0) fifo.holder ??= openFifo(place, FIFO_MODE.both);
    const fd = openFifo(place, bridge.isWriting ? FIFO_MODE.reading : FIFO_MODE.writing);
    if (fd < 0) {
      this.#breakOff(fifo, bridge);
      return this.#lookSoon();
    }
    bridge.end = new FifoEnd(this.#sockets!, fd, !bridge.isWriting, () => {
      if (fifo.bridge === bridge) fifo.bridge = undefined;
      fifo.restUntil = performance.now() + PAUSE_MS;
      this.#lookSoon();
      this.#later(PAUSE_MS + 1, () => this.#look());
    });
    this.#agent.streams.add(bridge.stream, bridge.end);
  }

  #breakOff(fifo: Fifo, bridge: Bridge): void {
    fifo.bridge = undefined;
    if (bridge.end) this.#agent.streams.reset(bridge.stream);
    else this.#agent.tell({ type: "Reset", stream: bridge.stream });
  }

  #dropHolder(fifo: Fifo): void {
    if (fifo.holder !== undefined && fifo.holder >= 0) closeFifo(fifo.holder);
    fifo.holder = undefined;
  }

  #forget(fifo: Fifo): void {
    this.#dropHolder(fifo);
    this.#byKey.delete(fifo.key);
    Deno.removeSync(this.#placeOf(fifo));
  }
}

const NOBODY: Ends = { readers: 0, writers: 0 };
