/**
 * Which written files have lost their last writer, and in which order with the opens that are under way: contents that the
 * agent read for an open may be older than what such a writer wrote. Remembers the last few; before them it says "maybe".
 */
const REMEMBERED = 1024;

export class Departed {
  readonly #moments = new Map<string, number>();
  #clock = 0;
  #forgotten = 0;

  moment(): number {
    return ++this.#clock;
  }

  add(key: string): void {
    this.#moments.delete(key);
    this.#moments.set(key, ++this.#clock);
    if (this.#moments.size <= REMEMBERED) return;
    const [oldest, moment] = this.#moments.entries().next().value!;
    this.#moments.delete(oldest);
    this.#forgotten = moment;
  }

  /** Has it gone since that moment? True as well when that is not known any more. */
  hasSince(key: string, moment: number): boolean {
    return Math.max(this.#moments.get(key) ?? 0, this.#forgotten) > moment;
  }
}
