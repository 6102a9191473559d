/** What of the network is the target's and what this machine's, by rules: real programs, and what the agent is asked. */
import assert from "node:assert/strict";
import type { AddressFilter } from "../../src/config/address_filter.ts";
import type { NetworkRules } from "../../src/layer/intproxy/destinations.ts";
import { Whole } from "../support/whole.ts";

const PYTHON = "/usr/bin/python3";
const ignore = await Deno.stat(PYTHON).then(() => false, () => true);
const HOSTS = "127.0.0.1 localhost\n127.0.0.1 db.prod db\n127.0.0.2 other\n";

const remote = (...rules: string[]): { outgoing: AddressFilter } => ({ outgoing: { side: "remote", rules } });
const local = (...rules: string[]): { outgoing: AddressFilter } => ({ outgoing: { side: "local", rules } });

/** Runs Python with the port of a TCP server, which answers "hello", as its argument. */
async function run(rules: Partial<NetworkRules>, script: string): Promise<{ stdout: string; messages: string[] }> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const conn of listener) {
      await conn.write(new TextEncoder().encode("hello")).catch(() => {});
      conn.close();
    }
  })();
  const network = { keepsLoopback: false, isDnsRemote: true, ...rules };
  await using whole = await Whole.start({ "/etc/hosts": HOSTS, "/etc/resolv.conf": "" }, undefined, {}, { network });
  const program = `import socket, sys\nport = int(sys.argv[1])
def get(host):
    with socket.create_connection((host, port), 10) as s: print(s.recv(100).decode())
${script}`;
  const { stdout, stderr, messages } = await whole.run([PYTHON, "-c", program, String(listener.addr.port)]);
  assert.equal(stderr, "");
  listener.close();
  await serving;
  return { stdout, messages: messages.filter((type) => /Connect|Resolve|OpenDatagrams/.test(type)) };
}

interface Case {
  readonly rules: Partial<NetworkRules>;
  readonly connect: string;
  readonly asks: readonly string[];
  readonly because: string;
}

const CASES: readonly Case[] = [
  { rules: local("127.0.0.0/8"), connect: "127.0.0.1", asks: [], because: "a local rule has its subnet" },
  { rules: local("10.0.0.0/8"), connect: "127.0.0.1", asks: ["Connect"], because: "no local rule matches" },
  { rules: local("udp://127.0.0.1"), connect: "127.0.0.1", asks: ["Connect"], because: "the rule is about UDP" },
  { rules: local(":1"), connect: "127.0.0.1", asks: ["Connect"], because: "the rule is about another port" },
  { rules: remote("127.0.0.1"), connect: "127.0.0.1", asks: ["Connect"], because: "a remote rule has its address" },
  { rules: remote("10.0.0.0/8"), connect: "127.0.0.1", asks: [], because: "no remote rule matches" },
  {
    rules: remote("db.prod", "10.0.0.0/8"),
    connect: "db.prod",
    asks: ["Resolve", "Connect"],
    because: "its name is in a remote rule",
  },
  {
    rules: remote("db.prod", "10.0.0.0/8"),
    connect: "127.0.0.1",
    asks: ["Resolve", "Connect"],
    because: "a name of a remote rule resolves to it at the target",
  },
  {
    // Row L38
    rules: local("no.such.name", "10.0.0.0/8"),
    connect: "127.0.0.1",
    asks: ["Connect"],
    because: "a name that cannot be resolved matches nothing",
  },
  // Row L54
  { rules: local("localhost"), connect: "localhost", asks: [], because: "its name is in a local rule, and local too" },
  { rules: { keepsLoopback: true }, connect: "127.0.0.1", asks: [], because: "loopback is kept" },
];

for (const { rules, connect, asks, because } of CASES) {
  const where = asks.includes("Connect") ? "the target's" : "this machine's";
  Deno.test({ name: `a connection to ${connect} is ${where}: ${because}`, ignore }, async () => {
    const { stdout, messages } = await run(rules, `get("${connect}")`);
    assert.equal(stdout, "hello\n");
    assert.deepEqual(messages, asks);
  });
}

Deno.test({ name: "datagrams follow the same rules", ignore }, async () => {
  const send = (rules: Partial<NetworkRules>) =>
    run(
      rules,
      `s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nfor _ in range(2): s.sendto(b"x", ("127.0.0.9", 9))`,
    );
  assert.deepEqual((await send(local("udp://127.0.0.9"))).messages, []);
  assert.deepEqual((await send(local("tcp://127.0.0.9"))).messages, ["OpenDatagrams"]);
});

Deno.test({ name: "a name that a rule keeps local is this machine's to resolve", ignore }, async () => {
  const dns = { side: "local" as const, rules: ["localhost", "not-there.invalid"] };
  const script = `print(socket.gethostbyname("localhost"), socket.getaddrinfo("localhost", 1, socket.AF_INET)[0][4])
print(socket.gethostbyname("other"))
try: socket.getaddrinfo("not-there.invalid", 1)
except socket.gaierror as error: print(error.errno < 0)`;
  const { stdout, messages } = await run({ dns }, script);
  assert.equal(stdout, "127.0.0.1 ('127.0.0.1', 1)\n127.0.0.2\nTrue\n");
  assert.deepEqual(messages, ["Resolve"]);
});
