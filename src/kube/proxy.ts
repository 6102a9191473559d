/** Which proxy leads to an API server, as kubectl has it: the kubeconfig's proxy-url, else the environment's, NO_PROXY apart. */

type Env = (name: string) => string | undefined;

/** Undefined: none. */
export function proxyFor(server: string, proxyUrl: string | undefined, env: Env): string | undefined {
  if (proxyUrl) return withScheme(proxyUrl);
  const url = new URL(server);
  const name = url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY";
  const proxy = env(name) || env(name.toLowerCase());
  if (!proxy || isExcepted(url, env("NO_PROXY") || env("no_proxy") || "")) return undefined;
  return withScheme(proxy);
}

function withScheme(proxy: string): string {
  return /^[a-z0-9]+:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
}

/** The machine itself is never behind a proxy. Names, ".suffixes", addresses, networks, each perhaps with a port. */
function isExcepted(url: URL, exceptions: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
  if (host === "localhost" || host === "::1" || /^127\./.test(host)) return true;
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return exceptions.split(",").map((it) => it.trim().toLowerCase()).filter(Boolean).some((entry) => {
    if (entry === "*") return true;
    if (entry.includes("/")) return isInNetwork(host, entry);
    const [name, wanted] = /^(.*?):(\d+)$/.exec(entry)?.slice(1) ?? [entry, undefined];
    if (wanted !== undefined && wanted !== port) return false;
    const bare = name!.replace(/^\*?\./, "");
    return host === name || host.endsWith(`.${bare}`);
  });
}

function isInNetwork(host: string, network: string): boolean {
  const [base = "", bits] = network.split("/");
  const [address, start] = [number(host), number(base)];
  if (address === undefined || start === undefined || !/^\d+$/.test(bits ?? "") || Number(bits) > 32) return false;
  const size = 2 ** (32 - Number(bits));
  return Math.floor(address / size) === Math.floor(start / size);
}

/** Of an IPv4 address. */
function number(text: string): number | undefined {
  const parts = text.split(".").map(Number);
  if (parts.length !== 4 || parts.some((it) => !(it >= 0 && it <= 255))) return undefined;
  return parts.reduce((sum, it) => sum * 256 + it, 0);
}

const VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"].flatMap((it) => [it, it.toLowerCase()]);

/** What `make` returns that was made without a look at the environment's proxies: they are decided on here. */
export function withoutProxyVariables<T>(make: () => T): T {
  const said = VARIABLES.map((name) => [name, Deno.env.get(name)] as const).filter(([, value]) => value !== undefined);
  for (const [name] of said) Deno.env.delete(name);
  try {
    return make();
  } finally {
    for (const [name, value] of said) Deno.env.set(name, value!);
  }
}
