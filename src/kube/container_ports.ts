/** What a container's spec tells of its ports: those it listens on, and those that the kubelet asks whether it is well. */
import type { Container, Probe } from "./objects.ts";

export interface ProbedPort {
  readonly kind: "liveness" | "readiness" | "startup";
  readonly protocol: "http" | "tcp" | "grpc";
  readonly port: number;
  /** Of HTTP. */
  readonly path: string;
}

export interface ContainerPorts {
  readonly ports: readonly number[];
  readonly probes: readonly ProbedPort[];
}

export function portsOf(container: Container): ContainerPorts {
  const all = container.ports ?? [];
  const ports = all.filter((it) => (it.protocol ?? "TCP") === "TCP").map((it) => it.containerPort);
  const probe = (kind: ProbedPort["kind"], it: Probe | undefined): ProbedPort[] => {
    const port = (named: number | string | undefined) =>
      typeof named === "string" ? all.find(({ name }) => name === named)?.containerPort : named;
    const of = (protocol: ProbedPort["protocol"], number: number | undefined, path = ""): ProbedPort[] =>
      number === undefined ? [] : [{ kind, protocol, port: number, path }];
    if (it?.httpGet) return of("http", port(it.httpGet.port), it.httpGet.path ?? "/");
    if (it?.grpc) return of("grpc", it.grpc.port);
    return of("tcp", port(it?.tcpSocket?.port));
  };
  return {
    ports: [...new Set(ports)],
    probes: [
      ...probe("liveness", container.livenessProbe),
      ...probe("readiness", container.readinessProbe),
      ...probe("startup", container.startupProbe),
    ],
  };
}
