/** Programs with an allocator of their own: it may call us while it starts, behind its own lock. */
import assert from "node:assert/strict";
import { builtShim } from "../support/under_shim.ts";
import { isThere } from "../../src/base/is_there.ts";

const JEMALLOC = ["x86_64", "aarch64"].map((it) => `/usr/lib/${it}-linux-gnu/libjemalloc.so.2`).find(isThere);

/** Sanitizers are allocators, too. */
const isSanitized = Deno.env.has("SHIM_SANITIZE");
const whyNot = JEMALLOC === undefined ? "needs libjemalloc2" : isSanitized ? "not with sanitizers" : undefined;

Deno.test({
  name: `a program with jemalloc starts${whyNot ? ` (skipped: ${whyNot})` : ""}`,
  ignore: whyNot !== undefined,
  fn: async () => {
    const shim = await builtShim();
    const args = ["60", "env", `LD_PRELOAD=${shim}:${JEMALLOC}`, "ls", "/"];
    const { code } = await new Deno.Command("timeout", { args, stdout: "null" }).output();
    const TIMED_OUT = 124;
    assert.notEqual(code, TIMED_OUT);
    assert.equal(code, 0);
  },
});
