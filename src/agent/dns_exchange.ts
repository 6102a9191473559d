/**
 * One question to one name server: over UDP, and over TCP when the answer does not fit. Sockets are made in the network
 * namespace the process is in.
 */
import { equalBytes } from "../base/bytes.ts";
import { type ConnectedDatagram, openDatagramTo } from "../sys/datagrams.ts";
import { formatAddress, parseAddress } from "../base/addresses.ts";
import { type Answer, decodeAnswer, encodeQuestion, type Question } from "./dns_message.ts";

export interface Server {
  address: Uint8Array;
  port: number;
}

/** More than any server sends without being told that we take it (512 bytes). */
const DATAGRAM_BYTES = 4096;

/** Undefined: no answer came in time, or nobody listens there. Never rejects. */
export async function exchange(
  server: Server,
  question: Question,
  options: { timeoutMs: number; usesTcp: boolean; signal: AbortSignal },
): Promise<Answer | undefined> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), options.timeoutMs);
  using _end = onAbort(options.signal, () => deadline.abort());
  try {
    const answer = options.usesTcp ? undefined : await overUdp(server, question, deadline.signal);
    if (answer && !answer.isTruncated) return answer;
    return answer || options.usesTcp ? await overTcp(server, question, deadline.signal) : undefined;
  } catch {
    return undefined; // refused, unreachable, closed by the deadline: all the same to the asker
  } finally {
    clearTimeout(timer);
  }
}

async function overUdp(server: Server, question: Question, deadline: AbortSignal): Promise<Answer | undefined> {
  using peer = openDatagramTo(server.address, server.port);
  using _end = onAbort(deadline, () => peer.close());
  const hostname = formatAddress(server.address);
  await peer.socket.send(encodeQuestion(question), { transport: "udp", hostname, port: server.port });
  using _absence = watchForAbsence(peer);
  const buffer = new Uint8Array(DATAGRAM_BYTES);
  while (!deadline.aborted) {
    const [bytes, from] = await peer.socket.receive(buffer);
    if (!isFrom(from as Deno.NetAddr, server)) continue;
    const answer = decodeAnswer(bytes, question);
    if (answer) return answer;
  }
  return undefined;
}

/** Ends the wait when the kernel hears that nobody listens there: looks at once, then ever less often. */
function watchForAbsence(peer: ConnectedDatagram): Disposable {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = (nextMs: number) => {
    if (peer.isPeerGone()) peer.close();
    else timer = setTimeout(() => look(nextMs * 4), nextMs);
  };
  look(1);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/** The kernel has seen to it where the socket is connected; who merely guesses our port is not the server. */
function isFrom({ hostname, port }: Deno.NetAddr, server: Server): boolean {
  const address = parseAddress(hostname);
  return port === server.port && address !== undefined && equalBytes(address, server.address);
}

async function overTcp(server: Server, question: Question, deadline: AbortSignal): Promise<Answer | undefined> {
  const hostname = formatAddress(server.address);
  using connection = await Deno.connect({ hostname, port: server.port, signal: deadline });
  using _end = onAbort(deadline, () => close(connection));
  const message = encodeQuestion(question);
  const framed = new Uint8Array(2 + message.length);
  new DataView(framed.buffer).setUint16(0, message.length);
  framed.set(message, 2);
  await writeAll(connection, framed);
  const head = await readExactly(connection, 2);
  return decodeAnswer(await readExactly(connection, (head[0]! << 8) | head[1]!), question);
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}

async function readExactly(connection: Deno.Conn, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) {
    const got = await connection.read(bytes.subarray(at));
    if (got === null) throw new Error("The name server ended the connection");
    at += got;
  }
  return bytes;
}

function onAbort(signal: AbortSignal, act: () => void): Disposable {
  if (signal.aborted) act();
  signal.addEventListener("abort", act, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener("abort", act) };
}

function close(resource: { close(): void }): void {
  try {
    resource.close();
  } catch {
    // Closed already.
  }
}
