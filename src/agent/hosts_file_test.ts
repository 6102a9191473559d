import assert from "node:assert/strict";
import { formatAddress, parseAddress } from "../base/addresses.ts";
import { findInHosts, namesInHosts } from "./hosts_file.ts";

const HOSTS = `
# comment
127.0.0.1\tlocalhost
::1 localhost ip6-localhost
10.0.0.1 web.shop.example  web Shop # trailing
10.0.0.2 web
fd00::2 web
not-an-address web
10.0.0.9
`;
const find = (name: string, family: number, isMulti = true) => {
  const found = findInHosts(HOSTS, name, family, isMulti);
  return found && [found.canonicalName, ...found.addresses.map(formatAddress)];
};

Deno.test("all lines that bear the name count, aliases too, in upper and lower case", () => {
  assert.deepEqual(find("WEB", 0), ["web.shop.example", "10.0.0.1", "10.0.0.2", "fd00:0:0:0:0:0:0:2"]);
  assert.deepEqual(find("shop", 0), ["web.shop.example", "10.0.0.1"]);
});

Deno.test("only addresses of the family count, and none is no match", () => {
  assert.deepEqual(find("web", 4), ["web.shop.example", "10.0.0.1", "10.0.0.2"]);
  assert.deepEqual(find("web", 6), ["web", "fd00:0:0:0:0:0:0:2"]);
  assert.equal(find("shop", 6), undefined);
  assert.equal(find("nobody", 0), undefined);
});

Deno.test("asked for IPv4, ::1 counts as 127.0.0.1, and what stands twice is told twice", () => {
  assert.deepEqual(find("localhost", 4), ["localhost", "127.0.0.1", "127.0.0.1"]);
  assert.deepEqual(find("ip6-localhost", 4), ["localhost", "127.0.0.1"]);
});

Deno.test("where host.conf does not say `multi on` the first line of the family is all", () => {
  assert.deepEqual(find("web", 0, false), ["web.shop.example", "10.0.0.1"]);
  assert.deepEqual(find("web", 6, false), ["web", "fd00:0:0:0:0:0:0:2"]);
  assert.deepEqual(find("localhost", 0, false), ["localhost", "127.0.0.1"]);
});

Deno.test("aliases are those of all lines that count, and other official names behind their line's", () => {
  const text = "10.1.1.2 dup d2 alias2\n10.1.1.1 dup3 alias2 alias1\n";
  assert.deepEqual(findInHosts(text, "alias2", 4, true)?.aliases, ["d2", "alias2", "alias2", "alias1", "dup3"]);
  assert.deepEqual(findInHosts(text, "alias2", 4, false)?.aliases, ["d2", "alias2"]);
});

Deno.test("the name of an address is the first on its line", () => {
  assert.equal(namesInHosts(HOSTS, parseAddress("10.0.0.1")!)?.[0], "web.shop.example");
  assert.equal(namesInHosts(HOSTS, parseAddress("10.0.0.3")!), undefined);
});

Deno.test("a v4-mapped address has the names of lines that write it so, an IPv4 one has those of both", () => {
  const text = "10.0.0.1 four\n::ffff:10.0.0.2 mapped\n::1 six\n";
  const names = ["::ffff:10.0.0.1", "10.0.0.2", "::ffff:10.0.0.2", "127.0.0.1"].map((it) =>
    namesInHosts(text, parseAddress(it)!)?.[0]
  );
  assert.deepEqual(names, [undefined, "mapped", "mapped", "six"]);
});
