/**
 * Loads native/sys (kernel calls that Deno has no words for) into this process.
 *
 * The library is embedded and enters through a memfd: nothing is unpacked to disk, so it also loads in a container whose
 * root is read-only. Where the kernel forbids executable memfds a private temporary file stands in.
 * Functions of the library return 0 or a positive result, or -errno: errno itself would not survive the way to here.
 */
import library from "../../native/out/sys.so" with { type: "bytes" };

/** Opens the library with the symbols one module needs; call once per module, at the top. */
export function loadSys<const S extends Deno.ForeignLibraryInterface>(symbols: S): Deno.DynamicLibrary<S>["symbols"] {
  return Deno.dlopen(libraryPath(), symbols).symbols;
}

let path: string | undefined;

function libraryPath(): string {
  return path ??= inMemory() ?? inTemporaryFile();
}

function inMemory(): string | undefined {
  const MFD_CLOEXEC = 1;
  const libc = Deno.dlopen("libc.so.6", { memfd_create: { parameters: ["buffer", "u32"], result: "i32" } });
  const fd = libc.symbols.memfd_create(new TextEncoder().encode("mirrord-sys\0"), MFD_CLOEXEC);
  libc.close();
  if (fd < 0) return undefined;
  const memory = `/proc/self/fd/${fd}`;
  try {
    Deno.writeFileSync(memory, library);
    Deno.dlopen(memory, {}).close();
    return memory;
  } catch {
    return undefined;
  }
}

function inTemporaryFile(): string {
  const file = Deno.makeTempFileSync({ prefix: "mirrord-sys-", suffix: ".so" });
  Deno.writeFileSync(file, library);
  addEventListener("unload", () => Deno.removeSync(file));
  return file;
}

/** Path as a C string. Throws `TypeError` when it holds a NUL. */
export function cString(text: string | Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  if (bytes.includes(0)) throw new TypeError("A path holds a NUL byte");
  const terminated = new Uint8Array(bytes.length + 1);
  terminated.set(bytes);
  return terminated;
}
