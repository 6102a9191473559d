/**
 * What mirrors, filters and stealing cost, in requests a second (wrk, 32 connections): the target's own server alone and with a run
 * beside it, in turns; and 1 000 connections that are stolen at once. Needs wrk, node and nginx.
 *
 * A cluster's node and a developer's machine are two machines. Where there is one of two processors, "apart" gives one to each: wrk,
 * the target's server and the agent share the first; intproxy and the user's program have the second. Without a run the first has wrk and
 * the server alone. "Shared" rows let the kernel place everything: there the user's own program takes its time from the target.
 */
import { startSandbox } from "../tests/support/sandbox.ts";
import { LocalServer } from "../tests/support/incoming.ts";
import { markdownTable, median, outputOf, type Row } from "./measure.ts";
import { memoryOf } from "./memory.ts";

const PORT = 8090;
const ROUNDS = 3;
const SECONDS = 3;
const CONNECTIONS = 1000;
const NODE = `require("http").createServer((q,s)=>s.end("hello\\n")).listen(${PORT},()=>console.log("up"))`;
/** The user's: it counts, and says how many when it is asked. */
const COUNTING =
  `let n=0;require("http").createServer((q,s)=>{n++;s.end("hello\\n")}).listen(${PORT},()=>console.log("up"));
process.stdin.on("data",()=>console.log(n))`;
/** A count that has not changed for so long is final: what was in arrears has arrived. */
const SETTLED_MS = 500;

/** Who runs where. */
type Place = "apart" | "shared";
const PLACES: Record<Place, string> = { apart: "node and developer apart", shared: "all shared" };
const PROCESSORS = { node: "0", developer: "1" } as const;

interface Mode {
  readonly what: string;
  readonly incoming: Record<string, unknown>;
  readonly places: readonly Place[];
  readonly bound: string;
}

const MODES: readonly Mode[] = [
  {
    what: "requests that an installed filter does not match",
    incoming: { mode: "steal", http_filter: { header_filter: "^x-user: ann$" } },
    places: ["apart", "shared"],
    bound: "≥ 0.7",
  },
  { what: "requests that are mirrored", incoming: { mode: "mirror" }, places: ["apart", "shared"], bound: "≥ 0.8" },
  { what: "requests that are stolen", incoming: { mode: "steal" }, places: ["shared"], bound: "" },
];

export interface Load {
  readonly rate: number;
  readonly requests: number;
  readonly p50: string;
  readonly p99: string;
}

/** What the user's program got of it. */
interface Arrived {
  /** Until the load ended. */
  readonly inTime: number;
  readonly atLast: number;
}

type Sandbox = Awaited<ReturnType<typeof startSandbox>>;

/** The servers of the target; nginx as one that is quicker than any client. */
async function serversIn(directory: string): Promise<Record<string, string[]>> {
  const conf = `${directory}/nginx.conf`;
  await Deno.writeTextFile(
    conf,
    `daemon off; worker_processes 1; error_log /dev/null; pid ${directory}/pid; events { worker_connections 4096; }
http { access_log off; keepalive_requests 100000000; server { listen ${PORT}; location / { return 200 "hello\\n"; } } }`,
  );
  return { node: ["node", "-e", NODE], nginx: ["nginx", "-c", conf] };
}

/** `names` and `what` choose rows, for who works on one of them. */
export async function measureIncoming(names = /./, what = /./): Promise<Row[]> {
  const directory = await Deno.makeTempDir({ prefix: "mirrord-bench-" });
  const rows: Row[] = [];
  try {
    for (const [name, command] of Object.entries(await serversIn(directory))) {
      if (!names.test(name)) continue;
      for (const mode of MODES) {
        for (const place of mode.places) {
          if (what.test(`${mode.what}, ${place}`)) rows.push(await measureMode(name, command, mode, place));
        }
      }
      if (name === "node" && what.test("many")) rows.push(...await measureMany(command));
    }
    return rows;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** The target's server in a sandbox, and wrk beside it. */
async function withServer<T>(
  command: readonly string[],
  place: Place,
  use: (sandbox: Sandbox, load: () => Promise<Load>) => Promise<T>,
): Promise<T> {
  await using sandbox = await startSandbox();
  const inside = (args: readonly string[]) => ["nsenter", "--target", String(sandbox.pid), "--net", "--", ...args];
  const placed = (args: readonly string[]) =>
    place === "apart" ? ["taskset", "-c", PROCESSORS.node, ...inside(args)] : inside(args);
  const [program, ...args] = placed(command);
  const target = new Deno.Command(program!, { args, stdout: "null", stderr: "null" }).spawn();
  try {
    await outputOf(inside(["curl", "-s", "--retry", "20", "--retry-connrefused", `127.0.0.1:${PORT}`]));
    return await use(sandbox, () => loadOf(`127.0.0.1:${PORT}`, placed));
  } finally {
    target.kill("SIGTERM");
    await target.status;
  }
}

function measureMode(name: string, command: readonly string[], mode: Mode, place: Place): Promise<Row> {
  return withServer(command, place, async (sandbox, load) => {
    const direct: Load[] = [];
    const beside: (Load & Arrived)[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      direct.push(await load());
      beside.push(await besideRun(sandbox, mode, place, load));
    }
    const [ours, theirs] = [beside, direct].map((all) => median(all.map(({ rate }) => rate))) as [number, number];
    const { p50, p99 } = beside.at(-1)!;
    const share = (of: keyof Arrived) => {
      return `${(100 * median(beside.map((it) => it[of] / it.requests))).toFixed(0)} %`;
    };
    const arrived = `; ${share("inTime")} at the user's program while it lasted, ${share("atLast")} in the end`;
    return {
      what: `${mode.what} (${name}, ${PLACES[place]})`,
      ours: `${ours.toFixed(0)}/s, p50 ${p50}, p99 ${p99}${mode.incoming["mode"] === "mirror" ? arrived : ""}`,
      beside: `${theirs.toFixed(0)}/s without a run`,
      ratio: (ours / theirs).toFixed(2),
      bound: place === "apart" ? mode.bound : "",
    };
  });
}

async function besideRun(
  sandbox: Sandbox,
  { incoming }: Mode,
  place: Place,
  load: () => Promise<Load>,
): Promise<Load & Arrived> {
  const configuration = { feature: { network: { incoming } } };
  await using local = await LocalServer.start(sandbox, ["node", "-e", COUNTING], { configuration });
  await local.line();
  if (place === "apart") {
    const { intproxy, agent } = local.processes();
    for (const pid of [local.pid, intproxy]) await bindTo(PROCESSORS.developer, pid);
    await bindTo(PROCESSORS.node, agent);
  }
  const count = async () => {
    await local.say("\n");
    return Number(await local.line());
  };
  const result = await load();
  const inTime = await count();
  let atLast = inTime;
  for (let before = -1; before !== atLast;) {
    before = atLast;
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
    atLast = await count();
  }
  return { ...result, inTime, atLast };
}

/** All threads of a process; those that they start will be there too. */
async function bindTo(processor: string, pid: number): Promise<void> {
  await outputOf(["taskset", "-a", "-c", "-p", processor, String(pid)]);
}

/** `place` makes a command one that runs where wrk shall be. */
export async function loadOf(
  address: string,
  place: (command: readonly string[]) => readonly string[],
): Promise<Load> {
  const wrk = ["wrk", "-t1", "-c32", `-d${SECONDS}s`, "--latency", `http://${address}/`];
  const text = await outputOf([...place(wrk)]);
  const found = (pattern: RegExp) => pattern.exec(text)?.[1] ?? "";
  return {
    rate: Number(found(/Requests\/sec:\s+(\S+)/)),
    requests: Number(found(/(\d+) requests in/)),
    p50: found(/ 50%\s+(\S+)/),
    p99: found(/ 99%\s+(\S+)/),
  };
}

/** Opens them all, asks once on each, and keeps them. */
const MANY = `
import socket, sys
peers = [socket.create_connection(("127.0.0.1", ${PORT})) for _ in range(${CONNECTIONS})]
for peer in peers: peer.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
print(sum(b"hello" in peer.recv(4096) for peer in peers), flush=True)
sys.stdin.read()`;

function measureMany(command: readonly string[]): Promise<Row[]> {
  return withServer(command, "shared", async (sandbox, load) => {
    const configuration = { feature: { network: { incoming: { mode: "steal" } } } };
    await using local = await LocalServer.start(sandbox, ["node", "-e", NODE], { configuration });
    await local.line();
    const processes = Object.entries(local.processes());
    await load();
    const before = processes.map(([, pid]) => memoryOf(pid).ownMb);
    const args = ["--target", String(sandbox.pid), "--net", "--", "python3", "-c", MANY];
    const child = new Deno.Command("nsenter", { args, stdin: "piped", stdout: "piped" }).spawn();
    const reader = child.stdout.getReader();
    const answered = new TextDecoder().decode((await reader.read()).value).trim();
    const rows = processes.map(([who, pid], index): Row => ({
      what: `each of ${CONNECTIONS} stolen connections that are open, ${who}`,
      ours: `${((memoryOf(pid).ownMb - before[index]!) * 1024 / CONNECTIONS).toFixed(1)} kB`,
      beside: `${answered} answered`,
      ratio: "",
      bound: "≤ 64 kB",
    }));
    await child.stdin.close();
    await reader.cancel();
    await child.status;
    return rows;
  });
}

/** `deno run -A bench/incoming.ts [SERVERS] [ROWS]`: some of the rows alone, by regular expressions. */
if (import.meta.main) {
  const [servers, rows] = Deno.args.map((text) => new RegExp(text));
  const table = markdownTable(await measureIncoming(servers, rows));
  Deno.stdout.writeSync(new TextEncoder().encode(table + "\n"));
}
