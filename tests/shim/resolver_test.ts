/** res_query() and its kin: each question is one message, and the state is the target's. */
import assert from "node:assert/strict";
import type { LayerFrame } from "../../src/proto/layer.ts";
import { type Answer, startUnderShim } from "../support/under_shim.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);
const found = (text: string): Answer => ({
  type: "DnsAnswer",
  isLocal: false,
  netError: text ? 0 : 1,
  errno: 0,
  answer: utf8(text || "nothing"),
});

/** Two servers, ndots 5, 3 attempts, 4 seconds. */
const RESOLVER = Uint8Array.from([
  2,
  5,
  3,
  4,
  ...[4, 10, 96, 0, 10, ...new Array(12).fill(0), 0, 53],
  ...[6, ...new Array(15).fill(0), 1, 0, 53],
  ...utf8("ns.svc.cluster.local\0svc.cluster.local\0"),
]);

async function ask(args: string[], answer: string): Promise<{ said: string; asked: LayerFrame[] }> {
  await using app = await startUnderShim("resolver", args, {
    answer: (it) =>
      it.type === "GetResolver"
        ? { type: "DnsAnswer", isLocal: false, netError: 0, errno: 0, answer: RESOLVER }
        : it.type === "AskDns"
        ? found(answer)
        : undefined,
  });
  return { said: await app.output(), asked: app.frames.filter(({ type }) => type === "AskDns") };
}

for (
  const symbol of [
    "__res_query",
    "__res_nquery",
    "__res_search",
    "__res_nsearch",
    "res_query",
    "res_nquery",
    "res_search",
    "res_nsearch",
  ]
) {
  Deno.test(`${symbol}() is one question, answered by the name server's own bytes`, async () => {
    const { said, asked } = await ask([symbol, "web"], "the answer");
    assert.equal(said, `${symbol} 10 h_errno 0 "the answer"\n`);
    assert.equal(asked.length, 1);
    const [question] = asked;
    assert.ok(question?.type === "AskDns");
    const { name, recordType, recordClass, isSearch, servers } = question;
    assert.deepEqual([name, recordType, recordClass, isSearch], ["web", 16, 1, symbol.endsWith("search")]);
    assert.equal(servers.length, symbol.includes("_n") ? 19 : servers.length);
  });

  Deno.test(`${symbol}() of a name that is not there is -1, and h_errno says why`, async () => {
    const { said } = await ask([symbol, "web"], "");
    assert.equal(said, `${symbol} -1 h_errno 1 ""\n`);
  });
}

for (const symbol of ["__res_querydomain", "__res_nquerydomain", "res_querydomain", "res_nquerydomain"]) {
  Deno.test(`${symbol}() joins name and domain`, async () => {
    const { said, asked } = await ask([symbol, "web", "shop.local"], "yes");
    assert.equal(said, `${symbol} 3 h_errno 0 "yes"\n`);
    assert.deepEqual(asked.map((it) => it.type === "AskDns" && [it.name, it.isSearch]), [["web.shop.local", false]]);
  });
}

for (const symbol of ["__res_send", "__res_nsend", "res_send", "res_nsend"]) {
  Deno.test(`${symbol}() passes the message on as it is`, async () => {
    const { said, asked } = await ask([symbol], "reply");
    assert.equal(said, `${symbol} 5 h_errno 0 "reply"\n`);
    assert.deepEqual(asked.map((it) => it.type === "AskDns" && [it.name, it.query]), [["", utf8("a query")]]);
  });
}

Deno.test("__res_init() tells the target's name servers and search list", async () => {
  const { said } = await ask(["__res_init"], "");
  const servers = "1 servers 10.96.0.10:53 ndots 5 retry 3 retrans 4";
  assert.equal(said, `__res_init 0, ${servers} search ns.svc.cluster.local svc.cluster.local\n`);
});

Deno.test("__res_nquery() of a state with servers of the program's own has those asked; __res_ninit() fills it", async () => {
  const { asked } = await ask(["__res_nquery", "web", "10.1.1.1"], "yes");
  assert.ok(asked[0]?.type === "AskDns");
  assert.deepEqual([...asked[0].servers], [4, 10, 1, 1, 1, ...new Array(12).fill(0), 0, 53]);
});

Deno.test("res_query() is this machine's when names are", async () => {
  await using app = await startUnderShim("resolver", ["res_query", "."], { settings: { isDnsRemote: false } });
  assert.match(await app.output(), /^res_query -?\d+ /);
  assert.equal(app.count(), 0);
});

for (const how of ["wait", "go on"]) {
  Deno.test(`getaddrinfo_a() asks for both names before either is answered, and gai_suspend() and gai_cancel() know (${how})`, async () => {
    await using app = await startUnderShim("resolver", ["getaddrinfo_a", how]);
    const [first, second] = [await app.expect("Resolve"), await app.expect("Resolve")];
    for (const question of [second, first]) {
      const addresses = Uint8Array.from([4, 10, 0, 0, question.name === "one" ? 1 : 2, ...new Array(12).fill(0)]);
      const eai = question.name === "two" ? -2 : 0;
      await app.reply(question, { type: "ResolveReply", eai, isLocal: false, canonicalName: "", addresses });
    }
    assert.equal(await app.output(), "getaddrinfo_a 0\none 0 10.0.0.1\ntwo -2 -\nsuspend 1 cancel 1\n");
  });
}
