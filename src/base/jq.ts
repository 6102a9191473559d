/**
 * jq programs over lines of text: jq itself (the npm package jq-wasm, jq 1.8 as WebAssembly), which sees nothing of this machine.
 *
 * It runs in the calling thread and a program may go on for ever: who runs one has to be a process that somebody can end (a
 * Worker's end does not stop it). Loading it takes tens of milliseconds; import this file only when there is a program.
 */
import { loadJq } from "jq-wasm";
import wasm from "jq-wasm/jq.wasm" with { type: "bytes" };

/** What jq may hold before it gives up; it begins with 16 MiB. */
const MOST_BYTES = 64 << 20;
const PAGE_BYTES = 65536;

/**
 * What a program cannot have: other inputs than its line, an end of the whole run, and messages, which would fill memory. As
 * definitions before it, so that its own words mean these.
 */
const PRELUDE = `def debug: .; def debug(m): .; def stderr: .;
def input: error("No more inputs"); def inputs: empty;
def halt: error("halted"); def halt_error: error("halted"); def halt_error(code): error("halted");
`;

export class JqRunner {
  readonly #jq: Awaited<ReturnType<typeof loadJq>>;

  static async load(): Promise<JqRunner> {
    const module = await WebAssembly.compile(wasm as Uint8Array<ArrayBuffer>);
    const failed = Promise.withResolvers<never>();
    const loading = loadJq({
      instantiateWasm(imports, onSuccess) {
        WebAssembly.instantiate(module, imports).then((instance) => {
          for (const it of Object.values(instance.exports)) if (it instanceof WebAssembly.Memory) bound(it);
          onSuccess(instance, module);
        }).catch(failed.reject);
      },
    });
    return new JqRunner(await Promise.race([loading, failed.promise]));
  }

  private constructor(jq: Awaited<ReturnType<typeof loadJq>>) {
    this.#jq = jq;
  }

  /** Why this is no program, in jq's words; undefined: it is one. Runs nothing of it. */
  fault(program: string): string | undefined {
    // A program that begins like an option is taken for one.
    return this.#faultOf(program.startsWith("-") ? ` ${program}` : program) ?? this.#faultOf(judging(program));
  }

  /**
   * Of each line whether it makes the program give `true` (among others, before any error). Throws when jq breaks down, for want of
   * memory say; then this runner is of no more use.
   */
  judge(program: string, lines: readonly string[]): boolean[] {
    if (lines.length === 0) return [];
    const { stdout, stderr } = this.#jq.raw(lines.map((it) => JSON.stringify(it)).join("\n"), judging(program), ["-c"]);
    const answers = stdout.split("\n");
    if (answers.length !== lines.length) {
      throw new Error(`jq gave ${answers.length} answers of ${lines.length}: ${stderr}`);
    }
    return answers.map((it) => it === "true");
  }

  #faultOf(program: string): string | undefined {
    // Without input it is compiled, and that is all.
    const { exitCode, stderr } = this.#jq.raw("", program);
    if (exitCode === 0) return undefined;
    const first = stderr.split("\n", 1)[0]!;
    return first.replace(/^jq: error: /, "").replace(/:$/, "");
  }
}

/** Gives true or false for each input, whatever the program does. */
function judging(program: string): string {
  return `try any((${PRELUDE}${program}\n); . == true) catch false`;
}

function bound(memory: WebAssembly.Memory): void {
  const grow = memory.grow.bind(memory);
  memory.grow = (pages) => {
    if (memory.buffer.byteLength + pages * PAGE_BYTES > MOST_BYTES) {
      throw new RangeError("A jq program takes too much memory");
    }
    return grow(pages);
  };
}
