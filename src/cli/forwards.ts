/** What `-L [LOCAL:]HOST:PORT` says. */
import { UserError } from "../base/errors.ts";

export interface Forward {
  /** The port on this machine's 127.0.0.1. */
  readonly localPort: number;
  /** A name, or an address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Throws `UserError` (exit code 2) for what cannot be understood, and for a port that is named twice. */
export function parseForwards(texts: readonly string[]): Forward[] {
  if (texts.length === 0) throw misuse("Cannot forward: no port was named");
  const forwards = texts.map(parseForward);
  forwards.forEach(({ localPort }, at) => {
    if (forwards.findIndex((it) => it.localPort === localPort) === at) return;
    throw misuse(`Cannot forward port ${localPort} twice`, `give it another port: ${localPort + 1}:HOST:PORT`);
  });
  return forwards;
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

function portOf(text: string, digits: string): number {
  const port = Number(digits);
  if (digits.length <= 5 && port >= 1 && port <= 65535) return port;
  throw misuse(`Cannot forward "${text}": ${digits} is no port from 1 to 65535`);
}

/** As it is typed. */
export function formatDestination({ host, port }: Forward): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function misuse(message: string, hint = "mirrord port-forward -L 8080:echo-server:80"): UserError {
  return new UserError("USAGE", message, { hint, exitCode: 2 });
}
