/**
 * The program that a run is for: found as a shell finds it, and looked at before anything is started, so that a typing
 * error costs nothing and a program that the shim cannot enter is said by name.
 */
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { ERRNO, UserError } from "../base/errors.ts";
import { gainsRights, mayExecute, maySupervise } from "../sys/process.ts";

export interface Program {
  readonly path: string;
  /** What stands before its arguments in argv: its name, or /bin/sh and a script without "#!", as execvp(3) runs it. */
  readonly words: readonly string[];
  /** Why the program, or what its "#!" names, will run without the shim; undefined: it will run with it. */
  readonly obstacle: string | undefined;
  /**
   * A supervisor answers its system calls (native/supervisor), because the shim cannot enter it; "alone": or because that would
   * not do, so it is not to be there.
   */
  readonly isSupervised: boolean | "alone";
}

/** As env(1): 126 when it was found and may not be run, 127 when it was not found. */
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;
/** execvp(3) of glibc, when PATH is not set. */
const DEFAULT_PATH = "/bin:/usr/bin";
/** Linux follows "#!" this often (BINPRM_MAX_RECURSION), and reads this much of the line (BINPRM_BUF_SIZE). */
const MAX_INTERPRETERS = 5;
const HEAD_BYTES = 256;

/** Throws `UserError` when the program is not there (127) or may not be run (126). */
export function findProgram(name: string, path: string | undefined): Program {
  const found = locate(name, path ?? DEFAULT_PATH);
  const { obstacle: inFile, isBareScript, isForSupervisor } = inspect(found, found, 0);
  const unsupervised = isForSupervisor ? whyNoSupervisor() : undefined;
  const obstacle = snapObstacle(found) ??
    (unsupervised ? `${inFile}; ${unsupervised}` : isForSupervisor ? undefined : inFile) ??
    containersObstacle(name);
  return {
    path: isBareScript ? "/bin/sh" : found,
    words: isBareScript ? ["/bin/sh", found] : [name],
    obstacle,
    isSupervised: obstacle === undefined && isForSupervisor,
  };
}

function locate(name: string, path: string): string {
  if (name.includes("/")) {
    checkRunnable(name, name);
    return name;
  }
  let refused: string | undefined;
  for (const directory of name === "" ? [] : path.split(":")) {
    const candidate = directory === "" ? `./${name}` : `${directory}/${name}`;
    const info = statOrUndefined(candidate);
    if (!info?.isFile) continue;
    if (mayExecute(utf8(candidate)) === 0) return candidate;
    refused ??= candidate;
  }
  if (refused !== undefined) checkRunnable(refused, name);
  throw new UserError("PROGRAM_NOT_FOUND", `Cannot run "${name}": no such program in PATH`, {
    hint: "check the spelling, or give the program with its path",
    exitCode: NOT_FOUND,
  });
}

function checkRunnable(path: string, name: string): void {
  const info = statOrUndefined(path);
  if (!info) {
    const hint = "check the path; a relative one starts in the current directory";
    throw new UserError("PROGRAM_NOT_FOUND", `Cannot run "${name}": no such file`, { hint, exitCode: NOT_FOUND });
  }
  const refuse = (reason: string, hint: string) =>
    new UserError("PROGRAM_NOT_EXECUTABLE", `Cannot run "${name}": ${reason}`, { hint, exitCode: NOT_EXECUTABLE });
  if (info.isDirectory) throw refuse("it is a directory", "name a program");
  if (!info.isFile) throw refuse("it is not a regular file", "name a program");
  const error = -mayExecute(utf8(path));
  if (error === ERRNO.EACCES) throw refuse("permission denied", `chmod +x ${path}`);
  if (error !== 0) throw refuse(`error ${error} of the system`, "check the file");
}

function statOrUndefined(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}

interface Findings {
  readonly obstacle: string | undefined;
  readonly isBareScript: boolean;
  readonly isForSupervisor: Program["isSupervised"];
}

const NOTHING: Findings = { obstacle: undefined, isBareScript: false, isForSupervisor: false };

/** Follows "#!" to the binary that will really run. */
function inspect(program: string, path: string, depth: number): Findings {
  const head = readHead(path);
  if (head === undefined) return NOTHING; // executable but not readable
  if (head[0] === 0x7f && fromUtf8(head.subarray(1, 4)) === "ELF") {
    return gainsRights(utf8(path))
      ? { ...NOTHING, obstacle: rightsObstacle(path) }
      : { ...NOTHING, ...elfFindings(path) };
  }
  if (head[0] !== 0x23 || head[1] !== 0x21) {
    // execve(2) will say ENOEXEC; execvp(3) and shells then take it for a shell script.
    const isText = depth === 0 && !head.includes(0);
    if (depth === 0 && !isText) throw wrongFormat(program);
    return { ...NOTHING, isBareScript: isText };
  }
  const line = fromUtf8(head.subarray(2)).split("\n", 1)[0]!;
  const interpreter = line.trim().split(/[ \t]/, 1)[0]!;
  const isThere = interpreter !== "" && statOrUndefined(interpreter)?.isFile;
  if (!isThere) {
    throw new UserError(
      "INTERPRETER_NOT_FOUND",
      `Cannot run "${program}": its interpreter "${interpreter}" is not there`,
      {
        hint: 'install the interpreter, or correct the first line ("#!") of the file',
        exitCode: NOT_FOUND,
      },
    );
  }
  return depth < MAX_INTERPRETERS ? { ...inspect(program, interpreter, depth + 1), isBareScript: false } : NOTHING;
}

function wrongFormat(program: string): UserError {
  return new UserError("PROGRAM_NOT_EXECUTABLE", `Cannot run "${program}": it is neither a program nor a script`, {
    hint: "was it built for this machine?",
    exitCode: NOT_EXECUTABLE,
  });
}

function readHead(path: string): Uint8Array | undefined {
  try {
    using file = Deno.openSync(path);
    const head = new Uint8Array(HEAD_BYTES);
    return head.subarray(0, file.readSync(head) ?? 0);
  } catch {
    return undefined;
  }
}

/** snap(8) gives what it starts an environment and a root directory of its own. */
function snapObstacle(path: string): string | undefined {
  const real = Deno.realPathSync(path);
  if (real !== "/usr/bin/snap" && !path.startsWith("/snap/")) return undefined;
  return `${path} is a snap, which starts its program in surroundings of its own: mirrord cannot enter it; ` +
    "the same program from a package or an archive can be entered";
}

const CONTAINER_TOOLS = ["docker", "podman", "nerdctl", "docker-compose", "buildah", "ctr", "crictl"];

/** What these start runs as the child of somebody else, with files of its own. */
function containersObstacle(name: string): string | undefined {
  const tool = name.slice(name.lastIndexOf("/") + 1);
  if (!CONTAINER_TOOLS.includes(tool)) return undefined;
  return `${tool} itself runs in the target's context, the programs in its containers do not: mirrord cannot enter them; ` +
    "`mirrord exec` runs the program itself, outside of its container";
}

function rightsObstacle(path: string): string {
  return `${path} runs with more rights than yours (set-id or capabilities): mirrord cannot enter it; ` +
    "only its environment will be the target's";
}

const MACHINES: Readonly<Record<string, number>> = { x86_64: 62, aarch64: 183 };
const PT_INTERP = 3;

/** Why the loader will not put the shim into this ELF file. */
function elfFindings(path: string): Pick<Findings, "obstacle"> & Partial<Findings> {
  const rest = "mirrord cannot enter it; only its environment will be the target's";
  using file = Deno.openSync(path);
  const header = readAt(file, 0, 64);
  if (header.length < 64) return { obstacle: `${path} is cut short: ${rest}` };
  const view = new DataView(header.buffer);
  if (header[4] !== 2 || view.getUint16(18, true) !== MACHINES[Deno.build.arch]) {
    return { obstacle: `${path} is for another processor architecture: ${rest}` };
  }
  const [size, count] = [view.getUint16(54, true), view.getUint16(56, true)];
  const table = readAt(file, Number(view.getBigUint64(32, true)), size * count);
  const segments = new DataView(table.buffer, table.byteOffset, table.byteLength);
  for (let at = 0; size >= 56 && at + size <= table.length; at += size) {
    if (segments.getUint32(at, true) !== PT_INTERP) continue;
    const length = Math.min(Number(segments.getBigUint64(at + 32, true)), 4096);
    const loader = fromUtf8(readAt(file, Number(segments.getBigUint64(at + 8, true)), length)).replace(/\0.*$/s, "");
    if (loader.includes("/ld-musl-")) {
      return { obstacle: `${path} is for musl, not glibc: ${rest}`, isForSupervisor: "alone" };
    }
    if (!isGo(file, view)) return { obstacle: undefined };
    return {
      obstacle: `${path} is a Go program, which asks the kernel past libc: ${GO_REST}`,
      isForSupervisor: "alone",
    };
  }
  const how = isGo(file, view) ? "a Go program without cgo, which nothing can be loaded into" : "statically linked";
  return { obstacle: `${path} is ${how}: ${rest}`, isForSupervisor: true };
}

/** Undefined, or what a supervisor of programs lacks on this machine. */
export function whyNoSupervisor(): string | undefined {
  const missing = -maySupervise();
  if (missing === 0) return undefined;
  return missing === ERRNO.EPERM
    ? "a policy (of a container, or kernel.yama.ptrace_scope) forbids to answer its system calls"
    : "answering its system calls needs Linux 5.9 with seccomp user notification";
}

const GO_REST =
  "its files and connections are this machine's; only its environment, and what C libraries in it do, is the " +
  "target's";

/** Go's linker leaves a section of this name, also in what is stripped. */
const GO_SECTION = ".go.buildinfo\0";

/** Section headers as elf(5) has them: e_shoff, e_shentsize, e_shnum, e_shstrndx; sh_offset, sh_size. */
function isGo(file: Deno.FsFile, header: DataView): boolean {
  const [offset, size, names] = [header.getBigUint64(40, true), header.getUint16(58, true), header.getUint16(62, true)];
  const entry = readAt(file, Number(offset) + size * names, 64);
  if (size !== 64 || entry.length < 64) return false;
  const view = new DataView(entry.buffer);
  const length = Math.min(Number(view.getBigUint64(32, true)), 1 << 20);
  return fromUtf8(readAt(file, Number(view.getBigUint64(24, true)), length)).includes(GO_SECTION);
}

function readAt(file: Deno.FsFile, offset: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  file.seekSync(offset, Deno.SeekMode.Start);
  let filled = 0;
  while (filled < length) {
    const count = file.readSync(bytes.subarray(filled));
    if (count === null) break;
    filled += count;
  }
  return bytes.subarray(0, filled);
}
