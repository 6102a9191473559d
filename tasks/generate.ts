/**
 * `deno task gen`: prints native/wire.gen.h, docs/wire.md, docs/hooks.md, docs/config.md, mirrord-schema.json and
 * docs/conformance.md from their tables. With `--check` it only compares: the exit code says whether all are as printed.
 */
import { emitConfigDoc } from "../src/config/emit_md.ts";
import { emitConfigSchema } from "../src/config/emit_schema.ts";
import { AGENT, AGENT_PROTOCOL } from "../src/proto/agent.ts";
import { emitC } from "../src/proto/emit_c.ts";
import { emitHooksDoc, emitWireDoc, parseHooks } from "../src/proto/emit_md.ts";
import { LAYER, LAYER_LIMITS } from "../src/proto/layer.ts";
import { emitConformanceDoc } from "./conformance.ts";

const ROOT = new URL("../", import.meta.url);

/** What is printed: path from the root of the repository, and its text. */
export async function generated(): Promise<Map<string, string>> {
  const hooks = await Deno.readTextFile(new URL("native/hooks.def", ROOT));
  return new Map([
    ["native/wire.gen.h", emitC(LAYER, LAYER_LIMITS)],
    ["docs/config.md", emitConfigDoc()],
    ["mirrord-schema.json", emitConfigSchema()],
    ["docs/conformance.md", emitConformanceDoc()],
    ["docs/hooks.md", emitHooksDoc(parseHooks(hooks))],
    [
      "docs/wire.md",
      emitWireDoc([
        {
          title: "Shim and intproxy",
          intro: "Little-endian frames (u32 length of what follows, u8 type, u32 id, fields) on a Unix stream socket.",
          schema: LAYER,
        },
        {
          title: "Intproxy and agent",
          intro: `CBOR maps in frames of a u32 little-endian length; protocol ${AGENT_PROTOCOL}.`,
          schema: AGENT,
        },
      ]),
    ],
  ]);
}

/** The paths whose files differ from what would be printed. */
export async function outdated(): Promise<string[]> {
  const paths: string[] = [];
  for (const [path, text] of await generated()) {
    const present = await Deno.readTextFile(new URL(path, ROOT)).catch(() => undefined);
    if (present !== text) paths.push(path);
  }
  return paths;
}

async function print(): Promise<void> {
  for (const [path, text] of await generated()) await Deno.writeTextFile(new URL(path, ROOT), text);
}

if (import.meta.main) {
  if (!Deno.args.includes("--check")) await print();
  else if ((await outdated()).length > 0) {
    throw new Error(`Not as printed (run \`deno task gen\`): ${(await outdated()).join(", ")}`);
  }
}
