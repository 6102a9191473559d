/**
 * One question to one name server: over UDP, and over TCP when the answer does not fit. Sockets are made in the network
 * namespace the process is in.
 */
import { equalBytes } from "../base/bytes.ts";
import { type ConnectedDatagram, openDatagramTo } from "../sys/datagrams.ts";
import { formatAddress, parseAddress } from "../base/addresses.ts";
import { type Answer, decodeAnswer, encodeQuestion, isAnswerTo, type Question } from "./dns_message.ts";

export interface Server {
  address: Uint8Array;
  port: number;
}

/** More than any server sends without being told that we take it (512 bytes). */
const DATAGRAM_BYTES = 4096;

export interface Manner {
  timeoutMs: number;
  usesTcp: boolean;
  signal: AbortSignal;
  /** An answer that did not fit is one. */
  isTruncationFine?: boolean;
}

/** Undefined: no answer came in time, or nobody listens there. Never rejects. */
export async function exchange(server: Server, question: Question, manner: Manner): Promise<Answer | undefined> {
  const bytes = await exchangeBytes(server, encodeQuestion(question), manner, (it) => !!decodeAnswer(it, question));
  return bytes && decodeAnswer(bytes, question);
}

/** The same with messages as they are. */
export async function exchangeBytes(
  server: Server,
  query: Uint8Array,
  { timeoutMs, usesTcp, signal, isTruncationFine }: Manner,
  isAnswer: (bytes: Uint8Array) => boolean = (bytes) => isAnswerTo(bytes, query),
): Promise<Uint8Array | undefined> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), timeoutMs);
  using _end = onAbort(signal, () => deadline.abort());
  try {
    const answer = usesTcp ? undefined : await overUdp(server, query, isAnswer, deadline.signal);
    if (answer && (isTruncationFine || !isTruncated(answer))) return answer;
    return answer || usesTcp ? await overTcp(server, query, isAnswer, deadline.signal) : undefined;
  } catch {
    return undefined; // refused, unreachable, closed by the deadline: all the same to the asker
  } finally {
    clearTimeout(timer);
  }
}

/** RFC 1035 4.1.1: TC. */
function isTruncated(answer: Uint8Array): boolean {
  return (answer[2]! & 2) !== 0;
}

async function overUdp(
  server: Server,
  query: Uint8Array,
  isAnswer: (bytes: Uint8Array) => boolean,
  deadline: AbortSignal,
): Promise<Uint8Array | undefined> {
  using peer = openDatagramTo(server.address, server.port);
  using _end = onAbort(deadline, () => peer.close());
  const hostname = formatAddress(server.address);
  await peer.socket.send(query, { transport: "udp", hostname, port: server.port });
  using _absence = watchForAbsence(peer);
  const buffer = new Uint8Array(DATAGRAM_BYTES);
  while (!deadline.aborted) {
    const [bytes, from] = await peer.socket.receive(buffer);
    if (isFrom(from as Deno.NetAddr, server) && isAnswer(bytes)) return bytes.slice();
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

async function overTcp(
  server: Server,
  query: Uint8Array,
  isAnswer: (bytes: Uint8Array) => boolean,
  deadline: AbortSignal,
): Promise<Uint8Array | undefined> {
  const hostname = formatAddress(server.address);
  using connection = await Deno.connect({ hostname, port: server.port, signal: deadline });
  using _end = onAbort(deadline, () => close(connection));
  const framed = new Uint8Array(2 + query.length);
  new DataView(framed.buffer).setUint16(0, query.length);
  framed.set(query, 2);
  await writeAll(connection, framed);
  const head = await readExactly(connection, 2);
  const answer = await readExactly(connection, (head[0]! << 8) | head[1]!);
  return isAnswer(answer) ? answer : undefined;
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
