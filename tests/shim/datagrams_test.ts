/** Outgoing UDP: the app's own socket sends to the intproxy's relays, and hears its peer from there. */
import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../../src/base/bytes.ts";
import { startUnderShim } from "../support/under_shim.ts";

const RELAY_HOST = "127.109.7.7";
const RELAY_ADDRESS = 0x7f6d0707;
const PEER = Uint8Array.of(10, 1, 2, 3);

/** Says "heard X" to whoever says X. */
async function serve(relay: Deno.DatagramConn): Promise<void> {
  for await (const [data, from] of relay) await relay.send(utf8(`heard ${fromUtf8(data)}`), from);
}

Deno.test("sendto(), sendmsg(), sendmmsg() reach the relay of their peer; all that hear tell the peer, not the relay", async () => {
  const relay = Deno.listenDatagram({ transport: "udp", hostname: RELAY_HOST, port: 0 });
  const serving = serve(relay);
  const relayPort = (relay.addr as Deno.NetAddr).port;
  await using app = await startUnderShim("datagrams", [], { settings: { datagramRelay: RELAY_ADDRESS } });
  const asked = await app.expect("RelayDatagrams");
  assert.deepEqual([asked.address, asked.port, asked.isConnect, asked.isIpv6Only], [PEER, 5353, false, false]);
  assert.ok(asked.localPort > 0, "the socket is bound when the relay is asked for");
  await app.reply(asked, { type: "RelayDatagramsReply", errno: 0, isLocal: false, relayPort });
  assert.deepEqual((await app.output()).trimEnd().split("\n"), [
    "recvfrom heard a 10.1.2.3 5353 length 16",
    "recvmsg heard b 10.1.2.3 5353 length 16",
    "sendmmsg 2 1 1",
    "recvmmsg heard c 10.1.2.3 5353 length 16",
    "recvmmsg heard d 10.1.2.3 5353 length 16",
    "__recvfrom_chk heard e 10.1.2.3 5353 length 16",
  ]);
  // Once for a socket and its peer.
  assert.equal(app.count(), 1);
  relay.close();
  await serving;
});
