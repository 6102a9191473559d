/**
 * Rules of ports that nobody subscribes any more, but of which connections are just being taken over (sys/queue.ts): what the target
 * and the client say meanwhile goes on coming to us, or the client would hear that we made the target leave.
 */
import type { PortRule } from "./table.ts";

const LOOK_MS = 10;
/** Nothing was taken over at so many looks: what was under way between kernel and queue has come by then. */
const QUIET_LOOKS = 2;
/** The target may take long to answer what came before. */
const MOST_LOOKS = 100;

export class LeavingRules {
  readonly #isTaking: (port: number) => boolean;
  readonly #onChange: () => void;
  readonly #rules = new Map<number, { readonly rule: PortRule; looks: number; quietLooks: number }>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `onChange`: there are fewer. */
  constructor(isTaking: (port: number) => boolean, onChange: () => void) {
    this.#isTaking = isTaking;
    this.#onChange = onChange;
  }

  get isEmpty(): boolean {
    return this.#rules.size === 0;
  }

  add(rule: PortRule): void {
    this.#rules.set(rule.port, { rule: { ...rule, toPort: 0, isRedirected: false }, looks: 0, quietLooks: 0 });
    this.#timer ??= setTimeout(() => this.#look(), LOOK_MS);
  }

  /** It is wanted again. */
  delete(port: number): void {
    this.#rules.delete(port);
  }

  get all(): PortRule[] {
    return [...this.#rules.values()].map(({ rule }) => rule);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#rules.clear();
  }

  #look(): void {
    this.#timer = undefined;
    const before = this.#rules.size;
    for (const [port, it] of this.#rules) {
      it.quietLooks = this.#isTaking(port) ? 0 : it.quietLooks + 1;
      if (it.quietLooks >= QUIET_LOOKS || ++it.looks >= MOST_LOOKS) this.#rules.delete(port);
    }
    if (this.#rules.size > 0) this.#timer = setTimeout(() => this.#look(), LOOK_MS);
    if (this.#rules.size < before) this.#onChange();
  }
}
