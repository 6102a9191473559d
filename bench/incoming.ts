/**
 * What mirrors, filters and stealing cost, in requests a second (wrk, 32 connections): the target's own server alone and with a run
 * beside it, in turns; and 1 000 connections that are stolen at once. Everything shares this machine. Needs wrk, node and nginx.
 */
import { startSandbox } from "../tests/support/sandbox.ts";
import { LocalServer } from "../tests/support/incoming.ts";
import { median, outputOf, type Row } from "./measure.ts";
import { memoryOf } from "./memory.ts";

const PORT = 8090;
const ROUNDS = 3;
const SECONDS = 3;
const CONNECTIONS = 1000;
const NODE = `require("http").createServer((q,s)=>s.end("hello\\n")).listen(${PORT},()=>console.log("up"))`;

const MODES: readonly { what: string; incoming: Record<string, unknown>; bound: string }[] = [
  {
    what: "requests that an installed filter does not match",
    incoming: { mode: "steal", http_filter: { header_filter: "^x-user: ann$" } },
    bound: "≥ 0.7",
  },
  { what: "requests that are mirrored", incoming: { mode: "mirror" }, bound: "≥ 0.8" },
  { what: "requests that are stolen", incoming: { mode: "steal" }, bound: "" },
];

export interface Load {
  readonly rate: number;
  readonly p50: string;
  readonly p99: string;
}

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

export async function measureIncoming(): Promise<Row[]> {
  const directory = await Deno.makeTempDir({ prefix: "mirrord-bench-" });
  const rows: Row[] = [];
  try {
    for (const [name, command] of Object.entries(await serversIn(directory))) {
      rows.push(...await measureServer(name, command));
    }
    return rows;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function measureServer(name: string, command: readonly string[]): Promise<Row[]> {
  await using sandbox = await startSandbox();
  const inside = (args: readonly string[]) => ["--target", String(sandbox.pid), "--net", "--", ...args];
  const target = new Deno.Command("nsenter", { args: inside(command), stdout: "null", stderr: "null" }).spawn();
  const load = () => measureLoad(inside);
  try {
    await outputOf(["nsenter", ...inside(["curl", "-s", "--retry", "20", "--retry-connrefused", `127.0.0.1:${PORT}`])]);
    const rows: Row[] = [];
    for (const { what, incoming, bound } of MODES) {
      const direct: Load[] = [];
      const beside: Load[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        direct.push(await load());
        const configuration = { feature: { network: { incoming } } };
        await using local = await LocalServer.start(sandbox, ["node", "-e", NODE], { configuration });
        await local.line();
        beside.push(await load());
      }
      const [ours, theirs] = [beside, direct].map((all) => median(all.map(({ rate }) => rate))) as [number, number];
      const { p50, p99 } = beside.at(-1)!;
      rows.push({
        what: `${what} (${name})`,
        ours: `${ours.toFixed(0)}/s, p50 ${p50}, p99 ${p99}`,
        beside: `${theirs.toFixed(0)}/s without a run`,
        ratio: (ours / theirs).toFixed(2),
        bound,
      });
    }
    if (name === "node") rows.push(...await measureMany(sandbox, inside));
    return rows;
  } finally {
    target.kill("SIGTERM");
    await target.status;
  }
}

function measureLoad(inside: (args: readonly string[]) => string[]): Promise<Load> {
  return loadOf(`127.0.0.1:${PORT}`, (command) => ["nsenter", ...inside(command)]);
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

async function measureMany(
  sandbox: Awaited<ReturnType<typeof startSandbox>>,
  inside: (args: readonly string[]) => string[],
) {
  const configuration = { feature: { network: { incoming: { mode: "steal" } } } };
  await using local = await LocalServer.start(sandbox, ["node", "-e", NODE], { configuration });
  await local.line();
  const processes = Object.entries(local.processes());
  await measureLoad(inside);
  const before = processes.map(([, pid]) => memoryOf(pid).ownMb);
  const args = inside(["python3", "-c", MANY]);
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
}
