/**
 * Connects of nobody to nowhere, before there is a program.
 *
 * The runtime compiles what it meets when it meets it, and well what it has met often: the first connects of a run cost three times what later
 * ones do, and programs make them all at once when they start. Who waits for a cluster has the time to make them first.
 * Nothing is seen of it outside: sockets of this process on loopback, and an agent that is a few lines of this file.
 */
import { concatBytes } from "../base/bytes.ts";
import type { Duplex } from "../base/duplex.ts";
import { duplexPair } from "../base/duplex_pair.ts";
import { AGENT_LIMITS } from "../proto/agent.ts";
import { AgentLink } from "../proto/agent_link.ts";
import { dial } from "../sys/dial.ts";
import { closeDescriptor } from "../sys/redirected.ts";
import { ownEndOf, sendAtOnce } from "../sys/sockets.ts";
import { AgentClient } from "./intproxy/agent_client.ts";
import { Outgoing } from "./intproxy/outgoing.ts";
import { layerCodec, ShimConnection } from "./intproxy/shim_connection.ts";

const ROUNDS = 2;
const CONNECTS = 8;
const LOOPBACK = Uint8Array.of(127, 0, 0, 1);
/** Of RFC 5737: nobody's. */
const NOWHERE = { address: Uint8Array.of(192, 0, 2, 1), port: 1 };
const NOT_BOUND = { boundInode: 0n, boundAddress: new Uint8Array(0), boundPort: 0 };
const WORD = new Uint8Array(64);
/** What has not happened after so many looks will not: then it was no rehearsal, and nothing else. */
const LOOKS = 500;
const LOOK_MS = 1;

/** Resolves with how many were made; never rejects: a run goes on without. */
export async function rehearse(log: (line: string) => void): Promise<number> {
  let made = 0;
  const [near, far] = duplexPair();
  const [app, shimEnd] = duplexPair();
  using link = new AgentLink(far);
  const agent = new AgentClient(near, { log: () => {} });
  const conn = {
    read: (into: Uint8Array) => shimEnd.read(into),
    write: (bytes: Uint8Array) => shimEnd.writeAll(bytes).then(() => bytes.length),
    close: () => shimEnd.close(),
  };
  const shim = new ShimConnection(conn);
  const playing = [answer(link)];
  try {
    const outgoing = Outgoing.open(agent);
    try {
      playing.push(serve(shim, outgoing));
      await app.writeAll(layerCodec.encode({ type: "Hello", build: "", pid: 0, isLifeline: false, program: "" }, 0));
      for (let round = 0; round < ROUNDS; round++) made += await connectMany(outgoing, agent, app);
    } finally {
      await agent.close();
      await outgoing.close();
    }
  } catch (error) {
    log(`the rehearsal failed: ${error}`);
  } finally {
    await agent.close();
    shim.close();
    app.close();
    await Promise.allSettled(playing);
  }
  return made;
}

async function connectMany(outgoing: Outgoing, agent: AgentClient, app: Duplex): Promise<number> {
  const fds: number[] = [];
  const { holePort4: port } = outgoing.ports;
  try {
    for (let at = 0; port !== 0 && at < CONNECTS; at++) {
      const { fd } = dial({ address: LOOPBACK, port }, undefined);
      if (fd >= 0) fds.push(fd);
    }
    const asks = fds.map((fd) => {
      const { address, port } = ownEndOf(fd);
      const local = { localAddress: address, localPort: port };
      return layerCodec.encode({ type: "Connect", ...NOWHERE, ...local, ...NOT_BOUND, isBlocking: false }, 0);
    });
    await app.writeAll(concatBytes(asks));
    await happens(() => agent.streams.size === fds.length);
    for (const fd of fds) sendAtOnce(fd, WORD);
  } finally {
    for (const fd of fds) closeDescriptor(fd);
  }
  await happens(() => agent.streams.size === 0);
  return fds.length;
}

async function happens(condition: () => boolean): Promise<void> {
  for (let look = 0; !condition(); look++) {
    if (look === LOOKS) throw new Error("it does not come to its end");
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

async function serve(shim: ShimConnection, outgoing: Outgoing): Promise<void> {
  for await (const batch of shim.requests(() => true)) {
    for (const frame of batch) if (frame.type === "Connect") outgoing.onRequest(frame, frame.id, shim);
  }
}

/** The agent: everybody is there, and says what it hears. */
async function answer(link: AgentLink): Promise<void> {
  for await (const batch of link.batches(() => AGENT_LIMITS.frameBytes)) {
    for (const message of batch) {
      const { id } = message;
      if (message.type === "Connect") {
        link.send({ type: "ConnectReply", id, errno: 0, localAddress: LOOPBACK, localPort: 1 });
      } else if (message.type === "Data") link.send({ ...message, data: message.data.slice() });
      else if (message.type === "End") link.send(message);
    }
  }
}
