/**
 * Compiles the C of this program: `deno task native`. Four results in native/out/, all in the executable: the shim that is
 * preloaded into the app, the supervisor of apps that it cannot enter, kernel calls for our own processes, and the launcher
 * of the packed form.
 */

const OUT = new URL("./out/", import.meta.url);

/** Flags all share, one per line with its reason. */
const COMMON = [
  "-std=gnu11",
  "-O2",
  "-g1", // line numbers in backtraces; stripped from what is embedded
  "-Wall",
  "-Wextra",
  "-Werror", // warnings are errors, in both languages
  "-Wmissing-prototypes", // a hook body without its row in hooks.def
  "-fvisibility=hidden", // only hooks are exported: our names cannot collide with the app's
  "-fno-strict-aliasing", // sockaddr of many shapes
  "-U_FORTIFY_SOURCE", // or the headers redefine what we hook
  "-fstack-protector-strong",
];

interface Product {
  name: string;
  sources: string;
  /** What of another folder belongs to it as well. */
  also?: string;
  flags: string[];
}

const PRODUCTS: Product[] = [
  {
    name: "shim.so",
    sources: ".",
    flags: [
      "-shared",
      "-fPIC",
      "-Wl,-z,defs", // a row of hooks.def without its body
      "-Wl,-z,now", // resolved when loaded: no lazy binding inside a signal handler or after chroot
      "-Wl,-z,relro",
      "-Wl,--no-as-needed", // before glibc 2.34 dlsym lives in libdl, which not every app has loaded
      "-l:libdl.so.2",
    ],
  },
  {
    name: "supervisor",
    sources: "supervisor",
    also: ".", // the hooks of the shim
    flags: [
      "-DMIRRORD_SUPERVISOR",
      "-D_GNU_SOURCE",
      "-static-pie", // no loader, hence no LD_PRELOAD: it is no program of the run
      "-fPIE",
      "-pthread",
      "-ffunction-sections",
      "-Wl,--gc-sections",
      "-Wno-missing-field-initializers", // of the table of calls
    ],
  },
  // Its functions are declared where they are called: in TypeScript.
  {
    name: "sys.so",
    sources: "sys",
    flags: [
      "-shared",
      "-fPIC",
      "-Wl,-z,defs",
      "-Wl,-z,nodelete", // Deno unloads it at the end of a worker or a test's module, whoever of its threads waits in it
      "-pthread",
      "-Wno-missing-prototypes",
    ],
  },
  { name: "launcher", sources: "launcher", flags: ["-pie", "-fPIE", "-Wl,-z,now", "-Wl,-z,relro"] },
];

/** Compiles one product from all C files of its folder, where it is not there already; `extra` flags are for sanitizer builds. */
export async function compile(
  name: string,
  options: { extra?: string[]; output?: string } = {},
): Promise<string> {
  const product = PRODUCTS.find((it) => it.name === name);
  if (!product) throw new TypeError(`Cannot compile "${name}": no such product`);
  const folder = new URL(`./${product.sources}/`, import.meta.url);
  const sources: string[] = [];
  const folders = [folder, ...product.also === undefined ? [] : [new URL(`./${product.also}/`, import.meta.url)]];
  for (const place of folders) {
    for await (const entry of Deno.readDir(place)) {
      if (entry.isFile && entry.name.endsWith(".c")) sources.push(new URL(entry.name, place).pathname);
    }
  }
  await Deno.mkdir(OUT, { recursive: true });
  const output = options.output ?? new URL(product.name, OUT).pathname;
  const flags = [...COMMON, ...product.flags, ...(options.extra ?? [])];
  const stamp = await digest(flags, folder);
  const isFresh = async (path: string) => await readText(`${path}.stamp`) === stamp && await exists(path);
  if (await isFresh(output)) return output;
  const scratch = `${output}.${crypto.randomUUID()}`;
  const usual = new URL(product.name, OUT).pathname;
  if (await isFresh(usual)) await Deno.copyFile(usual, scratch);
  else await make(product, flags, sources, scratch);
  await Deno.rename(scratch, output);
  await Deno.writeTextFile(`${output}.stamp`, stamp);
  return output;
}

async function make(product: Product, flags: readonly string[], sources: string[], output: string): Promise<void> {
  const args = [...flags, "-o", output, ...sources.sort()];
  const { success, stderr } = await new Deno.Command("gcc", { args, stderr: "piped" }).output();
  if (!success) throw new Error(`gcc ${product.name}:\n${new TextDecoder().decode(stderr)}`);
  const isSanitized = flags.some((it) => it.startsWith("-fsanitize"));
  if (!isSanitized) await new Deno.Command("strip", { args: ["--strip-debug", output] }).output();
}

/** Of all that makes a product what it is: compiler, flags, and every file it is made from. */
async function digest(flags: readonly string[], folder: URL): Promise<string> {
  const { stdout } = await new Deno.Command("gcc", { args: ["--version"] }).output();
  const parts = [new TextDecoder().decode(stdout), ...flags];
  const names: URL[] = [];
  // The kernel calls share no file with the shim, but their folders lie in each other.
  for (const place of [folder, new URL("./", import.meta.url)]) {
    for await (const { isFile, name } of Deno.readDir(place)) {
      if (isFile && /\.(c|h|def)$/.test(name)) names.push(new URL(name, place));
    }
  }
  for (const name of names.sort()) parts.push(name.pathname, await Deno.readTextFile(name));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(parts.join("\0")))).toHex();
}

const readText = (path: string) => Deno.readTextFile(path).catch(() => undefined);
const exists = (path: string) => Deno.stat(path).then(() => true, () => false);

export async function compileAll(): Promise<void> {
  await Promise.all(PRODUCTS.map(({ name }) => compile(name)));
}

if (import.meta.main) await compileAll();
