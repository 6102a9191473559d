/** Where an API server is and who we are to it: plain JSON, so that the intproxy can be handed it. */
export interface ApiServer {
  /** As the kubeconfig has it: scheme, host, perhaps a port and a path. */
  readonly url: string;
  /** The kubeconfig's context, for messages. */
  readonly context: string;
  /** What authenticates us: `Authorization`, `Impersonate-User`. */
  readonly headers: Readonly<Record<string, string>>;
  /** PEM, all three. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Name the certificate must carry, where it is not the URL's. */
  readonly serverName?: string;
  /** Its certificate is not verified. */
  readonly isInsecure?: boolean;
  /** URL of the proxy that leads there. */
  readonly proxy?: string;
}

/** The server as messages name it. */
export function describeServer(server: ApiServer): string {
  return `the API server ${server.url} (context "${server.context}")`;
}
