/** Every option with values that it cannot have: generated from the table of options, so that new rows are covered. */
import assert from "node:assert/strict";
import { UserError } from "../base/errors.ts";
import { saidByFile } from "./keys.ts";
import { optionRows, type ValueKind } from "./options.ts";
import { resolveConfig, saidByEnvironment } from "./resolve.ts";

/** For flags and variables; none: every text is fine. */
const WRONG_TEXTS: Readonly<Record<ValueKind, readonly string[]>> = {
  text: [" "],
  namespace: [" ", "Shop", "a/b", "-a", "a".repeat(64), "ä"],
  boolean: ["maybe", "yes", "2", "TRUE"],
  seconds: ["soon", "-1", "1.5", "86401", "1e3", "0x10", "99999999999"],
  list: [],
  fsMode: ["wirte", "READ"],
  map: ["a=b"],
  patterns: ["(", "a{2000}", "(?=x)"],
  addresses: ["http://a", "a:99999", "1.2.3.4/33"],
  milliseconds: ["soon", "-1", "1.5", "3600001"],
  bufferBytes: ["big", "-1", "15728641"],
  image: [" "],
  pullPolicy: ["Sometimes"],
  object: ["{}"],
  objects: ["[]"],
  incomingMode: ["stela"],
  pattern: ["(", "(?=x)"],
  httpFilters: ["[]"],
  ports: ["0", "65536", "http", "80;x"],
  portPairs: ["80:81"],
  logLevel: ["loud"],
};

/** For files: values of every type that JSON has, and which of them a kind takes. */
const TYPED: Readonly<Record<string, unknown>> = {
  "a string": "(",
  "a number": 1.5,
  "a boolean": true,
  "an array": [1.5],
  "an object": { a: 1 },
};
const TAKES: Readonly<Record<ValueKind, readonly (keyof typeof TYPED)[]>> = {
  text: ["a string"],
  namespace: [],
  boolean: ["a boolean"],
  seconds: [],
  list: ["a string"],
  fsMode: [],
  map: [],
  patterns: [],
  addresses: [],
  milliseconds: [],
  bufferBytes: [],
  image: ["a string"],
  pullPolicy: [],
  object: ["an object"],
  objects: [],
  incomingMode: [],
  pattern: ["a string"], // whether it is one is seen when all is known
  httpFilters: [],
  ports: [],
  portPairs: [],
  logLevel: [],
};

function assertSays(error: unknown, who: string): void {
  assert.ok(error instanceof UserError, String(error));
  assert.ok(error.message.startsWith("Cannot "), error.message);
  assert.ok(error.message.includes(who), `${error.message} does not name ${who}`);
  assert.doesNotMatch(error.message, /\n/);
  assert.ok(error.hint, `${error.message}: no hint`);
  assert.equal(error.exitCode, 2);
}

for (const { key, env, kind, flag } of optionRows()) {
  if (env) {
    Deno.test(`${env} refuses what ${key} cannot be (${kind})`, () => {
      for (const text of WRONG_TEXTS[kind]) {
        const said = saidByEnvironment((name) => name === env ? text : undefined);
        const target = { key: "target.path", text: "pod/web", from: "--target" } as const;
        assert.throws(
          () => resolveConfig(key === "target.path" ? said : [target, ...said]),
          (error) => {
            assertSays(error, error instanceof UserError && error.code === "TARGET_INVALID" ? "target" : env);
            return true;
          },
          `${env}=${text}`,
        );
      }
    });
  }
  Deno.test(`"${key}" in a file refuses values of other types (${kind}${flag ? `, ${flag}` : ""})`, () => {
    for (const [type, value] of Object.entries(TYPED)) {
      if (TAKES[kind].includes(type)) continue;
      if (key === "target.path" && type === "an object") continue; // { "pod": "web" }, checked as a target
      const nested = key.split(".").reduceRight<unknown>((inner, name) => ({ [name]: inner }), value);
      const { errors } = saidByFile(nested as Record<string, unknown>, "mirrord.json");
      assert.equal(errors.length, 1, `${type}: ${JSON.stringify(nested)}`);
      const who = key.startsWith("agent.image.") ? "agent.image" : key; // an object of two strings
      assertSays(errors[0], `"${who}" in mirrord.json`);
    }
  });
}
