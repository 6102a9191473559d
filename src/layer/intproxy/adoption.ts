/**
 * Which directories are listed without anybody asking: those about whose entries one question after the other is asked.
 *
 * A listing that was of no use makes the next one of that directory wait, twice as long each time; so does one that is too long
 * or that the agent does not watch: nothing of it would be believed for long.
 */

/** So many questions that a listing might have answered. */
const ENOUGH_QUESTIONS = 2;
const ENOUGH_USES = 3;
const FIRST_REST_MS = 1000;
const LONGEST_REST_MS = 60_000;
const MOST_DIRECTORIES = 512;

interface Directory {
  questions: number;
  restMs: number;
  restsUntil: number;
}

export class Adoption {
  readonly #now: () => number;
  readonly #directories = new Map<string, Directory>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A question about an entry had to be asked of the agent. `uses`: of what was known before. True: list it now. */
  isWanted(key: string, uses: number, questions = 1): boolean {
    const directory = this.#directories.get(key) ?? { questions: 0, restMs: 0, restsUntil: -Infinity };
    this.#directories.delete(key);
    this.#directories.set(key, directory);
    if (this.#directories.size > MOST_DIRECTORIES) {
      this.#directories.delete(this.#directories.keys().next().value!);
    }
    directory.questions += questions;
    if (directory.questions < ENOUGH_QUESTIONS) return false;
    if (uses >= ENOUGH_USES) directory.restMs = 0;
    else if (this.#now() < directory.restsUntil) return false;
    directory.restMs = Math.min(Math.max(2 * directory.restMs, FIRST_REST_MS), LONGEST_REST_MS);
    directory.restsUntil = this.#now() + directory.restMs;
    directory.questions = 0;
    return true;
  }

  /** Listing it is of no use for long. */
  inVain(key: string): void {
    const directory = this.#directories.get(key);
    if (directory) directory.restsUntil = this.#now() + (directory.restMs = LONGEST_REST_MS);
  }
}
