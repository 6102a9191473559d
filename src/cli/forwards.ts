/** What `-L [LOCAL:]HOST:PORT` and `-R [REMOTE:]LOCAL` say. */
import { UserError } from "../base/errors.ts";

export interface Forward {
  /** The port on this machine's 127.0.0.1. */
  readonly localPort: number;
  /** A name, or an address without brackets. */
  readonly host: string;
  readonly port: number;
}

export interface ReverseForward {
  /** The target's. */
  readonly remotePort: number;
  /** The port on this machine's loopback that its traffic comes to. */
  readonly localPort: number;
}

/** Throws `UserError` (exit code 2) for what cannot be understood, and for a port of this machine that is named twice. */
export function parseForwards(texts: readonly string[]): Forward[] {
  const forwards = texts.map(parseForward);
  const twice = firstTwice(forwards.map((it) => it.localPort));
  if (twice === undefined) return forwards;
  throw misuse(`Cannot forward port ${twice} twice`, `give it another port: ${twice + 1}:HOST:PORT`);
}

/** Throws `UserError` (exit code 2) for what cannot be understood, and for a port of the target that is named twice. */
export function parseReverseForwards(texts: readonly string[]): ReverseForward[] {
  const forwards = texts.map((text) => {
    const match = /^(?:(\d+):)?(\d+)$/.exec(text);
    if (!match) throw misuse(`Cannot forward "${text}": it is no [REMOTE:]LOCAL`, "mirrord port-forward -R 80:8080");
    const localPort = portOf(text, match[2]!);
    return { remotePort: match[1] === undefined ? localPort : portOf(text, match[1]), localPort };
  });
  const twice = firstTwice(forwards.map((it) => it.remotePort));
  if (twice === undefined) return forwards;
  throw misuse(`Cannot forward port ${twice} of the target twice`, "each port of the target comes to one port here");
}

/** Throws `UserError` (exit code 2) unless it is a port. `text` is what was typed. */
export function portOf(text: string, digits: string): number {
  const port = Number(digits);
  if (/^\d{1,5}$/.test(digits) && port >= 1 && port <= 65535) return port;
  throw misuse(`Cannot forward "${text}": ${digits} is no port from 1 to 65535`);
}

function parseForward(text: string): Forward {
  const match = /^(?:(\d+):)?(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d+)$/.exec(text);
  if (!match) throw misuse(`Cannot forward "${text}": it is no [LOCAL:]HOST:PORT`);
  const [, local, address, name, remote] = match;
  if (address !== undefined && !URL.canParse(`http://[${address}]`)) {
    throw misuse(`Cannot forward "${text}": "${address}" is no IPv6 address`);
  }
  const port = portOf(text, remote!);
  return { localPort: local === undefined ? port : portOf(text, local), host: (address ?? name)!, port };
}

function firstTwice(ports: readonly number[]): number | undefined {
  return ports.find((port, at) => ports.indexOf(port) !== at);
}

/** As it is typed. */
export function formatDestination({ host, port }: Forward): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

export function misuse(message: string, hint = "mirrord port-forward -L 8080:echo-server:80"): UserError {
  return new UserError("USAGE", message, { hint, exitCode: 2 });
}
