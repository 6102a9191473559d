/**
 * Whose a path is, and by which rule: asked of the shim itself, so that what is explained is what is decided.
 *
 * The shim is loaded into this process. Its functions stand in nobody's way here: the loader gives precedence over libc
 * only to libraries that were there when the program started.
 */
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { LAYER } from "../proto/layer.ts";
import type { Settings } from "./intproxy/settings.ts";
import { layerCodec } from "./intproxy/shim_connection.ts";
import { type Rule, RULES } from "./rules.ts";

export { type Rule, RULES } from "./rules.ts";

/** As `enum outcome` of native/paths.h. */
const OUTCOMES = ["local", "remote", "absent"] as const;
export type Outcome = typeof OUTCOMES[number];

export interface PathDecision {
  readonly outcome: Outcome;
  readonly rule: Rule;
  /** What the agent is asked for. */
  readonly remotePath: string | undefined;
}

/** Nothing, in every field. */
function blankSettings(): Settings {
  const { fields } = LAYER.Settings;
  const blank = { str: "", bytes: new Uint8Array(), bool: false, u64: 0n, i64: 0n } as Record<string, unknown>;
  return Object.fromEntries(Object.entries(fields).map(([name, kind]) => [name, blank[kind] ?? 0])) as Settings;
}

const PATH_BYTES = 4096;
const HEAD_BYTES = 12;

export class PathJudge implements Disposable {
  readonly #library;

  constructor(shimPath: string) {
    this.#library = Deno.dlopen(shimPath, {
      mirrord_explain_path: { parameters: ["buffer", "u32", "buffer", "i32", "buffer"], result: "i32" },
    });
  }

  /** `path` is absolute. The settings are those of a run; what only its intproxy knows may be missing. */
  decide(settings: Partial<Settings>, path: string, isWrite: boolean): PathDecision {
    const frame = layerCodec.encode({ type: "Settings", ...blankSettings(), ...settings }, 0);
    const into = new Uint8Array(HEAD_BYTES + PATH_BYTES);
    const text = new Uint8Array([...utf8(path), 0]);
    const error = this.#library.symbols.mirrord_explain_path(
      new Uint8Array(frame),
      frame.length,
      text,
      isWrite ? 1 : 0,
      into,
    );
    if (error !== 0) throw new Error(`The shim does not understand its settings: error ${error}`);
    const view = new DataView(into.buffer);
    const outcome = OUTCOMES[view.getInt32(0, true)];
    const rule = RULES[view.getInt32(4, true)];
    if (outcome === undefined || rule === undefined) throw new Error("The shim gave a rule that has no name here");
    const length = view.getUint32(8, true);
    const remotePath = outcome === "remote" ? fromUtf8(into.subarray(HEAD_BYTES, HEAD_BYTES + length)) : undefined;
    return { outcome, rule, remotePath };
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }
}
