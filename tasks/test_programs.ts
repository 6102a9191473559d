/**
 * `deno task test:programs`: real programs in a target's context, longer than `deno task test` should take. Installs the programs from
 * Debian where it may; what cannot be had is skipped by name. Arguments are handed to `deno test`.
 */
import { build } from "./build.ts";
import { prepare, say, TO_BUILD, tryToPrepare } from "./prepare.ts";
import { runTests } from "./test.ts";

const NETWORK = [
  "wget",
  "openssl",
  "socat",
  "dig",
  "host",
  "redis",
  "psql",
  "postgres",
  "wrk",
  "h2load",
  "nginx",
  "php",
] as const;

if (import.meta.main) {
  await prepare([...TO_BUILD, "ip", "unshare", "mount", "python"]);
  await tryToPrepare([
    "git",
    "sqlite",
    "node",
    "npm",
    "java",
    "rsync",
    "ruby",
    "make",
    "go",
    "busybox",
    "musl",
    "pip",
    ...NETWORK,
  ]);
  say(`built ${await build()}`);
  const paths = Deno.args.some((it) => !it.startsWith("-")) ? [] : ["tests/programs/"];
  Deno.exit(await runTests([...Deno.args, ...paths]));
}
