/**
 * What connecting costs: 100 non-blocking connects at once over a link of 20 ms and of 1 ms, and one connection after the other as
 * programs make them that keep none. As in real life the intproxy (this process, which does nothing else), the agent and the way between
 * them (peer.c: many kernels are built without netem) are processes of their own.
 */
import { duplexOfChild } from "../src/cli/local_agent.ts";
import { eventually } from "../tests/support/eventually.ts";
import { Whole } from "../tests/support/whole.ts";
import type { Bench } from "./main.ts";
import { median, outputOf, type Row, sideBySide } from "./measure.ts";

const CONNECTS = 100;
const SERIAL = 300;
const ROUNDS = 9;
const PORT = 7073;
/** Not loopback: about that a program's own listeners have a say. */
const ADDRESS = "10.99.8.1";

export async function measureConnects(bench: Bench): Promise<Row[]> {
  const folder = await Deno.makeTempDir({ prefix: "mirrord-bench-" });
  const peer = `${folder}/peer`;
  await outputOf(["gcc", "-O2", "-o", peer, `${bench.root}bench/peer.c`]);
  const script = `ip link set lo up; ip address add ${ADDRESS}/32 dev lo; exec ${peer} sink ${PORT}`;
  const target = new Deno.Command("unshare", { args: ["--net", "sh", "-c", script] }).spawn();
  try {
    const inside = (words: string[]) => ["nsenter", "--target", String(target.pid), "--net", "--", ...words];
    const connects = [peer, "connects", ADDRESS, String(PORT), String(CONNECTS)];
    const here = async () => Number(await outputOf(inside(connects)));
    await eventually(async () => await here() > 0);
    const rows: Row[] = [];
    for (const roundTripMs of [20, 1]) {
      rows.push(await atOnce(bench, { peer, pid: target.pid, roundTripMs, connects, here }));
    }
    rows.push(await oneByOne(bench, target.pid, [peer, "serial", ADDRESS, String(PORT), String(SERIAL)], inside));
    return rows;
  } finally {
    target.kill("SIGKILL");
    await target.status;
    await Deno.remove(folder, { recursive: true });
  }
}

interface Far {
  readonly peer: string;
  readonly pid: number;
  readonly roundTripMs: number;
  readonly connects: string[];
  readonly here: () => Promise<number>;
}

async function atOnce(bench: Bench, { peer, pid, roundTripMs, connects, here }: Far): Promise<Row> {
  const agent = new Deno.Command(peer, {
    args: ["delay", String(roundTripMs / 2), bench.mirrord, "agent", "--stdio", "--pid", String(pid)],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let messages = 0;
  // The connections of a round end a round trip after their program has: the next round must not be measured while they do.
  const there = async () => {
    const run = await whole.run(connects);
    if (run.stdout === "") throw new Error(run.stderr);
    messages = run.messages.length;
    await new Promise((resolve) => setTimeout(resolve, 5 * roundTripMs));
    return Number(run.stdout);
  };
  const whole = await Whole.start({}, undefined, {}, {}, [duplexOfChild(agent)]);
  try {
    await there(); // the first one warms up
    const { ours, theirs } = await sideBySide(ROUNDS, there, here);
    return {
      what: `${CONNECTS} non-blocking connects at once, R = ${roundTripMs} ms`,
      ours: `${ours.toFixed(0)} ms, ${messages} messages`,
      beside: `${theirs.toFixed(0)} ms at the target`,
      ratio: `${(ours / roundTripMs).toFixed(1)} R`,
      bound: roundTripMs === 20 ? "≤ 2 R" : "",
    };
  } finally {
    await whole[Symbol.asyncDispose]();
    await agent.status;
  }
}

async function oneByOne(
  bench: Bench,
  pid: number,
  serial: string[],
  inside: (words: string[]) => string[],
): Promise<Row> {
  const env = { MIRRORD_PROGRESS_MODE: "off" };
  const script = `for round in 1 2 3 4 5; do ${serial.join(" ")}; done`;
  const rates = (text: string) => text.trim().split("\n").map(Number);
  const ours = rates(
    await outputOf([bench.mirrord, "exec", "--target", `process/${pid}`, "--", "sh", "-c", script], env),
  );
  const theirs = rates(await outputOf(inside(["sh", "-c", script])));
  return {
    what: "connections one after the other",
    ours: `${median(ours).toFixed(0)}/s`,
    beside: `${median(theirs).toFixed(0)}/s at the target`,
    ratio: (median(ours) / median(theirs)).toFixed(2),
    bound: "",
  };
}
