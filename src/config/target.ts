/** What a run stands in for, as the user writes it: `pod/NAME[/container/C]`, `deployment/…`, `process/PID`, `targetless`. */
import { UserError } from "../base/errors.ts";

export type Target =
  | { readonly kind: "pod" | "deployment"; readonly name: string; readonly container: string | undefined }
  | { readonly kind: "process"; readonly pid: number }
  | { readonly kind: "targetless" };

/** What works today; the message that refuses the rest says it. */
const SUPPORTED = "supported: pod/NAME[/container/C], deployment/NAME[/container/C], process/PID, targetless";
const KINDS: Readonly<Record<string, "pod" | "deployment">> = {
  pod: "pod",
  deployment: "deployment",
  deploy: "deployment",
};
/** Kinds of the reference tool that come later: known, and refused by name. */
const LATER = ["rollout", "job", "cronjob", "statefulset", "service", "replicaset", "label"];
/** RFC 1123 subdomain, as Kubernetes wants names. */
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
/** Linux: /proc/sys/kernel/pid_max is at most 2^22. */
const MAX_PID = 1 << 22;

/** Throws `UserError` when `text` is none. */
export function parseTarget(text: string): Target {
  if (text === "targetless") return { kind: "targetless" };
  const [word = "", name, marker, container, ...more] = text.split("/");
  if (word === "process") return parseProcess(text, name, marker);
  const kind = Object.hasOwn(KINDS, word) ? KINDS[word] : undefined;
  if (!kind) throw refuse(text, LATER.includes(word) ? `targets of kind "${word}" do not work yet` : "no such kind");
  if (name === undefined || !NAME.test(name)) throw refuse(text, `"${name ?? ""}" is not a name`);
  if (marker === undefined) return { kind, name, container: undefined };
  if (marker !== "container" || container === undefined || more.length > 0) {
    throw refuse(text, 'only "/container/NAME" may follow the name');
  }
  if (!NAME.test(container)) throw refuse(text, `"${container}" is not a name of a container`);
  return { kind, name, container };
}

function parseProcess(text: string, pid: string | undefined, more: string | undefined): Target {
  if (pid === undefined || !/^[1-9][0-9]*$/.test(pid) || Number(pid) > MAX_PID || more !== undefined) {
    throw refuse(text, `"${text.slice("process/".length)}" is not a process id`);
  }
  return { kind: "process", pid: Number(pid) };
}

function refuse(text: string, reason: string): UserError {
  return new UserError("TARGET_INVALID", `Cannot use target "${text}": ${reason}`, { hint: SUPPORTED, exitCode: 2 });
}

/** As the user would write it. */
export function formatTarget(target: Target): string {
  if (target.kind === "targetless") return "targetless";
  if (target.kind === "process") return `process/${target.pid}`;
  return `${target.kind}/${target.name}${target.container === undefined ? "" : `/container/${target.container}`}`;
}
