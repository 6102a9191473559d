/** What the API server's refusals and the network's failures are called for a person. */
import { UserError } from "../base/errors.ts";
import { type ApiServer, describeServer } from "./api_server.ts";
import { DeadlineError } from "./deadline.ts";

/** What was asked of the API server, as its own access rules name it. */
export interface Asked {
  readonly verb: "get" | "list" | "watch" | "create" | "patch" | "delete";
  /** "pods", "pods/portforward", "jobs". */
  readonly resource: string;
  readonly namespace: string | undefined;
  readonly name?: string | undefined;
}

/** An HTTP status in place of an answer. */
export class RefusedError extends UserError {
  constructor(
    code: string,
    message: string,
    readonly status: number,
    /** Kubernetes' own word for it: "AlreadyExists", "Expired". */
    readonly reason: string,
    hint: string | undefined,
    /** How long the server wants to be left alone. */
    readonly retryAfterMs?: number | undefined,
    /** Where to go on with a list that is too old. */
    readonly resume?: string | undefined,
  ) {
    super(code, message, hint === undefined ? {} : { hint });
  }
}

interface Status {
  message?: string;
  reason?: string;
  metadata?: { continue?: unknown };
}

interface Refusal {
  readonly code: string;
  /** Our own sentence, where the server's does not say it well. */
  readonly because?: (server: ApiServer) => string;
  readonly hint: (asked: Asked, server: ApiServer) => string | undefined;
}

const REFUSALS: Readonly<Record<number, Refusal>> = {
  401: {
    code: "KUBE_UNAUTHORIZED",
    because: (server) => `${describeServer(server)} does not accept the kubeconfig's credentials (401 Unauthorized)`,
    hint: (asked) => `log in to it again; ${kubectlMustWork(asked)}`,
  },
  403: {
    code: "KUBE_FORBIDDEN",
    hint: ({ verb, resource, namespace }) =>
      `\`kubectl auth can-i ${verb} ${resource}${namespace ? ` --namespace ${namespace}` : ""}\` must say yes; ` +
      "a Role and a RoleBinding give the right",
  },
  404: { code: "KUBE_NOT_FOUND", hint: kubectlMustWork },
  409: { code: "KUBE_CONFLICT", hint: () => "somebody else changed it at the same time: try again" },
  410: { code: "KUBE_EXPIRED", hint: () => "try again" },
  429: { code: "KUBE_BUSY", hint: () => "the API server has too much to do: try again later" },
};

const SERVER_FAILED: Refusal = { code: "KUBE_SERVER_ERROR", hint: () => "the API server's own log says more" };
const OTHERWISE_REFUSED: Refusal = { code: "KUBE_REFUSED", hint: kubectlMustWork };

export function refusalOf(
  server: ApiServer,
  asked: Asked,
  status: number,
  body: string,
  retryAfter: string | null = null,
): RefusedError {
  const { message, reason, metadata } = parseStatus(body);
  const refusal = REFUSALS[status] ?? (status >= 500 ? SERVER_FAILED : OTHERWISE_REFUSED);
  const because = refusal.because?.(server) ?? message ?? `${describeServer(server)} answered ${status}`;
  const hint = refusal.hint(asked, server);
  const pauseMs = retryAfter === null ? undefined : pauseOf(retryAfter);
  const wish = status === 429 && pauseMs ? ` (it wants to be left alone for ${Math.ceil(pauseMs / 1000)} s)` : "";
  const sentence = `Cannot ${describeAsked(asked)}: ${because}${wish}`;
  const resume = typeof metadata?.continue === "string" ? metadata.continue : undefined;
  return new RefusedError(refusal.code, sentence, status, reason ?? "", hint, pauseMs, resume);
}

/** An answer of success that is none of Kubernetes: a login page, a proxy's. */
export function garbled(server: ApiServer, asked: Asked): UserError {
  return new UserError(
    "KUBE_GARBLED",
    `Cannot ${describeAsked(asked)}: ${describeServer(server)} does not answer as an API server does`,
    { hint: "is the address right, and does a proxy or a login page answer in its place? `kubectl version` must work" },
  );
}

/**
 * The failure of a connection as a sentence that names server and context, and that leaves nothing to say for its
 * causes; what is no such failure is left as it is.
 */
export function connectionFailure(server: ApiServer, error: unknown): unknown {
  if (error instanceof UserError || !(error instanceof Error)) return error;
  const text = deepestText(error);
  if (/certificate/i.test(text) && !(error instanceof DeadlineError)) {
    return new UserError("KUBE_CERTIFICATE", `Cannot trust ${describeServer(server)}: ${certificateText(text)}`, {
      hint: "the kubeconfig's certificate-authority must be the one that signed it; " +
        "--accept-invalid-certificates does without",
    });
  }
  if (!isConnectionFailure(error, text)) return error;
  return new UserError("KUBE_UNREACHABLE", `Cannot reach ${describeServer(server)}: ${shortened(text)}`, {
    hint: "is the cluster running, and a VPN needed? `kubectl version` with the same kubeconfig must work",
  });
}

/** Seconds, or a date (RFC 9110, 10.2.3); undefined for anything else. */
function pauseOf(retryAfter: string): number | undefined {
  if (/^\d{1,6}$/.test(retryAfter)) return Number(retryAfter) * 1000;
  const date = Date.parse(retryAfter);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

function kubectlMustWork({ resource, namespace }: Asked): string {
  const [kind] = resource.split("/", 1);
  const what = kind === "version" ? "version" : `get ${kind}${namespace ? ` --namespace ${namespace}` : ""}`;
  return `\`kubectl ${what}\` with the same kubeconfig must work`;
}

function describeAsked({ verb, resource, namespace, name }: Asked): string {
  const what = name === undefined ? resource : `${resource} "${name}"`;
  return `${verb} ${what}${namespace === undefined ? "" : ` in namespace "${namespace}"`}`;
}

function parseStatus(body: string): Status {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed !== "object" || parsed === null) return {};
    const { message, reason, metadata } = parsed as Status;
    return {
      ...(typeof metadata === "object" && metadata !== null ? { metadata } : {}),
      ...(typeof message === "string" && message !== "" ? { message } : {}),
      ...(typeof reason === "string" ? { reason } : {}),
    };
  } catch {
    const line = body.trim().split("\n", 1)[0]!;
    return line === "" || line.startsWith("<") ? {} : { message: line.slice(0, 300) };
  }
}

/** Deno wraps: "error sending request …" has the reason in its chain of causes, or at the end of its text. */
function deepestText(error: Error): string {
  let deepest: unknown = error;
  while (deepest instanceof Error && deepest.cause instanceof Error) deepest = deepest.cause;
  return deepest instanceof Error ? deepest.message : String(deepest);
}

/** The connection stood, and was closed before the answer had come. */
export function isDropped(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof UserError) return false;
  const all = `${error.message} ${deepestText(error)}`;
  return /reading a body|closed before message completed|connection reset|unexpected e(nd|of)|hung up|ECONNRESET/i.test(
    all,
  );
}

function isConnectionFailure(error: Error, text: string): boolean {
  if (error instanceof DeadlineError) return true;
  if (
    error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.TimedOut || error instanceof Deno.errors.UnexpectedEof ||
    error instanceof Deno.errors.NotFound || error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.Http || error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.InvalidData || error instanceof Deno.errors.NetworkUnreachable
  ) return true;
  if (isDropped(error) || /\(os error \d+\)|lookup address|error sending request|are blocked/i.test(text)) return true;
  return "code" in error && typeof error.code === "string" && /^E[A-Z]+$|^ERR_(TLS|SSL)/.test(error.code);
}

function certificateText(text: string): string {
  if (/UnknownIssuer/.test(text)) return "its certificate is signed by an unknown authority";
  if (/Expired/.test(text)) return "its certificate has expired";
  if (/NotValidForName|not valid for name/i.test(text)) return "its certificate is for another name";
  if (/NotValidYet/.test(text)) return "its certificate is not valid yet";
  return shortened(text);
}

const KNOWN_TEXTS: readonly (readonly [RegExp, string])[] = [
  [/tls handshake eof|before secure TLS/i, "it closed the connection where TLS begins"],
  [/InvalidContentType|wrong version number/, "it does not speak TLS"],
  [/invalid HTTP version|unexpected message from connection/i, "it does not speak HTTP"],
  [
    /reading a body|closed before message completed|unexpected e(nd|of)|hung up/i,
    "it closed the connection in the middle of its answer",
  ],
];

/** Without Deno's frame: the address stands in our sentence already. */
function shortened(text: string): string {
  const inner = /client error \(\w+\): (.*)$/.exec(text)?.[1] ?? text;
  const known = KNOWN_TEXTS.find(([pattern]) => pattern.test(inner));
  if (known) return known[1];
  const bare = inner.replace(/^(tcp connect error|dns error): /, "").replace(/ \(os error \d+\)$/, "");
  return bare.replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase()).replace(/\.$/, "");
}
