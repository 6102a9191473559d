/** The judges of an agent: one for each filter with programs of jq, whoever and how many have it, as long as somebody does. */
import type { ReadFilter } from "../../proto/http_filter.ts";
import { HeaderJudge, type JqCommand, type Judgement } from "./judge.ts";

/** Each is a process. */
const MOST_JUDGES = 16;

/** A subscription's part in one. */
export interface JudgeShare {
  judge(headers: readonly Uint8Array[]): Judgement | Promise<Judgement>;
  giveBack(): void;
}

interface Entry {
  readonly judge: HeaderJudge;
  /** Who want to know when it fails. */
  readonly warn: Set<(text: string) => void>;
}

export class Judges {
  readonly #command: JqCommand | undefined;
  readonly #entries = new Map<string, Entry>();
  readonly #own: (task: Promise<void>) => void;

  /** Without a command there is no jq. `own` takes what ends later. */
  constructor(command: JqCommand | undefined, own: (task: Promise<void>) => void) {
    this.#command = command;
    this.#own = own;
  }

  /** For the filter with this text. A string: why not. */
  share(text: string, settings: ReadFilter, onWarning: (text: string) => void): JudgeShare | string {
    let entry = this.#entries.get(text);
    if (!entry) {
      if (!this.#command) return "this agent has no jq";
      if (this.#entries.size >= MOST_JUDGES) return "there are too many jq programs here";
      entry = newEntry(this.#command, settings);
      this.#entries.set(text, entry);
    }
    const { judge, warn } = entry;
    const ours = (warning: string) => onWarning(warning);
    warn.add(ours);
    return {
      judge: (headers) => judge.judge(headers),
      giveBack: () => {
        if (!warn.delete(ours) || warn.size > 0) return;
        this.#entries.delete(text);
        this.#own(judge[Symbol.asyncDispose]());
      },
    };
  }
}

function newEntry(command: JqCommand, { programs, jqMs }: ReadFilter): Entry {
  const warn: Entry["warn"] = new Set();
  const told = new Set<string>();
  const onFailure = (reason: "too long" | "broken") => {
    if (told.has(reason)) return;
    told.add(reason);
    const what = reason === "too long"
      ? `took longer than ${jqMs / 1000} s for`
      : "could not be run with the headers of";
    for (const it of warn) it(`The jq program of the HTTP filter ${what} a request, which so did not match`);
  };
  return { warn, judge: new HeaderJudge({ command, programs, limitMs: jqMs, onFailure }) };
}
