/** What this agent may do and its kernel can, for `mirrord diagnose`. Tries what can be tried without changing anything. */
import type { AGENT } from "../proto/agent.ts";
import type { MessageNamed } from "../proto/schema.ts";
import { RedirectTable } from "./incoming/table.ts";

export function describeFeatures(): MessageNamed<typeof AGENT, "Features"> {
  const status = Deno.readTextFileSync("/proc/self/status");
  return {
    type: "Features",
    kernel: Deno.osRelease(),
    user: Deno.uid() ?? 0,
    capabilities: BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`),
    redirectErrno: tryRedirect(),
  };
}

/** A table without rules, which is gone again at once. */
function tryRedirect(): number {
  const table = RedirectTable.open(() => {}, true);
  if (typeof table === "number") return -table;
  table[Symbol.dispose]();
  return 0;
}
