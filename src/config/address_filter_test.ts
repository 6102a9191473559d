import assert from "node:assert/strict";
import { type AddressRule, dnsFilterOf, matchesRule, parseAddressRule } from "./address_filter.ts";

function rule(text: string): AddressRule {
  const parsed = parseAddressRule(text);
  assert.ok(typeof parsed === "object", `${text}: ${parsed}`);
  return parsed;
}

// Row config features: the filter grammar (16 cases)
const UNDERSTOOD: readonly (readonly [string, Partial<Record<"protocol" | "name" | "port" | "bits", unknown>>])[] = [
  ["tcp://1.2.3.0/24:7777", { protocol: "tcp", bits: 24, port: 7777 }],
  ["tcp://1.2.3.4:7777", { protocol: "tcp", bits: 32, port: 7777 }],
  ["tcp://[2800:3f0:4001:81e::2004]:7777", { protocol: "tcp", bits: 128, port: 7777 }],
  ["tcp://[2800:3f0:4001:81e::]/64:7777", { protocol: "tcp", bits: 64, port: 7777 }],
  ["2800:3f0:4001:81e::2004", { bits: 128, port: 0 }],
  ["tcp://", { protocol: "tcp", port: 0 }],
  ["tcp://google.com:7777", { protocol: "tcp", name: "google.com", port: 7777 }],
  ["rust-lang.org", { name: "rust-lang.org", port: 0 }],
  ["Rust-Lang.org.", { name: "rust-lang.org", port: 0 }],
  ["with_underscore.svc:80", { name: "with_underscore.svc", port: 80 }],
  ["localhost", { name: "localhost", port: 0 }],
  ["1.2.3.0/24:7777", { bits: 24, port: 7777 }],
  ["1.2.3.0/24", { bits: 24, port: 0 }],
  ["udp://:7777", { protocol: "udp", port: 7777 }],
  [":7777", { port: 7777 }],
  ["1.2.3.4:0", { bits: 32, port: 0 }],
];

for (const [text, expected] of UNDERSTOOD) {
  Deno.test(`an address rule "${text}" is understood`, () => {
    const { protocol, name, subnet, port } = rule(text);
    const bits = subnet?.prefixBits;
    assert.deepEqual({ protocol, name, bits, port }, {
      protocol: undefined,
      name: undefined,
      bits: undefined,
      port: 0,
      ...expected,
    });
  });
}

for (
  const text of [
    "google.com/24:7777",
    ":7777:tcp://1.2.3.4",
    "7777:1.2.3.4",
    "ftp://x",
    "1.2.3.4:70000",
    "1.2.3.4/33",
    "[::1]/129",
    "a b",
    "",
    "tcp://host/path",
    "host:port",
    "/24",
  ]
) {
  Deno.test(`an address rule "${text}" is refused with a reason`, () => {
    assert.equal(typeof parseAddressRule(text), "string");
  });
}

const V4 = Uint8Array.of(10, 1, 2, 3);
const V6 = Uint8Array.from([0xfd, ...Array(14).fill(0), 9]);
const MATCHES: readonly (readonly [string, "tcp" | "udp", Uint8Array, number, readonly string[], boolean])[] = [
  ["tcp://", "tcp", V4, 80, [], true],
  ["tcp://", "udp", V4, 80, [], false],
  [":80", "udp", V6, 80, [], true],
  [":80", "tcp", V4, 81, [], false],
  ["10.0.0.0/8", "tcp", V4, 1, [], true],
  ["10.1.2.0/23", "tcp", V4, 1, [], true],
  ["10.1.4.0/23", "tcp", V4, 1, [], false],
  ["0.0.0.0/0", "tcp", V4, 1, [], true],
  ["0.0.0.0/0", "tcp", V6, 1, [], false],
  ["[fd00::]/8:53", "udp", V6, 53, [], true],
  ["10.1.2.4", "tcp", V4, 1, [], false],
  ["db.prod:5432", "tcp", V4, 5432, ["db.prod"], true],
  ["db.prod:5432", "tcp", V4, 5433, ["db.prod"], false],
  ["db.prod", "tcp", V4, 5432, ["db"], false],
];

for (const [text, protocol, address, port, names, expected] of MATCHES) {
  const what = `${protocol} to ${address.length === 4 ? "10.1.2.3" : "fd00::9"}:${port}${
    names.length ? ` (${names})` : ""
  }`;
  Deno.test(`the rule "${text}" ${expected ? "matches" : "does not match"} ${what}`, () => {
    assert.equal(matchesRule(rule(text), protocol, address, port, new Set(names)), expected);
  });
}

Deno.test("the names of an outgoing filter are resolved on the side where they are used", () => {
  const local = (...rules: string[]) => ({ side: "local" as const, rules });
  const remote = (...rules: string[]) => ({ side: "remote" as const, rules });
  assert.equal(dnsFilterOf(undefined, undefined), undefined);
  assert.deepEqual(dnsFilterOf(undefined, local("a")), local("a"));
  assert.deepEqual(dnsFilterOf(local("a:80", "10.0.0.0/8"), undefined), local("a:80"));
  assert.deepEqual(dnsFilterOf(remote("a", "tcp://b"), undefined), remote("a", "tcp://b"));
  assert.equal(dnsFilterOf(remote("a", "10.0.0.0/8"), undefined), undefined);
  assert.equal(dnsFilterOf(remote(":5432"), undefined), undefined);
  assert.deepEqual(dnsFilterOf(remote("a"), remote("b")), remote("b", "a"));
  assert.deepEqual(dnsFilterOf(remote("a"), local("b")), local("b"));
});
