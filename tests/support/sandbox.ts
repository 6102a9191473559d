/**
 * A target without a cluster: a process of this machine with a network, a root directory, a host name and an environment
 * of its own, as a container has them. `process/PID` points at it. The demo and the tests use the same one.
 *
 * Needs root, util-linux (unshare, nsenter) and iproute2. It ends when it is disposed, and when the process that started it
 * dies in any way: its standard input ends then.
 */
import { eventually } from "./eventually.ts";

export { eventually };
export interface Sandbox extends AsyncDisposable {
  readonly pid: number;
  readonly hostname: string;
  /** Where its servers listen; nothing outside reaches it. */
  readonly address: string;
  /** Its root directory as seen from here. Files made in it appear in the sandbox. */
  readonly root: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Runs a program in the sandbox's network, but with our files; resolves with its standard output. */
  readonly inNetwork: (command: readonly string[]) => Promise<string>;
  /** Ends the target process alone, as a crash would. */
  readonly kill: () => void;
}

const HOSTNAME = "sandbox-7d4b9";
const ADDRESS = "10.99.7.1";
export const SANDBOX_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/root",
  HOSTNAME,
  GREETING: "hello from the sandbox",
  DATABASE_URL: "postgres://db.sandbox.local/shop",
};

/** Files of its root; directories are made as needed. */
const FILES: Readonly<Record<string, string>> = {
  "etc/hostname": `${HOSTNAME}\n`,
  "etc/hosts": `127.0.0.1 localhost\n::1 localhost\n${ADDRESS} ${HOSTNAME} in-hosts-only\n`,
  "etc/resolv.conf": `nameserver ${ADDRESS}\nsearch sandbox.local\noptions ndots:5 timeout:1\n`,
  "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
  "app/config.json": '{ "color": "blue" }\n',
  "app/secret/token": "s3cr3t\n",
};

/** Is what it needs here? Undefined, or the reason why a test has to be skipped. */
export function whyNoSandbox(): string | undefined {
  if (Deno.build.os !== "linux") return "needs Linux";
  if (Deno.uid() !== 0) return "needs root";
  for (const program of ["unshare", "nsenter", "ip"]) {
    const places = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map((directory) => `${directory}/${program}`);
    if (!places.some(exists)) return `needs the program "${program}"`;
  }
  return undefined;
}

/** Starts one; resolves when its servers answer. */
export async function startSandbox(): Promise<Sandbox> {
  await using undo = new AsyncDisposableStack();
  const base = await Deno.makeTempDir({ prefix: "mirrord-sandbox-" });
  undo.defer(() => Deno.remove(base, { recursive: true }));
  const root = `${base}/root`;
  await writeRoot(root);
  const target = startTarget(root);
  undo.defer(() => end(target));
  await eventually(() => isInPlace(target.pid));
  const servers = startServers(target.pid);
  undo.defer(() => end(servers));
  const output = servers.stdout.getReader();
  undo.defer(() => output.cancel());
  if ((await output.read()).done) throw new Error("The sandbox's servers did not start");
  const kept = undo.move();
  return {
    pid: target.pid,
    hostname: HOSTNAME,
    address: ADDRESS,
    root,
    environment: SANDBOX_ENVIRONMENT,
    inNetwork: (command) => inNetwork(target.pid, command),
    kill: () => target.kill("SIGKILL"),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function writeRoot(root: string): Promise<void> {
  for (const directory of ["usr", "proc", "tmp", "root", "dev", "var/tmp"]) {
    await Deno.mkdir(`${root}/${directory}`, { recursive: true });
  }
  for (const link of ["bin", "sbin", "lib", "lib64"]) await Deno.symlink(`usr/${link}`, `${root}/${link}`);
  for (const [path, text] of Object.entries(FILES)) {
    await Deno.mkdir(`${root}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeTextFile(`${root}/${path}`, text);
  }
}

/** Every step execs the next, so that the child we started is the target in the end: cat, waiting for its input to end. */
const TARGET_SCRIPT = `set -e
mount --bind -o ro /usr "$ROOT/usr"
mount -t proc proc "$ROOT/proc"
hostname "$NAME"
ip link set lo up
ip address add "$ADDRESS/32" dev lo
exec env -i "$@" chroot "$ROOT" /bin/cat`;

function startTarget(root: string): Deno.ChildProcess {
  const variables = Object.entries(SANDBOX_ENVIRONMENT).map(([name, value]) => `${name}=${value}`);
  const unshare = ["--net", "--uts", "--mount", "--propagation", "private", "sh", "-c", TARGET_SCRIPT, "sandbox"];
  const command = new Deno.Command("unshare", {
    args: [...unshare, ...variables],
    env: { ROOT: root, NAME: HOSTNAME, ADDRESS },
    stdin: "piped",
    stdout: "null",
    stderr: "inherit",
  });
  return command.spawn();
}

/** The servers are a Deno program with our files: only their network is the sandbox's. */
function startServers(pid: number): Deno.ChildProcess {
  const script = new URL("./sandbox_servers.ts", import.meta.url).pathname;
  const flags = ["run", "-A", "--quiet", "--no-config", "--no-lock", "--unstable-net"];
  const args = ["--target", String(pid), "--net", "--uts", "--", Deno.execPath(), ...flags, script, ADDRESS, HOSTNAME];
  return new Deno.Command("nsenter", { args, stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn();
}

async function inNetwork(pid: number, command: readonly string[]): Promise<string> {
  const args = ["--target", String(pid), "--net", "--", ...command];
  const { stdout } = await new Deno.Command("nsenter", { args, stderr: "inherit" }).output();
  return new TextDecoder().decode(stdout);
}

async function isInPlace(pid: number): Promise<boolean> {
  const name = await Deno.readTextFile(`/proc/${pid}/comm`);
  return name.trim() === "cat";
}

async function end(child: Deno.ChildProcess): Promise<void> {
  await child.stdin.close().catch(() => {});
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended by itself.
  }
  await child.status;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
