/** What the processes of a run ask for, as lines of a log. */
import { fromUtf8 } from "../../base/bytes.ts";
import type { LayerFrame } from "../../proto/layer.ts";
import { RULES } from "../rules.ts";
import { endpointOf } from "./addresses.ts";

/** Takes a line; "debug" is what is asked, "trace" what is not asked because it is this machine's. */
export type Trace = (level: "debug" | "trace", line: string) => void;

export function traceRequest(trace: Trace, frame: LayerFrame, pid: number): void {
  if (frame.type !== "Note") return trace("debug", describeRequest(frame, pid));
  const local = localNote(frame.text);
  if (local) trace("trace", `process ${pid}: leaves "${local.path}" to this machine (${local.rule})`);
}

/** Path, name and address of a request tell what it is about; the rest is for those who read docs/wire.md. */
function describeRequest(frame: LayerFrame, pid: number): string {
  const fields = frame as unknown as Readonly<Record<string, unknown>>;
  const parts = Object.entries(fields).flatMap(([name, value]) => {
    if (name === "path" || name.endsWith("Path") || name === "name" && value instanceof Uint8Array) {
      return [`"${fromUtf8(value as Uint8Array)}"`];
    }
    if (name === "address" && value instanceof Uint8Array && (value.length === 4 || value.length === 16)) {
      return [endpointOf(value, Number(fields["port"] ?? 0))];
    }
    return ["name", "text", "node"].includes(name) && typeof value === "string" ? [JSON.stringify(value)] : [];
  });
  return `process ${pid}: ${[frame.type, ...parts].join(" ")}`;
}

/** As native/paths.c has it: the path, and the number of the rule. */
function localNote(text: string): { path: string; rule: string } | undefined {
  const match = /^local "(.*)": it (\d\d)$/s.exec(text);
  const rule = match && RULES[Number(match[2])];
  return rule ? { path: match[1]!, rule } : undefined;
}

export function isLocalNote(text: string): boolean {
  return text.startsWith('local "');
}
