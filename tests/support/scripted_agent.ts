/**
 * The agent's side of a wire, played by a test: it takes what the intproxy asks and says what the test wants. Hello,
 * GetTarget and Ping are answered by themselves unless the test says otherwise. Counts what it was asked.
 */
import type { Duplex } from "../../src/base/duplex.ts";
import { AGENT_LIMITS, AGENT_PROTOCOL, type AgentFrame, type AgentMessage } from "../../src/proto/agent.ts";
import { AgentLink } from "../../src/proto/agent_link.ts";
import { PATIENCE_MS } from "./eventually.ts";

export type Named<T extends AgentMessage["type"]> = Extract<AgentFrame, { type: T }>;
/** Answers a request; undefined leaves it to the handshake's own answers, or to the test (`expect`). */
export type Answering = (frame: AgentFrame) => AgentMessage | "silence" | undefined;

const WELCOME = (frame: AgentFrame): AgentMessage | undefined => {
  switch (frame.type) {
    case "Hello":
      return { type: "HelloReply", protocol: AGENT_PROTOCOL, version: frame.version, error: "" };
    case "GetTarget":
      return { type: "Target", errno: 0, hostname: "target-host", environ: new TextEncoder().encode("A=1\0") };
    case "Ping":
      return { type: "Pong" };
  }
};

export class ScriptedAgent implements AsyncDisposable {
  readonly link: AgentLink;
  /** Everything that came, in order; bytes are copies. */
  readonly frames: AgentFrame[] = [];
  readonly #unexpected: AgentFrame[] = [];
  readonly #answer: Answering;
  readonly #reading: Promise<void>;
  #changed = Promise.withResolvers<void>();
  isEnded = false;

  constructor(duplex: Duplex, answer: Answering = () => undefined) {
    this.#answer = answer;
    this.link = new AgentLink(duplex);
    this.#reading = this.#read();
  }

  /** The next message of this type; those of other types stay for others to expect. */
  async expect<T extends AgentMessage["type"]>(type: T): Promise<Named<T>> {
    for (const deadline = performance.now() + PATIENCE_MS;;) {
      const at = this.#unexpected.findIndex((frame) => frame.type === type);
      if (at !== -1) return this.#unexpected.splice(at, 1)[0] as Named<T>;
      if (this.isEnded) throw new Error(`The link ended before a "${type}" came`);
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`No "${type}" came; there were ${this.types().join(", ")}`);
      let timer: ReturnType<typeof setTimeout> | undefined;
      await Promise.race([this.#changed.promise, new Promise<void>((resolve) => timer = setTimeout(resolve, left))]);
      clearTimeout(timer);
    }
  }

  reply(to: { id: number }, message: AgentMessage): void {
    this.link.send({ ...message, id: to.id });
  }

  /** The types of all messages so far but for the handshake and pings. */
  types(): string[] {
    return this.frames.map((frame) => frame.type).filter((type) => !["Hello", "GetTarget", "Ping"].includes(type));
  }

  /** Resolves when the intproxy has ended the link. */
  async ended(): Promise<void> {
    await this.#reading;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.link.close();
    await this.#reading;
    await this.link.flushed();
  }

  async #read(): Promise<void> {
    try {
      for await (const message of this.link.messages(() => AGENT_LIMITS.frameBytes)) {
        const frame = withOwnBytes(message);
        const said = this.#answer(frame);
        // As an agent from before there were watches, unless the test is about them.
        if (frame.type === "Walk" && !said) {
          this.link.send({ type: "Refused", id: frame.id, error: "unknown" });
          continue;
        }
        this.frames.push(frame);
        const answer = said ?? WELCOME(frame);
        if (answer && answer !== "silence") this.link.send({ ...answer, id: frame.id });
        else this.#unexpected.push(frame);
        this.#notify();
      }
    } catch {
      // Broken off: as ended.
    }
    this.isEnded = true;
    this.#notify();
  }

  #notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

/** The message with copies of its bytes, which share the link's memory. */
export function withOwnBytes<T extends object>(message: T): T {
  const copies = Object.entries(message).map((
    [name, value],
  ) => [name, value instanceof Uint8Array ? value.slice() : value]);
  return Object.fromEntries(copies) as T;
}
