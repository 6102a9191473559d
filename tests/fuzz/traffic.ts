/** What the agent's C reads of strangers (native/sys/http1.c, http_filter.c, sniff*.c, queue_talks.c): seeds, and the program that reads them damaged. */
import { compileTable } from "../../src/config/regex/dfa.ts";
import { compileRegex } from "../../src/config/regex/program.ts";
import { programOf } from "../../src/agent/incoming/http/program.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { mutated } from "./decoders.ts";

const SYS = new URL("../../native/sys/", import.meta.url).pathname;
const SOURCES = [
  "http1",
  "http_filter",
  "ends",
  "sniff",
  "sniff_filter",
  "sniff_standing",
  "sniff_streams",
  "taps",
  "lane",
  "outlet",
  "tellings",
  "netlink",
  "held",
  "passage_http",
  "queue_talks",
  "queue_packets",
];
const PROGRAM = new URL("./programs/traffic.c", import.meta.url).pathname;

export const KINDS = { heads: 0, chunks: 1, filters: 2, segments: 3, packets: 4 } as const;

/** Compiles it into `directory`, with sanitizers; returns its path. */
export async function buildReader(directory: string): Promise<string> {
  const output = `${directory}/traffic`;
  const args = ["-std=gnu11", "-O1", "-g", "-pthread", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
  const files = SOURCES.map((name) => `${SYS}${name}.c`);
  const { success, stderr } = await new Deno.Command("gcc", { args: [...args, "-o", output, PROGRAM, ...files] })
    .output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return output;
}

const HEADS = [
  "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
  "\r\nPOST /a?b=c HTTP/1.0\r\nContent-Length: 3, 3\r\nConnection: close\r\n\r\nabc",
  "PUT * HTTP/1.1\nTransfer-Encoding: gzip, chunked\n\n",
  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
  "HTTP/1.0 304 \r\nTransfer-Encoding: chunked\r\n\r\n",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];
const CHUNKS = [
  "3\r\nabc\r\n0\r\n\r\n",
  "a;x=y\r\n0123456789\r\n00\r\nTrailer: 1\r\n\r\nGET /",
  "fffffffffff\r\n",
  "0\r\n\r\n",
];

/** One of each kind that a filter has. */
function filterSeeds(): Uint8Array[] {
  const table = compileTable([[compileRegex("^a: (b|c)$", { isCaseIgnored: true })]]).toBase64();
  const header = { kind: "header", table } as const;
  return [
    programOf([header]),
    programOf([{
      kind: "any",
      of: [header, { kind: "all", of: [{ kind: "path", table }, { kind: "method", table }] }],
    }]),
    programOf([undefined, { kind: "body", query: "$", table }]),
  ];
}

interface Segment {
  readonly sequence: number;
  readonly flags: number;
  readonly text?: string;
  readonly isOut?: boolean;
}

const [FIN, SYN, RST, ACK] = [1, 2, 4, 16];

/** A row of packets, of one connection. */
export function packetsOf(segments: readonly Segment[], isV6 = false): Uint8Array {
  const rows = segments.flatMap(({ sequence, flags, text = "", isOut = false }) => {
    const bytes = utf8(text);
    const ip = new Uint8Array(isV6 ? 40 : 20);
    const view = new DataView(ip.buffer);
    ip[0] = isV6 ? 0x60 : 0x45;
    ip[isV6 ? 6 : 9] = 6;
    view.setUint16(isV6 ? 4 : 2, (isV6 ? 0 : 20) + 20 + bytes.length);
    const [from, to] = isV6 ? [23, 39] : [15, 19];
    ip[isOut ? to : from] = 1;
    ip[isOut ? from : to] = 2;
    const tcp = new Uint8Array(20);
    const head = new DataView(tcp.buffer);
    head.setUint16(isOut ? 2 : 0, 40_000);
    head.setUint16(isOut ? 0 : 2, 80);
    head.setUint32(4, sequence);
    tcp[12] = 0x50;
    tcp[13] = flags;
    const length = ip.length + tcp.length + bytes.length;
    return [length & 255, length >> 8, isOut ? 1 : 0, ...ip, ...tcp, ...bytes];
  });
  return Uint8Array.from(rows);
}

const BEGUN = [{ sequence: 100, flags: SYN }, { sequence: 101, flags: ACK }];

/** What clients say: whole, in pieces, several at once, with bodies, other protocols. */
const SAID: readonly (readonly string[])[] = [
  ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET /b HTTP/1.1\r\n\r\n"],
  ["GE", "T / HTTP", "/1.1\r\nA: b\r", "\n\r\nGET / HTTP/1.1\r\n\r\nG", "ET"],
  ["POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc", "defPUT / HTTP/1.1\r\n\r\n", "x"],
  ["POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", "c\r\n0\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n"],
  ["GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n", "DELETE / HTTP/1.1\r\n\r\n"],
  ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\0\0\0"],
];

function conversationOf(said: readonly string[]): Segment[] {
  let sequence = 101;
  return [
    ...BEGUN,
    ...said.map((text) => {
      const segment = { sequence, flags: ACK, text };
      sequence += text.length;
      return segment;
    }),
  ];
}

/** Segments, and how many bytes come of them. */
export const SEGMENTS: readonly (readonly [what: string, segments: readonly Segment[], bytes: number])[] = [
  [
    "in order",
    [...BEGUN, { sequence: 101, flags: ACK, text: "abc" }, { sequence: 104, flags: ACK | FIN, text: "de" }],
    5,
  ],
  ["the later one first", [...BEGUN, { sequence: 104, flags: ACK, text: "de" }, {
    sequence: 101,
    flags: ACK,
    text: "abc",
  }], 5],
  ["twice, and cut otherwise", [
    ...BEGUN,
    { sequence: 101, flags: ACK, text: "abc" },
    { sequence: 101, flags: ACK, text: "abcde" },
    { sequence: 103, flags: ACK, text: "cd" },
  ], 5],
  ["without what is missing", [...BEGUN, { sequence: 200, flags: ACK, text: "late" }], 0],
  ["over the end of the numbers", [
    { sequence: 0xffff_fffe, flags: SYN },
    { sequence: 0xffff_ffff, flags: ACK, text: "abc" },
    { sequence: 2, flags: ACK, text: "de" },
  ], 5],
  ["until it is reset", [
    ...BEGUN,
    { sequence: 101, flags: ACK, text: "abc" },
    { sequence: 9, flags: RST, isOut: true },
    { sequence: 104, flags: ACK, text: "de" },
  ], 3],
  ["not of connections from before", [{ sequence: 101, flags: ACK, text: "abc" }], 0],
];

export function seedsOfTraffic(): Record<keyof typeof KINDS, Uint8Array[]> {
  return {
    heads: HEADS.map(utf8),
    chunks: CHUNKS.map(utf8),
    filters: filterSeeds(),
    packets: SAID.flatMap((said) => [false, true].map((isV6) => packetsOf(conversationOf(said), isV6))),
    segments: SEGMENTS.flatMap(([, segments]) => [packetsOf(segments), packetsOf(segments, true)]),
  };
}

/** Inputs of every kind, damaged. */
export function* damaged(rounds: number, below: (limit: number) => number): Generator<[number, Uint8Array]> {
  for (const [kind, seeds] of Object.entries(seedsOfTraffic())) {
    for (let round = 0; round < rounds; round++) yield [KINDS[kind as keyof typeof KINDS], mutated(seeds, below)];
  }
}

/** What it says of these; throws with the sanitizer's words when it stumbles. */
export async function readTraffic(program: string, inputs: Iterable<[number, Uint8Array]>): Promise<string> {
  const child = new Deno.Command(program, { stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  const feeding = (async () => {
    for (const [kind, bytes] of inputs) {
      const head = new Uint8Array(5);
      new DataView(head.buffer).setUint32(0, bytes.length, true);
      head[4] = kind;
      await writer.write(head);
      await writer.write(bytes as Uint8Array<ArrayBuffer>);
    }
    await writer.close();
  })().catch(() => {});
  const { success, stdout, stderr } = await child.output();
  await feeding;
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim();
}
