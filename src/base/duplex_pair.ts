/** Two ends of a byte stream in memory: what one writes the other reads. Nothing is lost, nothing waits. */
import type { Duplex } from "./duplex.ts";

class Pipe {
  readonly #pieces: Uint8Array[] = [];
  #isEnded = false;
  #wake = Promise.withResolvers<void>();

  push(bytes: Uint8Array): void {
    if (this.#isEnded) throw new Error("The pipe is closed");
    this.#pieces.push(bytes.slice());
    this.#stir();
  }

  end(): void {
    this.#isEnded = true;
    this.#stir();
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#pieces.length === 0) {
      if (this.#isEnded) return null;
      await this.#wake.promise;
    }
    const first = this.#pieces[0]!;
    const count = Math.min(first.length, into.length);
    into.set(first.subarray(0, count));
    if (count === first.length) this.#pieces.shift();
    else this.#pieces[0] = first.subarray(count);
    return count;
  }

  #stir(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}

export function duplexPair(): [Duplex, Duplex] {
  const there = new Pipe();
  const back = new Pipe();
  return [end(back, there), end(there, back)];
}

function end(incoming: Pipe, outgoing: Pipe): Duplex {
  const close = () => {
    incoming.end();
    outgoing.end();
  };
  return {
    read: (into) => incoming.read(into),
    writeAll(bytes) {
      outgoing.push(bytes);
      return Promise.resolve();
    },
    close,
    [Symbol.dispose]: close,
  };
}
