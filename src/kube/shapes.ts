/**
 * Whether an answer of success has the shape that everybody here relies upon. A proxy, a login page or a broken server may
 * answer in JSON as well; what does not look like Kubernetes is told, and never looked into.
 */
import { type Kind, KINDS } from "./kinds.ts";

/** Kinds of whose objects `spec` is read. */
const WITH_SPEC: ReadonlySet<string> = new Set([
  KINDS.services,
  KINDS.deployments,
  KINDS.statefulSets,
  KINDS.replicaSets,
  KINDS.daemonSets,
  KINDS.cronJobs,
  KINDS.rollouts,
].map((it) => it.resource));

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Of one object of this kind. */
export function isObjectOf({ resource }: Kind, value: unknown): boolean {
  if (!isRecord(value) || !isRecord(value.metadata) || typeof value.metadata.name !== "string") return false;
  if (!isAbsentOr(isRecord, value.status) || !isAbsentOr(isRecord, value.metadata.labels)) return false;
  if (resource === KINDS.events.resource) return isRecord(value.involvedObject);
  if (resource === KINDS.pods.resource) return isPodSpec(value.spec) && isPodStatus(value.status);
  return !WITH_SPEC.has(resource) || isRecord(value.spec);
}

/** A list, or a page of one; an empty one may have no items at all. */
export function isPageOf(kind: Kind, value: unknown): boolean {
  if (!isRecord(value) || !isRecord(value.metadata)) return false;
  const items = value.items ?? [];
  return Array.isArray(items) && items.every((it) => isObjectOf(kind, it));
}

/** What a watch tells of one. */
export function isChangeOf(kind: Kind, value: unknown): boolean {
  if (!isRecord(value)) return false;
  if (value.type === "ERROR") return true;
  return ["ADDED", "MODIFIED", "DELETED"].includes(String(value.type)) && isObjectOf(kind, value.object);
}

function isPodSpec(spec: unknown): boolean {
  return isRecord(spec) && isNamedList(spec.containers) && isAbsentOr(isNamedList, spec.initContainers) &&
    isAbsentOr(isNamedList, spec.ephemeralContainers);
}

function isPodStatus(status: unknown): boolean {
  if (!isRecord(status)) return true;
  const lists = [status.containerStatuses, status.initContainerStatuses, status.ephemeralContainerStatuses];
  return lists.every((it) => isAbsentOr(isNamedList, it)) &&
    isAbsentOr((it) => Array.isArray(it) && it.every(isRecord), status.conditions);
}

function isNamedList(value: unknown): boolean {
  return Array.isArray(value) && value.every((it) => isRecord(it) && typeof it.name === "string");
}

function isAbsentOr(holds: (value: unknown) => boolean, value: unknown): boolean {
  return value === undefined || value === null || holds(value);
}
