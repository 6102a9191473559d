/** The program's own addresses are the target's: interfaces, and sockets bound to addresses that this machine does not have. */
import assert from "node:assert/strict";
import { ERRNO } from "../../src/base/errors.ts";
import { startUnderShim } from "../support/under_shim.ts";

const POD = Uint8Array.of(192, 0, 2, 77);

/** As native/sys/interfaces.c makes it. */
function record(name: string, index: number, address: Uint8Array, mask: number[]): Uint8Array {
  const bytes = new Uint8Array(80);
  bytes.set(new TextEncoder().encode(name));
  new DataView(bytes.buffer).setUint32(20, index, true);
  bytes[24] = 4;
  bytes.set(address, 32);
  bytes.set(mask, 48);
  return bytes;
}

const RECORDS = Uint8Array.from([
  ...record("lo", 1, Uint8Array.of(127, 0, 0, 1), [255, 0, 0, 0]),
  ...record("pod0", 7, POD, [255, 255, 255, 0]),
]);

Deno.test("getifaddrs(), if_nametoindex(), if_indextoname() and if_nameindex() tell the target's interfaces", async () => {
  await using app = await startUnderShim("sockets", ["interfaces"], {
    answer: (it) => it.type === "GetInterfaces" ? { type: "Interfaces", records: RECORDS } : undefined,
  });
  assert.deepEqual((await app.output()).trimEnd().split("\n"), [
    "getifaddrs 0",
    "lo 7f000001/ff000000",
    "pod0 c000024d/ffffff00",
    "if_nametoindex 7 if_indextoname pod0",
    "if_nameindex 1 lo",
    "if_nameindex 7 pod0",
  ]);
});

Deno.test("getifaddrs() and its kin are this machine's when outgoing connections are", async () => {
  await using app = await startUnderShim("sockets", ["interfaces"], { settings: { isTcpRemote: false } });
  assert.match(await app.output(), /^getifaddrs 0\nlo 7f000001\/ff000000\n/);
  assert.equal(app.count(), 0);
});

for (const kind of ["tcp4", "udp4"]) {
  Deno.test(`bind() of ${kind} to an address of the target is loopback here, and getsockname() tells what was asked`, async () => {
    await using app = await startUnderShim("sockets", [kind, "bind/192.0.2.77/0", "own"]);
    const asked = await app.expect("BindElsewhere");
    assert.deepEqual([asked.address, asked.port], [POD, 0]);
    await app.reply(asked, { type: "Done", errno: 0 });
    const names = await app.expect("BoundName");
    assert.equal(names.inode, asked.inode);
    await app.reply(names, {
      type: "SocketNamesReply",
      isKnown: true,
      peerAddress: new Uint8Array(0),
      peerPort: 0,
      ownAddress: POD,
      ownPort: 0,
    });
    assert.match(await app.output(), /^bind 0\nown 192\.0\.2\.77 [1-9]\d* length 16\n$/);
  });

  Deno.test(`bind() of ${kind} to an address that the target does not have either fails`, async () => {
    await using app = await startUnderShim("sockets", [kind, "bind/192.0.2.77/0"]);
    await app.reply(await app.expect("BindElsewhere"), { type: "Done", errno: ERRNO.EADDRNOTAVAIL });
    assert.equal(await app.output(), "bind EADDRNOTAVAIL\n");
  });
}

Deno.test("bind() to an address of this machine is a system call, and no question", async () => {
  await using app = await startUnderShim("sockets", ["tcp4", "bind/127.0.0.1/0", "own", "udp4", "bind/0.0.0.0/0"]);
  assert.match(await app.output(), /^bind 0\nown 127\.0\.0\.1 \d+ length 16\nbind 0\n$/);
  assert.equal(app.count(), 0);
});
