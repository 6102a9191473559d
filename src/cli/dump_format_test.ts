import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import * as format from "./dump_format.ts";

/** The same, as text. */
function dumperFor(...args: Parameters<typeof format.dumperFor>) {
  const dumper = format.dumperFor(...args);
  return {
    opened: (...about: Parameters<typeof dumper.opened>) => fromUtf8(dumper.opened(...about)),
    data: (bytes: Uint8Array) => fromUtf8(dumper.data(bytes)),
    ended: () => fromUtf8(dumper.ended()),
  };
}

const NOON = () => new Date("2026-01-02T12:00:00Z");

Deno.test("text is printed as it is, with its ends of lines, and control characters written out", () => {
  const dumper = dumperFor("text");
  assert.equal(
    dumper.opened(3, 80, "10.0.0.1:4000", "10.0.0.2:80"),
    "## New connection 3 from 10.0.0.1:4000 to 10.0.0.2:80\n",
  );
  assert.equal(
    dumper.data(utf8("GET / HTTP/1.1\r\nHost: grün\r\n\r\n")),
    "## Connection 3: 31 bytes\nGET / HTTP/1.1\nHost: grün\n\n",
  );
  assert.equal(dumper.data(utf8("\x1b[2Jgone")), "## Connection 3: 8 bytes\n\\x1b[2Jgone\n");
  assert.equal(dumper.ended(), "## Connection 3 ended\n");
});

Deno.test("other bytes are printed as hexdump -C does", () => {
  const dumper = dumperFor("text");
  const bytes = Uint8Array.from({ length: 18 }, (_, at) => at === 17 ? 0x41 : at * 16);
  assert.equal(
    dumper.data(bytes),
    "## Connection 0: 18 bytes\n" +
      "00000000  00 10 20 30 40 50 60 70  80 90 a0 b0 c0 d0 e0 f0  |.. 0@P`p........|\n" +
      "00000010  00 41                                             |.A|\n",
  );
});

Deno.test("a character that comes in two pieces is one, whatever the cut; half of one at the end is no text", () => {
  const text = "aé€😀z";
  const bytes = utf8(text);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const dumper = dumperFor("json", NOON);
    const lines = dumper.data(bytes.slice(0, cut)) + dumper.data(bytes.slice(cut)) + dumper.ended();
    const said = lines.trim().split("\n").map((it) => JSON.parse(it));
    assert.equal(said.map((it) => it.text ?? "").join(""), text, `cut at ${cut}`);
    assert.ok(said.every((it) => it.base64 === undefined));
  }
  const dumper = dumperFor("json", NOON);
  assert.equal(JSON.parse(dumper.data(utf8("a").slice(0, 1))).text, "a");
  assert.equal(dumper.data(utf8("é").slice(0, 1)), "");
  assert.equal(JSON.parse(dumper.ended().split("\n")[0]!).base64, "ww==");
});

Deno.test("lines of JSON tell connection, data and end", () => {
  const dumper = dumperFor("json", NOON);
  const time = "2026-01-02T12:00:00.000Z";
  const opened = JSON.parse(dumper.opened(1, 80, "[::1]:5", "[::1]:80"));
  assert.deepEqual(opened, { type: "connection", connection: 1, port: 80, peer: "[::1]:5", address: "[::1]:80", time });
  assert.deepEqual(JSON.parse(dumper.data(Uint8Array.of(0xff, 0))), {
    type: "data",
    connection: 1,
    base64: "/wA=",
    time,
  });
  assert.deepEqual(JSON.parse(dumper.ended()), { type: "end", connection: 1, time });
});
