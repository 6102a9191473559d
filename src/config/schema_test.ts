/** The published schema and the reader of files agree, on a file that says every key of the reference tool's. */
import assert from "node:assert/strict";
import { problems, type Schema } from "../../tests/support/json_schema.ts";
import { emitConfigSchema } from "./emit_schema.ts";
import { saidByFile } from "./keys.ts";
import { keyDecls } from "./options.ts";
import { OTHER_KEYS } from "./other_keys.ts";
import { resolveConfig } from "./resolve.ts";

const SCHEMA = JSON.parse(emitConfigSchema()) as Schema;
const EVERYTHING = JSON.parse(
  await Deno.readTextFile(new URL("../../tests/support/every_key.json", import.meta.url)),
) as Record<string, unknown>;

function keysOf(value: unknown, prefix = ""): string[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([name, inner]) => [prefix + name, ...keysOf(inner, `${prefix}${name}.`)]);
}

Deno.test("a file with every key of the reference tool's loads, and fits the schema", () => {
  const { said, errors } = saidByFile(EVERYTHING, "every_key.json");
  assert.deepEqual(errors.map((it) => it.message), []);
  resolveConfig(said);
  assert.deepEqual(problems(SCHEMA, EVERYTHING), []);
});

Deno.test("the file with every key has every key that is not refused in any value", () => {
  const said = new Set(keysOf(EVERYTHING));
  const wanted = [
    ...keyDecls().map((it) => it.key),
    ...OTHER_KEYS.filter((it) => it.why === "harmless" || (it.fine?.length ?? 0) > 0).map((it) => it.key),
  ];
  // Either of two that exclude each other, or the form of one.
  const others = [
    "feature.env.exclude",
    "agent.image.registry",
    "agent.image.tag",
    "feature.network.outgoing.filter.remote",
    "feature.network.dns.filter.remote",
    "feature.network.incoming.ignore_ports",
    "feature.network.incoming.http_filter.header_filter",
    "feature.network.incoming.http_filter.header_filter_jq",
    "feature.network.incoming.http_filter.path_filter",
    "feature.network.incoming.http_filter.method_filter",
    "feature.network.incoming.http_filter.body_filter",
    "feature.network.incoming.http_filter.any_of",
  ];
  assert.deepEqual(wanted.filter((it) => !said.has(it) && !others.includes(it)), []);
});

for (
  const wrong of [
    { targte: "pod/a" },
    { agent: { ttl: "long" } },
    { feature: { fs: "raed" } },
    { feature: { fs: { mode: "raed" } } },
    { feature: { network: { dns: 5 } } },
    { operator: true },
    { feature: { env: { override: { A: 1 } } } },
  ]
) {
  Deno.test(`the schema and the reader both refuse ${JSON.stringify(wrong)}`, () => {
    assert.notDeepEqual(saidByFile(wrong, "x").errors, []);
    const isShortMode = wrong.feature?.fs === "raed"; // a word of its own: the schema knows that it is one
    if (!isShortMode) assert.notDeepEqual(problems(SCHEMA, wrong), []);
  });
}
