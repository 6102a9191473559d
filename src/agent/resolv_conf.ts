/** resolv.conf(5), as glibc reads it: name servers, search list and the options that change which queries are sent. */
import { parseAddress } from "../base/addresses.ts";

export interface ResolvConf {
  /** Addresses of 4 or 16 bytes, in order; never empty. */
  nameServers: Uint8Array[];
  /** Without dots at their ends; "" stands for the root. */
  search: string[];
  ndots: number;
  timeoutMs: number;
  attempts: number;
  isRotating: boolean;
  /** Queries go over TCP at once. */
  usesTcp: boolean;
}

/** MAXNS, and the caps resolv.conf(5) names ("silently capped"). */
const MAX_NAME_SERVERS = 3;
const MAX_NDOTS = 15;
const MAX_TIMEOUT_S = 30;
const MAX_ATTEMPTS = 5;

/** `text` undefined: the file does not exist. `hostname` is asked for a search list when the file names none. */
export function parseResolvConf(text: string | undefined, hostname: () => string): ResolvConf {
  let search: string[] | undefined;
  const conf = {
    nameServers: [] as Uint8Array[],
    ndots: 1,
    timeoutMs: 5000,
    attempts: 2,
    isRotating: false,
    usesTcp: false,
  };
  for (const line of (text ?? "").split("\n")) {
    // Comments begin in the first column; the keyword must too.
    const [keyword, ...values] = line.replace(/[;#].*$/, "").trimEnd().split(/[ \t]+/);
    if (keyword === "nameserver" && conf.nameServers.length < MAX_NAME_SERVERS) {
      const address = parseAddress(values[0] ?? "");
      if (address) conf.nameServers.push(address);
    } else if (keyword === "domain" && values[0]) search = [withoutDots(values[0])];
    else if (keyword === "search") search = values.map(withoutDots);
    else if (keyword === "options") values.forEach((option) => takeOption(conf, option));
  }
  // "If no nameserver entries are present, the default is to use the name server on the local machine."
  if (conf.nameServers.length === 0) conf.nameServers.push(Uint8Array.of(127, 0, 0, 1));
  return { ...conf, search: search ?? defaultSearch(hostname()) };
}

function defaultSearch(hostname: string): string[] {
  const dot = hostname.indexOf(".");
  return dot === -1 ? [] : [withoutDots(hostname.slice(dot + 1))];
}

function withoutDots(domain: string): string {
  return domain.replace(/^\.+|\.+$/g, "");
}

function takeOption(conf: Omit<ResolvConf, "search">, option: string): void {
  const [name, text] = option.split(":");
  const number = /^\d+/.test(text ?? "") ? parseInt(text!, 10) : undefined;
  if (name === "ndots" && number !== undefined) conf.ndots = Math.min(number, MAX_NDOTS);
  else if (name === "timeout" && number) conf.timeoutMs = Math.min(number, MAX_TIMEOUT_S) * 1000;
  else if (name === "attempts" && number) conf.attempts = Math.min(number, MAX_ATTEMPTS);
  else if (name === "rotate") conf.isRotating = true;
  else if (name === "use-vc") conf.usesTcp = true;
}
