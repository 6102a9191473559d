/**
 * Questions of res_query(3) and its kin: any type and class, answered by the name server's own bytes, through the target's name servers
 * and search list; and what the target's resolv.conf says, for res_init(3).
 *
 * h_errno is told as glibc's res_query.c and res_search do. Name servers that the program has chosen itself are asked instead of the
 * target's.
 */
import { utf8 } from "../base/bytes.ts";
import type { AGENT, AgentMessage } from "../proto/agent.ts";
import type { MessageNamed } from "../proto/schema.ts";
import { exchangeBytes, type Server } from "./dns_exchange.ts";
import { RCODE } from "./dns_message.ts";
import type { ResolvConf } from "./resolv_conf.ts";

type AskDns = MessageNamed<typeof AGENT, "AskDns">;

/** <netdb.h> */
const H = { NOT_FOUND: 1, TRY_AGAIN: 2, NO_RECOVERY: 3, NO_DATA: 4 } as const;
/** <resolv.h> */
const RES = {
  USEVC: 0x8,
  IGNTC: 0x20,
  RECURSE: 0x40,
  DEFNAMES: 0x80,
  DNSRCH: 0x200,
  EDNS0: 0x100000,
  TRUSTAD: 0x4000000,
};
/** What we take with EDNS, as glibc says (RESOLV_EDNS_BUFFER_SIZE). */
const EDNS_BYTES = 1200;
const ETIMEDOUT = 110;
/** A server's address in a request: 4 or 6, 16 bytes, and the port in network order. */
const SERVER_BYTES = 19;

interface Step {
  readonly netError: number;
  readonly answer: Uint8Array;
  /** No server has answered. */
  readonly isSilent: boolean;
  readonly isServerFailure: boolean;
}

const NOTHING = new Uint8Array(0);

export async function askDns(
  message: AskDns,
  conf: ResolvConf,
  port: number,
  signal: AbortSignal,
): Promise<AgentMessage> {
  const { name, recordType, recordClass, options, isSearch } = message;
  const chosen = serversIn(message.servers);
  const servers = chosen.length > 0 ? chosen : conf.nameServers.map((address): Server => ({ address, port }));
  const send = (query: Uint8Array) => sendToServers(query, servers, conf, options, signal);
  const query = message.query.slice();
  let step: Step;
  if (query.length > 0) step = judged(await send(query), false);
  else {
    const ask = async (fullName: string) => {
      const question = makeQuery(fullName, recordType, recordClass, options);
      return question ? judged(await send(question), true) : { ...judged(undefined, true), netError: H.NO_RECOVERY };
    };
    step = isSearch ? await search(name, conf, options, ask) : await ask(name.replace(/\.$/, ""));
  }
  const errno = step.isSilent ? ETIMEDOUT : 0;
  return { type: "DnsAnswer", netError: step.netError, errno, answer: step.answer };
}

/** A byte each for how many servers, ndots, attempts, seconds; the servers; the search list, NUL-terminated names. */
export function packResolver(conf: ResolvConf, port: number): AgentMessage {
  const servers = conf.nameServers.flatMap((address) => [
    address.length === 4 ? 4 : 6,
    ...address,
    ...new Array(16 - address.length).fill(0),
    port >> 8,
    port & 0xff,
  ]);
  const head = [conf.nameServers.length, conf.ndots, conf.attempts, Math.round(conf.timeoutMs / 1000)];
  const list = utf8(conf.search.map((domain) => `${domain}\0`).join(""));
  return { type: "DnsAnswer", netError: 0, errno: 0, answer: Uint8Array.from([...head, ...servers, ...list]) };
}

async function search(
  name: string,
  conf: ResolvConf,
  options: number,
  ask: (fullName: string) => Promise<Step>,
): Promise<Step> {
  if (name === "") return { ...judged(undefined, true), netError: H.NO_RECOVERY, isSilent: false };
  const dots = name.split(".").length - 1;
  const isComplete = name.endsWith(".");
  let asIs: Step | undefined;
  if (isComplete || dots >= conf.ndots) {
    asIs = await ask(name.replace(/\.$/, ""));
    if (asIs.netError === 0 || isComplete) return asIs;
  }
  let nodata: Step | undefined, servfail: Step | undefined, isRootListed = false;
  if (options & (dots === 0 ? RES.DEFNAMES : RES.DNSRCH)) {
    for (const domain of conf.search) {
      isRootListed ||= domain === "";
      const step = await ask(domain === "" ? name : `${name}.${domain}`);
      if (step.netError === 0) return step;
      if (step.netError === H.NO_DATA) nodata = step;
      else if (step.isServerFailure) servfail = step;
      else if (step.netError !== H.NOT_FOUND) break;
      if (!(options & RES.DNSRCH)) break;
    }
  }
  const last = asIs || isRootListed ? asIs : await ask(name);
  if (last?.netError === 0) return last;
  return asIs ?? nodata ?? servfail ?? last ?? judged(undefined, true);
}

function judged(answer: Uint8Array | undefined, isQuery: boolean): Step {
  if (!answer) return { netError: H.TRY_AGAIN, answer: NOTHING, isSilent: true, isServerFailure: false };
  const rcode = answer[3]! & 0xf;
  const answers = answer[6]! << 8 | answer[7]!;
  const step = { answer, isSilent: false, isServerFailure: rcode === RCODE.SERVFAIL };
  if (!isQuery || (rcode === RCODE.NOERROR && answers > 0)) return { ...step, netError: 0 };
  const netError = rcode === RCODE.NXDOMAIN
    ? H.NOT_FOUND
    : rcode === RCODE.SERVFAIL
    ? H.TRY_AGAIN
    : rcode === RCODE.NOERROR
    ? H.NO_DATA
    : H.NO_RECOVERY;
  return { ...step, netError };
}

/** The first good answer of the servers in their order; else one that is a refusal; undefined: none at all. */
async function sendToServers(
  query: Uint8Array,
  servers: readonly Server[],
  { attempts, timeoutMs }: ResolvConf,
  options: number,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const how = {
    timeoutMs,
    usesTcp: (options & RES.USEVC) !== 0,
    isTruncationFine: (options & RES.IGNTC) !== 0,
    signal,
  };
  let refusal: Uint8Array | undefined;
  for (let attempt = 0; attempt < attempts && !signal.aborted && !refusal; attempt++) {
    for (const server of servers) {
      const answer = await exchangeBytes(server, query, how);
      const rcode = answer && answer[3]! & 0xf;
      const isRefusal = rcode === RCODE.SERVFAIL || rcode === RCODE.NOTIMP || rcode === RCODE.REFUSED;
      if (answer && !isRefusal) return answer;
      refusal = answer ?? refusal;
    }
  }
  return refusal;
}

/** Undefined when the name cannot be asked for. */
function makeQuery(name: string, type: number, dnsClass: number, options: number): Uint8Array | undefined {
  const labels = name === "" ? [] : name.split(".").map(utf8);
  const bytes = labels.reduce((sum, label) => sum + label.length + 1, 1);
  if (bytes > 255 || labels.some((label) => label.length === 0 || label.length > 63)) return undefined;
  const id = crypto.getRandomValues(new Uint8Array(2));
  const hasEdns = (options & RES.EDNS0) !== 0;
  const flags = [(options & RES.RECURSE) ? 1 : 0, (options & RES.TRUSTAD) ? 0x20 : 0];
  const head = [...id, ...flags, 0, 1, 0, 0, 0, 0, 0, hasEdns ? 1 : 0];
  const question = [...labels.flatMap((label) => [label.length, ...label]), 0, type >> 8, type & 0xff];
  const opt = hasEdns ? [0, 0, 41, EDNS_BYTES >> 8, EDNS_BYTES & 0xff, 0, 0, 0, 0, 0, 0] : [];
  return Uint8Array.from([...head, ...question, dnsClass >> 8, dnsClass & 0xff, ...opt]);
}

function serversIn(packed: Uint8Array): Server[] {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.length);
  return Array.from({ length: Math.floor(packed.length / SERVER_BYTES) }, (_, index) => {
    const at = index * SERVER_BYTES;
    return { address: packed.slice(at + 1, at + (packed[at] === 4 ? 5 : 17)), port: view.getUint16(at + 17) };
  });
}
