/** Filters with jq programs: what they match, programs and headers that mean harm, and what is left of jq afterwards. */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { LocalServer, type RunOptions, startServer, whoAnswers } from "../support/incoming.ts";
import { mirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { type Sandbox, startSandbox, whyNoSandbox } from "../support/sandbox.ts";

const REASON = whyNotBuilt() ?? whyNoSandbox();
const URL_80 = "http://127.0.0.1/";
/** The user in the claims of a JWT. */
const JWT_USER =
  'capture("^authorization: Bearer [^.]+\\\\.(?<claims>[^.]+)").claims | @base64d | fromjson | .user == "ann"';

function test(name: string, body: (sandbox: Sandbox) => Promise<void>): void {
  testUnless(REASON, name, async () => {
    await using sandbox = await startSandbox();
    await body(sandbox);
  });
}

/** Machines that test are busy: a second is too short there for what is well. */
const PATIENT = { jaq_time_limit: 20 };

function filtered(http_filter: Record<string, unknown>, mode = "steal", agent: object = PATIENT): RunOptions {
  return { configuration: { agent, feature: { network: { incoming: { mode, http_filter } } } } };
}

function bearer(claims: unknown): string[] {
  return ["-H", `Authorization: Bearer e30.${btoa(JSON.stringify(claims))}.x`];
}

/** Processes that run jq for agents of a sandbox. */
function jqsIn(sandbox: Sandbox): number[] {
  return [...Deno.readDirSync("/proc")].filter(({ name }) => {
    const agent = /\0agent-jq\0([0-9]+)\0$/.exec(readText(`/proc/${name}/cmdline`))?.[1];
    return agent !== undefined && readText(`/proc/${agent}/cmdline`).includes(`\0--pid\0${sandbox.pid}\0`);
  }).map(({ name }) => Number(name));
}

function readText(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

test("a jq program over headers chooses requests of one connection, by the claims of a token say", async (sandbox) => {
  await using _server = await startServer(sandbox, filtered({ header_filter_jq: JWT_USER }));
  const ask = (...args: string[]) => whoAnswers(sandbox, ...args, URL_80);
  assert.deepEqual(
    [
      await ask(...bearer({ user: "ann" })),
      await ask(...bearer({ user: "bob" })),
      await ask(),
      await ask("-H", "Authorization: Bearer no.token"),
      await ask("-H", "Cookie: a=\xff", ...bearer({ user: "ann", n: 1 })),
    ],
    ["local", "target", "target", "target", "local"],
  );
  const mine = [...bearer({ user: "ann" }), URL_80];
  const text = await sandbox.inNetwork(["curl", "-sS", URL_80, "--next", "-sS", ...mine, "--next", "-sS", URL_80]);
  assert.deepEqual(text.match(/"by": "local"|"hostname":"sandbox/g), [
    '"hostname":"sandbox',
    '"by": "local"',
    '"hostname":"sandbox',
  ]);
  const [jq] = jqsIn(sandbox);
  assert.equal(readText(`/proc/${jq}/oom_score_adj`), "1000\n");
  const rights = [...Deno.readDirSync(`/proc/${jq}/task`)].map(({ name }) =>
    readText(`/proc/${jq}/task/${name}/status`).match(/^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs):.*/gm)
  );
  const none = "0".repeat(16);
  for (const it of rights) {
    const caps = ["Inh", "Prm", "Eff", "Amb"].map((name) => `Cap${name}:\t${none}`);
    assert.deepEqual(it, [...caps, "NoNewPrivs:\t1"]);
  }
});

test("streams of HTTP/2 are chosen by jq too, and their bodies wait for it", async (sandbox) => {
  const program = new URL("./programs/http2_server.mjs", import.meta.url).pathname;
  const options = filtered({ header_filter_jq: 'startswith("x-user: ") and endswith("ann")' });
  await using server = await LocalServer.start(sandbox, ["node", program, "80", "local"], options);
  assert.equal(await server.line(), "listening");
  const client = new URL("./programs/http2_client.mjs", import.meta.url).pathname;
  const requests = ["ann", "bob", "joann"].map((user) =>
    JSON.stringify({ ":method": "POST", ":path": "/", "x-user": user, body: "x".repeat(50_000) })
  );
  const answers = JSON.parse(await sandbox.inNetwork(["node", client, "http://127.0.0.1", ...requests]));
  assert.deepEqual(
    answers.map(({ text }: { text: string }) => JSON.parse(text).by ?? "target"),
    ["local", "target", "local"],
  );
});

test("jq in all_of and any_of, beside bodies; for mirrors", async (sandbox) => {
  const isAnn = { header_jq: '. == "x-user: ann"' };
  {
    const all_of = [isAnn, { path: "^/api" }, { body: "json", query: "$.n", matches: "^7$" }];
    await using _server = await startServer(sandbox, filtered({ all_of }));
    const ask = (path: string, body: string, user: string) =>
      whoAnswers(sandbox, "-d", body, "-H", `X-User:${user}`, `${URL_80}${path}`);
    assert.deepEqual(
      [
        await ask("api", '{"n": 7}', "ann"),
        await ask("api", '{"n": 8}', "ann"),
        await ask("api", '{"n": 7}', "bob"),
        await ask("", '{"n": 7}', "ann"),
      ],
      ["local", "target", "target", "target"],
    );
  }
  const any_of = [isAnn, { header_filter_jq: '. == "x-user: bob"' }];
  await using server = await startServer(sandbox, filtered({ any_of }, "mirror"));
  for (const user of ["eve", "bob"]) {
    assert.equal(await whoAnswers(sandbox, "-H", `X-User: ${user}`, `${URL_80}${user}`), "target");
  }
  const seen = server.seen(/served GET \/(\w+)/);
  await whoAnswers(sandbox, "-H", "X-User: ann", `${URL_80}ann`);
  await eventually(() => seen.some((it) => it[1] === "ann"));
  assert.ok(!seen.some((it) => it[1] === "eve"));
});

test("a program that a header makes run for ever delays that request alone, which is the target's", async (sandbox) => {
  const program =
    'if startswith("x-loop") then last(repeat(.)) elif startswith("x-eat") then [range(1e9)] else . == "x: 1" end';
  await using server = await startServer(sandbox, filtered({ header_filter_jq: program }, "steal", {}));
  const other = filtered({ header_filter_jq: '. == "x: 2"' });
  await using _other = await startServer(sandbox, { ...other, label: "other" });
  const warnings = server.seen(/took longer than 1 s/);
  const ask = (...headers: string[]) => whoAnswers(sandbox, ...headers.flatMap((it) => ["-H", it]), URL_80);
  await eventually(async () => await ask("X: 1") === "local");
  const first = jqsIn(sandbox);
  const slow = [ask("X-Loop: 1"), ask("X-Loop: 2")];
  // Another run's program does not wait; nor does what is known already.
  assert.deepEqual([await ask("X: 2"), await ask("X: 1")], ["other", "local"]);
  assert.deepEqual(await Promise.all(slow), ["target", "target"]);
  assert.equal(await ask("X-Eat: 1"), "target");
  await eventually(async () => await ask("X: 1", "X-More: 1") === "local");
  await eventually(() => jqsIn(sandbox).length === 2);
  assert.equal(jqsIn(sandbox).filter((it) => first.includes(it)).length, 1);
  await eventually(() => warnings.length > 0);
});

test("jq ends with the agent, however that ends and whatever it is doing", async (sandbox) => {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    await using server = await startServer(
      sandbox,
      filtered({ header_filter_jq: "last(repeat(.))" }, "steal", {
        jaq_time_limit: 600,
      }),
    );
    const asking = sandbox.inNetwork(["curl", "-sS", "--max-time", "1", URL_80]).catch(() => {});
    let jq = 0;
    await eventually(() => {
      jq = jqsIn(sandbox)[0] ?? 0;
      // It works: utime in clock ticks.
      return Number(readText(`/proc/${jq}/stat`).split(") ").at(-1)?.split(" ")[11]) > 30;
    });
    Deno.kill(server.processes().agent, signal);
    await eventually(() => readText(`/proc/${jq}/cmdline`) === "");
    await asking;
  }
});

testUnless(
  REASON,
  "what is no jq program is refused before anything starts, by its key and in jq's words",
  async () => {
    const file = await Deno.makeTempFile({ suffix: ".json" });
    for (
      const [http_filter, key] of [
        [{ header_filter_jq: "foo(1)" }, "header_filter_jq"],
        [{ any_of: [{ path: "x" }, { header_jq: "foo(1)" }] }, "any_of"],
      ] as const
    ) {
      await Deno.writeTextFile(file, JSON.stringify(filtered(http_filter).configuration));
      const { code, stderr } = await mirrord(["exec", "--target", "process/1", "-f", file, "true"]);
      assert.equal(code, 2);
      assert.match(
        stderr,
        new RegExp(`http_filter\\.${key}" in .*: "foo\\(1\\)" is no jq program: foo/1 is not defined`),
      );
      const verified = await mirrord(["verify-config", file], { env: { MIRRORD_IMPERSONATED_TARGET: "process/1" } });
      assert.match(verified.stdout, /foo\/1 is not defined at <top-level>, line 1, column 1/);
    }
    await Deno.remove(file);
  },
);
