/**
 * Which processes are left alone: those the user names, and build tools, whose files and downloads are this machine's. Names are
 * compared with that of the executable and with argv[0]. Children of a process that is left alone are entered all the same.
 */
import type { Config } from "./resolve.ts";

/**
 * The reference tool's list without jspawnhelper, and the compilers and linkers behind clang. (Java starts each of its children
 * through jspawnhelper, which goes to the child's working directory itself: that may be one of the target.)
 */
export const BUILD_TOOLS: readonly string[] = [
  ..."as cc cc1 cc1plus collect2 ld gcc g++ c++ link lld ld.lld ld.gold clang clang++".split(" "),
  ..."go air asm cgo compile dlv math cargo cargo-watch rustc hpack".split(" "),
  ..."git bazel-real debugserver JetBrains.Debugger.Worker".split(" "),
];

export interface Skipped {
  /** Left alone wherever they run. */
  readonly processes: readonly string[];
  /** Left alone unless their working directory is the target's. */
  readonly buildTools: readonly string[];
}

/** `program`: names of what the user typed, which is no build tool in this run: `mirrord exec git status` means git. */
export function skippedIn(config: Pick<Config, "skip">, program: readonly string[]): Skipped {
  const { processes, isSkippingBuildTools, extraBuildTools } = config.skip;
  const tools = isSkippingBuildTools ? [...BUILD_TOOLS, ...extraBuildTools] : [];
  const typed = new Set(program.map((it) => it.slice(it.lastIndexOf("/") + 1)));
  return { processes, buildTools: [...new Set(tools)].filter((it) => !typed.has(it)) };
}
