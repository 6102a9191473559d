/** A scripted client of the agent: sends what a test says, hands out the answers by their ids. */
import assert from "node:assert/strict";
import { utf8 } from "../../src/base/bytes.ts";
import type { Duplex } from "../../src/base/duplex.ts";
import { AGENT_LIMITS, AGENT_PROTOCOL, type AgentFrame, type AgentMessage } from "../../src/proto/agent.ts";
import { AgentLink } from "../../src/proto/agent_link.ts";

type Named<T extends AgentMessage["type"]> = Extract<AgentFrame, { type: T }>;

export const TEST_SECRET: Uint8Array<ArrayBuffer> = new Uint8Array(32).fill(7);

export class AgentClient implements AsyncDisposable {
  readonly link: AgentLink;
  /** Messages that answer nothing: Data, End, Reset, Credit, Warning; bytes are copies. */
  readonly unasked: AgentFrame[] = [];
  readonly #waiting = new Map<number, (frame: AgentFrame) => void>();
  readonly #reading: Promise<void>;
  #lastId = 0;
  #wake = Promise.withResolvers<void>();
  /** The agent has ended the connection. */
  isEnded = false;

  constructor(duplex: Duplex) {
    this.link = new AgentLink(duplex);
    this.#reading = this.#read();
  }

  /** Says Hello and expects to be welcome. */
  async hello(secret: Uint8Array = TEST_SECRET, protocol: number = AGENT_PROTOCOL): Promise<Named<"HelloReply">> {
    return await this.ask({ type: "Hello", protocol, version: "test", secret }, "HelloReply");
  }

  /** Sends a request and waits for its answer, which must be of this type. */
  async ask<T extends AgentMessage["type"]>(message: AgentMessage, answer: T): Promise<Named<T>> {
    const id = ++this.#lastId;
    const { promise, resolve } = Promise.withResolvers<AgentFrame>();
    this.#waiting.set(id, resolve);
    this.link.send({ ...message, id });
    const reply = await promise;
    if (reply.type !== answer) assert.fail(`Expected ${answer}, got ${Deno.inspect(reply)}`);
    return reply as Named<T>;
  }

  /** The first unasked message that `matches`, taken out of the list; waits for it. */
  async next(matches: (frame: AgentFrame) => boolean): Promise<AgentFrame> {
    while (true) {
      const at = this.unasked.findIndex(matches);
      if (at !== -1) return this.unasked.splice(at, 1)[0]!;
      if (this.isEnded) throw new Error("The agent ended the connection");
      await this.#wake.promise;
    }
  }

  /** Resolves when the agent has ended the connection. */
  async ended(): Promise<void> {
    await this.#reading;
  }

  open(path: string, options: { flags?: number; inlineBytes?: number } = {}): Promise<Named<"OpenReply">> {
    const { flags = 0, inlineBytes = 1 << 20 } = options;
    return this.ask({ type: "Open", path: utf8(path), flags, inlineBytes }, "OpenReply");
  }

  stat(path: string, flags = 0): Promise<Named<"StatReply">> {
    return this.ask({ type: "Stat", path: utf8(path), flags }, "StatReply");
  }

  async #read(): Promise<void> {
    try {
      for await (const frame of this.link.messages(() => AGENT_LIMITS.frameBytes)) this.#take(frame);
    } catch {
      // Broken off: to a test the same as ended.
    }
    this.isEnded = true;
    this.#stir();
  }

  #take(frame: AgentFrame): void {
    // Bytes last until the next frame only.
    const kept = Object.fromEntries(
      Object.entries(frame).map(([key, value]) => [key, value instanceof Uint8Array ? value.slice() : value]),
    ) as unknown as AgentFrame;
    const resolve = this.#waiting.get(frame.id);
    this.#waiting.delete(frame.id);
    if (resolve) resolve(kept);
    else this.unasked.push(kept);
    this.#stir();
  }

  #stir(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.link.close();
    await this.#reading;
  }
}
