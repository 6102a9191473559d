import assert from "node:assert/strict";
import { formatAddress } from "../base/addresses.ts";
import { parseResolvConf } from "./resolv_conf.ts";

const parse = (text: string | undefined, hostname = "host") => {
  const { nameServers, ...rest } = parseResolvConf(text, () => hostname);
  return { nameServers: nameServers.map(formatAddress), ...rest };
};
const DEFAULTS = {
  nameServers: ["127.0.0.1"],
  search: [],
  ndots: 1,
  timeoutMs: 5000,
  attempts: 2,
  isRotating: false,
  usesTcp: false,
};

Deno.test("without a resolv.conf the name server is this host, the search list comes from the host name", () => {
  assert.deepEqual(parse(undefined), DEFAULTS);
  assert.deepEqual(parse("", "pod.shop.example."), { ...DEFAULTS, search: ["shop.example"] });
});

Deno.test("what Kubernetes writes into a pod is understood", () => {
  const text =
    "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";
  assert.deepEqual(parse(text), {
    ...DEFAULTS,
    nameServers: ["10.96.0.10"],
    search: ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"],
    ndots: 5,
  });
});

Deno.test("comments, tabs, unknown words and a fourth name server count for nothing", () => {
  const text = "# nameserver 9.9.9.9\n; x\nnameserver\t1.1.1.1 # first\nnameserver ::1\nnameserver name\n" +
    "sortlist 1.2.3.4\nnameserver 1.1.1.3\nnameserver 1.1.1.4\n";
  assert.deepEqual(parse(text).nameServers, ["1.1.1.1", "0:0:0:0:0:0:0:1", "1.1.1.3"]);
});

Deno.test("the last of search and domain counts", () => {
  assert.deepEqual(parse("search a b\ndomain c.d.\n").search, ["c.d"]);
  assert.deepEqual(parse("domain c\nsearch a. .\n").search, ["a", ""]);
});

Deno.test("options are capped where resolv.conf(5) caps them, and senseless ones are left out", () => {
  const { ndots, timeoutMs, attempts, isRotating, usesTcp } = parse(
    "options ndots:99 timeout:99 attempts:99 rotate use-vc edns0\n",
  );
  assert.deepEqual({ ndots, timeoutMs, attempts, isRotating, usesTcp }, {
    ndots: 15,
    timeoutMs: 30_000,
    attempts: 5,
    isRotating: true,
    usesTcp: true,
  });
  assert.deepEqual(parse("options ndots: timeout:x attempts:0 ndots:-1\n"), DEFAULTS);
});
