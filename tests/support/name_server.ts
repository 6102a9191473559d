/**
 * A name server on loopback that answers from a table, over UDP and TCP, and counts what it was asked. Run as a program it
 * serves the zone given as JSON on port 53, and says so: for tests in network namespaces.
 */
import { Buffer } from "node:buffer";
import packet from "dns-packet";

/** Records of a name: addresses by type, or how the question fails. Names that are not there are NXDOMAIN. */
export type ZoneEntry = { A?: string[]; AAAA?: string[]; CNAME?: string; PTR?: string[] } | Failure;
/** `SILENT`: no answer. */
type Failure = "SERVFAIL" | "REFUSED" | "FORMERR" | "SILENT";
export type Zone = Record<string, ZoneEntry>;

const RCODES: Record<string, number> = { FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 };
const MOST_UDP_BYTES = 512;

interface Query {
  id: number;
  questions: { name: string; type: string }[];
}

export class NameServer implements AsyncDisposable {
  readonly port: number;
  /** "A name" of each question, in order; over TCP with "/tcp" behind it. */
  readonly asked: string[] = [];
  /** Lies that are sent ahead of each answer over UDP. */
  isForged = false;
  readonly #zone: Zone;
  readonly #datagrams: Deno.DatagramConn;
  readonly #listener: Deno.TcpListener;
  readonly #serving: Promise<unknown>;

  constructor(zone: Zone, port = 0) {
    this.#zone = zone;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port });
    this.port = this.#listener.addr.port;
    this.#datagrams = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: this.port });
    this.#serving = Promise.all([this.#serveDatagrams(), this.#serveConnections()]);
  }

  async #serveDatagrams(): Promise<void> {
    for await (const [bytes, from] of this.#datagrams) {
      const query = decode(bytes);
      const answer = this.#answer(query, MOST_UDP_BYTES, "");
      if (!answer) continue;
      if (this.isForged) {
        await this.#datagrams.send(answer.with(0, answer[0]! ^ 1), from);
        await this.#datagrams.send(new Uint8Array(3), from);
      }
      await this.#datagrams.send(answer, from);
    }
  }

  async #serveConnections(): Promise<void> {
    const serving = new Set<Promise<void>>();
    for await (const connection of this.#listener) serving.add(this.#serveConnection(connection));
    await Promise.all(serving);
  }

  /** One question after the other, until there is none. */
  async #serveConnection(connection: Deno.TcpConn): Promise<void> {
    using _closing = connection;
    const bytes = new Uint8Array(2 * MOST_UDP_BYTES);
    for (let have = 0;;) {
      const count = await connection.read(bytes.subarray(have)).catch(() => null);
      if (count === null) return;
      have += count;
      for (let length = 2; have >= 2; bytes.copyWithin(0, length, have), have -= length) {
        length = 2 + (bytes[0]! << 8 | bytes[1]!);
        if (have < length) break;
        const answer = this.#answer(decode(bytes.subarray(2, length)), Infinity, "/tcp");
        if (answer) await connection.write(Uint8Array.from([answer.length >> 8, answer.length & 0xff, ...answer]));
      }
    }
  }

  #answer(query: Query, limit: number, mark: string): Uint8Array<ArrayBuffer> | undefined {
    const { name, type } = query.questions[0]!;
    this.asked.push(`${type} ${name}${mark}`);
    const answers: { name: string; type: string; data: string }[] = [];
    let owner = name.toLowerCase();
    let entry = this.#zone[owner];
    for (let links = 0; links < 3 && typeof entry === "object" && entry.CNAME; links++) {
      answers.push({ name: owner, type: "CNAME", data: entry.CNAME });
      owner = entry.CNAME;
      entry = this.#zone[owner];
    }
    if (entry === "SILENT") return undefined;
    if (typeof entry === "object") {
      for (const data of entry[type as "A"] ?? []) answers.push({ name: owner, type, data });
    }
    const rcode = entry === undefined ? RCODES.NXDOMAIN! : typeof entry === "string" ? RCODES[entry]! : 0;
    const whole = encode(query, rcode, answers);
    return whole.length > limit ? encode(query, packet.TRUNCATED_RESPONSE, []) : whole;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#datagrams.close();
    this.#listener.close();
    await this.#serving;
  }
}

function decode(bytes: Uint8Array): Query {
  return packet.decode(Buffer.from(bytes)) as unknown as Query;
}

/** As one that asks others on behalf of its clients: else libc takes "no such record" for "ask somebody else". */
function encode({ id, questions }: Query, flags: number, answers: unknown[]): Uint8Array<ArrayBuffer> {
  const all = flags | packet.RECURSION_AVAILABLE;
  return new Uint8Array(packet.encode({ type: "response", id, flags: all, questions, answers } as never));
}

if (import.meta.main) {
  new NameServer(JSON.parse(Deno.args[0]!), 53);
  Deno.stdout.writeSync(new TextEncoder().encode("serving\n"));
}
