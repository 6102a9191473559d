/**
 * Connects from nobody to nowhere, before there is a client: what src/layer/rehearsal.ts is there, and why.
 *
 * To be made before the target's network is entered, which must see nothing of it: they are connections of this process to itself, on
 * loopback.
 */
import { duplexPair } from "../base/duplex_pair.ts";
import { AGENT_LIMITS } from "../proto/agent.ts";
import { AgentLink } from "../proto/agent_link.ts";
import { closeDescriptor } from "../sys/redirected.ts";
import { openRelay, type Relay } from "../sys/relay.ts";
import { sendAtOnce } from "../sys/sockets.ts";
import { Outgoing } from "./outgoing.ts";

const ROUNDS = 2;
const CONNECTS = 8;
const LOOPBACK = Uint8Array.of(127, 0, 0, 1);
const WORD = new Uint8Array(64);
/** What has not happened after so many looks will not: then it was no rehearsal, and nothing else. */
const LOOKS = 500;
const LOOK_MS = 1;

/** Resolves with how many came to their end; never rejects: the agent serves without. */
export async function rehearse(log: (line: string) => void): Promise<number> {
  const relay = openRelay(4);
  if (typeof relay === "number") return 0;
  const [near, far] = duplexPair();
  using client = new Client(new AgentLink(near));
  using link = new AgentLink(far);
  const outgoing = new Outgoing(link, { root: -1, rights: null });
  const playing = [client.listen(), serve(link, outgoing)];
  try {
    for (let round = 0; round < ROUNDS; round++) await connectMany(client, relay, round * CONNECTS);
  } catch (error) {
    log(`The rehearsal failed: ${error}`);
  } finally {
    relay[Symbol.dispose]();
    await outgoing.close();
    link.close();
    await Promise.allSettled(playing);
  }
  return client.ended;
}

class Client implements Disposable {
  readonly #link: AgentLink;
  connected = 0;
  hasFailed = false;
  ended = 0;

  constructor(link: AgentLink) {
    this.#link = link;
  }

  connect(stream: number, port: number): void {
    this.#link.send({ type: "Connect", id: stream, stream, address: LOOPBACK, port });
  }

  say(stream: number): void {
    this.#link.send({ type: "Data", id: 0, stream, data: WORD });
  }

  async listen(): Promise<void> {
    for await (const batch of this.#link.batches(() => AGENT_LIMITS.frameBytes)) {
      for (const message of batch) {
        if (message.type === "ConnectReply") this.#count(message.errno);
        else if (message.type === "End" || message.type === "Reset") this.#end(message.stream);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#link.close();
  }

  #count(errno: number): void {
    this.connected++;
    if (errno !== 0) this.hasFailed = true;
  }

  #end(stream: number): void {
    this.ended++;
    this.#link.send({ type: "End", id: 0, stream });
  }
}

async function connectMany(client: Client, relay: Relay, before: number): Promise<void> {
  const streams = Array.from({ length: CONNECTS }, (_, at) => before + at + 1);
  for (const stream of streams) client.connect(stream, relay.port);
  await happens(() => client.connected === before + CONNECTS);
  if (client.hasFailed) throw new Error("loopback is not there");
  for (const stream of streams) client.say(stream);
  for (let come = relay.accept(); come; come = relay.accept()) {
    sendAtOnce(come.fd, WORD);
    closeDescriptor(come.fd);
  }
  await happens(() => client.ended === before + CONNECTS);
}

async function happens(condition: () => boolean): Promise<void> {
  for (let look = 0; !condition(); look++) {
    if (look === LOOKS) throw new Error("it does not come to its end");
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

async function serve(link: AgentLink, outgoing: Outgoing): Promise<void> {
  const waiting: (Promise<void> | void)[] = [];
  for await (const batch of link.batches(() => AGENT_LIMITS.frameBytes)) {
    for (const frame of batch) {
      const { id } = frame;
      if (frame.type === "Connect") waiting.push(outgoing.connect(frame, (message) => link.send({ ...message, id })));
      else if (frame.type === "Data" || frame.type === "End" || frame.type === "Reset") outgoing.onMessage(frame);
    }
  }
  await Promise.all(waiting);
}
