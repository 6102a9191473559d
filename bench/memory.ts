/** Resident memory of our own processes, as the kernel counts it: proportional set size, and what only they have. */
import type { Bench } from "./main.ts";
import { Conversation, outputOf, type Row } from "./measure.ts";

const CONNECTIONS = 1000;

export interface Memory {
  /** VmRSS: pages of the executable included that others share. */
  residentMb: number;
  /** Anonymous pages: what the process itself made. */
  ownMb: number;
}

const PROCESSES = ["intproxy", "agent"] as const;
type Process = (typeof PROCESSES)[number];

/** The only run with this target: its agent, and the intproxy that started it. */
function findProcess(which: Process, target: number): number | undefined {
  const isAgent = (pid: string) =>
    Deno.readTextFileSync(`/proc/${pid}/cmdline`).includes(`\0agent\0--stdio\0--pid\0${target}\0`);
  const agent = [...Deno.readDirSync("/proc")].find(({ name }) => {
    try {
      return /^\d+$/.test(name) && isAgent(name);
    } catch {
      return false; // gone meanwhile
    }
  })?.name;
  if (agent === undefined) return undefined;
  return Number(which === "agent" ? agent : /^PPid:\s+(\d+)/m.exec(Deno.readTextFileSync(`/proc/${agent}/status`))![1]);
}

export function memoryOf(pid: number): Memory {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const megabytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) / 1024;
  return { residentMb: megabytes("VmRSS"), ownMb: megabytes("RssAnon") };
}

/** Idle: a program that sleeps. Under load: a program that reads as fast as it can over a remote connection. */
export async function measureMemory(bench: Bench): Promise<Row[]> {
  const folder = await Deno.makeTempDir({ prefix: "mirrord-bench-" });
  const peer = `${folder}/peer`;
  await outputOf(["gcc", "-O2", "-o", peer, `${bench.root}bench/peer.c`]);
  const target = new Deno.Command("unshare", {
    args: ["--net", "sh", "-c", `ip link set lo up; exec ${peer} server 7071`],
  }).spawn();
  try {
    const rows: Row[] = [];
    for (const [state, command] of [["idle", "exec sleep 60"], ["loaded", `exec ${peer} down 127.0.0.1 7071 100000`]]) {
      rows.push(...await memoryDuring(bench, target.pid, state!, command!));
    }
    rows.push(...await memoryOfConnections(bench, target.pid, peer));
    return rows;
  } finally {
    target.kill("SIGKILL");
    await target.status;
    await Deno.remove(folder, { recursive: true });
  }
}

/** What each of 1 000 connections that are open at once adds. */
async function memoryOfConnections(bench: Bench, pid: number, peer: string): Promise<Row[]> {
  await using shell = new Conversation(
    [bench.mirrord, "exec", "--target", `process/${pid}`, "--", "sh"],
    { MIRRORD_PROGRESS_MODE: "off" },
  );
  await shell.ask(`(sleep 2 | ${peer} hold 127.0.0.1 7071 10)`);
  const resident = () => PROCESSES.map((who) => memoryOf(findProcess(who, pid)!).residentMb);
  const before = resident();
  await shell.ask(`sleep 5 | ${peer} hold 127.0.0.1 7071 ${CONNECTIONS}`);
  const during = resident();
  return PROCESSES.map((who, at) => ({
    what: `memory of the ${who}, for each of ${CONNECTIONS} open connections`,
    ours: `${((during[at]! - before[at]!) * 1024 / CONNECTIONS).toFixed(0)} kB resident`,
    beside: `${before[at]!.toFixed(0)} MB without them`,
    ratio: "",
    bound: "64 kB",
  }));
}

async function memoryDuring(bench: Bench, pid: number, state: string, command: string): Promise<Row[]> {
  const program = new Deno.Command(bench.mirrord, {
    args: ["exec", "--target", `process/${pid}`, "--", "sh", "-c", `sleep 1; ${command}`],
    env: { MIRRORD_PROGRESS_MODE: "off" },
    stdout: "null",
  }).spawn();
  try {
    await new Promise((resolve) => setTimeout(resolve, 6000));
    return PROCESSES.map((who) => {
      const found = findProcess(who, pid);
      if (!found) throw new Error(`There is no ${who} process`);
      const { residentMb, ownMb } = memoryOf(found);
      return {
        what: `memory of the ${who}, ${state}`,
        ours: `${residentMb.toFixed(0)} MB resident`,
        beside: `${ownMb.toFixed(0)} MB of it its own`,
        ratio: "",
        bound: state === "idle" ? "90 MB" : "",
      };
    });
  } finally {
    program.kill("SIGKILL");
    await program.status;
  }
}
