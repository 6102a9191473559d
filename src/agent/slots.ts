/**
 * So many pieces of work at once and no more; the rest waits its turn. Keeps one kind of work (file calls, which occupy
 * threads of the pool) from taking the threads of another (name queries' own reads).
 */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      // A slot goes from hand to hand; it is free only when nobody waits.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}
