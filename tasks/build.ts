/**
 * Makes the executable: `deno task build` → dist/mirrord, one file.
 *
 * It is the launcher (native/launcher), and behind it this very Deno runtime and the bundled program, which the launcher
 * unpacks once per user. `deno compile` is not used: its base runtime comes from a host that many build machines do not
 * reach, and it would leave the user's DENO_* variables and limits to chance (docs/decisions/0005-packed-executable.md).
 */
import { compileAll } from "../native/build.ts";

const ROOT = new URL("../", import.meta.url);
const DIST = new URL("dist/", ROOT);
/** Files start at multiples of this, so that a file system with reflinks can share their blocks. */
const ALIGNMENT = 4096;
/** As in native/launcher/payload.h. */
const MAGIC = "mirrord-packed-1";
const ENTRY_BYTES = 144;
const TRAILER_BYTES = 32;

interface Part {
  directory: string;
  name: string;
  mode: number;
  bytes: Uint8Array;
}

/** Builds all, and returns the path of the executable. */
export async function build(): Promise<string> {
  await compileAll();
  const bundle = await bundleProgram();
  const supervisor = {
    name: "supervisor",
    mode: 0o755,
    bytes: await Deno.readFile(new URL("native/out/supervisor", ROOT)),
  };
  const runtime = [{ name: "mirrord", mode: 0o755, bytes: await Deno.readFile(Deno.execPath()) }];
  const launcher = await Deno.readFile(new URL("native/out/launcher", ROOT));
  const parts = [...await named("runtime", runtime), ...await named("program", [...bundle, supervisor])];
  await Deno.mkdir(DIST, { recursive: true });
  const output = new URL("mirrord", DIST).pathname;
  const scratch = `${output}.${Deno.pid}`;
  await Deno.writeFile(scratch, pack(launcher, parts), { mode: 0o755 });
  await Deno.rename(scratch, output);
  return output;
}

/** The program as JavaScript: main.js is small, what a command needs beyond it lies in chunks of their own. */
async function bundleProgram(): Promise<Omit<Part, "directory">[]> {
  const folder = new URL("bundle/", DIST);
  await Deno.remove(folder, { recursive: true }).catch(() => {});
  await Deno.mkdir(folder, { recursive: true });
  const args = ["bundle", "--quiet", "--code-splitting", "--platform", "deno", "--outdir", folder.pathname, "main.ts"];
  const command = new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stdout: "null", stderr: "piped" });
  const { success, stderr } = await command.output();
  if (!success) throw new Error(`deno bundle:\n${new TextDecoder().decode(stderr)}`);
  const files: Omit<Part, "directory">[] = [];
  for await (const entry of Deno.readDir(folder)) {
    const text = withoutEagerness(await Deno.readTextFile(new URL(entry.name, folder)));
    files.push({ name: entry.name, mode: 0o644, bytes: new TextEncoder().encode(text) });
  }
  return files.sort((a, b) => a.name < b.name ? -1 : 1);
}

/**
 * Takes out what makes every start slow. Before it runs anything, Deno reads and parses all that a program might ever import,
 * when it can tell what that is (17 MB for `--help`); it cannot when the specifier is not a plain string. And the bundler gives
 * every program a `require` from node:module, which costs 18 ms, and reads embedded files by a loop that costs 15.
 */
function withoutEagerness(text: string): string {
  return text
    .replace(/\bimport\("(\.\/[\w-]+\.js)"\)/g, 'import((0, "$1"))')
    .replace(/^import \{ createRequire as \w+ \} from "node:module";\n/m, "")
    .replace(/^var __require = __deno_internal_createRequire\(import\.meta\.url\);$/m, LAZY_REQUIRE)
    // Of the reader of YAML, for warnings and for binary values, which we have none of: they would load half of Node.
    .replace(
      /^(\s*)var node_process = __require\("node:process"\);$/gm,
      "$1var node_process = { env: {}, emitWarning() {} };",
    )
    .replace(/^(\s*)var node_buffer = __require\("node:buffer"\);$/gm, "$1var node_buffer = {};")
    .replace(/^var __toBinary = .*?^\}\)\(\);$/ms, "var __toBinary = (base64) => Uint8Array.fromBase64(base64);");
}

const LAZY_REQUIRE = `var __require = (id) => {
  const found = globalThis.process.getBuiltinModule(id);
  if (found === undefined) throw Object.assign(new Error("Cannot find module " + id), { code: "MODULE_NOT_FOUND" });
  return found;
};`;

/** Parts in a directory whose name carries the hash of all of them. */
async function named(kind: string, files: Omit<Part, "directory">[]): Promise<Part[]> {
  const digests: Uint8Array[] = [];
  for (const { name, bytes } of files) {
    digests.push(new TextEncoder().encode(`${name}:${bytes.length}:`));
    digests.push(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>)));
  }
  const whole = new Uint8Array(await new Blob(digests as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
  const directory = `${kind}-${digest.subarray(0, 8).toHex()}`;
  return files.map((file) => ({ ...file, directory }));
}

/** What the launcher takes: MAX_ENTRIES of native/launcher/payload.h. */
const MAX_PARTS = 512;

function pack(launcher: Uint8Array, parts: Part[]): Uint8Array {
  if (parts.length > MAX_PARTS) throw new Error(`Cannot pack ${parts.length} files: the launcher takes ${MAX_PARTS}`);
  const aligned = (at: number) => Math.ceil(at / ALIGNMENT) * ALIGNMENT;
  let end = launcher.length;
  const offsets = parts.map((part) => {
    const at = aligned(end);
    end = at + part.bytes.length;
    return at;
  });
  const indexAt = aligned(end);
  const file = new Uint8Array(indexAt + parts.length * ENTRY_BYTES + TRAILER_BYTES);
  const view = new DataView(file.buffer);
  file.set(launcher);
  parts.forEach((part, index) => {
    file.set(part.bytes, offsets[index]!);
    const at = indexAt + index * ENTRY_BYTES;
    putText(file, at, 64, part.directory);
    putText(file, at + 64, 48, part.name);
    view.setBigUint64(at + 112, BigInt(offsets[index]!), true);
    view.setBigUint64(at + 120, BigInt(part.bytes.length), true);
    view.setBigUint64(at + 128, BigInt(part.mode), true);
  });
  const trailerAt = file.length - TRAILER_BYTES;
  file.set(new TextEncoder().encode(MAGIC), trailerAt);
  view.setBigUint64(trailerAt + 16, BigInt(indexAt), true);
  view.setBigUint64(trailerAt + 24, BigInt(parts.length), true);
  return file;
}

function putText(file: Uint8Array, at: number, size: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length >= size) throw new RangeError(`The name "${text}" is too long for the index`);
  file.set(bytes, at);
}

if (import.meta.main) {
  const started = performance.now();
  const path = await build();
  const { size } = await Deno.stat(path);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  await Deno.stderr.write(new TextEncoder().encode(`${path}: ${(size / 1e6).toFixed(1)} MB in ${seconds} s\n`));
}
