import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import { ERRNO } from "../base/errors.ts";
import { dial, outcomeOf } from "./dial.ts";
import { RelayedEnd } from "./relayed_end.ts";
import { ownEndOf, Sockets } from "./sockets.ts";

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);

/** An end, and who is at the other one. */
async function connected(sockets: Sockets): Promise<[RelayedEnd, Deno.TcpConn]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = listener.accept();
  const { fd, own } = dial({ address: LOOPBACK, port: listener.addr.port }, undefined);
  assert.ok(fd >= 0);
  assert.equal(outcomeOf(fd), 0);
  assert.deepEqual(own, ownEndOf(fd));
  return [new RelayedEnd(sockets, fd, listener.addr.port), await accepting];
}

async function textOf(end: RelayedEnd): Promise<string | null> {
  const into = new Uint8Array(64);
  await end.readable();
  const count = await end.read(into);
  return count === null ? null : fromUtf8(into.subarray(0, count));
}

Deno.test("words go to and fro in order, however many; then both directions end alone", async () => {
  const sockets = Sockets.open() as Sockets;
  const [end, peer] = await connected(sockets);
  const into = new Uint8Array(64);
  for (let round = 0; round < 150; round++) {
    await peer.write(utf8(`question ${round}`));
    assert.equal(await textOf(end), `question ${round}`);
    await end.writeAll(utf8(`answer ${round}`));
    assert.equal(fromUtf8(into.subarray(0, await peer.read(into) ?? 0)), `answer ${round}`);
  }
  await end.closeWrite();
  assert.equal(await peer.read(into), null);
  await peer.write(utf8("last words"));
  await peer.closeWrite();
  assert.equal(await textOf(end), "last words");
  assert.equal(await textOf(end), null);
  end.close();
  peer.close();
  await sockets.close();
});

Deno.test("what a slow peer does not take at once arrives in order, before and after the change", async () => {
  const sockets = Sockets.open() as Sockets;
  const [end, peer] = await connected(sockets);
  const piece = Uint8Array.from({ length: 4 << 20 }, (_, at) => at % 251);
  for (const words of [0, 150]) {
    for (let at = 0; at < words; at++) {
      await peer.write(utf8("word"));
      await textOf(end);
    }
    const writing = end.writeAll(piece);
    const got = new Uint8Array(piece.length);
    for (let at = 0; at < got.length;) at += await peer.read(got.subarray(at)) ?? assert.fail("It ended");
    await writing;
    assert.deepEqual(got, piece);
    await peer.write(utf8("next"));
    assert.equal(await textOf(end), "next");
  }
  end.close();
  peer.close();
  await sockets.close();
});

Deno.test("a reset reaches the peer as a reset, whoever waits for the socket", async () => {
  const sockets = Sockets.open() as Sockets;
  for (const words of [0, 150]) {
    const [end, peer] = await connected(sockets);
    for (let at = 0; at < words; at++) {
      await peer.write(utf8("word"));
      await textOf(end);
    }
    const pending = textOf(end).catch(() => null);
    end.reset();
    await assert.rejects(peer.read(new Uint8Array(8)), Deno.errors.ConnectionReset);
    assert.equal(await pending, null);
    peer.close();
  }
  await sockets.close();
});

Deno.test("a connect that is refused tells so, and so does an own end that is not to be had", () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const refused = dial({ address: LOOPBACK, port }, undefined);
  assert.equal(refused.fd, -ERRNO.ECONNREFUSED);
  const elsewhere = { address: Uint8Array.of(192, 0, 2, 1), port: 0 };
  assert.equal(dial({ address: LOOPBACK, port }, elsewhere).isUnbound, true);
});
