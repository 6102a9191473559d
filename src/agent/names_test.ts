import assert from "node:assert/strict";
import type { AGENT } from "../proto/agent.ts";
import type { MessageNamed } from "../proto/schema.ts";
import { openRoot } from "../sys/files.ts";
import { closeFile } from "../sys/files.ts";
import { cString } from "../sys/load.ts";
import { NameServer, type Zone } from "../../tests/support/name_server.ts";
import { formatAddress, parseAddress } from "../base/addresses.ts";
import { AI, EAI } from "./eai.ts";
import { Names } from "./names.ts";

const NEVER = new AbortController().signal;

/** Names of a made-up root directory, asking a made-up name server. */
class World implements AsyncDisposable {
  readonly server: NameServer;
  readonly #directory: string;
  readonly #root: number;
  readonly #names: Names;

  constructor(zone: Zone, options: { resolvConf?: string; hosts?: string; port?: number } = {}) {
    this.server = new NameServer(zone);
    this.#directory = Deno.makeTempDirSync();
    Deno.mkdirSync(`${this.#directory}/etc`);
    const { resolvConf = "nameserver 127.0.0.1\nsearch a.test b.test\noptions ndots:2 timeout:1 attempts:1\n" } =
      options;
    Deno.writeTextFileSync(`${this.#directory}/etc/resolv.conf`, resolvConf);
    if (options.hosts !== undefined) Deno.writeTextFileSync(`${this.#directory}/etc/hosts`, options.hosts);
    this.#root = openRoot(cString(this.#directory));
    this.#names = new Names(this.#root, () => "host", options.port ?? this.server.port);
  }

  /** "EAI n", or the addresses, with the canonical name first when it was asked for. */
  async resolve(
    name: string,
    options: { family?: number; flags?: number; signal?: AbortSignal } = {},
  ): Promise<string[]> {
    const { family = 4, flags = 0, signal = NEVER } = options;
    const reply = await this.#names.resolve({ type: "Resolve", name, family, flags }, signal);
    const { eai, canonicalName, addresses } = reply as MessageNamed<typeof AGENT, "ResolveReply">;
    if (eai !== 0) return [`EAI ${eai}`];
    const texts = canonicalName ? [canonicalName] : [];
    for (let at = 0; at < addresses.length; at += 17) {
      const bytes = addresses[at] === 4 ? 4 : 16;
      texts.push(formatAddress(addresses.subarray(at + 1, at + 1 + bytes)));
    }
    return texts;
  }

  async nameOf(address: string): Promise<string> {
    const reply = await this.#names.nameOf(parseAddress(address)!, NEVER);
    const { eai, name } = reply as MessageNamed<typeof AGENT, "NameReply">;
    return eai === 0 ? name : `EAI ${eai}`;
  }

  /** "h_errno n", or how many records of the type (16: TXT) the answer has. */
  async ask(name: string, options: { isSearch?: boolean; type?: number; servers?: number[] } = {}): Promise<string> {
    const { isSearch = true, type = 1, servers = [] } = options;
    const flags = 0x2c0; // RES_DEFAULT of <resolv.h>
    const wish = { name, recordType: type, recordClass: 1, isSearch, options: flags, query: new Uint8Array(0) };
    const reply = await this.#names.askDns({ type: "AskDns", ...wish, servers: Uint8Array.from(servers) }, NEVER);
    const { netError, answer } = reply as MessageNamed<typeof AGENT, "DnsAnswer">;
    return netError
      ? `h_errno ${netError}`
      : `${answer[6]! << 8 | answer[7]!} in ${answer.length > 512 ? "many" : "few"}`;
  }

  write(name: "host.conf" | "alpine-release", text: string): void {
    Deno.writeTextFileSync(`${this.#directory}/etc/${name}`, text);
  }

  writeHosts(text: string): void {
    Deno.writeTextFileSync(`${this.#directory}/etc/hosts`, text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await closeFile(this.#root);
    await Deno.remove(this.#directory, { recursive: true });
  }
}

Deno.test("a short name goes through the search list and not to the root when it was found", async () => {
  await using world = new World({ "web.b.test": { A: ["10.0.0.1"] } });
  assert.deepEqual(await world.resolve("web"), ["10.0.0.1"]);
  assert.deepEqual(world.server.asked, ["A web.a.test", "A web.b.test"]);
});

Deno.test("a name with as many dots as ndots is tried as it is first", async () => {
  await using world = new World({ "w.x.y": { A: ["10.0.0.1"] }, "p.q.r.a.test": { A: ["10.0.0.2"] } });
  assert.deepEqual(await world.resolve("w.x.y"), ["10.0.0.1"]);
  assert.deepEqual(await world.resolve("p.q.r"), ["10.0.0.2"]);
  assert.deepEqual(world.server.asked, ["A w.x.y", "A p.q.r", "A p.q.r.a.test"]);
});

Deno.test("a dot at the end turns the search list off", async () => {
  await using world = new World({ "web.a.test": { A: ["10.0.0.1"] } });
  assert.deepEqual(await world.resolve("web."), [`EAI ${EAI.NONAME}`]);
  assert.deepEqual(await world.resolve("web.a.test."), ["10.0.0.1"]);
  assert.deepEqual(world.server.asked, ["A web", "A web.a.test"]);
});

Deno.test("both families are asked at once, and one step of the search list decides for both", async () => {
  await using world = new World({ "web.a.test": { A: ["10.0.0.1"] }, "web.b.test": { AAAA: ["2001:db8::1"] } });
  assert.deepEqual(await world.resolve("web", { family: 0 }), ["10.0.0.1"]);
  assert.deepEqual(world.server.asked.toSorted(), ["A web.a.test", "AAAA web.a.test"]);
});

Deno.test("an alias is followed in the answer, and the canonical name is its end", async () => {
  await using world = new World({ "www.a.test": { CNAME: "web.far.test" }, "web.far.test": { A: ["10.0.0.1"] } });
  assert.deepEqual(await world.resolve("www", { flags: AI.CANONNAME }), ["web.far.test", "10.0.0.1"]);
  assert.equal(world.server.asked.length, 1);
});

Deno.test("names with underscores are resolved", async () => {
  await using world = new World({ "my_db.a.test": { A: ["10.0.0.1"] } });
  assert.deepEqual(await world.resolve("my_db"), ["10.0.0.1"]);
});

Deno.test("an answer too long for UDP comes over TCP", async () => {
  const many = Array.from({ length: 60 }, (_, at) => `10.0.1.${at}`);
  await using world = new World({ "big.a.test": { A: many } });
  assert.deepEqual(await world.resolve("big"), many);
  assert.deepEqual(world.server.asked, ["A big.a.test", "A big.a.test/tcp"]);
});

Deno.test("each way of failing has the number getaddrinfo(3) gives it", async () => {
  await using world = new World({
    "six.a.test": { AAAA: ["2001:db8::1"] },
    "broken.a.test": "SERVFAIL",
    "refused.a.test": "REFUSED",
    "refused": "REFUSED",
    "malformed.a.test": "FORMERR",
    "malformed": "FORMERR",
    "silent.a.test": "SILENT",
    "silent": "SILENT",
  });
  const numbers: [name: string, eai: number][] = [
    ["nobody", EAI.NONAME],
    ["six", EAI.NODATA],
    ["broken", EAI.AGAIN],
    ["refused", EAI.AGAIN],
    ["malformed", EAI.FAIL],
    ["silent", EAI.AGAIN],
    ["", EAI.NONAME],
    ["a..b", EAI.NONAME],
    ["a b", EAI.NONAME],
    ["x".repeat(64), EAI.NONAME],
    ["abcdefgh.".repeat(30), EAI.NONAME],
  ];
  for (const [name, eai] of numbers) assert.deepEqual(await world.resolve(name), [`EAI ${eai}`], name);
  assert.deepEqual(await world.resolve("x", { family: 5 }), [`EAI ${EAI.FAMILY}`]);
});

Deno.test("a name server that fails for one name of the list is asked for the next", async () => {
  await using world = new World({ "web.a.test": "SERVFAIL", "web.b.test": { A: ["10.0.0.1"] } });
  assert.deepEqual(await world.resolve("web"), ["10.0.0.1"]);
});

Deno.test("the second name server answers when nobody listens at the first, without its time-out", async () => {
  // Loopback addresses are all ours; on 127.0.0.9 nobody listens, and the kernel says so.
  await using world = new World({ "web.a.test": { A: ["10.0.0.1"] } }, {
    resolvConf: "nameserver 127.0.0.9\nnameserver 127.0.0.1\nsearch a.test\noptions timeout:30\n",
  });
  assert.deepEqual(await world.resolve("web"), ["10.0.0.1"]);
});

Deno.test("answers with another id and garbage are passed over", async () => {
  await using world = new World({ "web.a.test": { A: ["10.0.0.1"] } });
  world.server.isForged = true;
  assert.deepEqual(await world.resolve("web"), ["10.0.0.1"]);
});

Deno.test("a silent name server does not keep other names waiting, and ends with its client", async () => {
  await using world = new World({ "silent.a.test": "SILENT", "web.a.test": { A: ["10.0.0.1"] } }, {
    resolvConf: "nameserver 127.0.0.1\nsearch a.test\noptions timeout:30\n",
  });
  const client = new AbortController();
  const silent = world.resolve("silent", { signal: client.signal });
  assert.deepEqual(await world.resolve("web"), ["10.0.0.1"]);
  client.abort();
  assert.deepEqual(await silent, [`EAI ${EAI.AGAIN}`]);
});

Deno.test("the hosts file goes first and is read anew each time", async () => {
  await using world = new World({ "web.a.test": { A: ["10.0.0.1"] } }, { hosts: "10.9.9.9 web\n" });
  assert.deepEqual(await world.resolve("web"), ["10.9.9.9"]);
  world.writeHosts("10.9.9.8 WEB other\n");
  assert.deepEqual(await world.resolve("web", { flags: AI.CANONNAME }), ["WEB", "10.9.9.8"]);
  world.writeHosts("");
  assert.deepEqual(await world.resolve("web"), ["10.0.0.1"]);
  assert.deepEqual(world.server.asked, ["A web.a.test"]);
});

Deno.test("a hosts file of megabytes is read to its end", async () => {
  const long = "10.1.1.1 somebody.else\n".repeat(50_000);
  await using world = new World({}, { hosts: `${long}10.9.9.9 web\n` });
  assert.deepEqual(await world.resolve("web"), ["10.9.9.9"]);
});

Deno.test("localhost is known without any hosts file, and is nobody's question", async () => {
  await using world = new World({});
  assert.deepEqual(await world.resolve("localhost"), ["127.0.0.1"]);
  assert.deepEqual(await world.resolve("localhost", { family: 6 }), ["0:0:0:0:0:0:0:1"]);
  assert.deepEqual(world.server.asked, []);
});

Deno.test("names below localhost, and localhost where the hosts file lacks it, are the name servers' to tell", async () => {
  await using world = new World({ "app.localhost": { A: ["10.0.0.9"] } }, { hosts: "" });
  assert.deepEqual(await world.resolve("app.localhost."), ["10.0.0.9"]);
  assert.deepEqual(await world.resolve("localhost."), [`EAI ${EAI.NONAME}`]);
});

Deno.test("host.conf says whether one line of the hosts file is enough", async () => {
  await using world = new World({}, { hosts: "127.0.0.1 localhost\n::1 localhost\n" });
  assert.deepEqual(await world.resolve("localhost", { family: 0 }), ["127.0.0.1"]);
  world.write("host.conf", "# as Debian has it\nmulti on\n");
  assert.deepEqual(await world.resolve("localhost", { family: 0 }), ["0:0:0:0:0:0:0:1", "127.0.0.1"]);
  assert.deepEqual(await world.resolve("localhost", { family: 4 }), ["127.0.0.1", "127.0.0.1"]);
});

Deno.test("all lines of the hosts file count where libc is musl", async () => {
  await using world = new World({}, { hosts: "127.0.0.1 localhost\n::1 localhost\n" });
  world.write("alpine-release", "3.20.3\n");
  assert.deepEqual(await world.resolve("localhost", { family: 0 }), ["0:0:0:0:0:0:0:1", "127.0.0.1"]);
});

Deno.test("numeric names are their own addresses, in the family that was asked for", async () => {
  await using world = new World({});
  assert.deepEqual(await world.resolve("10.1", { family: 0, flags: AI.NUMERICHOST }), ["10.0.0.1"]);
  assert.deepEqual(await world.resolve("::1", { family: 4 }), [`EAI ${EAI.ADDRFAMILY}`]);
  assert.deepEqual(await world.resolve("1.2.3.4", { family: 6 }), [`EAI ${EAI.ADDRFAMILY}`]);
  assert.deepEqual(await world.resolve("1.2.3.4", { family: 6, flags: AI.V4MAPPED }), ["0:0:0:0:0:ffff:102:304"]);
  assert.deepEqual(await world.resolve("web", { flags: AI.NUMERICHOST }), [`EAI ${EAI.NONAME}`]);
  assert.deepEqual(world.server.asked, []);
});

Deno.test("AI_V4MAPPED gives IPv4 addresses as IPv6 ones when there are no others, with AI_ALL besides them", async () => {
  const zone: Zone = { "four.a.test": { A: ["10.0.0.1"] }, "both.a.test": { A: ["10.0.0.1"], AAAA: ["::1"] } };
  await using world = new World(zone);
  const mapped = "0:0:0:0:0:ffff:a00:1";
  assert.deepEqual(await world.resolve("four", { family: 6 }), [`EAI ${EAI.NODATA}`]);
  assert.deepEqual(await world.resolve("four", { family: 6, flags: AI.V4MAPPED }), [mapped]);
  assert.deepEqual(await world.resolve("both", { family: 6, flags: AI.V4MAPPED }), ["0:0:0:0:0:0:0:1"]);
  const all = await world.resolve("both", { family: 6, flags: AI.V4MAPPED | AI.ALL });
  assert.deepEqual(all.toSorted(), ["0:0:0:0:0:0:0:1", mapped]);
});

Deno.test("the name of an address comes from the hosts file, else from a PTR record", async () => {
  const zone: Zone = {
    "2.0.0.10.in-addr.arpa": { PTR: ["db.a.test"] },
    "3.0.0.10.in-addr.arpa": { PTR: ["evil name;rm"] },
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa": { PTR: ["six.a.test"] },
  };
  await using world = new World(zone, { hosts: "10.0.0.1 web alias\n" });
  assert.equal(await world.nameOf("10.0.0.1"), "web");
  assert.equal(await world.nameOf("::ffff:10.0.0.1"), `EAI ${EAI.NONAME}`);
  assert.equal(await world.nameOf("10.0.0.2"), "db.a.test");
  assert.equal(await world.nameOf("::ffff:10.0.0.2"), "db.a.test");
  assert.equal(await world.nameOf("2001:db8::1"), "six.a.test");
  assert.equal(await world.nameOf("10.0.0.3"), `EAI ${EAI.NONAME}`);
  assert.equal(await world.nameOf("10.0.0.4"), `EAI ${EAI.NONAME}`);
});

Deno.test("res_search() goes through the search list, and its h_errno says what was found on the way", async () => {
  const zone: Zone = { "one.b.test": { A: ["10.0.0.1"] }, "six.a.test": { AAAA: ["::1"] }, "bad.a.test": "SERVFAIL" };
  await using world = new World(zone);
  assert.equal(await world.ask("one"), "1 in few");
  assert.deepEqual(world.server.asked, ["A one.a.test", "A one.b.test"]);
  assert.equal(await world.ask("one", { isSearch: false }), "h_errno 1");
  assert.equal(await world.ask("one.b.test."), "1 in few");
  assert.equal(await world.ask("six"), "h_errno 4");
  assert.equal(await world.ask("bad"), "h_errno 2");
  assert.equal(await world.ask("none"), "h_errno 1");
  assert.equal(await world.ask("a..b"), "h_errno 3");
});

Deno.test("an answer that does not fit a datagram comes over TCP; servers of the program's own are asked instead", async () => {
  const many = Array.from({ length: 100 }, (_, at) => `10.0.0.${at}`);
  await using world = new World({ "many.a.test": { A: many } });
  assert.equal(await world.ask("many"), "100 in many");
  assert.deepEqual(world.server.asked, ["A many.a.test", "A many.a.test/tcp"]);
  await using other = new NameServer({ "many.a.test": { A: ["10.0.0.1"] } });
  const server = [4, 127, 0, 0, 1, ...new Array(12).fill(0), other.port >> 8, other.port & 255];
  assert.equal(await world.ask("many", { servers: server }), "1 in few");
});
