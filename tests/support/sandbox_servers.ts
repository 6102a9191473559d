/**
 * What runs in a sandbox's network: a DNS server that knows a few names, an HTTP server that tells what it was asked, and
 * TCP servers for the tests. Started by sandbox.ts with its address and host name; ends with its standard input.
 */
import { Buffer } from "node:buffer";
import { type Answer, decode, encode } from "dns-packet";

const [address = "127.0.0.1", hostname = "sandbox"] = Deno.args;

/** Names as a cluster has them: short ones need the search list. */
const NAMES: Readonly<Record<string, { A?: string[]; AAAA?: string[] }>> = {
  "echo-server.sandbox.local": { A: [address] },
  "two.sandbox.local": { A: [address, "10.99.7.2"] },
  "six.sandbox.local": { AAAA: ["::1"] },
  "both.sandbox.local": { A: [address], AAAA: ["::1"] },
};

function answerName(query: Uint8Array): Uint8Array {
  const packet = decode(Buffer.from(query));
  const question = packet.questions?.[0];
  const known = question && NAMES[question.name.toLowerCase()];
  const addresses = (question && known?.[question.type as "A" | "AAAA"]) ?? [];
  const answers = addresses.map((data: string) =>
    ({ name: question!.name, type: question!.type, ttl: 5, data }) as Answer
  );
  const NXDOMAIN = 3;
  return encode({
    id: packet.id ?? 0,
    type: "response",
    flags: 0x0180 | (known ? 0 : NXDOMAIN),
    questions: packet.questions ?? [],
    answers,
  });
}

async function serveNames(): Promise<void> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: address, port: 53 });
  for await (const [query, from] of socket) {
    try {
      await socket.send(answerName(query), from);
    } catch {
      // Not a question, or whoever asked has gone.
    }
  }
}

function echo(request: Request, info: Deno.ServeHandlerInfo<Deno.NetAddr>): Response {
  const url = new URL(request.url);
  const told = {
    host: { hostname, ip: info.remoteAddr.hostname },
    http: { method: request.method, path: url.pathname },
    request: { headers: Object.fromEntries(request.headers) },
  };
  return Response.json(told);
}

/** Sends back what it gets; half-closes when the peer does. */
async function serveBytes(listener: Deno.TcpListener): Promise<void> {
  for await (const conn of listener) conn.readable.pipeTo(conn.writable).catch(() => {});
}

/** Says one line and closes. */
async function serveGreeting(listener: Deno.TcpListener): Promise<void> {
  for await (const conn of listener) {
    await conn.write(new TextEncoder().encode(`only on loopback of ${hostname}\n`)).catch(() => {});
    conn.close();
  }
}

const serving = [
  serveNames(),
  serveBytes(Deno.listen({ hostname: address, port: 7000 })),
  serveGreeting(Deno.listen({ hostname: "127.0.0.1", port: 7001 })),
];
for (const host of ["0.0.0.0", "::1"]) {
  serving.push(Deno.serve({ hostname: host, port: 80, onListen: () => {} }, echo).finished);
}
await Deno.stdout.write(new TextEncoder().encode("ready\n"));
await Deno.stdin.readable.pipeTo(new WritableStream());
Deno.exit(0);
