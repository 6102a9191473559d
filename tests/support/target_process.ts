/**
 * A target on this machine, like a container: its own network, mounts, root directory and host name. Needs root.
 *
 * Its root is a tmpfs with /usr and /proc of this machine and what a test puts there; its process is a `sleep`.
 */

/** For Deno.test: what needs such a target is skipped for other users; the test's name says why. */
export const NEEDS_ROOT: { ignore: boolean } = { ignore: Deno.uid() !== 0 };

export interface TargetProcessOptions {
  /** Files below its root: path to text. */
  files?: Record<string, string>;
  hostname?: string;
  environ?: Record<string, string>;
  /** Shell lines run inside before the process starts, with this machine's programs; $ROOT is its root. */
  setUp?: string;
  /** User and groups of its process. */
  user?: { uid: number; gid: number; groups?: number[] };
  /** Its root is a chroot and not the root of its mount namespace. */
  isChroot?: boolean;
}

export class TargetProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #directory: string;

  private constructor(child: Deno.ChildProcess, directory: string) {
    this.#child = child;
    this.#directory = directory;
  }

  /** Its process as this machine's /proc has it. */
  get pid(): number {
    return this.#child.pid;
  }

  static async start(options: TargetProcessOptions = {}): Promise<TargetProcess> {
    const directory = await Deno.makeTempDir({ prefix: "mirrord-target-" });
    const child = new Deno.Command("unshare", {
      args: ["--net", "--mount", "--uts", "--propagation", "private", "sh", "-euc", script(options)],
      env: { ROOT: directory },
      stdin: "null",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    await reader.cancel();
    if (!value) throw new Error("The target did not start");
    const target = new TargetProcess(child, directory);
    await target.#becameSleep();
    return target;
  }

  async #becameSleep(): Promise<void> {
    while (!(await Deno.readTextFile(`/proc/${this.pid}/comm`)).startsWith("sleep")) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Runs one of our server programs in the target's network; resolves when it says that it serves. */
  async serve(program: string, ...args: string[]): Promise<AsyncDisposable> {
    const path = new URL(program, import.meta.url).pathname;
    const child = new Deno.Command("nsenter", {
      args: [`--net=/proc/${this.pid}/ns/net`, Deno.execPath(), "run", "-A", "-q", path, ...args],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    const { done } = await reader.read();
    await reader.cancel();
    if (done) throw new Error(`${program} did not start`);
    return {
      async [Symbol.asyncDispose]() {
        child.kill("SIGKILL");
        await child.status;
      },
    };
  }

  /** Ends it, as a crash would. */
  async end(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.end();
    } catch {
      // Has ended.
    }
    await Deno.remove(this.#directory, { recursive: true });
  }
}

function script(
  { files = {}, hostname = "sandbox", environ = {}, setUp = "", user, isChroot }: TargetProcessOptions,
): string {
  const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  const variables = Object.entries(environ).map(([name, value]) => quote(`${name}=${value}`)).join(" ");
  const identity = user
    ? `--reuid ${user.uid} --regid ${user.gid} ${user.groups ? `--groups ${user.groups.join(",")}` : "--clear-groups"}`
    : "";
  return `
    mount -t tmpfs tmpfs "$ROOT"
    cd "$ROOT"
    mkdir usr proc etc tmp old
    mount --rbind /usr usr; mount -t proc proc proc
    ln -s usr/bin bin; ln -s usr/lib lib; ln -s usr/lib64 lib64
    ${
    Object.entries(files).map(([path, text]) =>
      `install -D /dev/null ".${path}"; printf %s ${quote(text)} > ".${path}"`
    ).join("\n")
  }
    hostname ${quote(hostname)}
    ip link set lo up
    ${setUp}
    ${isChroot ? "" : `pivot_root . old; cd /; umount -l /old`}
    echo ready
    exec env -i ${variables} ${isChroot ? `/usr/sbin/chroot "$ROOT"` : ""} ${
    user ? `setpriv ${identity}` : ""
  } sleep infinity
  `;
}
