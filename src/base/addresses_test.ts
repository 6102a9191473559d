import assert from "node:assert/strict";
import { formatAddress, mapped6, parseAddress, parseOldAddress4, unmapped4 } from "./addresses.ts";

const hex = (bytes: Uint8Array | undefined) => bytes?.toHex();

const NUMERIC: [text: string, bytes: string | undefined][] = [
  ["1.2.3.4", "01020304"],
  ["255.255.255.255", "ffffffff"],
  ["256.1.1.1", undefined],
  ["1.2.3", undefined],
  ["::", "00000000000000000000000000000000"],
  ["::1", "00000000000000000000000000000001"],
  ["fe80::1%eth0", "fe800000000000000000000000000001"],
  ["2001:DB8:0:0:1::", "20010db8000000000001000000000000"],
  ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
  ["::ffff:1.2.3.4", "00000000000000000000ffff01020304"],
  ["1::2::3", undefined],
  ["1:2:3:4:5:6:7", undefined],
  ["1:2:3:4:5:6:7:8:9", undefined],
  ["1:2:3:4:5:6:7::8", undefined],
  ["::12345", undefined],
  ["::g", undefined],
  ["", undefined],
  ["name", undefined],
];

Deno.test("a numeric address becomes its bytes, and nothing else does", () => {
  for (const [text, bytes] of NUMERIC) assert.equal(hex(parseAddress(text)), bytes, text);
});

Deno.test("the old forms of an IPv4 address mean what inet_aton(3) says", () => {
  const forms: [string, string | undefined][] = [
    ["127.1", "7f000001"],
    ["0x7f000001", "7f000001"],
    ["0177.0.0.01", "7f000001"],
    ["1.2.65535", "0102ffff"],
    ["4294967295", "ffffffff"],
    ["4294967296", undefined],
    ["1.2.3.256", undefined],
    ["08.1", undefined],
    ["1.2.3.4.5", undefined],
    ["1.2.3.", undefined],
    ["0x", undefined],
  ];
  for (const [text, bytes] of forms) assert.equal(hex(parseOldAddress4(text)), bytes, text);
});

Deno.test("an address is written so that it can be read back", () => {
  for (const text of ["1.2.3.4", "0:0:0:0:0:0:0:1", "20:0:0:0:0:ffff:1:2"]) {
    assert.equal(formatAddress(parseAddress(text)!), text);
  }
});

Deno.test("a v4-mapped address holds the IPv4 one, other IPv6 addresses hold none", () => {
  assert.equal(hex(unmapped4(mapped6(Uint8Array.of(1, 2, 3, 4)))), "01020304");
  assert.equal(unmapped4(parseAddress("::1.2.3.4")!), undefined);
  assert.equal(unmapped4(Uint8Array.of(1, 2, 3, 4)), undefined);
});
