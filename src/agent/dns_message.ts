/** DNS messages (RFC 1035): one question out, and what an answer to it says. */
import { Buffer } from "node:buffer";
import packet from "dns-packet";
import { parseAddress } from "../base/addresses.ts";

export type QuestionType = "A" | "AAAA" | "PTR";

export interface Question {
  id: number;
  /** Without a dot at its end. */
  name: string;
  type: QuestionType;
}

export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;

const HEADER_BYTES = 12;

export interface Answer {
  rcode: number;
  /** Over UDP it did not fit: ask again over TCP. */
  isTruncated: boolean;
  /** The end of the chain of CNAMEs. */
  canonicalName: string;
  /** The names on the way there, the first that was asked for. */
  aliases: string[];
  addresses: Uint8Array[];
  /** Of a PTR question. */
  names: string[];
}

/** What dns-packet decodes, as far as it is used here. */
interface Decoded {
  id: number;
  type: "query" | "response";
  flags: number;
  flag_tc: boolean;
  questions: { name: string; type: string }[];
  answers: { name: string; type: string; data: unknown }[];
}

/** RFC 1035 2.3.4: labels of 1 to 63 bytes, 253 characters in all; underscores and what else there is are welcome. */
export function isAskable(name: string): boolean {
  const labels = name.split(".");
  return name.length <= 253 && labels.every((label) => /^[\x21-\x7e]{1,63}$/.test(label));
}

export function makeQuestion(name: string, type: QuestionType): Question {
  return { id: crypto.getRandomValues(new Uint16Array(1))[0]!, name, type };
}

export function encodeQuestion({ id, name, type }: Question): Uint8Array<ArrayBuffer> {
  const flags = packet.RECURSION_DESIRED;
  return new Uint8Array(packet.encode({ type: "query", id, flags, questions: [{ type, name }] }));
}

/** Undefined when the bytes are no answer to this question: not well-formed, or somebody else's. */
export function decodeAnswer(bytes: Uint8Array, question: Question): Answer | undefined {
  const decoded = decode(bytes);
  const asked = decoded?.questions[0];
  if (!decoded || decoded.type !== "response" || decoded.id !== question.id) return undefined;
  if (!asked || !isSameName(asked.name, question.name) || asked.type !== question.type) return undefined;
  const aliases = followAliases(decoded, question.name);
  const canonicalName = aliases.pop()!;
  const records = decoded.answers.filter(({ name, type }) => type === question.type && isSameName(name, canonicalName));
  const texts = records.map(({ data }) => data).filter((data) => typeof data === "string");
  return {
    rcode: decoded.flags & 0xf,
    isTruncated: decoded.flag_tc,
    canonicalName,
    aliases,
    addresses: question.type === "PTR" ? [] : texts.flatMap((text) => parseAddress(text) ?? []),
    names: question.type === "PTR" ? texts.filter(isHostName) : [],
  };
}

function decode(bytes: Uint8Array): Decoded | undefined {
  try {
    // The library reads with methods that only a Buffer has.
    return packet.decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)) as unknown as Decoded;
  } catch {
    return undefined;
  }
}

/** The name, and where it leads. */
function followAliases({ answers }: Decoded, name: string): string[] {
  const names = [name];
  // A chain has at most as many links as there are answers, though it may be a ring.
  while (names.length <= answers.length) {
    const alias = answers.find((answer) => answer.type === "CNAME" && isSameName(answer.name, names.at(-1)!));
    if (typeof alias?.data !== "string" || !isHostName(alias.data)) break;
    names.push(alias.data);
  }
  return names;
}

function isSameName(a: string, b: string): boolean {
  return a.replace(/\.$/, "").toLowerCase() === b.replace(/\.$/, "").toLowerCase();
}

/** Names from afar end up in programs: only what a host name may be, and underscores. */
function isHostName(name: string): boolean {
  return /^[\w-]+(\.[\w-]+)*\.?$/.test(name);
}

/** Whether these bytes answer that query, as its id tells. */
export function isAnswerTo(answer: Uint8Array, query: Uint8Array): boolean {
  if (answer.length < HEADER_BYTES || !(answer[2]! & 0x80)) return false;
  return answer[0] === query[0] && answer[1] === query[1];
}
