/** Names: one question to the intproxy per call, results and error codes as libc's own. */
import assert from "node:assert/strict";
import { concatBytes } from "../../src/base/bytes.ts";
import type { LayerFrame, LayerMessage } from "../../src/proto/layer.ts";
import { type Settings, startUnderShim } from "../support/under_shim.ts";

const EAI_NONAME = -2;
const EAI_AGAIN = -3;
const EAI_NODATA = -5;
const AF_INET = 2;
const AF_INET6 = 10;
const AI_CANONNAME = 2;
const AI_NUMERICHOST = 4;
const AI_V4MAPPED = 8;

/** A record of ResolveReply: "10.0.0.1" or 16 bytes. */
function record(address: string | Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(17);
  const isV4 = typeof address === "string";
  bytes[0] = isV4 ? 4 : 6;
  bytes.set(isV4 ? address.split(".").map(Number) : address, 1);
  return bytes;
}

const V6 = Uint8Array.from([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

const HOSTS: Record<string, { eai: number; canonicalName: string; addresses: Uint8Array }> = {
  web: { eai: 0, canonicalName: "web.shop.svc", addresses: concatBytes([record("10.0.0.1"), record("10.0.0.2")]) },
  dual: { eai: 0, canonicalName: "dual.svc", addresses: concatBytes([record(V6), record("10.0.0.1")]) },
  later: { eai: EAI_AGAIN, canonicalName: "", addresses: new Uint8Array() },
  nodata: { eai: EAI_NODATA, canonicalName: "", addresses: new Uint8Array() },
  odd: { eai: -4242, canonicalName: "", addresses: new Uint8Array() },
  empty: { eai: 0, canonicalName: "", addresses: new Uint8Array() },
  crowd: {
    eai: 0,
    canonicalName: "",
    addresses: concatBytes(Array.from({ length: 600 }, (_, at) => record(`10.1.${at >> 8}.${at & 255}`))),
  },
};
const NOBODY = { eai: EAI_NONAME, canonicalName: "", addresses: new Uint8Array() };

function answer(request: LayerFrame): LayerMessage | undefined {
  if (request.type === "Resolve") return { type: "ResolveReply", isLocal: false, ...HOSTS[request.name] ?? NOBODY };
  if (request.type !== "ReverseName") return undefined;
  const isWeb = request.address.join(".") === "10.0.0.1";
  return { type: "NameReply", eai: isWeb ? 0 : EAI_NONAME, name: isWeb ? "web.shop.svc" : "" };
}

async function call(
  symbol: string,
  args: (string | number)[],
  settings: Partial<Settings> = {},
): Promise<{ output: string; asked: LayerFrame[] }> {
  await using app = await startUnderShim("names", [symbol, ...args.map(String)], { answer, settings });
  return { output: (await app.output()).trimEnd(), asked: app.frames };
}

Deno.test("getaddrinfo() gives the target's addresses when names are remote, with one message", async () => {
  const { output, asked } = await call("getaddrinfo", ["web", "80", 0, 1]);
  assert.deepEqual(output.split("\n"), [
    " 10.0.0.1 port 80 type 1 protocol 6 length 16",
    " 10.0.0.2 port 80 type 1 protocol 6 length 16",
  ]);
  assert.deepEqual(asked.map((it) => ({ ...it, id: 0 })), [{
    type: "Resolve",
    id: 0,
    name: "web",
    family: 0,
    flags: 0,
  }]);
});

Deno.test("getaddrinfo() asks this machine's resolver when names are not remote", async () => {
  const { output, asked } = await call("getaddrinfo", ["localhost", "80", AF_INET, 1], { isDnsRemote: false });
  assert.match(output, /^ 127\.0\.0\.1 port 80 type 1 protocol 6 length 16/);
  assert.deepEqual(asked, []);
});

const NO_QUESTION: { why: string; args: (string | number)[]; output: RegExp }[] = [
  { why: "there is no node", args: ["-", "80", AF_INET, 1], output: /^ 127\.0\.0\.1 port 80/ },
  { why: "the host is numeric", args: ["10.9.8.7", "80", 0, 1], output: /^ 10\.9\.8\.7 port 80/ },
  { why: "the host is a numeric IPv6 address", args: ["fd00::9", "80", 0, 1], output: /^ fd00::9 port 80/ },
  { why: "the host is an old numeric form", args: ["127.1", "80", 0, 1], output: /^ 127\.0\.0\.1 port 80/ },
  { why: "AI_NUMERICHOST is set", args: ["web", "80", 0, 1, AI_NUMERICHOST], output: /^EAI_NONAME/ },
  { why: "the service is unknown", args: ["web", "no-such-service", 0, 1], output: /^EAI_SERVICE/ },
  { why: "the family is unknown", args: ["web", "80", 77, 1], output: /^EAI_FAMILY/ },
  { why: "the socket type is unknown", args: ["web", "80", 0, 99], output: /^EAI_SOCKTYPE/ },
  { why: "a flag is unknown", args: ["web", "80", 0, 1, 0x800000], output: /^EAI_BADFLAGS/ },
  { why: "the name is too long", args: ["x".repeat(2000), "80", 0, 1], output: /^EAI_NONAME/ },
  { why: "the name is empty", args: ["", "80", 0, 1], output: /^EAI_NONAME/ },
];

for (const { why, args, output } of NO_QUESTION) {
  Deno.test(`getaddrinfo() asks nobody when ${why}`, async () => {
    const result = await call("getaddrinfo", args);
    assert.match(result.output, output);
    assert.deepEqual(result.asked, []);
  });
}

Deno.test("getaddrinfo() knows service names and expands socket types as libc does", async () => {
  assert.match(
    (await call("getaddrinfo", ["web", "https", AF_INET, 1])).output,
    /^ 10\.0\.0\.1 port 443 type 1 protocol 6/,
  );
  const { output } = await call("getaddrinfo", ["web", "-", AF_INET, 0]);
  assert.deepEqual(output.split("\n").map((it) => it.replace(/ length.*/, "")), [
    " 10.0.0.1 port 0 type 1 protocol 6",
    " 10.0.0.1 port 0 type 2 protocol 17",
    " 10.0.0.1 port 0 type 3 protocol 0",
    " 10.0.0.2 port 0 type 1 protocol 6",
    " 10.0.0.2 port 0 type 2 protocol 17",
    " 10.0.0.2 port 0 type 3 protocol 0",
  ]);
});

Deno.test("getaddrinfo() without hints asks as libc does: AI_V4MAPPED and AI_ADDRCONFIG", async () => {
  const { asked } = await call("getaddrinfo", ["web", "80"]);
  assert.deepEqual(asked.map((it) => it.type === "Resolve" && it.flags), [0x28]);
});

Deno.test("getaddrinfo() gives both families in the agent's order, or the one that was asked for", async () => {
  const addresses = async (...args: (string | number)[]) =>
    (await call("getaddrinfo", ["dual", "80", ...args])).output.split("\n").map((it) => it.trim().split(" ")[0]);
  assert.deepEqual(await addresses(0, 1), ["fd00::1", "10.0.0.1"]);
  assert.deepEqual(await addresses(AF_INET, 1), ["10.0.0.1"]);
  assert.deepEqual(await addresses(AF_INET6, 1), ["fd00::1"]);
  assert.deepEqual(await addresses(AF_INET6, 1, AI_V4MAPPED), ["fd00::1", "::ffff:10.0.0.1"]);
});

Deno.test("getaddrinfo() gives the canonical name with the first result alone", async () => {
  const { output } = await call("getaddrinfo", ["web", "80", AF_INET, 1, AI_CANONNAME]);
  assert.match(output, /^ 10\.0\.0\.1 .* canonical web\.shop\.svc\n 10\.0\.0\.2 port 80 type 1 protocol 6 length 16$/);
});

// Row L06
Deno.test("getaddrinfo() gives the agent's EAI code; a code that libc does not know is EAI_FAIL", async () => {
  assert.equal((await call("getaddrinfo", ["nobody", "80"])).output, "EAI_NONAME errno 0");
  assert.equal((await call("getaddrinfo", ["later", "80"])).output, "EAI_AGAIN errno 0");
  assert.equal((await call("getaddrinfo", ["odd", "80"])).output, "EAI_FAIL errno 0");
  assert.equal((await call("getaddrinfo", ["empty", "80"])).output, "EAI_NONAME errno 0");
});

Deno.test("getaddrinfo() takes what it has room for when there are hundreds of addresses", async () => {
  const { output } = await call("getaddrinfo", ["crowd", "80", AF_INET, 1]);
  const lines = output.split("\n");
  assert.ok(lines.length > 200 && lines.length <= 600, `${lines.length} addresses`);
  assert.match(lines[0]!, /^ 10\.1\.0\.0 port 80/);
});

const HOST = "web.shop.svc: 10.0.0.1 10.0.0.2 aliases none";
const BY_NAME: Record<string, string> = {
  gethostbyname: HOST,
  gethostbyname2: HOST,
  gethostbyname_r: `ERANGE ${HOST}`,
  gethostbyname2_r: HOST,
};

for (const [symbol, expected] of Object.entries(BY_NAME)) {
  Deno.test(`${symbol}() gives the target's addresses when names are remote`, async () => {
    const { output, asked } = await call(symbol, ["web"]);
    assert.equal(output, expected);
    assert.equal(asked.length, symbol === "gethostbyname_r" ? 2 : 1);
  });

  Deno.test(`${symbol}() asks this machine's resolver when names are not remote, nobody for a numeric host`, async () => {
    const local = await call(symbol, ["localhost"], { isDnsRemote: false });
    assert.match(local.output, /localhost.*: 127\.0\.0\.1/);
    const numeric = await call(symbol, ["10.9.8.7"]);
    assert.match(numeric.output, /10\.9\.8\.7: 10\.9\.8\.7/);
    assert.deepEqual([...local.asked, ...numeric.asked], []);
  });

  // Row L35
  Deno.test(`${symbol}() sets h_errno as libc does`, async () => {
    assert.match((await call(symbol, ["nobody"])).output, /h_errno 1$/);
    assert.match((await call(symbol, ["later"])).output, /h_errno 2$/);
    assert.match((await call(symbol, ["odd"])).output, /h_errno 3$/);
    assert.match((await call(symbol, ["nodata"])).output, /h_errno 4$/);
  });
}

Deno.test("gethostbyname2() gives IPv6 addresses when they are asked for", async () => {
  assert.equal((await call("gethostbyname2", ["dual", AF_INET6])).output, "dual.svc: fd00::1 aliases none");
});

for (const symbol of ["gethostbyaddr", "gethostbyaddr_r"]) {
  Deno.test(`${symbol}() asks the target for the name when names are remote`, async () => {
    const { output, asked } = await call(symbol, ["10.0.0.1"]);
    assert.equal(output, "web.shop.svc: 10.0.0.1 aliases none");
    assert.deepEqual(asked.map((it) => it.type), ["ReverseName"]);
    assert.equal((await call(symbol, ["10.0.0.9"])).output, "h_errno 1");
  });

  Deno.test(`${symbol}() asks this machine's resolver when names are not remote`, async () => {
    const { output, asked } = await call(symbol, ["127.0.0.1"], { isDnsRemote: false });
    assert.match(output, /: 127\.0\.0\.1/);
    assert.deepEqual(asked, []);
  });
}

Deno.test("getnameinfo() asks the target for the name when names are remote", async () => {
  const { output, asked } = await call("getnameinfo", ["10.0.0.1"]);
  assert.equal(output, "web.shop.svc http");
  assert.deepEqual(asked.map((it) => it.type), ["ReverseName"]);
});

Deno.test("getnameinfo() stays local when a number is asked for or names are not remote", async () => {
  const NI_NUMERICHOST = 1;
  assert.deepEqual(await call("getnameinfo", ["10.0.0.1", NI_NUMERICHOST]), { output: "10.0.0.1 http", asked: [] });
  const local = await call("getnameinfo", ["127.0.0.1"], { isDnsRemote: false });
  assert.deepEqual({ ...local, output: local.output.replace(/\S+ /, "") }, { output: "http", asked: [] });
});

Deno.test("getnameinfo() gives the number when there is no name, unless a name is required", async () => {
  const NI_NAMEREQD = 8;
  assert.equal((await call("getnameinfo", ["10.0.0.9"])).output, "10.0.0.9 http");
  assert.equal((await call("getnameinfo", ["10.0.0.9", NI_NAMEREQD])).output, "EAI_NONAME");
  assert.equal((await call("getnameinfo", ["10.0.0.1", 0, 4])).output, "EAI_OVERFLOW");
});

for (const symbol of ["gethostname", "__gethostname_chk"]) {
  Deno.test(`${symbol}() gives the target's name when the host name is remote, without a message`, async () => {
    assert.deepEqual(await call(symbol, []), { output: "pod-1", asked: [] });
  });

  Deno.test(`${symbol}() gives this machine's name when the host name is not remote`, async () => {
    const { output } = await call(symbol, [], { isHostnameRemote: false });
    assert.equal(output, Deno.hostname());
  });
}

Deno.test("gethostname() cuts the name and says ENAMETOOLONG when the buffer is too small", async () => {
  assert.equal((await call("gethostname", [3])).output, "ENAMETOOLONG pod");
  assert.equal((await call("gethostname", [5])).output, "ENAMETOOLONG pod-1");
  assert.equal((await call("gethostname", [6])).output, "pod-1");
});

Deno.test("uname() gives the target's name when the host name is remote, also as a raw system call", async () => {
  assert.deepEqual(await call("uname", []), { output: "pod-1 pod-1 Linux", asked: [] });
});

Deno.test("uname() gives this machine's name when the host name is not remote", async () => {
  const { output } = await call("uname", [], { isHostnameRemote: false });
  assert.equal(output, `${Deno.hostname()} ${Deno.hostname()} Linux`);
});

Deno.test("gethostname() of an empty setting is this machine's", async () => {
  assert.equal((await call("gethostname", [], { hostname: "" })).output, Deno.hostname());
});
