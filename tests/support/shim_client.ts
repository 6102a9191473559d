/** A shim's side of the session's socket, played by a test: asks, and gets the answers by their ids. */
import { makeCodec } from "../../src/proto/codec.ts";
import { readFrames } from "../../src/proto/frames.ts";
import { LAYER, LAYER_LIMITS, type LayerFrame, type LayerMessage } from "../../src/proto/layer.ts";
import { withOwnBytes } from "./scripted_agent.ts";

const codec = makeCodec(LAYER);
type Named<T extends LayerMessage["type"]> = Extract<LayerFrame, { type: T }>;

export class ShimClient implements AsyncDisposable {
  readonly #conn: Deno.UnixConn;
  readonly #waiting = new Map<number, (frame: LayerFrame | undefined) => void>();
  readonly #reading: Promise<void>;
  #lastId = 0;
  #isClosed = false;

  private constructor(conn: Deno.UnixConn) {
    this.#conn = conn;
    this.#reading = this.#read();
  }

  /** Connects and says Hello; `pid` is this process unless told otherwise. */
  static async connect(
    directory: string,
    hello: { build?: string; pid?: number; isLifeline?: boolean } = {},
  ): Promise<ShimClient> {
    const client = await ShimClient.connectSilently(directory);
    const { build = "b", pid = Deno.pid, isLifeline = false } = hello;
    await client.tell({ type: "Hello", build, pid, isLifeline, program: "test" });
    return client;
  }

  static async connectSilently(directory: string): Promise<ShimClient> {
    return new ShimClient(await Deno.connect({ transport: "unix", path: `${directory}/socket` }));
  }

  /** Asks and waits for the answer; throws when the connection ends before. */
  async ask<T extends LayerMessage["type"]>(message: LayerMessage, type: T): Promise<Named<T>> {
    const id = ++this.#lastId;
    const { promise, resolve } = Promise.withResolvers<LayerFrame | undefined>();
    this.#waiting.set(id, resolve);
    await this.sendBytes(codec.encode(message, id));
    const answer = await promise;
    this.#waiting.delete(id);
    if (answer?.type !== type) throw new Error(`"${message.type}" was answered by ${answer?.type ?? "the end"}`);
    return answer as Named<T>;
  }

  /** Fetches a whole handle from `offset`; the chunks as they came. */
  async fetch(handle: bigint, offset = 0n, length = 0xffff_ffff_ffff_ffffn): Promise<Named<"Chunk">[]> {
    const id = ++this.#lastId;
    const chunks: Named<"Chunk">[] = [];
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.set(id, (frame) => {
      if (frame?.type !== "Chunk") return reject(new Error("The connection ended"));
      chunks.push(frame);
      if (frame.isLast) resolve();
    });
    await this.sendBytes(codec.encode({ type: "Fetch", handle, offset, length }, id));
    await promise;
    this.#waiting.delete(id);
    return chunks;
  }

  /** Sends what is not answered. */
  async tell(message: LayerMessage): Promise<void> {
    await this.sendBytes(codec.encode(message, 0));
  }

  async sendBytes(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) sent += await this.#conn.write(bytes.subarray(sent));
  }

  /** Resolves when the intproxy has ended this connection. */
  async ended(): Promise<void> {
    await this.#reading;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isClosed) this.#conn.close();
    this.#isClosed = true;
    await this.#reading;
  }

  async #read(): Promise<void> {
    const read = (into: Uint8Array) => this.#conn.read(into).catch(() => null);
    try {
      for await (const bytes of readFrames(read, () => LAYER_LIMITS.frameBytes)) {
        const frame = withOwnBytes(codec.decode(bytes));
        this.#waiting.get(frame.id)?.(frame);
      }
    } catch {
      // Cut off in the middle of an answer: as ended.
    }
    for (const resolve of this.#waiting.values()) resolve(undefined);
  }
}
