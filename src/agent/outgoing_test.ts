import assert from "node:assert/strict";
import { duplexPair } from "../base/duplex_pair.ts";
import { ERRNO } from "../base/errors.ts";
import type { AgentMessage } from "../proto/agent.ts";
import { AgentLink } from "../proto/agent_link.ts";
import { Outgoing } from "./outgoing.ts";

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);

function errnoOf(message: AgentMessage): number {
  return (message as { errno: number }).errno;
}

Deno.test("more streams than the limit are EMFILE, until one is gone", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const outgoing = new Outgoing(new AgentLink(duplexPair()[0]), { root: -1, rights: null }, 2);
  const connect = async (stream: number) => {
    let errno = -1;
    const { port } = listener.addr;
    await outgoing.connect({ type: "Connect", stream, address: LOOPBACK, port }, (reply) => errno = errnoOf(reply));
    return errno;
  };
  assert.deepEqual([await connect(1), await connect(2), await connect(3)], [0, 0, ERRNO.EMFILE]);
  outgoing.onMessage({ type: "Reset", stream: 1 });
  assert.equal(await connect(3), 0);
  await outgoing.close();
});

Deno.test("a connect that is given up, or whose client goes, ends at once", async () => {
  // A listener whose queue is full does not answer: the third connection waits for minutes.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const outgoing = new Outgoing(new AgentLink(duplexPair()[0]), { root: -1, rights: null });
  const errnos: number[] = [];
  const { port } = listener.addr;
  const attempts = [1, 2, 3, 4, 5, 6].map((stream) =>
    outgoing.connect({ type: "Connect", stream, address: LOOPBACK, port }, (reply) => errnos.push(errnoOf(reply)))
  );
  for (const stream of [1, 2, 3]) outgoing.onMessage({ type: "Reset", stream });
  await Promise.all(attempts.slice(0, 3));
  await outgoing.close();
  await Promise.all(attempts);
  assert.equal(errnos.length, 6);
  assert.ok(errnos.includes(ERRNO.ECONNABORTED));
});

Deno.test("a Reset that comes right behind its Connect ends it, be it connected already or not yet", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const outgoing = new Outgoing(new AgentLink(duplexPair()[0]), { root: -1, rights: null }, 1);
  const { port } = listener.addr;
  const errnos: number[] = [];
  for (let stream = 1; stream <= 6; stream++) {
    const attempt = outgoing.connect(
      { type: "Connect", stream, address: LOOPBACK, port },
      (reply) => errnos.push(errnoOf(reply)),
    );
    outgoing.onMessage({ type: "Reset", stream });
    await attempt;
  }
  // There is room for one only: each was gone before the next.
  assert.equal(errnos.length, 6);
  assert.ok(errnos.every((errno) => errno === 0 || errno === ERRNO.ECONNABORTED));
  await outgoing.close();
});
