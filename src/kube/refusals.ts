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
    readonly retryAfterMs?: number,
  ) {
    super(code, message, hint === undefined ? {} : { hint });
  }
}

interface Status {
  message?: string;
  reason?: string;
}

interface Refusal {
  readonly code: string;
  /** Our own sentence, where the server's does not say it well. */
  readonly because?: (asked: Asked) => string;
  readonly hint: (asked: Asked, server: ApiServer) => string | undefined;
}

const REFUSALS: Readonly<Record<number, Refusal>> = {
  401: {
    code: "KUBE_UNAUTHORIZED",
    because: () => "it does not accept the kubeconfig's credentials (401 Unauthorized)",
    hint: (_, server) => `log in to context "${server.context}" again; \`kubectl auth whoami\` must work`,
  },
  403: {
    code: "KUBE_FORBIDDEN",
    hint: ({ verb, resource, namespace }) =>
      `\`kubectl auth can-i ${verb} ${resource}${namespace ? ` --namespace ${namespace}` : ""}\` must say yes; ` +
      "a Role and a RoleBinding give the right",
  },
  404: { code: "KUBE_NOT_FOUND", hint: () => undefined },
  409: { code: "KUBE_CONFLICT", hint: () => "somebody else changed it at the same time: try again" },
  410: { code: "KUBE_EXPIRED", hint: () => "try again" },
  429: { code: "KUBE_BUSY", hint: () => "the API server has too much to do: try again later" },
};

const SERVER_FAILED: Refusal = { code: "KUBE_SERVER_ERROR", hint: () => "the API server's own log says more" };
const OTHERWISE_REFUSED: Refusal = { code: "KUBE_REFUSED", hint: () => undefined };

export function refusalOf(
  server: ApiServer,
  asked: Asked,
  status: number,
  body: string,
  retryAfter: string | null = null,
): RefusedError {
  const { message, reason } = parseStatus(body);
  const refusal = REFUSALS[status] ?? (status >= 500 ? SERVER_FAILED : OTHERWISE_REFUSED);
  const because = refusal.because?.(asked) ?? message ?? `${describeServer(server)} answered ${status}`;
  const hint = refusal.hint(asked, server);
  const pause = retryAfter && /^\d{1,6}$/.test(retryAfter) ? [Number(retryAfter) * 1000] : [];
  const sentence = `Cannot ${describeAsked(asked)}: ${because}`;
  return new RefusedError(refusal.code, sentence, status, reason ?? "", hint, ...pause);
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

function describeAsked({ verb, resource, namespace, name }: Asked): string {
  const what = name === undefined ? resource : `${resource} "${name}"`;
  return `${verb} ${what}${namespace === undefined ? "" : ` in namespace "${namespace}"`}`;
}

function parseStatus(body: string): Status {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed !== "object" || parsed === null) return {};
    const { message, reason } = parsed as Status;
    return {
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

function isConnectionFailure(error: Error, text: string): boolean {
  if (error instanceof DeadlineError) return true;
  if (
    error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.TimedOut || error instanceof Deno.errors.UnexpectedEof ||
    error instanceof Deno.errors.NotFound || error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.Http || error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.InvalidData || error instanceof Deno.errors.NetworkUnreachable
  ) return true;
  if (/\(os error \d+\)|lookup address|error sending request|hung up|are blocked/i.test(text)) return true;
  return "code" in error && typeof error.code === "string" && /^E[A-Z]+$|^ERR_(TLS|SSL)/.test(error.code);
}

function certificateText(text: string): string {
  if (/UnknownIssuer/.test(text)) return "its certificate is signed by an unknown authority";
  if (/Expired/.test(text)) return "its certificate has expired";
  if (/NotValidForName|not valid for name/i.test(text)) return "its certificate is for another name";
  if (/NotValidYet/.test(text)) return "its certificate is not valid yet";
  return shortened(text);
}

/** Without Deno's frame: the address stands in our sentence already. */
function shortened(text: string): string {
  const inner = /client error \(\w+\): (.*)$/.exec(text)?.[1] ?? text;
  const bare = inner.replace(/^(tcp connect error|dns error): /, "").replace(/ \(os error \d+\)$/, "");
  return bare.replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase()).replace(/\.$/, "");
}
