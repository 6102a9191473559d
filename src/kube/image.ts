/** The agent's image, where nobody names another: of the same version as we are. */
export function defaultAgentImage(version: string): string {
  return `ghcr.io/mirrord/mirrord-agent:${version}`;
}
