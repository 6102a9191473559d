/**
 * What programs ask the kernel about their network. Questions by netlink go to the agent as they are; of ioctls an answer tells all
 * of an interface at once, and serves the burst of questions that follows.
 */
import { keyOf } from "./listing.ts";
import { ERRNO } from "../../base/errors.ts";
import type { LAYER, LayerMessage } from "../../proto/layer.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import type { AgentClient } from "./agent_client.ts";
import type { ShimConnection } from "./shim_connection.ts";

export type NetworkQuestion = Extract<LayerMessage, { type: "AskNetlink" | "AskInterface" }>;
type AskInterface = MessageNamed<typeof LAYER, "AskInterface">;

interface Answer {
  readonly errno: number;
  readonly data: Uint8Array;
}

/** A program that asks for all of its interfaces is done by then. */
const KNOWN_MS = 500;
const MOST_KNOWN = 256;
/** After the name: an index, or the IPv4 address (sockaddr_in) by which one of several of the same name is meant. */
const CHOICE_BYTES = 8;
const NAME_BYTES = 16;
const SIOCGIFNAME = 0x8910;
const SIOCGIFCONF = 0x8912;
const SIOCETHTOOL = 0x8946;
/** Of native/sys/network_questions.c: the request, its errno, a struct ifreq. */
const TOLD_BYTES = 48;
const UNKNOWN: Answer = { errno: ERRNO.EOPNOTSUPP, data: new Uint8Array(0) };

export class NetworkQuestions {
  readonly #agent: AgentClient;
  readonly #known = new Map<string, { answer: Promise<Answer>; until: number }>();
  readonly #tasks = new Set<Promise<void>>();

  constructor(agent: AgentClient) {
    this.#agent = agent;
  }

  onRequest(message: NetworkQuestion, id: number, shim: ShimConnection): void {
    if (message.type === "AskNetlink") {
      const { protocol, options, request } = message;
      return this.#agent.request({ type: "AskNetlink", protocol, options, request }, (answer) => {
        const { errno, data } = answer ?? UNKNOWN;
        shim.send({ type: "NetworkAnswer", errno, data }, id);
      });
    }
    const { request } = message;
    const task = this.#interface(message).then((all) => {
      const { errno, data } = isOfAll(request) ? toldOf(request, all) : all;
      shim.send({ type: "NetworkAnswer", errno, data }, id);
    }).finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }

  /** Resolves when no question is open any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#tasks);
  }

  #interface(message: AskInterface): Promise<Answer> {
    const { family, request, command } = message;
    const ifreq = message.ifreq.slice();
    const subject = isOfAll(request) ? "all" : `${request} ${command}`;
    const meant = request === SIOCGIFCONF ? "" : keyOf(ifreq.subarray(0, NAME_BYTES + CHOICE_BYTES));
    const key = `${family} ${subject} ${meant}`;
    const now = performance.now();
    const known = this.#known.get(key);
    if (known && known.until > now) return known.answer;
    const answer = this.#agent.ask(
      { type: "AskInterface", family, request, command, ifreq },
      (it) => it ? { errno: it.errno, data: it.data.slice() } : UNKNOWN,
    );
    this.#known.delete(key);
    this.#known.set(key, { answer, until: now + KNOWN_MS });
    if (this.#known.size > MOST_KNOWN) this.#known.delete(this.#known.keys().next().value!);
    return answer;
  }
}

function isOfAll(request: number): boolean {
  return request !== SIOCGIFNAME && request !== SIOCGIFCONF && request !== SIOCETHTOOL;
}

/** One of what is told of an interface. */
function toldOf(request: number, { errno, data }: Answer): Answer {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  for (let at = 0; errno === 0 && at + TOLD_BYTES <= data.length; at += TOLD_BYTES) {
    if (view.getUint32(at, true) === request) return { errno: 0, data: data.subarray(at, at + TOLD_BYTES) };
  }
  return { errno: errno || ERRNO.EINVAL, data: data.subarray(0, 0) };
}
