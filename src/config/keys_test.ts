import assert from "node:assert/strict";
import { saidByFile } from "./keys.ts";
import { keyDecls } from "./options.ts";
import { OTHER_KEYS } from "./other_keys.ts";
import { formatConfig, resolveConfig } from "./resolve.ts";

/** The object that has `value` at "a.b.c". */
function at(key: string, value: unknown): Record<string, unknown> {
  return key.split(".").reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as Record<string, unknown>;
}

function messagesOf(content: Record<string, unknown>): string[] {
  return saidByFile(content, "x.json").errors.map((it) => `${it.message} (${it.hint})`);
}

for (
  const { content, means } of [
    { content: { target: "pod/web/container/app" }, means: { "target.path": "pod/web/container/app" } },
    { content: { target: { path: { pod: "web" } } }, means: { "target.path": "pod/web" } },
    {
      content: { target: { path: { deployment: "web", container: "app" }, namespace: "shop" } },
      means: { "target.path": "deployment/web/container/app", "target.namespace": "shop" },
    },
    { content: { target: { path: { stateful_set: "db" } } }, means: { "target.path": "statefulset/db" } },
    { content: { feature: { fs: "local" } }, means: { "feature.fs.mode": "local" } },
    { content: { feature: { fs: false } }, means: { "feature.fs.mode": "local" } },
    { content: { feature: { fs: true } }, means: {} },
    { content: { feature: { fs: { mode: "read" } } }, means: { "feature.fs.mode": "read" } },
    { content: { feature: { env: false } }, means: { "feature.env.exclude": "*" } },
    { content: { feature: { env: { include: ["A", "B"] } } }, means: { "feature.env.include": ["A", "B"] } },
    { content: { feature: { network: { dns: false } } }, means: { "feature.network.dns.enabled": false } },
    {
      content: { feature: { network: { outgoing: false } } },
      means: { "feature.network.outgoing.tcp": false, "feature.network.outgoing.udp": false },
    },
    {
      content: { feature: { network: false } },
      means: {
        "feature.network.incoming.mode": "off",
        "feature.network.dns.enabled": false,
        "feature.network.outgoing.tcp": false,
        "feature.network.outgoing.udp": false,
      },
    },
    {
      content: { feature: { network: { incoming: { mode: "off" } } } },
      means: { "feature.network.incoming.mode": "off" },
    },
    { content: { feature: { network: { incoming: "steal" } } }, means: { "feature.network.incoming.mode": "steal" } },
    { content: { feature: { network: true } }, means: { "feature.network.incoming.mode": "mirror" } },
    { content: { target: null, feature: null, agent: { ttl: null } }, means: {} },
    { content: { operator: false, $schema: "x", api: true, feature: { copy_target: false } }, means: {} },
  ]
) {
  Deno.test(`saidByFile() of ${JSON.stringify(content)} says ${JSON.stringify(means)}`, () => {
    const { said, errors } = saidByFile(content, "x.json");
    assert.deepEqual(errors, []);
    assert.deepEqual(Object.fromEntries(said.map((it) => [it.key, "value" in it && it.value])), means);
  });
}

for (
  const { content, says } of [
    {
      content: { targte: "pod/web" },
      says: /^Cannot use "targte" in x\.json: there is no such key \(did you mean "target"/,
    },
    {
      content: { feature: { env: { overide: {} } } },
      says: /"feature\.env\.overide" .* mean "feature\.env\.override"/,
    },
    { content: { unset: ["A"] }, says: /Cannot use "unset" in .* mean "feature\.env\.unset"/ },
    { content: { feature: { zzzzzz: 1 } }, says: /known in "feature": fs, env, .*network, .*hostname/ },
    {
      content: { agent: { ttl: "5" } },
      says: /value of "agent\.ttl" in x\.json: it is a string \(allowed: a whole number/,
    },
    { content: { agent: { ttl: 1.5 } }, says: /"1\.5" is not a number of seconds/ },
    { content: { agent: [] }, says: /value of "agent" in x\.json: it is an array \(allowed: an object with namespace/ },
    {
      content: { agent: { image: { tagg: "1" } } },
      says: /"agent\.image" in x\.json: "tagg" is no part of it \(registry, tag/,
    },
    { content: { target: 5 }, says: /value of "target" in x\.json: it is a number/ },
    {
      content: { target: { path: { pod: "a", deployment: "b" } } },
      says: /"target\.path" in x\.json: it is an object/,
    },
    {
      content: { skip_processes: ["a", 1] },
      says: /"skip_processes" in x\.json: it is an array \(allowed: an array of/,
    },
    { content: { feature: { fs: "wirte" } }, says: /there is no mode "wirte" \(one of: local/ },
    { content: { feature: { env: { override: { A: 1 } } } }, says: /override" in x\.json: "A" is a number/ },
    { content: { feature: { env: { override: { "A=B": "" } } } }, says: /"A=B" cannot be the name of a variable/ },
    {
      content: { feature: { network: { dns: { enabled: 1 } } } },
      says: /"feature\.network\.dns\.enabled" .* a number/,
    },
    {
      content: { feature: { network: { incoming: "stela" } } },
      says: /Cannot use the value of "feature\.network\.incoming\.mode" in x\.json: there is no mode "stela"/,
    },
    {
      content: { feature: { fs: { local: ["/x", "("] } } },
      says: /"feature\.fs\.local" .*: "\(" is no regular expression: /,
    },
    { content: { feature: { fs: { local: [1] } } }, says: /"feature\.fs\.local" .*: it is an array/ },
    { content: { feature: { fs: { not_found: ["(?=x)"] } } }, says: /look-around like \(\?=…\) cannot be used/ },
    { content: { feature: { fs: { readonly_file_buffer: 15728641 } } }, says: /not a whole number of bytes/ },
    { content: { operator: true }, says: /Cannot use "operator" in x\.json: it needs the operator/ },
    { content: JSON.parse('{ "__proto__": { "a": 1 } }'), says: /Cannot use "__proto__"/ },
  ]
) {
  Deno.test(`saidByFile() refuses ${JSON.stringify(content)}: ${says.source}`, () => {
    const messages = messagesOf(content);
    assert.equal(messages.length, 1, messages.join("\n"));
    assert.match(messages[0]!, says);
  });
}

Deno.test("saidByFile() tells all that is wrong, and what has no effect", () => {
  const { errors, warnings } = saidByFile({ a: 1, operator: true, agent: { ttl: [] }, api: true }, "x.json");
  assert.equal(errors.length, 3);
  assert.deepEqual(warnings, ['"api" in x.json has no effect here']);
});

Deno.test("saidByFile() accepts no other key in silence, but for a value that is what happens anyway", () => {
  for (const { key, why, fine = [] } of OTHER_KEYS) {
    const { errors, warnings } = saidByFile(at(key, "no such value"), "x.json");
    assert.deepEqual([errors.length, warnings.length], why === "harmless" ? [0, 1] : [1, 0], key);
    for (const value of fine) assert.deepEqual(messagesOf(at(key, value)), [], key);
  }
});

Deno.test("a key is in one of the tables, and what formatConfig() writes can be read again", () => {
  const keys = [...keyDecls(), ...OTHER_KEYS].map((it) => it.key);
  assert.deepEqual(keys, [...new Set(keys)]);
  const written = formatConfig(resolveConfig([{ key: "target.path", text: "pod/web", from: "-t" }]));
  assert.deepEqual(messagesOf(written), []);
  const { said } = saidByFile(written, "x.json");
  assert.deepEqual(formatConfig(resolveConfig(said)), written);
});

for (const { key, kind } of keyDecls()) {
  Deno.test(`saidByFile() refuses a value of the wrong type for ${key}, with what is allowed and exit code 2`, () => {
    const wrong = kind === "object" ? ["no object"] : new Date(0);
    const content = key.split(".").reduceRight<unknown>((inner, name) => ({ [name]: inner }), wrong);
    const { errors } = saidByFile(content as Record<string, unknown>, "x.json");
    assert.equal(errors.length, 1);
    assert.equal(errors[0]!.exitCode, 2);
    const named = key.replace(/^agent\.image\..*/, "agent.image"); // one value, in parts
    assert.ok(errors[0]!.message.includes(`"${named}" in x.json`), errors[0]!.message);
    assert.ok(errors[0]!.hint, errors[0]!.message);
  });
}
