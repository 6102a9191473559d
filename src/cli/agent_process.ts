/** Runs the agent in this process: its log goes to standard error (the pod's log, or our intproxy), signals end it. */
import { type AgentOptions, runAgent } from "../agent/mod.ts";
import { fromUtf8 } from "../base/bytes.ts";
import { ownCommand, userEnvironment } from "./self.ts";
import { complain } from "./terminal.ts";

/** Resolves with the exit code once the agent has left. */
export async function serveAsAgent(options: Omit<AgentOptions, "jq" | "log" | "signal">): Promise<number> {
  const controller = new AbortController();
  const end = () => controller.abort();
  const signals = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
  for (const name of signals) Deno.addSignalListener(name, end);
  try {
    const log = logger();
    await runAgent({ ...options, jq: jqCommand(), log, signal: controller.signal });
    return 0;
  } finally {
    for (const name of signals) Deno.removeSignalListener(name, end);
  }
}

function jqCommand(): NonNullable<AgentOptions["jq"]> {
  const env = Object.fromEntries([...userEnvironment()].map(([name, value]) => [name, fromUtf8(value)]));
  return { argv: ownCommand(["agent-jq"]), env };
}

function logger(): (line: string) => void {
  if (Deno.env.get("MIRRORD_AGENT_QUIET") === "true") return () => {};
  const isJson = Deno.env.get("MIRRORD_AGENT_JSON_LOG") === "true";
  return (message) => {
    const timestamp = new Date().toISOString();
    complain(`${isJson ? JSON.stringify({ timestamp, message }) : `${timestamp} ${message}`}\n`);
  };
}
