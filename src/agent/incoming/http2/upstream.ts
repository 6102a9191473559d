/**
 * The connection to a program that answers streams: the target's own, or a client's. It numbers the streams for it, and
 * tells who asked what becomes of each.
 *
 * State       event                              action > next
 * OPEN        a call                             send its headers, or let it wait for one of the peer's streams > OPEN
 * OPEN        GOAWAY; no numbers left            calls beyond it are refused > LEAVING (takes no new ones)
 * LEAVING     the last call has ended            close > GONE
 * any         end, fault of the connection       every call is lost > GONE
 */
import type { ProgramEnd } from "../http/pair.ts";
import { CODE, ConnectionFault, isBug, type StreamFault } from "./faults.ts";
import { type Flow, STREAM_WINDOW } from "./flow.ts";
import { FrameReader } from "./frame_reader.ts";
import { MOST_WINDOW, PREFACE, SETTING } from "./frames.ts";
import type { HeaderBlock } from "./header_block.ts";
import { Link, type LinkOwner } from "./link.ts";

/** Why there is no answer, or no more of it. */
export type Loss = "unreachable" | "no HTTP/2" | "gone" | "refused" | "broken";

/** Who asked. */
export interface Caller {
  onAnswer(block: HeaderBlock, isEnd: boolean): void;
  onAnswerData(bytes: Uint8Array, overhead: number, isEnd: boolean): void;
  onReset(code: number): void;
  /** `isUnseen`: the program has not seen anything of what was asked. */
  onLost(loss: Loss, isUnseen: boolean): void;
}

export interface Call {
  readonly caller: Caller;
  /** What is said to the program. */
  readonly flow: Flow;
  readonly block: HeaderBlock;
  readonly isEnd: boolean;
  /** 0: not sent yet. */
  stream: number;
}

export interface UpstreamOwner {
  /** Resolves when it is known whether its program has left, for its connection has ended. */
  settled(upstream: Upstream): Promise<void>;
  onTurn(): void;
  /** It takes no new calls. */
  onLeaving(upstream: Upstream): void;
  onSettings(upstream: Upstream): void;
}

/** Calls that wait because the program takes no more streams, or does not read. */
const MOST_WAITING = 1024;
/** How long the last word may take. */
const GRACE_MS = 1000;

const SETTINGS = [[SETTING.enablePush, 0], [SETTING.initialWindowSize, STREAM_WINDOW]] as const;

export class Upstream implements LinkOwner {
  readonly link: Link;
  readonly #owner: UpstreamOwner;
  readonly #calls = new Map<number, Call>();
  readonly #waiting = new Set<Call>();
  #nextStream = 1;
  #isLeaving = false;
  #isGone = false;
  #end: ProgramEnd | undefined;
  #leaving: Promise<void> | undefined;
  readonly #begun = Promise.withResolvers<void>();
  /** Resolves when its peer has said its settings, or will not. */
  readonly begun: Promise<void> = this.#begun.promise;
  /** Resolves when nothing of it runs any more; rejects for a bug of ours alone. */
  readonly over: Promise<void>;

  constructor(owner: UpstreamOwner, open: () => Promise<ProgramEnd | undefined>) {
    this.#owner = owner;
    this.link = new Link(this, new FrameReader());
    this.link.begin(PREFACE, SETTINGS);
    this.over = this.#run(open);
  }

  /** It takes calls. */
  get isOpen(): boolean {
    return !this.#isLeaving && !this.#isGone;
  }

  call(caller: Caller, flow: Flow, block: HeaderBlock, isEnd: boolean): Call {
    const call: Call = { caller, flow, block, isEnd, stream: 0 };
    if (this.#hasRoom) this.#open(call);
    else if (this.#waiting.size < MOST_WAITING) this.#waiting.add(call);
    else caller.onLost("refused", true);
    return call;
  }

  /** Nobody waits for the answer any more. */
  cancel(call: Call, code: number): void {
    if (call.stream > 0 && this.#calls.has(call.stream) && !this.#isGone) this.link.sendReset(call.stream, code);
    this.forget(call);
  }

  /** It is complete, in both directions. */
  forget(call: Call): void {
    this.#waiting.delete(call);
    this.#calls.delete(call.stream);
    this.#next();
  }

  /** Ends the connection. */
  close(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#calls.clear();
    this.#waiting.clear();
    this.#leave(CODE.noError);
  }

  onHeaders(stream: number, block: HeaderBlock, isEnd: boolean): void {
    this.#known(stream)?.caller.onAnswer(block, isEnd);
  }

  onData(stream: number, bytes: Uint8Array, overhead: number, isEnd: boolean): void {
    const call = this.#known(stream);
    if (call) call.caller.onAnswerData(bytes, overhead, isEnd);
    else this.link.credit(bytes.length + overhead);
  }

  onReset(stream: number, code: number): void {
    const call = this.#known(stream);
    if (!call) return;
    this.forget(call);
    call.caller.onReset(code);
  }

  onStreamWindow(stream: number, bytes: number): void {
    this.#known(stream)?.flow.addWindow(bytes);
  }

  onInitialWindow(bytes: number): void {
    for (const { flow } of this.#calls.values()) flow.addWindow(bytes);
  }

  onSettings(): void {
    this.#next();
    this.#owner.onSettings(this);
    this.#begun.resolve();
  }

  onGoAway(lastStream: number): void {
    const refused = [...this.#calls.values()].filter((it) => it.stream > lastStream);
    this.#retire();
    for (const call of refused) {
      this.forget(call);
      call.caller.onLost("refused", true);
    }
    this.#next();
  }

  onStreamFault({ stream, code }: StreamFault): void {
    const call = this.#calls.get(stream);
    if (!call) return;
    this.cancel(call, code);
    call.caller.onLost("broken", false);
  }

  onTurn(): void {
    this.#owner.onTurn();
  }

  onRoom(): boolean {
    if (this.#waiting.size === 0 || !this.#hasRoom) return false;
    this.#next();
    return true;
  }

  get #hasRoom(): boolean {
    return this.#calls.size < this.link.peer.maxStreams && !this.link.isTooFull;
  }

  #open(call: Call): void {
    call.stream = this.#nextStream;
    this.#nextStream += 2;
    this.#calls.set(call.stream, call);
    this.link.sendHeaders(call.stream, call.block, call.isEnd);
    call.flow.open(call.stream, call.isEnd);
    if (this.#nextStream > MOST_WINDOW) this.#retire();
  }

  #next(): void {
    for (const call of this.#waiting) {
      if (!this.#hasRoom) return;
      this.#waiting.delete(call);
      this.#open(call);
    }
    if (this.#isLeaving && this.#calls.size === 0) this.close();
  }

  #retire(): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    this.#owner.onLeaving(this);
    for (const { caller } of waiting) caller.onLost("refused", true);
  }

  /** Undefined: it has ended, and what comes was under way. */
  #known(stream: number): Call | undefined {
    if (stream % 2 === 0 || stream >= this.#nextStream) {
      throw new ConnectionFault(CODE.protocolError, `Nobody has opened stream ${stream}`);
    }
    return this.#calls.get(stream);
  }

  async #run(open: () => Promise<ProgramEnd | undefined>): Promise<void> {
    let loss: Loss = "gone";
    let code: number = CODE.noError;
    let bug: unknown;
    try {
      this.#end = await open();
      if (!this.#end) loss = "unreachable";
      else if (this.#isGone) this.#end.close();
      else await this.link.run(this.#end);
    } catch (error) {
      if (error instanceof ConnectionFault) {
        loss = this.link.hasSettings ? "broken" : "no HTTP/2";
        code = error.code;
      } else if (isBug(error)) bug = error;
    }
    this.#begun.resolve();
    if (!this.#isGone && this.#calls.size + this.#waiting.size > 0) await this.#owner.settled(this);
    this.#lose(loss);
    this.#leave(code);
    await this.#leaving;
    if (bug) throw bug;
  }

  #lose(loss: Loss): void {
    const calls = [...this.#calls.values(), ...this.#waiting];
    this.#calls.clear();
    this.#waiting.clear();
    this.#retire();
    this.#isGone = true;
    for (const { caller, stream } of calls) caller.onLost(loss, stream === 0 || (this.#end?.isUntouched ?? false));
    this.#owner.onTurn();
  }

  #leave(code: number): void {
    this.#leaving ??= this.#sayGoodbye(code);
  }

  async #sayGoodbye(code: number): Promise<void> {
    const end = this.#end;
    if (!end) return this.link.breakOff();
    const timer = setTimeout(() => end.reset(), GRACE_MS);
    try {
      await this.link.finish(0, code);
      await end.closeWrite();
    } catch {
      // It has gone first.
    }
    clearTimeout(timer);
    end.close();
  }
}
