/**
 * `deno task sanitize [address|thread|sys]`: the tests of the C once more, with what finds wrong memory, undefined behaviour and races.
 *
 * address: the shim under AddressSanitizer and UndefinedBehaviorSanitizer, in all programs of tests/shim. thread: many threads in the shim
 * under ThreadSanitizer. sys: the library of our own processes under UndefinedBehaviorSanitizer, in the tests of agent and layer, and under
 * AddressSanitizer in those of the agent's files.
 */
import { compile } from "../native/build.ts";
import { prepare, say, TO_BUILD } from "./prepare.ts";
import { runTests } from "./test.ts";

/** What loads the shim into Deno, or looks at what it is linked with. */
const NOT_SANITIZED = "--ignore=tests/shim/patterns_test.ts,tests/shim/exports_test.ts";

const RUNS: Readonly<Record<string, () => Promise<number>>> = {
  address: () => runTests([NOT_SANITIZED, "tests/shim/"], { SHIM_SANITIZE: "address,undefined" }),
  thread: () => runTests(["tests/shim/stress_test.ts"], { SHIM_SANITIZE: "thread" }),
  sys: testSys,
};

/** The tests load native/out/sys.so: it is the sanitized one while they run. */
async function testSys(): Promise<number> {
  try {
    await compile("sys.so", { extra: ["-fsanitize=undefined", "-fno-sanitize-recover=all", "-g"] });
    const found = await runTests(["src/agent/", "src/layer/", "tests/session/"]);
    if (found !== 0) return found;
    await compile("sys.so", { extra: ["-fsanitize=address", "-g"] });
    const preload = { LD_PRELOAD: "libasan.so.8", ASAN_OPTIONS: "detect_leaks=0:handle_segv=0:handle_sigill=0" };
    return await runTests(["src/agent/files_test.ts", "src/agent/files_listing_test.ts"], preload);
  } finally {
    await compile("sys.so");
  }
}

if (import.meta.main) {
  await prepare([...TO_BUILD, "curl", "python"]);
  const wanted = Deno.args.length > 0 ? Deno.args : Object.keys(RUNS);
  for (const name of wanted) {
    const run = RUNS[name];
    if (!run) throw new TypeError(`Cannot sanitize "${name}": one of ${Object.keys(RUNS).join(", ")}`);
    say(`sanitizer run: ${name}`);
    const code = await run();
    if (code !== 0) Deno.exit(code);
  }
}
