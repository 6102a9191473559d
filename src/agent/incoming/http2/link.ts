/**
 * One HTTP/2 connection (RFC 9113), at either end of it: settings, pings, the connection's windows, header blocks. What is
 * said of streams goes to its owner. A fault of a stream goes there too; a fault of the connection ends it.
 *
 * Bounded here: a header block (bytes and CONTINUATION frames), what waits to be written to a peer that does not read.
 */
import { utf8 } from "../../../base/bytes.ts";
import type { StreamEnd } from "../../../base/socket_end.ts";
import { othersTurn } from "../../../base/turn.ts";
import { CODE, ConnectionFault, StreamFault } from "./faults.ts";
import { FieldDecoder, MOST_LIST_BYTES } from "./field_decoder.ts";
import { FieldEncoder } from "./field_encoder.ts";
import type { Flow } from "./flow.ts";
import { FrameOutput } from "./frame_output.ts";
import type { FrameReader } from "./frame_reader.ts";
import { DEFAULT_WINDOW, FLAG, FRAME, type Frame, FRAME_BYTES, MOST_WINDOW, readUint32, SETTING } from "./frames.ts";
import type { HeaderBlock } from "./header_block.ts";

export interface LinkOwner {
  onHeaders(stream: number, block: HeaderBlock, isEnd: boolean): void;
  /** `overhead`: bytes of padding. */
  onData(stream: number, bytes: Uint8Array, overhead: number, isEnd: boolean): void;
  onReset(stream: number, code: number): void;
  onStreamWindow(stream: number, bytes: number): void;
  /** What every open stream may send has changed. */
  onInitialWindow(bytes: number): void;
  onSettings(): void;
  onGoAway(lastStream: number, code: number): void;
  onStreamFault(fault: StreamFault): void;
  /** All that came at once was told, or something was sent that nobody had asked for just then. */
  onTurn(): void;
  /** There is room to write again. True: something was written. */
  onRoom(): boolean;
}

/** What the peer has said of itself. */
export interface PeerSettings {
  initialWindow: number;
  maxStreams: number;
  allowsConnectProtocol: boolean;
}

/** How much of all streams together may be under way to us. */
const CONNECTION_WINDOW = 8 << 20;
const CREDIT_BYTES = CONNECTION_WINDOW / 8;
/** A header block in as many frames as it may take when each is full, and some. */
const MOST_BLOCK_BYTES = MOST_LIST_BYTES;
const MOST_CONTINUATIONS = 64;

/** After so many frames it is somebody else's turn: they may be small, and a peer may have no end of them. */
const FRAMES_A_TURN = 256;

interface OpenBlock {
  readonly stream: number;
  readonly isEnd: boolean;
  readonly parts: Uint8Array[];
  bytes: number;
}

export class Link {
  readonly peer: PeerSettings = { initialWindow: DEFAULT_WINDOW, maxStreams: Infinity, allowsConnectProtocol: false };
  readonly #owner: LinkOwner;
  readonly #reader: FrameReader;
  readonly #output = new FrameOutput(() => this.#onRoom());
  readonly #decoder = new FieldDecoder();
  readonly #encoder = new FieldEncoder();
  /** In the order in which their turn comes. */
  readonly #blocked = new Set<Flow>();
  #sendWindow = DEFAULT_WINDOW;
  #uncredited = 0;
  #receiveWindow = CONNECTION_WINDOW;
  #hasSettings = false;
  #openBlock: OpenBlock | undefined;

  constructor(owner: LinkOwner, reader: FrameReader) {
    this.#owner = owner;
    this.#reader = reader;
  }

  /** The peer has said its settings: it does speak HTTP/2. */
  get hasSettings(): boolean {
    return this.#hasSettings;
  }

  /** What it said first, or lately: to tell what it speaks if not HTTP/2. */
  get held(): Uint8Array {
    return this.#reader.held;
  }

  get isTooFull(): boolean {
    return this.#output.isTooFull;
  }

  drained(): Promise<void> {
    return this.#output.drained();
  }

  /** The first words of either side. */
  begin(preface: Uint8Array, settings: readonly (readonly [number, number])[]): void {
    this.#output.frames.raw(preface);
    this.#output.frames.settings(settings);
    this.#output.frames.windowUpdate(0, CONNECTION_WINDOW - DEFAULT_WINDOW);
  }

  /** Reads to the end of the connection, then resolves; throws what it ends by. */
  async run(end: StreamEnd): Promise<void> {
    this.#output.attach(end);
    let frames = 0;
    do {
      for (let frame = this.#reader.next(); frame; frame = this.#reader.next(), frames++) this.#take(frame);
      this.#owner.onTurn();
      await this.#output.drained();
      if (frames > FRAMES_A_TURN) {
        await othersTurn();
        frames = 0;
      }
    } while (await this.#reader.fill(end));
  }

  /** Sends what waits. */
  flush(): void {
    if (this.#blocked.size > 0) this.#pump();
    this.#output.flush();
  }

  /** The last word; resolves when it has left, or never will. */
  async finish(lastStream: number, code: number, text = ""): Promise<void> {
    this.#output.frames.goAway(lastStream, code, utf8(text));
    await this.#output.finished();
    this.#output.breakOff();
  }

  breakOff(): void {
    this.#output.breakOff();
  }

  sayGoingAway(lastStream: number, code: number): void {
    this.#output.frames.goAway(lastStream, code, new Uint8Array(0));
  }

  saySettings(settings: readonly (readonly [number, number])[]): void {
    this.#output.frames.settings(settings);
  }

  sendHeaders(stream: number, block: HeaderBlock, isEnd: boolean): void {
    this.#output.frames.headers(stream, this.#encoder.encode(block), isEnd);
  }

  /** `bytes` fit into `dataRoom`, and into the stream's window. */
  sendData(stream: number, bytes: Uint8Array, isEnd: boolean): void {
    this.#output.frames.frame(FRAME.data, isEnd ? FLAG.endStream : 0, stream, bytes);
    this.#sendWindow -= bytes.length;
  }

  sendReset(stream: number, code: number): void {
    this.#output.frames.rstStream(stream, code);
  }

  /** How much of a body can be sent now, in one frame. */
  get dataRoom(): number {
    return Math.min(this.#sendWindow, this.#output.bodyRoom, FRAME_BYTES);
  }

  get isCrowded(): boolean {
    return this.#blocked.size > 0;
  }

  /** Something of this flow waits; it will be sent when it can be. */
  block(flow: Flow): void {
    this.#blocked.add(flow);
  }

  /** So much of what came has gone on; less than 0: it was said so too early. */
  credit(bytes: number): void {
    this.#uncredited += bytes;
    if (this.#uncredited < CREDIT_BYTES) return;
    this.#output.frames.windowUpdate(0, this.#uncredited);
    this.#receiveWindow += this.#uncredited;
    this.#uncredited = 0;
  }

  creditStream(stream: number, bytes: number): void {
    this.#output.frames.windowUpdate(stream, bytes);
  }

  #onRoom(): void {
    const hasWritten = this.#owner.onRoom();
    if (!hasWritten && this.#blocked.size === 0) return;
    this.#pump();
    // Credit and resets that this has caused elsewhere leave too.
    this.#owner.onTurn();
  }

  /** One frame of each in turn: a flow that goes on stands at the end of the set again. */
  #pump(): void {
    for (const flow of this.#blocked) {
      this.#blocked.delete(flow);
      if (flow.advance()) this.#blocked.add(flow);
      else if (flow.queuedBytes > 0 && this.dataRoom <= 0) {
        this.#blocked.add(flow);
        return;
      }
    }
  }

  #take(frame: Frame): void {
    try {
      this.#onFrame(frame);
    } catch (error) {
      if (!(error instanceof StreamFault)) throw error;
      this.#owner.onStreamFault(error);
    }
  }

  #onFrame(frame: Frame): void {
    const { type, stream } = frame;
    if (this.#openBlock && (type !== FRAME.continuation || stream !== this.#openBlock.stream)) {
      throw new ConnectionFault(CODE.protocolError, "A header block is interrupted");
    }
    if (!this.#hasSettings && (type !== FRAME.settings || frame.flags & FLAG.ack)) {
      throw new ConnectionFault(CODE.protocolError, "The first frame is not SETTINGS");
    }
    switch (type) {
      case FRAME.data:
        return this.#onData(frame);
      case FRAME.headers:
        return this.#onHeaders(frame);
      case FRAME.continuation:
        return this.#onContinuation(frame);
      case FRAME.priority:
        ofStream(frame);
        if (frame.payload.length !== 5) throw new StreamFault(stream, CODE.frameSizeError, "PRIORITY of a wrong size");
        return;
      case FRAME.rstStream:
        ofStream(frame);
        sized(frame, 4);
        return this.#owner.onReset(stream, readUint32(frame.payload, 0));
      case FRAME.settings:
        return this.#onSettings(frame);
      case FRAME.pushPromise:
        throw new ConnectionFault(CODE.protocolError, "Nobody may push here");
      case FRAME.ping:
        ofConnection(frame);
        sized(frame, 8);
        if (!(frame.flags & FLAG.ack)) this.#output.frames.frame(FRAME.ping, FLAG.ack, 0, frame.payload);
        return;
      case FRAME.goAway:
        ofConnection(frame);
        if (frame.payload.length < 8) throw new ConnectionFault(CODE.frameSizeError, "GOAWAY of a wrong size");
        return this.#owner.onGoAway(readUint32(frame.payload, 0) & MOST_WINDOW, readUint32(frame.payload, 4));
      case FRAME.windowUpdate:
        return this.#onWindowUpdate(frame);
    }
    // RFC 9113 5.5: implementations MUST ignore frames of unknown types.
  }

  #onData(frame: Frame): void {
    ofStream(frame);
    const bytes = unpadded(frame);
    this.#receiveWindow -= frame.payload.length;
    if (this.#receiveWindow < 0) throw new ConnectionFault(CODE.flowControlError, "The window is ignored");
    const overhead = frame.payload.length - bytes.length;
    this.#owner.onData(frame.stream, bytes, overhead, (frame.flags & FLAG.endStream) !== 0);
  }

  #onHeaders(frame: Frame): void {
    ofStream(frame);
    let bytes = unpadded(frame);
    if (frame.flags & FLAG.priority) {
      if (bytes.length < 5) throw new ConnectionFault(CODE.frameSizeError, "HEADERS of a wrong size");
      bytes = bytes.subarray(5);
    }
    const isEnd = (frame.flags & FLAG.endStream) !== 0;
    if (frame.flags & FLAG.endHeaders) return this.#owner.onHeaders(frame.stream, this.#decoder.decode(bytes), isEnd);
    this.#openBlock = { stream: frame.stream, isEnd, parts: [bytes.slice()], bytes: bytes.length };
  }

  #onContinuation(frame: Frame): void {
    const block = this.#openBlock;
    if (!block) throw new ConnectionFault(CODE.protocolError, "CONTINUATION of nothing");
    block.parts.push(frame.payload.slice());
    block.bytes += frame.payload.length;
    if (block.bytes > MOST_BLOCK_BYTES || block.parts.length > MOST_CONTINUATIONS) {
      throw new ConnectionFault(CODE.enhanceYourCalm, "A header block does not end");
    }
    if (!(frame.flags & FLAG.endHeaders)) return;
    this.#openBlock = undefined;
    const bytes = new Uint8Array(block.bytes);
    let at = 0;
    for (const part of block.parts) {
      bytes.set(part, at);
      at += part.length;
    }
    this.#owner.onHeaders(block.stream, this.#decoder.decode(bytes), block.isEnd);
  }

  #onSettings(frame: Frame): void {
    ofConnection(frame);
    const { payload, flags } = frame;
    if (payload.length % 6 !== 0 || (flags & FLAG.ack && payload.length > 0)) {
      throw new ConnectionFault(CODE.frameSizeError, "SETTINGS of a wrong size");
    }
    if (flags & FLAG.ack) return;
    this.#hasSettings = true;
    for (let at = 0; at < payload.length; at += 6) {
      this.#onSetting(payload[at]! << 8 | payload[at + 1]!, readUint32(payload, at + 2));
    }
    this.#output.frames.frame(FRAME.settings, FLAG.ack, 0, new Uint8Array(0));
    this.#owner.onSettings();
  }

  #onSetting(name: number, value: number): void {
    switch (name) {
      case SETTING.headerTableSize:
        return this.#encoder.resize(value);
      case SETTING.enablePush:
        if (value > 1) throw new ConnectionFault(CODE.protocolError, "ENABLE_PUSH is neither 0 nor 1");
        return;
      case SETTING.maxConcurrentStreams:
        this.peer.maxStreams = value;
        return;
      case SETTING.initialWindowSize: {
        if (value > MOST_WINDOW) throw new ConnectionFault(CODE.flowControlError, "INITIAL_WINDOW_SIZE is too large");
        const change = value - this.peer.initialWindow;
        this.peer.initialWindow = value;
        return this.#changeWindows(change);
      }
      case SETTING.maxFrameSize:
        if (value < FRAME_BYTES || value > 0xff_ffff) {
          throw new ConnectionFault(CODE.protocolError, "MAX_FRAME_SIZE is out of range");
        }
        return;
      case SETTING.enableConnectProtocol:
        this.peer.allowsConnectProtocol = value === 1;
        return;
    }
  }

  /** RFC 9113 6.9.2: a change that makes any window too large is a fault of the connection. */
  #changeWindows(change: number): void {
    try {
      this.#owner.onInitialWindow(change);
    } catch (error) {
      if (error instanceof StreamFault) throw new ConnectionFault(CODE.flowControlError, error.message);
      throw error;
    }
  }

  #onWindowUpdate(frame: Frame): void {
    sized(frame, 4);
    const bytes = readUint32(frame.payload, 0) & MOST_WINDOW;
    if (frame.stream !== 0) {
      if (bytes === 0) throw new StreamFault(frame.stream, CODE.protocolError, "WINDOW_UPDATE of nothing");
      return this.#owner.onStreamWindow(frame.stream, bytes);
    }
    if (bytes === 0) throw new ConnectionFault(CODE.protocolError, "WINDOW_UPDATE of nothing");
    this.#sendWindow += bytes;
    if (this.#sendWindow > MOST_WINDOW) {
      throw new ConnectionFault(CODE.flowControlError, "The window becomes too large");
    }
  }
}

function ofStream({ type, stream }: Frame): void {
  if (stream === 0) throw new ConnectionFault(CODE.protocolError, `A frame of type ${type} is about no stream`);
}

function ofConnection({ type, stream }: Frame): void {
  if (stream !== 0) throw new ConnectionFault(CODE.protocolError, `A frame of type ${type} is about a stream`);
}

function sized({ type, payload }: Frame, bytes: number): void {
  if (payload.length !== bytes) {
    throw new ConnectionFault(CODE.frameSizeError, `A frame of type ${type} has a wrong size`);
  }
}

/** RFC 9113 6.1, 6.2 */
function unpadded({ flags, payload }: Frame): Uint8Array {
  if (!(flags & FLAG.padded)) return payload;
  const padding = payload[0] ?? payload.length;
  if (padding >= payload.length) throw new ConnectionFault(CODE.protocolError, "There is more padding than frame");
  return payload.subarray(1, payload.length - padding);
}
