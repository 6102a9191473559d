/**
 * A name through the search list and the name servers, as glibc's res_search(3) and res_send(3) go about it.
 *
 * A and AAAA are asked together, and one step of the search list decides for both: mixing the addresses of two
 * different full names would be wrong.
 */
import { EAI } from "./eai.ts";
import { exchange, type Server } from "./dns_exchange.ts";
import { type Answer, isAskable, makeQuestion, type QuestionType, RCODE } from "./dns_message.ts";
import type { ResolvConf } from "./resolv_conf.ts";

export interface Found {
  answers: Answer[];
}

/** Why there is no answer. */
type Failure = "noname" | "nodata" | "again" | "fail";

const EAI_OF: Record<Failure, number> = { noname: EAI.NONAME, nodata: EAI.NODATA, again: EAI.AGAIN, fail: EAI.FAIL };

/**
 * The answers that hold something, of the first name in the search list that has any; or an EAI number. An alias of a name without
 * addresses is something: the search ends there.
 */
export async function searchDns(
  name: string,
  types: QuestionType[],
  conf: ResolvConf,
  port: number,
  signal: AbortSignal,
): Promise<Found | number> {
  const ask = (fullName: string) => askAll(fullName, types, conf, port, signal);
  const dots = name.split(".").length - 1;
  const isComplete = name.endsWith(".");
  let asIs: Step | undefined;
  if (isComplete || dots >= conf.ndots) {
    asIs = await ask(name.replace(/\.$/, ""));
    if (asIs.answers.length > 0) return asIs;
    if (isComplete) return EAI_OF[asIs.failure];
  }
  const seen = new Set<Failure>();
  for (const domain of conf.search) {
    if (domain === "" && asIs) continue;
    const step = await ask(domain === "" ? name : `${name}.${domain}`);
    if (step.answers.length > 0) return step;
    if (domain === "") asIs = step;
    if (step.isFinal) break;
    seen.add(step.failure);
  }
  // Tried as it is at first: how that went counts most.
  if (asIs) return EAI_OF[asIs.failure];
  const last = await ask(name);
  if (last.answers.length > 0) return last;
  // Some name of the list exists: that says more than how the bare one fared.
  if (seen.has("nodata")) return EAI.NODATA;
  return seen.has("again") ? EAI.AGAIN : EAI_OF[last.failure];
}

interface Step extends Found {
  failure: Failure;
  /** Nobody answers us: more names of the list would fare no better. */
  isFinal: boolean;
}

async function askAll(
  name: string,
  types: QuestionType[],
  conf: ResolvConf,
  port: number,
  signal: AbortSignal,
): Promise<Step> {
  if (!isAskable(name)) return { answers: [], failure: "noname", isFinal: false };
  const results = await Promise.all(types.map((type) => askServers(name, type, conf, port, signal)));
  const answers = results.filter((result) => result !== undefined && hasRecords(result)) as Answer[];
  // The first question, for IPv4 where both are asked, says why: as glibc has it.
  const first = results[0];
  return {
    answers,
    failure: failureOf(first),
    isFinal: !first || (isRefusal(first) && first.rcode !== RCODE.SERVFAIL),
  };
}

function hasRecords(answer: Answer): boolean {
  const { rcode, addresses, names, aliases } = answer;
  return rcode === RCODE.NOERROR && addresses.length + names.length + aliases.length > 0;
}

function failureOf(answer: Answer | undefined): Failure {
  if (!answer || isRefusal(answer)) return "again";
  if (answer.rcode === RCODE.NXDOMAIN) return "noname";
  return answer.rcode === RCODE.NOERROR ? "nodata" : "fail";
}

/** The first good answer of the servers in their order, all of them as often as `attempts` says. */
async function askServers(
  name: string,
  type: QuestionType,
  conf: ResolvConf,
  port: number,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  const servers = inTurn(conf).map((address): Server => ({ address, port }));
  let refusal: Answer | undefined;
  for (let attempt = 0; attempt < conf.attempts && !signal.aborted; attempt++) {
    for (const server of servers) {
      if (signal.aborted) break;
      const { timeoutMs, usesTcp } = conf;
      const answer = await exchange(server, makeQuestion(name, type), { timeoutMs, usesTcp, signal });
      if (answer && !isRefusal(answer)) return answer;
      refusal = answer ?? refusal;
    }
    // A server that says no says so again.
    if (refusal) return refusal;
  }
  return undefined;
}

/** These servers cannot help, others may. */
function isRefusal({ rcode }: Answer): boolean {
  return rcode === RCODE.SERVFAIL || rcode === RCODE.NOTIMP || rcode === RCODE.REFUSED;
}

function inTurn({ nameServers, isRotating }: ResolvConf): Uint8Array[] {
  const first = isRotating ? Math.floor(Math.random() * nameServers.length) : 0;
  return [...nameServers.slice(first), ...nameServers.slice(0, first)];
}
