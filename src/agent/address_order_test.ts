import assert from "node:assert/strict";
import { inOrder } from "./address_order.ts";
import { formatAddress, parseAddress } from "../base/addresses.ts";

/** What the addresses come to when this host's own are `own`, by family; undefined: no way there. */
function order(addresses: string[], own: { v4?: string; v6?: string; v4Bits?: number }): string[] {
  const sourceOf = (address: Uint8Array) => {
    const text = formatAddress(address);
    if (text.startsWith("127.") || text === "0:0:0:0:0:0:0:1") return address;
    const source = address.length === 4 ? own.v4 : own.v6;
    return source === undefined ? undefined : parseAddress(source);
  };
  const subnets = () => own.v4 === undefined ? [] : [{ address: parseAddress(own.v4)!, bits: own.v4Bits ?? 32 }];
  return inOrder(addresses.map((text) => parseAddress(text)!), { sourceOf, subnets }).map(formatAddress);
}

Deno.test("IPv6 comes after IPv4 when there is no way to it, else before", () => {
  const both = ["10.0.0.1", "2001:db8:0:0:0:0:0:1"];
  assert.deepEqual(order(both, { v4: "10.0.0.9" }), both);
  assert.deepEqual(order(both, { v4: "10.0.0.9", v6: "fe80::9" }), both);
  assert.deepEqual(order(both, { v4: "10.0.0.9", v6: "2001:db8::9" }), both.toReversed());
});

Deno.test("the loopback addresses keep IPv6 first, as glibc has it", () => {
  assert.deepEqual(order(["127.0.0.1", "0:0:0:0:0:0:0:1"], {}), ["0:0:0:0:0:0:0:1", "127.0.0.1"]);
});

Deno.test("a private IPv6 address is not preferred from a public one", () => {
  assert.deepEqual(order(["10.0.0.1", "fd00:0:0:0:0:0:0:1"], { v4: "10.0.0.9", v6: "2001:db8::9" }), [
    "10.0.0.1",
    "fd00:0:0:0:0:0:0:1",
  ]);
});

Deno.test("addresses of other subnets stay as the name server gave them: it spreads the load", () => {
  const servers = ["10.0.0.3", "10.0.0.1", "10.0.0.2"];
  assert.deepEqual(order(servers, { v4: "10.0.0.9" }), servers);
  assert.deepEqual(order(servers, { v4: "10.0.1.9", v4Bits: 24 }), servers);
});

Deno.test("of addresses in one's own subnet those nearest to one's own come first, before all others", () => {
  const servers = ["10.1.0.3", "10.0.0.200", "10.0.0.4", "10.0.0.9", "10.0.0.8"];
  assert.deepEqual(order(servers, { v4: "10.0.0.9", v4Bits: 24 }), [
    "10.0.0.9",
    "10.0.0.8",
    "10.0.0.4",
    "10.0.0.200",
    "10.1.0.3",
  ]);
});

Deno.test("of two IPv6 addresses the one that has more in common with ours comes first", () => {
  const addresses = ["2001:db8:1:0:0:0:0:1", "2001:db8:2:0:0:0:0:1"];
  assert.deepEqual(order(addresses, { v6: "2001:db8:2::9" }), addresses.toReversed());
});
