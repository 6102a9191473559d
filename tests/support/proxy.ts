/** A proxy between client and API server, on loopback. */

export interface Proxy extends AsyncDisposable {
  readonly url: string;
  /** "HOST:PORT" of each connection that was asked for. */
  readonly asked: string[];
}

/** Takes CONNECT of HTTP or of SOCKS 5; `answer` refuses. */
export function startProxy(
  kind: "http" | "https" | "socks5",
  answer?: string,
  tls?: { cert: string; key: string },
): Proxy {
  const place = { hostname: "127.0.0.1", port: 0 };
  const listener = tls ? Deno.listenTls({ ...place, ...tls }) : Deno.listen(place);
  const asked: string[] = [];
  const running: Promise<void>[] = [];
  const serve = async (client: Stream) => {
    using _client = client;
    const place = kind !== "socks5" ? await readConnect(client) : await readSocks(client);
    if (place === undefined) return;
    asked.push(place);
    const text = answer ?? "HTTP/1.1 200 Connection established\r\n\r\n";
    const reply = kind !== "socks5"
      ? new TextEncoder().encode(text)
      : Uint8Array.of(5, answer ? 5 : 0, 0, 1, 0, 0, 0, 0, 0, 0);
    await client.write(reply);
    if (answer) return;
    const [hostname, port] = place.split(":");
    using server = await Deno.connect({ hostname: hostname!, port: Number(port) });
    await pipeBoth(client, server);
  };
  const accepting = (async () => {
    for await (const client of listener) running.push(serve(client).catch(() => {}));
  })();
  return {
    url: `${kind}://127.0.0.1:${listener.addr.port}`,
    asked,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      await Promise.all(running);
    },
  };
}

type Stream = Deno.TcpConn | Deno.TlsConn;

/** Until either end is gone. */
async function pipeBoth(a: Stream, b: Stream): Promise<void> {
  const pipe = async (from: Stream, to: Stream) => {
    const chunk = new Uint8Array(16384);
    for (let count = await from.read(chunk); count !== null; count = await from.read(chunk)) {
      for (let sent = 0; sent < count;) sent += await to.write(chunk.subarray(sent, count));
    }
  };
  const either = [pipe(a, b), pipe(b, a)].map((it) => it.catch(() => {}));
  await Promise.race(either);
  for (const conn of [a, b]) conn.closeWrite().catch(() => {});
  await Promise.all(either);
}

async function readConnect(client: Stream): Promise<string | undefined> {
  let head = "";
  while (!head.endsWith("\r\n\r\n")) {
    const chunk = new Uint8Array(1024);
    const count = await client.read(chunk);
    if (count === null) return undefined;
    head += new TextDecoder().decode(chunk.subarray(0, count));
  }
  return /^CONNECT (\S+) HTTP\/1\.1/.exec(head)?.[1];
}

async function readSocks(client: Stream): Promise<string> {
  const bytes = new Uint8Array(300);
  await client.read(bytes);
  await client.write(Uint8Array.of(5, 0));
  await client.read(bytes);
  const length = bytes[4]!;
  const name = new TextDecoder().decode(bytes.subarray(5, 5 + length));
  return `${name}:${bytes[5 + length]! << 8 | bytes[6 + length]!}`;
}
