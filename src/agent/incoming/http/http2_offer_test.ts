/** The offer of HTTP/2 is taken out of a request, and nothing else. */
import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../../../base/bytes.ts";
import { withoutHttp2Offer } from "./http2_offer.ts";

const OFFER = "GET /a HTTP/1.1\r\nHost: x\r\n";

Deno.test("an offer of HTTP/2 is taken out of a request, and the rest is as it was", () => {
  const cases: [string, string][] = [
    ["Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", ""],
    ["connection:Upgrade,HTTP2-Settings\r\nA: b\r\nupgrade:h2c\r\nhttp2-settings:AA\r\n", "A: b\r\n"],
    [
      "Connection: keep-alive, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n",
      "Connection: keep-alive, Upgrade\r\n",
    ],
    ["Upgrade: h2c, websocket\r\nHTTP2-Settings: AA\r\n", "Upgrade: websocket\r\n"],
    ["Connection: Upgrade\r\nUpgrade: websocket\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\n"],
    ["X: h2c, HTTP2-Settings\r\n", "X: h2c, HTTP2-Settings\r\n"],
    ["Upgrade: h2c\r\nHTTP2-Settings: AA\r\nX: \u2019é\r\n", "X: \u2019é\r\n"],
  ];
  for (const [said, left] of cases) {
    assert.equal(fromUtf8(withoutHttp2Offer(utf8(`${OFFER}${said}\r\n`))), `${OFFER}${left}\r\n`);
  }
});
