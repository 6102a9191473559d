/** Becoming a program, starting a detached one, asking what a file may do: native/sys/process.c for TypeScript. */
import { joinNul } from "../base/bytes.ts";
import { cString, loadSys } from "./load.ts";

const sys = loadSys({
  process_become: {
    parameters: ["buffer", "buffer", "u32", "buffer", "u32", "u64", "u64", "u64", "u32"],
    result: "i32",
  },
  process_spawn_detached: { parameters: ["buffer", "u32", "buffer", "u32"], result: "i32" },
  process_serve_parent: { parameters: ["i32"], result: "i32" },
  process_working_directory: { parameters: ["buffer", "u32"], result: "i32" },
  process_may_execute: { parameters: ["buffer"], result: "i32" },
  process_may_supervise: { parameters: [], result: "i32" },
  process_gains_rights: { parameters: ["buffer"], result: "i32" },
});

/** What the user's shell gave us and their program is to have again. */
export interface StartingLimits {
  /** RLIMIT_NOFILE; a hard limit of 0: leave it as it is. */
  readonly softFiles: bigint;
  readonly hardFiles: bigint;
  /** Signals that are ignored (nohup): bit N-1 stands for signal N. */
  readonly ignoredSignals: bigint;
  /** Which of standard input, output and error are closed: bit N stands for descriptor N. */
  readonly closedDescriptors: number;
}

/**
 * Replaces this process by a program: same PID, terminal and working directory. Returns only when that failed: -errno.
 * `argv` and `environment` (NAME=VALUE) are bytes without NUL.
 */
export function becomeProgram(
  path: Uint8Array,
  argv: readonly Uint8Array[],
  environment: readonly Uint8Array[],
  limits: StartingLimits,
): number {
  return sys.process_become(
    cString(path),
    joinNul(argv),
    argv.length,
    joinNul(environment),
    environment.length,
    limits.softFiles,
    limits.hardFiles,
    limits.ignoredSignals,
    limits.closedDescriptors,
  );
}

/**
 * Starts `argv[0]` in a session of its own at `/`, with /dev/null for standard input, output and error, as nobody's child.
 * Its PID, or -errno.
 */
export function spawnDetached(argv: readonly Uint8Array[], environment: readonly Uint8Array[]): number {
  return sys.process_spawn_detached(joinNul(argv), argv.length, joinNul(environment), environment.length);
}

/**
 * This process ends when `parent`, which has started it, does, and is the first to go when memory is short.
 * 0 or -errno: that parent has ended.
 */
export function serveParent(parent: number): number {
  return sys.process_serve_parent(parent);
}

/** linux/limits.h; getcwd(2) knows no longer ones. */
const PATH_MAX = 4096;

/** The working directory, as bytes: Deno.cwd() refuses what is not UTF-8. */
export function workingDirectory(): Uint8Array<ArrayBuffer> {
  const path = new Uint8Array(PATH_MAX);
  const length = sys.process_working_directory(path, path.length);
  if (length < 0) throw new Error(`Cannot tell the working directory: error ${-length} of the system`);
  return path.slice(0, length);
}

/** 0, or the -errno with which execve(2) would refuse. */
export function mayExecute(path: Uint8Array): number {
  return sys.process_may_execute(cString(path));
}

/** 0, or -errno: what a supervisor of programs needs of the kernel is not there (ENOSYS) or not allowed (EPERM). */
export function maySupervise(): number {
  return sys.process_may_supervise();
}

/** Set-id bits or file capabilities that give more rights than we have: LD_PRELOAD has no say there. */
export function gainsRights(path: Uint8Array): boolean {
  return sys.process_gains_rights(cString(path)) === 1;
}
