/**
 * Another machine: network, mounts, processes and host name of its own, a home and a /tmp that nobody else sees, and one cable, by
 * which it reaches what this machine reaches (this machine translates its addresses). Needs root, iproute2, nftables.
 */

/** Machines of one process of tests; each has a network of four addresses. */
let lastNumber = 0;
const NETWORK = "10.251";
const HOME = "/tmp/home";
const REPOSITORY = new URL("../..", import.meta.url).pathname;

export class Machine implements AsyncDisposable {
  readonly #init: Deno.ChildProcess;
  readonly #pid: number;
  readonly #cable: string;
  readonly #table: string;

  /** `reaches` are addresses that it has to reach; `files` lie in its home. */
  static async start(name: string, reaches: string, files: Readonly<Record<string, string>>): Promise<Machine> {
    const number = lastNumber = lastNumber + 1;
    const [ours, theirs] = [1, 2].map((it) => `${NETWORK}.${(Deno.pid + number) % 256}.${it}`);
    const cable = `mt${Deno.pid % 100_000}n${number}`;
    // The repository is there too when it lies in /tmp.
    const script = `hostname ${name}; mount --bind "$0" /mnt; mount -t tmpfs tmpfs /tmp
mkdir -p ${HOME} "$0"; mount --bind /mnt "$0"; ip link set lo up; echo up; exec sleep infinity`;
    const flags = ["--net", "--uts", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];
    const init = new Deno.Command("unshare", { args: [...flags, "sh", "-ec", script, REPOSITORY], stdout: "piped" })
      .spawn();
    await readLine(init.stdout);
    const pid = Number((await Deno.readTextFile(`/proc/${init.pid}/task/${init.pid}/children`)).trim());
    const machine = new Machine(init, pid, cable, `mirrord-${cable}`);
    await sh(`
ip link add ${cable} type veth peer name eth0 netns ${pid}
ip addr add ${ours}/30 dev ${cable}
ip link set ${cable} up
out=$(ip route get ${reaches} | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p')
sysctl -q -w net.ipv4.conf.${cable}.forwarding=1 "net.ipv4.conf.$(echo $out | tr . /).forwarding=1"
nft "add table ip ${machine.#table}; add chain ip ${machine.#table} out { type nat hook postrouting priority 100; }
add rule ip ${machine.#table} out ip saddr ${theirs} masquerade"
nsenter --net --target ${pid} sh -ec 'ip addr add ${theirs}/30 dev eth0; ip link set eth0 up; ip route add default via ${ours}'`);
    for (const [file, text] of Object.entries(files)) await machine.#write(`${HOME}/${file}`, text);
    return machine;
  }

  private constructor(init: Deno.ChildProcess, pid: number, cable: string, table: string) {
    this.#init = init;
    this.#pid = pid;
    this.#cable = cable;
    this.#table = table;
  }

  /** A program there, with its streams as pipes and this environment beside HOME and PATH. */
  spawn(command: readonly string[], env: Readonly<Record<string, string>> = {}): Deno.ChildProcess {
    // Who enters processes has to stay outside: the program ends with it.
    const mortal = ["setpriv", "--pdeathsig", "KILL", ...command];
    const args = ["--net", "--uts", "--mount", "--pid", "--target", String(this.#pid), "--wd=/", ...mortal];
    return new Deno.Command("nsenter", {
      args,
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME, LC_ALL: "C.UTF-8", ...env },
      clearEnv: true,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  /** The cable first: nobody hears of its end. */
  async vanish(): Promise<void> {
    await sh(`ip link del ${this.#cable} 2>/dev/null || true`);
    try {
      this.#init.kill("SIGKILL");
    } catch {
      // It has gone before.
    }
    await this.#init.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.vanish();
    await this.#init.stdout.cancel().catch(() => {});
    await sh(`nft delete table ip ${this.#table}`);
  }

  async #write(path: string, text: string): Promise<void> {
    await sh(`mkdir -p "$(dirname /proc/${this.#pid}/root${path})"`);
    await Deno.writeTextFile(`/proc/${this.#pid}/root${path}`, text);
  }
}

async function readLine(stream: ReadableStream<Uint8Array>): Promise<void> {
  const reader = stream.getReader();
  await reader.read();
  reader.releaseLock();
}

async function sh(script: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("sh", { args: ["-ec", script], stderr: "piped" }).output();
  if (!success) throw new Error(`${script}: ${new TextDecoder().decode(stderr)}`);
}
