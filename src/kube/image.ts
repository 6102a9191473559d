/** The agent's image, where nobody names another: of the same version as we are. */
const REGISTRY = "ghcr.io/mirrord/mirrord-agent";

export function defaultAgentImage(version: string): string {
  return `${REGISTRY}:${version}`;
}

/** What was said of it: all, or the name without the tag, or the tag alone. */
export function agentImage(
  said: {
    readonly name?: string | undefined;
    readonly registry?: string | undefined;
    readonly tag?: string | undefined;
  },
  version: string,
): string {
  return said.name ?? `${said.registry ?? REGISTRY}:${said.tag ?? version}`;
}
