/** Listening sockets: the program's own, which stand for a port of the target; whom it accepts is told as the target's peer. */
import assert from "node:assert/strict";
import { startUnderShim } from "../support/under_shim.ts";

const PEER = Uint8Array.of(10, 1, 2, 3);
const POD = Uint8Array.of(10, 9, 9, 9);

Deno.test("bind() asks, listen() subscribes, accept() and accept4() tell the true peer", async () => {
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr;
  free.close();
  await using app = await startUnderShim("listening", [String(port)], { settings: { isIncomingRemote: true } });
  const bound = await app.expect("Bind");
  assert.equal(bound.port, port);
  await app.reply(bound, { type: "BindReply", isIncoming: true, port, isFixed: false, takenPort: 0 });
  const listens = await app.expect("Listen");
  assert.deepEqual([listens.inode, listens.port], [bound.inode, port]);
  await app.reply(listens, { type: "Done", errno: 0 });
  const names = { isKnown: true, peerAddress: PEER, peerPort: 4242, ownAddress: POD, ownPort: 80 };
  for (const _ of ["accept", "accept4"]) {
    using conn = await Deno.connect({ hostname: "127.0.0.1", port });
    const asked = await app.expect("AcceptedNames");
    assert.deepEqual([asked.peerPort, asked.localPort], [(conn.localAddr as Deno.NetAddr).port, port]);
    await app.reply(asked, { type: "SocketNamesReply", ...names });
  }
  const again = await app.expect("AcceptedNames");
  await app.reply(again, { type: "SocketNamesReply", ...names });
  assert.equal(await app.output(), "accept 10.1.2.3 4242\naccept4 10.1.2.3 4242\nown 10.9.9.9 80\n");
});
