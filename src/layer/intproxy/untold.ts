/** Errors of written files that had gone before whoever closed them last could ask. */

/** Nobody asks for those of programs that were killed. */
const MOST = 1000;

export class Untold {
  readonly #errors = new Map<bigint, number>();

  /** The file with this number is not whole at the target. */
  add(number: bigint, errno: number): void {
    this.#errors.set(number, errno);
    if (this.#errors.size > MOST) this.#errors.delete(this.#errors.keys().next().value!);
  }

  /** Its errno, once; 0 when there is none. */
  take(number: bigint): number {
    const errno = this.#errors.get(number) ?? 0;
    this.#errors.delete(number);
    return errno;
  }
}
