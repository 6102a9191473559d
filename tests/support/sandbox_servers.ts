/**
 * What runs in a sandbox's network: a DNS server that knows a few names, an HTTP server that tells what it was asked, and
 * TCP servers for the tests. Started by sandbox.ts with its address and host name; ends with its standard input.
 *
 * It imports nothing: in the sandbox's network no package could be fetched.
 */
const [address = "127.0.0.1", hostname = "sandbox"] = Deno.args;

/** Names as a cluster has them: short ones need the search list. */
const NAMES: Readonly<Record<string, { A?: string[]; AAAA?: string[] }>> = {
  "echo-server.sandbox.local": { A: [address] },
  "two.sandbox.local": { A: [address, "10.99.7.2"] },
  "six.sandbox.local": { AAAA: ["::1"] },
  "both.sandbox.local": { A: [address], AAAA: ["::1"] },
};

const TYPES: Readonly<Record<number, "A" | "AAAA">> = { 1: "A", 28: "AAAA" };
const HEADER_BYTES = 12;

/** RFC 1035: the question of a query, repeated in the answer, and one record for each address of the name. */
function answerName(query: Uint8Array): Uint8Array {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(new TextDecoder().decode(query.subarray(at + 1, at + 1 + length)));
    at += 1 + length;
  }
  const question = query.subarray(HEADER_BYTES, at + 5);
  const type = TYPES[query[at + 1]! << 8 | query[at + 2]!];
  const known = NAMES[labels.join(".").toLowerCase()];
  const records = (type && known?.[type] || []).map((address) => {
    const data = type === "A" ? address.split(".").map(Number) : [...new Array(15).fill(0), 1]; // ::1 is all we have
    const pointer = [0xc0, HEADER_BYTES, ...question.slice(-4)];
    return [...pointer, 0, 0, 0, 5, 0, data.length, ...data];
  });
  const NXDOMAIN = 3;
  const flags = [0x81, 0x80 | (known ? 0 : NXDOMAIN)];
  return new Uint8Array([
    ...query.subarray(0, 2),
    ...flags,
    0,
    1,
    0,
    records.length,
    0,
    0,
    0,
    0,
    ...question,
    ...records.flat(),
  ]);
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
  while (true) {
    // One that was reset before it was accepted is nobody's.
    const conn = await listener.accept().catch(() => undefined);
    conn?.readable.pipeTo(conn.writable).catch(() => {});
  }
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
