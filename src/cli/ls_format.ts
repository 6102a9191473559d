/** How `mirrord ls` prints what it found. */
import type { ListedTarget } from "../kube/listing.ts";

export const OUTPUTS = ["json", "name", "table", "wide"] as const;
type Output = typeof OUTPUTS[number];

export function formatTargets(
  targets: readonly ListedTarget[],
  output: Output,
  isAll: boolean,
  now: number = Date.now(),
): string {
  const paths = targets.map(pathOf);
  if (output === "json") {
    return JSON.stringify(isAll ? targets.map((it, at) => ({ namespace: it.namespace, path: paths[at]! })) : paths);
  }
  if (output === "name") return paths.join("\n");
  const columns = (namespace: string, path: string, more: readonly string[]) => [
    ...(isAll ? [namespace] : []),
    path,
    ...(output === "wide" ? more : []),
  ];
  return formatTable([
    columns("NAMESPACE", "TARGET", ["READY", "AGE", "IMAGE"]),
    ...targets.map((it, at) => columns(it.namespace, paths[at]!, [it.ready || "-", age(it, now), it.images.join(",")])),
  ]);
}

/** As the reference tool's plugins for IDEs read it. */
export function formatRichTargets(
  targets: readonly ListedTarget[],
  currentNamespace: string,
  namespaces: readonly string[],
): string {
  return JSON.stringify({
    targets: targets.map((it) => ({ path: pathOf(it), available: true })),
    current_namespace: currentNamespace,
    namespaces,
  });
}

function pathOf({ kind, name, container }: ListedTarget): string {
  return `${kind}/${name}${container === undefined ? "" : `/container/${container}`}`;
}

/** As kubectl counts: the biggest unit that is at least two, or one that is days. */
function age({ createdAt }: ListedTarget, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(createdAt ?? "")) / 1000));
  if (Number.isNaN(seconds)) return "-";
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 120 * 60) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86400)}d`;
}

export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("   ").trimEnd()).join("\n");
}
