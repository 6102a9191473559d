/** What programs may do to calls: addresses that are none, stacks that are small. */
import assert from "node:assert/strict";
import { answerFrom, directory, file, link } from "../support/remote_tree.ts";
import { startUnderShim } from "../support/under_shim.ts";

const TREE = { "/data": directory("a", "l"), "/data/a": file("abc"), "/data/l": link("a") };

/** Sanitizers look at addresses themselves, and need stack of their own. */
const ignore = Deno.env.has("SHIM_SANITIZE");
const why = ignore ? " (not with sanitizers)" : "";

Deno.test(
  { name: `an address that is none is EFAULT for calls on paths, as the kernel has it${why}`, ignore },
  async () => {
    const settings = { fsMode: 3 };
    await using app = await startUnderShim("limits", ["addresses", "/data/a", "/data/l"], {
      answer: answerFrom(TREE),
      settings,
    });
    assert.equal(await app.output(), "done\n");
  },
);

Deno.test(
  { name: `a thread with the smallest stack opens, lists and asks about remote files${why}`, ignore },
  async () => {
    await using app = await startUnderShim("limits", ["little_stack", "/data/a"], { answer: answerFrom(TREE) });
    assert.equal(await app.output(), "3 abc 0 0 .\n");
  },
);
