/**
 * How round trips show: bursts of real programs over the target's files, with a link of 20 ms and of 1 ms between intproxy and agent
 * (both in this process; the bytes wait by a timer, because many kernels are built without netem). Beside each stands the same over
 * the tree on this machine.
 */
import type { Duplex } from "../src/base/duplex.ts";
import { duplexPair } from "../src/base/duplex_pair.ts";
import { Whole } from "../tests/support/whole.ts";
import { outputOf, type Row } from "./measure.ts";

const BIG_MB = 200;
const SMALL = Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`/data/many/file${at}`, "x".repeat(4000)]));

const BURSTS: readonly { what: string; script: string }[] = [
  { what: "open and read 90 files of 4 kB", script: 'cat "$T"/data/many/file?[0-9]' },
  { what: "`tar` of 90 files of 4 kB", script: 'tar -cf - "$T"/data/many/file?[0-9] | cat' },
  { what: "`ls -l` of 1 000 names", script: 'ls -l "$T"/data/many' },
  { what: "`find` over 1 000 names", script: 'find "$T"/data -newer /etc/passwd' },
  { what: "`git status` of 90 files", script: 'cd "$T"/data/repo && git -c safe.directory=\\* status --short' },
  { what: `${BIG_MB} MB from beginning to end`, script: 'cat "$T"/data/big' },
];

export async function measureDelay(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const roundTripMs of [20, 1]) {
    for (const { what, ours, here, messages } of await measureAt(roundTripMs)) {
      rows.push({
        what: `${what}, R = ${roundTripMs} ms`,
        ours: `${ours.toFixed(0)} ms, ${messages} messages`,
        beside: `${here.toFixed(0)} ms on this machine`,
        ratio: `${((ours - here) / roundTripMs).toFixed(1)} R more`,
        bound: "",
      });
    }
  }
  return rows;
}

/** What is written arrives `ms` later, in order, however much is under way: distance without a limit of width. */
function delayed(duplex: Duplex, ms: number): Duplex {
  let last = Promise.resolve();
  return {
    read: (into) => duplex.read(into),
    writeAll(bytes) {
      const copy = bytes.slice();
      const due = new Promise<void>((resolve) => setTimeout(resolve, ms));
      last = Promise.all([last, due]).then(() => duplex.writeAll(copy)).catch(() => {});
      return Promise.resolve();
    },
    close: () => duplex.close(),
    [Symbol.dispose]: () => duplex.close(),
  };
}

interface Result {
  what: string;
  ours: number;
  here: number;
  messages: number;
}

async function measureAt(roundTripMs: number): Promise<Result[]> {
  const [near, far] = duplexPair();
  const link = [delayed(near, roundTripMs / 2), delayed(far, roundTripMs / 2)] as ReturnType<typeof duplexPair>;
  await using whole = await Whole.start(SMALL, undefined, {}, {}, link);
  await Deno.writeFile(`${whole.tree}/data/big`, new Uint8Array(BIG_MB << 20));
  const make = `mkdir -p "$0/data/repo" && cd "$0/data/repo" && git init -q && cp ../many/file?[0-9] . && git add -A &&
    git -c user.name=a -c user.email=a@b commit -qm one`;
  await outputOf(["sh", "-c", make, whole.tree]);
  const results: Result[] = [];
  for (const { what, script } of BURSTS) {
    const timed = async (
      tree: string,
      run: (command: string[]) => Promise<{ code?: number; stderr?: string; messages?: string[] }>,
    ) => {
      const started = performance.now();
      const { code, stderr, messages } = await run(["sh", "-c", `T=${tree}; ${script} >/dev/null`]);
      if (code) throw new Error(`${what} ended with ${code}: ${stderr}`);
      return { ms: performance.now() - started, messages: messages?.length ?? 0 };
    };
    const ours = await timed("", (command) => whole.run(command));
    const here = await timed(whole.tree, async (command) => (await outputOf(command), {}));
    results.push({ what, ours: ours.ms, here: here.ms, messages: ours.messages });
  }
  return results;
}
