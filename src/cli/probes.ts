/**
 * Health probes of a target whose traffic is stolen: who steals a port that the kubelet asks has to answer it, or the cluster
 * restarts the container. An HTTP filter leaves them to the target, unless it matches them.
 */
import { utf8 } from "../base/bytes.ts";
import type { IncomingConfig } from "../config/incoming.ts";
import type { ProbedPort } from "../kube/container_ports.ts";
import { readHttpFilter } from "../proto/http_filter.ts";

export interface ProbeAdvice {
  /** With the ports of probes added to those that the filter is for. */
  readonly incoming: IncomingConfig;
  readonly warnings: readonly string[];
}

/** `sure` are ports that will be stolen; without them it is any that the program listens on. */
export function adviseOnProbes(
  incoming: IncomingConfig,
  all: readonly ProbedPort[],
  sure?: readonly number[],
): ProbeAdvice {
  if (incoming.mode !== "steal") return { incoming, warnings: [] };
  const probes = sure ? all.filter(({ port }) => sure.includes(port)) : all;
  const warnings = (some: readonly ProbedPort[], how: string) =>
    some.map((it) => warningOf(it, how, sure !== undefined));
  const stolen = probes.filter(({ port }) => mayBeStolen(incoming, port));
  if (incoming.filter === "") return { incoming, warnings: warnings(stolen, "is stolen whole") };
  const { filterPorts } = incoming;
  const isHttp = ({ protocol }: ProbedPort) => protocol !== "tcp";
  const added = filterPorts ? stolen.filter((it) => isHttp(it) && !filterPorts.includes(it.port)) : [];
  const filtered = stolen.filter((it) => isHttp(it) && isMatched(incoming.filter, it));
  const whole = filterPorts ? stolen.filter((it) => !isHttp(it) && !filterPorts.includes(it.port)) : [];
  return {
    incoming: added.length === 0 ? incoming : {
      ...incoming,
      filterPorts: [...new Set([...filterPorts ?? [], ...added.map((it) => it.port)])],
    },
    warnings: [...warnings(filtered, "matches the HTTP filter"), ...warnings(whole, "is stolen whole")],
  };
}

/** The program may listen there, as far as the configuration goes. */
function mayBeStolen({ ports, ignoredPorts, filterPorts }: IncomingConfig, port: number): boolean {
  const isNamed = !ports || ports.includes(port) || Boolean(filterPorts?.includes(port));
  return isNamed && !ignoredPorts.includes(port);
}

/** As the kubelet asks: kube-probe/MAJOR.MINOR. */
function isMatched(filter: string, { protocol, path }: ProbedPort): boolean {
  if (protocol === "grpc") {
    const target = utf8("/grpc.health.v1.Health/Check");
    return readHttpFilter(filter).test({
      method: utf8("POST"),
      target,
      headers: [utf8("content-type: application/grpc")],
    });
  }
  const headers = [utf8("User-Agent: kube-probe/1.30"), utf8("Accept: */*"), utf8("Connection: close")];
  return readHttpFilter(filter).test({ method: utf8("GET"), target: utf8(path), headers });
}

const CONSEQUENCES: Readonly<Record<ProbedPort["kind"], string>> = {
  liveness: "the cluster restarts the container",
  readiness: "its pod gets no traffic of Services any more",
  startup: "the cluster restarts the container",
};

function warningOf({ kind, protocol, port, path }: ProbedPort, how: string, isSure: boolean): string {
  const probe = protocol === "http" ? `GET ${path}` : protocol === "tcp" ? "a connection" : "gRPC";
  const when = isSure ? ": unless it is answered here" : ` if your program listens on port ${port}: unless it answers`;
  return `the target's ${kind} probe (${probe} at port ${port}) ${how}${when}, ${CONSEQUENCES[kind]}`;
}
