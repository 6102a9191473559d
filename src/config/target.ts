/**
 * What a run stands in for, as the user writes it: `KIND/NAME[/container/C]` with the kinds and short names kubectl knows,
 * `label/KEY=VALUE[,KEY=VALUE…]`, `process/PID`, `targetless`.
 */
import { UserError } from "../base/errors.ts";
import { nearest } from "../base/nearest.ts";

/** Kinds of objects that a target can name, each with its other names. */
export const TARGET_KINDS = {
  pod: ["po", "pods"],
  deployment: ["deploy", "deployments"],
  statefulset: ["sts", "statefulsets"],
  replicaset: ["rs", "replicasets"],
  daemonset: ["ds", "daemonsets"],
  job: ["jobs"],
  cronjob: ["cj", "cronjobs"],
  service: ["svc", "services"],
  rollout: ["ro", "rollouts"],
} as const satisfies Record<string, readonly string[]>;

export type TargetKind = keyof typeof TARGET_KINDS;

export type Target =
  | { readonly kind: TargetKind; readonly name: string; readonly container: string | undefined }
  /** `name` is "k=v,k2=v2": all of them. */
  | { readonly kind: "label"; readonly name: string; readonly container: string | undefined }
  | { readonly kind: "process"; readonly pid: number }
  | { readonly kind: "targetless" };

const KINDS: ReadonlyMap<string, TargetKind> = new Map(
  Object.entries(TARGET_KINDS).flatMap(([kind, others]) =>
    [kind, ...others].map((word) => [word, kind as TargetKind] as const)
  ),
);
const SUPPORTED = `supported: pod/NAME[/container/C], the same with ${
  Object.keys(TARGET_KINDS).slice(1).join(", ")
}; label/KEY=VALUE, process/PID, targetless`;
/** RFC 1123 subdomain, as Kubernetes wants names. */
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
/** As Kubernetes wants the keys of labels, and their values, which may be empty. */
const LABEL_KEY = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
/** Linux: /proc/sys/kernel/pid_max is at most 2^22. */
const MAX_PID = 1 << 22;

/** The kind that is meant by a word as kubectl takes it; undefined: none. */
export function kindOf(word: string): TargetKind | undefined {
  return KINDS.get(word);
}

/** Throws `UserError` when `text` is none. */
export function parseTarget(text: string): Target {
  if (text === "targetless") return { kind: "targetless" };
  const [word = "", name, marker, container, ...more] = text.split("/");
  if (word === "process") return parseProcess(text, name, marker);
  if (word === "label") return parseLabel(text);
  const kind = kindOf(word.toLowerCase());
  if (!kind) throw refuse(text, noSuchKind(word));
  if (name === undefined || !NAME.test(name)) throw refuse(text, `${JSON.stringify(name ?? "")} is not a name`);
  if (marker === undefined) return { kind, name, container: undefined };
  if (marker !== "container" || container === undefined || more.length > 0) {
    throw refuse(text, 'only "/container/NAME" may follow the name');
  }
  if (!NAME.test(container)) throw refuse(text, `${JSON.stringify(container)} is not a name of a container`);
  return { kind, name, container };
}

function noSuchKind(word: string): string {
  const near = nearest(word, [...KINDS.keys(), "label", "process", "targetless"]);
  return near === undefined ? "no such kind" : `no such kind; did you mean "${near}"?`;
}

/** Keys may have a "/" in them: only what comes last can name a container. */
function parseLabel(text: string): Target {
  const { selector = "", container } = /^label\/(?<selector>.*?)(\/container\/(?<container>[^/=]*))?$/s.exec(text)
    ?.groups ?? {};
  const pairs = selector.split(",").map((it) => it.trim().split("=", 2) as [string, string | undefined]);
  for (const [key, value] of pairs) {
    if (!LABEL_KEY.test(key) || value === undefined || !LABEL_VALUE.test(value)) {
      throw refuse(text, `"${value === undefined ? key : `${key}=${value}`}" is not a label as KEY=VALUE`);
    }
  }
  if (selector.split("=").length !== pairs.length + 1) throw refuse(text, `"${selector}" has a "=" too many`);
  if (container !== undefined && !NAME.test(container)) {
    throw refuse(text, `${JSON.stringify(container)} is not a name of a container`);
  }
  return { kind: "label", name: pairs.map((it) => it.join("=")).join(","), container };
}

function parseProcess(text: string, pid: string | undefined, more: string | undefined): Target {
  if (pid === undefined || !/^[1-9][0-9]*$/.test(pid) || Number(pid) > MAX_PID || more !== undefined) {
    throw refuse(text, `"${text.slice("process/".length)}" is not a process id`);
  }
  return { kind: "process", pid: Number(pid) };
}

function refuse(text: string, reason: string): UserError {
  const shown = text.length > 300 ? `${text.slice(0, 300)}…` : text;
  return new UserError("TARGET_INVALID", `Cannot use target ${JSON.stringify(shown)}: ${reason}`, {
    hint: SUPPORTED,
    exitCode: 2,
  });
}

/** As the user would write it. */
export function formatTarget(target: Target): string {
  if (target.kind === "targetless") return "targetless";
  if (target.kind === "process") return `process/${target.pid}`;
  return `${target.kind}/${target.name}${target.container === undefined ? "" : `/container/${target.container}`}`;
}
