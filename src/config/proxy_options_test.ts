import assert from "node:assert/strict";
import { parseLogLevel } from "./proxy_options.ts";

Deno.test("parseLogLevel() reads levels, and the reference tool's lists of them", () => {
  const cases: Record<string, string | undefined> = {
    "debug": "debug",
    "TRACE": "trace",
    "mirrord=info,warn": "info",
    "warn,mirrord_intproxy=trace": "trace",
    "hyper=debug,warn": "warn",
    "hyper=debug": "debug",
    "off": "off",
    "run.log": undefined,
    "/tmp/debug": undefined,
    "": undefined,
    "a=b=c": undefined,
  };
  for (const [text, level] of Object.entries(cases)) assert.equal(parseLogLevel(text), level, text);
});
