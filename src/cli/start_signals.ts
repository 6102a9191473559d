/**
 * Signals while a run is being started: the first one aborts the start, and what was made is undone; a second one ends the
 * process at once. Once the process has become the program, signals are the program's.
 */

/** As shells report them: 128 plus the number of the signal. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
/** For a signal to ourselves to arrive. */
const RAISE_MS = 500;
type Caught = keyof typeof EXIT_CODES;

export class StartSignals implements Disposable {
  readonly #controller = new AbortController();
  readonly #listeners = new Map<Caught, () => void>();
  readonly #ignored = new Set<Caught>();
  #ending: Caught | undefined;

  /**
   * What the user has said to ignore (nohup, a background job of a script) is ignored: bit N-1 stands for signal N. There
   * is a listener for it all the same: where the runtime has none it lets a signal end the process, ignored or not.
   */
  constructor(ignoredSignals: bigint) {
    for (const name of Object.keys(EXIT_CODES) as Caught[]) {
      const isIgnored = (ignoredSignals >> BigInt(EXIT_CODES[name] - 128 - 1) & 1n) === 1n;
      if (isIgnored) this.#ignored.add(name);
      const listener = isIgnored ? () => {} : () => this.#caught(name);
      this.#listeners.set(name, listener);
      Deno.addSignalListener(name, listener);
    }
  }

  /** Aborts when a signal has come. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What to exit with when a signal ended the start. */
  get exitCode(): number | undefined {
    return this.#ending && EXIT_CODES[this.#ending];
  }

  /**
   * Ends this process by the signal that ended the start, as it would end any program: then a shell puts the terminal back
   * as it was (a plugin may have died while it hid a password) and stops the script that it runs, and for an exit code it
   * does neither. Resolves only where that did not work.
   */
  async raise(): Promise<void> {
    if (this.#ending === undefined) return;
    this[Symbol.dispose]();
    Deno.kill(Deno.pid, this.#ending);
    await new Promise((resolve) => setTimeout(resolve, RAISE_MS));
  }

  /**
   * From now on a signal does to us what it would do to a program that has just begun. What came before has aborted `signal`
   * by the time that this resolves: otherwise it would be lost to both.
   */
  async letThrough(): Promise<void> {
    for (const [name, listener] of this.#listeners) {
      if (this.#ignored.has(name)) continue;
      Deno.removeSignalListener(name, listener);
      this.#listeners.delete(name);
    }
    await new Promise((resolve) => setTimeout(resolve));
  }

  [Symbol.dispose](): void {
    for (const [name, listener] of this.#listeners) Deno.removeSignalListener(name, listener);
    this.#listeners.clear();
  }

  #caught(name: Caught): void {
    if (this.#ending !== undefined) {
      // Again: with nobody listening the signal does what it does to any program.
      this[Symbol.dispose]();
      Deno.kill(Deno.pid, name);
      return;
    }
    this.#ending = name;
    this.#controller.abort(new DOMException(`Ended by ${name}`, "AbortError"));
  }
}
