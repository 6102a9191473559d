/**
 * So much of something at once (pieces of work, bytes of memory) and no more; who wants some waits its turn. Keeps one kind
 * of work from taking what another needs: file calls the threads of name queries, big answers the memory.
 */
export class Budget {
  #free: number;
  readonly #waiting: { amount: number; go: () => void }[] = [];

  constructor(amount: number) {
    this.#free = amount;
  }

  /** Resolves when `amount`, which must not be more than the whole, was taken. First come, first served. */
  async take(amount: number): Promise<void> {
    if (this.#waiting.length === 0 && amount <= this.#free) {
      this.#free -= amount;
      return;
    }
    await new Promise<void>((go) => this.#waiting.push({ amount, go }));
  }

  give(amount: number): void {
    this.#free += amount;
    while (this.#waiting.length > 0 && this.#waiting[0]!.amount <= this.#free) {
      const next = this.#waiting.shift()!;
      this.#free -= next.amount;
      next.go();
    }
  }

  /** Takes `amount` for as long as the work goes on. */
  async spend<T>(amount: number, work: () => Promise<T>): Promise<T> {
    await this.take(amount);
    try {
      return await work();
    } finally {
      this.give(amount);
    }
  }
}
