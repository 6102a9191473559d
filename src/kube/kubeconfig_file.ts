/**
 * What kubeconfig files hold: clusters, users and contexts, of several files joined as kubectl joins them. Only what this
 * program acts upon is read, and of that every value has to be what kubectl would take; the rest is nobody's business.
 *
 * By a reader of our own: @kubernetes/client-node's takes 95 ms of CPU and 30 MB to load, and every run pays that
 * (docs/decisions/0035).
 */
import { parse } from "yaml";
import { invalid } from "./kubeconfig_errors.ts";
import type { ExecPlugin } from "./exec_plugin.ts";

export interface KubeCluster {
  readonly name: string;
  readonly server: string | undefined;
  readonly ca: Pem | undefined;
  readonly isInsecure: boolean;
  readonly serverName: string | undefined;
  readonly proxyUrl: string | undefined;
}

export interface KubeUser {
  readonly name: string;
  readonly cert: Pem | undefined;
  readonly key: Pem | undefined;
  readonly token: string | undefined;
  readonly tokenFile: string | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Who to act as. */
  readonly impersonate: {
    readonly user: string | undefined;
    readonly groups: readonly string[];
    readonly uid?: string;
  };
  readonly exec: ExecPlugin | undefined;
  /** How clients logged in before there were plugins. */
  readonly authProvider: { readonly name: string; readonly config: Readonly<Record<string, unknown>> } | undefined;
}

export interface KubeContext {
  readonly name: string;
  readonly cluster: string;
  readonly user: string | undefined;
  readonly namespace: string | undefined;
}

export interface KubeconfigContent {
  readonly clusters: readonly KubeCluster[];
  readonly users: readonly KubeUser[];
  readonly contexts: readonly KubeContext[];
  readonly currentContext: string | undefined;
}

/** In the file itself (base64 of the text), or beside it; the data wins. */
export type Pem = { readonly data: string } | { readonly path: string };

/** One file; relative paths in it are relative to `directory`. Throws `UserError`. */
export function readKubeconfig(path: string, text: string, directory: string): KubeconfigContent {
  let content: unknown;
  try {
    content = parse(text, { logLevel: "silent" });
  } catch (error) {
    const [line] = (error instanceof Error ? error.message : String(error)).trim().split("\n", 1);
    throw invalid(path, line!.replace(/:$/, ""), error);
  }
  const reader = new Reader(path, directory);
  const file = reader.section(content, "");
  return {
    clusters: reader.entries(file, "clusters", "cluster", (it, name, at) => reader.cluster(it, name, at)),
    users: reader.entries(file, "users", "user", (it, name, at) => reader.user(it, name, at)),
    contexts: reader.entries(file, "contexts", "context", (it, name, at) => reader.context(it, name, at)),
    currentContext: reader.text(file, "current-context", ""),
  };
}

/** Of two things with one name the first wins, and the first word for the current context, as with kubectl. */
export function joinKubeconfigs(all: readonly KubeconfigContent[]): KubeconfigContent {
  const firsts = <T extends { name: string }>(some: T[]): T[] =>
    [
      ...new Map(some.toReversed().map((it) => [it.name, it])).values(),
    ].toReversed();
  return {
    clusters: firsts(all.flatMap((it) => it.clusters)),
    users: firsts(all.flatMap((it) => it.users)),
    contexts: firsts(all.flatMap((it) => it.contexts)),
    currentContext: all.map((it) => it.currentContext).find(Boolean),
  };
}

type Section = Readonly<Record<string, unknown>>;

class Reader {
  constructor(readonly file: string, readonly directory: string) {}

  /** A mapping; nothing, and at the top anything else, has nothing in it. */
  section(value: unknown, at: string): Section {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Section;
    if (value === null || value === undefined || at === "") return {};
    throw this.#wrong(at, "is no mapping");
  }

  entries<T>(file: Section, list: string, inner: string, read: (it: Section, name: string, at: string) => T): T[] {
    const value = file[list] ?? [];
    if (!Array.isArray(value)) throw this.#wrong(list, "is no list");
    return value.map((entry: unknown, index) => {
      const at = `${list}[${index}]`;
      const named = this.section(entry, at);
      const name = this.text(named, "name", at);
      if (!name) throw this.#wrong(`${at}.name`, "is missing");
      return read(this.section(named[inner], `${at}.${inner}`), name, `${at}.${inner}`);
    });
  }

  cluster(it: Section, name: string, at: string): KubeCluster {
    return {
      name,
      server: this.text(it, "server", at)?.replace(/\/$/, ""),
      ca: this.pem(it, "certificate-authority", at),
      isInsecure: it["insecure-skip-tls-verify"] === true,
      serverName: this.text(it, "tls-server-name", at),
      proxyUrl: this.text(it, "proxy-url", at),
    };
  }

  user(it: Section, name: string, at: string): KubeUser {
    const provider = this.section(it["auth-provider"], `${at}.auth-provider`);
    const providerName = this.text(provider, "name", `${at}.auth-provider`);
    const uid = this.text(it, "as-uid", at);
    const tokenFile = this.text(it, "tokenFile", at);
    return {
      name,
      cert: this.pem(it, "client-certificate", at),
      key: this.pem(it, "client-key", at),
      token: this.text(it, "token", at),
      tokenFile: tokenFile && this.#absolute(tokenFile),
      username: this.text(it, "username", at),
      password: this.text(it, "password", at),
      impersonate: {
        user: this.text(it, "as", at),
        groups: this.#texts(it["as-groups"], `${at}.as-groups`),
        ...uid === undefined ? {} : { uid },
      },
      exec: it.exec === null || it.exec === undefined ? undefined : this.section(it.exec, `${at}.exec`),
      authProvider: providerName === undefined
        ? undefined
        : { name: providerName, config: this.section(provider.config, `${at}.auth-provider.config`) },
    };
  }

  context(it: Section, name: string, at: string): KubeContext {
    const cluster = this.text(it, "cluster", at);
    if (!cluster) throw this.#wrong(`${at}.cluster`, "is missing");
    return { name, cluster, user: this.text(it, "user", at), namespace: this.text(it, "namespace", at) };
  }

  /** Undefined also where it is empty: kubectl writes such. */
  text(it: Section, key: string, at: string): string | undefined {
    const value = it[key];
    if (value === null || value === undefined || value === "") return undefined;
    if (typeof value === "string") return value;
    throw this.#wrong(at === "" ? key : `${at}.${key}`, `is a ${typeof value}, not a string`);
  }

  pem(it: Section, key: string, at: string): Pem | undefined {
    const data = this.text(it, `${key}-data`, at);
    if (data !== undefined) {
      try {
        return { data: new TextDecoder().decode(Uint8Array.fromBase64(data)) };
      } catch {
        throw this.#wrong(`${at}.${key}-data`, "is not in base64");
      }
    }
    const path = this.text(it, key, at);
    return path === undefined ? undefined : { path: this.#absolute(path) };
  }

  #texts(value: unknown, at: string): string[] {
    if (value === null || value === undefined) return [];
    if (Array.isArray(value) && value.every((it) => typeof it === "string")) return value;
    throw this.#wrong(at, "is no list of strings");
  }

  #absolute(path: string): string {
    return path.startsWith("/") ? path : `${this.directory}/${path}`;
  }

  #wrong(at: string, because: string): Error {
    return invalid(this.file, `${at} ${because}`);
  }
}
