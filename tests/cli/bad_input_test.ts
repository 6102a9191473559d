/** Input that cannot be right is refused with one sentence before anything is started: nothing is asked, nothing is made. */
import assert from "node:assert/strict";
import { EXEC_OPTIONS, type ValueKind } from "../../src/config/options.ts";
import { startApiServer } from "../support/api_server.ts";
import { exec, mirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";

const REASON = whyNotBuilt();

/** A folder with an API server's kubeconfig in it, to which nobody may have spoken in the end. */
async function unasked(use: (env: Record<string, string>, folder: string) => Promise<void>): Promise<void> {
  await using api = startApiServer(() => new Response(null, { status: 500 }));
  const folder = await Deno.makeTempDir();
  try {
    const config = {
      clusters: [{ name: "c", cluster: { server: api.server.url } }],
      contexts: [{ name: "c", context: { cluster: "c" } }],
      "current-context": "c",
    };
    await Deno.writeTextFile(`${folder}/config`, JSON.stringify(config));
    const env = { KUBECONFIG: `${folder}/config`, XDG_RUNTIME_DIR: `${folder}/run` };
    await use(env, folder);
    assert.equal(api.requests.length, 0);
    assert.deepEqual([...Deno.readDirSync(folder)].filter((it) => it.name === "run"), [], "no session was begun");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** One error, one hint, in one line each, with nothing in it that a terminal would obey. */
function assertOneSentence({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }, says: RegExp) {
  assert.deepEqual([code, stdout], [2, ""], stderr);
  assert.match(stderr, /^error: Cannot [^\n]*\n hint: [^\n]* {3}\(code [A-Z_]+\)\n$/);
  assert.match(stderr, says);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(stderr, /[\x00-\x09\x0b-\x1f\x7f]/);
}

/** One wrong value for each kind that a flag can have; undefined: any text is fine. */
const WRONG: Readonly<Record<ValueKind, string | undefined>> = {
  text: " ",
  namespace: "Not A Name",
  boolean: "perhaps",
  seconds: "soon",
  list: undefined,
  fsMode: "wirte",
  map: "a",
  patterns: "(",
  addresses: "a:99999",
  bufferBytes: "big",
  milliseconds: "soon",
  image: " ",
  pullPolicy: "Sometimes",
  object: "x",
  objects: "x",
  incomingMode: "stela",
  pattern: "(",
  httpFilters: "x",
  ports: "http",
  portPairs: "x",
  logLevel: "loud",
};

testUnless(REASON, "every flag refuses a value that it cannot have, by its name", async () => {
  await unasked(async (env) => {
    const flags = EXEC_OPTIONS.filter((it) => it.value !== undefined && WRONG[it.kind] !== undefined);
    assert.ok(flags.length > 10);
    for (const { flag, short, kind, key, isValueOptional } of flags) {
      const says = key === "target.path" ? /^error: Cannot use / : new RegExp(`Cannot use the value of ${flag}: `);
      const given = [[`${flag}=${WRONG[kind]}`], ...short && !isValueOptional ? [[short, WRONG[kind]!]] : []];
      for (const words of given) assertOneSentence(await exec([...words, "true"], { env }), says);
    }
  });
});

const FILES: readonly (readonly [string, string, string | Uint8Array, RegExp])[] = [
  ["is not UTF-8", "a.json", Uint8Array.of(0x7b, 0xff, 0x7d), /"a\.json": it is not UTF-8/],
  ["is UTF-16", "a.yaml", Uint8Array.of(0xff, 0xfe, 0x61, 0x00), /it is not UTF-8/],
  ["is 10 MB long, and a byte", "a.json", " ".repeat((10 << 20) + 1), /it is over 10 MiB long/],
  ["is empty", "a.json", "", /line 1 is no JSON: unexpected end/],
  ["is a list", "a.json", "[]", /it is not an object of keys/],
  ["is a word", "a.yaml", "hello", /it is not an object of keys/],
  ["is wrong JSON", "a.json", '{\n  "target": "pod/web",\n  "agent": {,}\n}', /line 3 is no JSON: /],
  ["is JSON with a comma too many", "a.json", '{\n  "target": "pod/web",\n}', /line 3 is no JSON: /],
  ["is cut off", "a.json", '{\n  "target": "pod/', /line 2 is no JSON: /],
  ["is wrong YAML", "a.yaml", "target: pod/web\nagent:\n  ttl: [1\n", /line \d is no YAML: /],
  ["is YAML with tabs", "a.yml", "agent:\n\tttl: 1\n", /line 2 is no YAML: /],
  ["is YAML that says a key twice", "a.yaml", "target: a\ntarget: b\n", /line 2 is no YAML: /],
  [
    "is YAML that grows",
    "a.yaml",
    `a: &a [x,x,x,x,x,x,x,x,x]\n${
      [..."bcdefghij"].map((it, at) => `${it}: &${it} [${`*${"abcdefghi"[at]},`.repeat(9)}]`).join("\n")
    }\n`,
    /is no YAML: .*alias/,
  ],
  ["is wrong TOML", "a.toml", "[agent]\nttl = 5\nttl = 6\n", /line 3 is no TOML: /],
  ["is TOML that ends too soon", "a.toml", 'target = "pod/web\n', /line 1 is no TOML: /],
  ["has another ending", "a.ini", "x", /files that end with "\.ini" are not read/],
  ["is a template that loops", "a.json", "{}\n{% for i in range(end=9) %}{% endfor %}", /line 2: loops cannot be used/],
  ["is a template that does not end", "a.json", '{ "key": "{{ key" }', /template cannot be rendered: line 1: /],
  ["is a template of what is not there", "a.json", '{ "target": "{{ get_env(name=`NO_SUCH`) }}" }', /NO_SUCH/],
  [
    "has an unknown key",
    "a.json",
    '{ "feature": { "netwrok": {} } }',
    /"feature\.netwrok".*\n hint: .*"feature\.network"/,
  ],
  [
    "has a key of the operator",
    "a.json",
    '{ "operator": true }',
    /it needs the operator, which this tool does not have/,
  ],
  [
    "has keys that contradict",
    "a.json",
    '{ "feature": { "env": { "include": "A", "exclude": "B" } } }',
    /feature\.env\.include" in a\.json together with "feature\.env\.exclude" in a\.json: each says/,
  ],
  [
    "has a key that means more to JavaScript",
    "a.json",
    '{ "__proto__": { "target": "x" }, "target": 5 }',
    /Cannot use/,
  ],
  [
    "has a section of the wrong type",
    "a.json",
    '{ "agent": "x" }',
    /value of "agent" in a\.json: it is a string.*\n hint: allowed: an object with /,
  ],
  [
    "has a port that is none",
    "a.json",
    '{ "target": "pod/a", "feature": { "network": { "incoming": { "ports": [0] } } } }',
    /feature\.network\.incoming\.ports/,
  ],
];

for (const [what, name, content, says] of FILES) {
  testUnless(REASON, `a configuration file that ${what} is refused`, async () => {
    await unasked(async (env, cwd) => {
      const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
      await Deno.writeFile(`${cwd}/${name}`, bytes);
      assertOneSentence(await exec(["-f", name, "true"], { env, cwd }), says);
    });
  });
}

testUnless(REASON, "10 MB of configuration are read, or refused, within reason", async () => {
  await unasked(async (env, cwd) => {
    const override = Object.fromEntries(Array.from({ length: 100_000 }, (_, at) => [`NAME_${at}`, "x".repeat(70)]));
    await Deno.writeTextFile(`${cwd}/big.json`, JSON.stringify({ feature: { env: { override } } }));
    const { code, stdout } = await mirrord(["verify-config", "big.json"], { env, cwd });
    assert.equal(code, 0);
    assert.equal(JSON.parse(stdout).type, "Success");
    await Deno.writeTextFile(`${cwd}/deep.json`, "[".repeat(1_000_000));
    assertOneSentence(await exec(["-f", "deep.json", "true"], { env, cwd }), /deep\.json": line 1 is no JSON/);
  });
});

const TARGETS = [
  ["pod/web;rm -rf", /is not a name/],
  ["pod/../secrets/x", /only "\/container\/NAME" may follow|is not a name/],
  ["pod/web%2f..", /is not a name/],
  ["pod/\x1b[31mred", /"\\u001b\[31mred" is not a name/],
  ["pod/a\nerror: all is lost", /is not a name/],
  ["pod/\u202egnp", /is not a name/],
  ["pod/Web", /is not a name/],
  [`pod/${"a".repeat(300)}`, /is not a name/],
  ["pod/ぽっど", /is not a name/],
  ["💥/web", /no such kind/],
  ["deployment/web/container/", /is not a name of a container/],
  ["label/app=web,tier", /is not a label as KEY=VALUE/],
  ["", /it is empty|is not/],
] as const;

for (const [target, says] of TARGETS) {
  testUnless(REASON, `target ${JSON.stringify(target.slice(0, 20))} is refused, and shown as what it is`, async () => {
    await unasked(async (env) => assertOneSentence(await exec(["-t", target, "true"], { env }), says));
  });
}
