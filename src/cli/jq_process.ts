/**
 * jq in a process of its own: src/agent/incoming/judge.ts asks by lines of JSON on standard input, and hears lines of JSON. What
 * a program does, for ever or with all the memory it gets, it does here, and we are ended for it.
 */
import { JqRunner } from "../base/jq.ts";
import { serveParent } from "../sys/process.ts";
import { printLine } from "./terminal.ts";

/** As judge.ts says it. */
interface Question {
  readonly programs: readonly string[];
  readonly lines: readonly string[];
}

/** Resolves with the exit code when nobody asks any more, or jq has broken down. */
export async function serveAsJq(parent: number): Promise<number> {
  if (serveParent(parent) < 0) return 1;
  const jq = await JqRunner.load();
  // The first time is slow.
  jq.judge(".", [""]);
  printLine("ready");
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const questions = (rest + text).split("\n");
    rest = questions.pop()!;
    for (const question of questions) {
      const { programs, lines } = JSON.parse(question) as Question;
      try {
        printLine(JSON.stringify(programs.map((program) => jq.judge(program, lines))));
      } catch {
        return 1;
      }
    }
  }
  return 0;
}
