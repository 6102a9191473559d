/** Real programs under the real shim, through the real intproxy, to the real agent; and how many messages that takes. */
import assert from "node:assert/strict";
import { Whole } from "../support/whole.ts";

const PYTHON = "/usr/bin/python3";
const noPython = await Deno.stat(PYTHON).then(() => false, () => true);

Deno.test("cat of a small file at the target is one message", async () => {
  await using whole = await Whole.start({ "/app/settings": "from the target\n" });
  const { code, stdout, stderr, messages } = await whole.run(["cat", "/app/settings"]);
  assert.deepEqual([code, stdout, stderr], [0, "from the target\n", ""]);
  assert.deepEqual(messages, ["Open"]);
});

Deno.test("a big file comes whole", async () => {
  const bytes = new Uint8Array(9_000_001).map((_, at) => (at * 7) >> 2);
  await using whole = await Whole.start({ "/data/big": bytes });
  const { stdout } = await whole.run(["sha256sum", "/data/big"]);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  assert.equal(stdout, `${digest.toHex()}  /data/big\n`);
});

Deno.test("getaddrinfo is one message, whatever it finds", async () => {
  await using whole = await Whole.start({ "/etc/hosts": "10.11.12.13 in-hosts\n", "/etc/resolv.conf": "" });
  const found = await whole.run(["getent", "ahostsv4", "in-hosts"]);
  assert.match(found.stdout, /^10\.11\.12\.13 /);
  assert.deepEqual(found.messages, ["Resolve"]);
});

for (const client of ["curl", "/usr/bin/python3"]) {
  const isMissing = await new Deno.Command(client, { args: ["--version"] }).output().then(() => false, () => true);
  const ignore = isMissing;
  const name = `${client} gets a page from a server at the target with one Connect${
    isMissing ? ` (needs ${client})` : ""
  }`;
  Deno.test({ name, ignore }, async () => {
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => new Response("served\n"));
    try {
      await using whole = await Whole.start({});
      const url = `http://127.0.0.1:${server.addr.port}/`;
      const command = client === "curl"
        ? ["curl", "-sS", "--max-time", "20", url]
        : ["python3", "-c", `import urllib.request; print(urllib.request.urlopen("${url}").read().decode(), end="")`];
      const { stdout, stderr, messages } = await whole.run(command);
      assert.deepEqual([stdout, stderr], ["served\n", ""]);
      assert.equal(messages.filter((type) => type === "Connect").length, 1);
    } finally {
      await server.shutdown();
    }
  });
}

Deno.test("a port of the target where nobody listens refuses", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  await using whole = await Whole.start({});
  const { code, stderr } = await whole.run(["bash", "-c", `echo > /dev/tcp/127.0.0.1/${port}`]);
  assert.equal(code, 1);
  assert.match(stderr, /Connection refused/);
});

Deno.test("what a program writes before it exits reaches the server", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const received = (async () => {
    using conn = await listener.accept();
    return (await new Response(conn.readable).text()).length;
  })();
  await using whole = await Whole.start({});
  const script = `head -c 3000000 /dev/zero | tr "\\0" x > /dev/tcp/127.0.0.1/${listener.addr.port}`;
  assert.equal((await whole.run(["bash", "-c", script])).code, 0);
  assert.equal(await received, 3_000_000);
  listener.close();
});

Deno.test({
  name: "a file that was opened as a path can be opened for reading through /proc, small or big",
  ignore: noPython,
}, async () => {
  const big = new Uint8Array(3_000_001).map((_, at) => (at * 7) >> 2);
  await using whole = await Whole.start({ "/data/small": "hello\n", "/data/big": big });
  const script = `import os, hashlib
for name in ("small", "big"):
    for flags in (os.O_PATH, os.O_RDONLY):
        fd = os.open("/data/" + name, flags)
        print(hashlib.sha256(open(f"/proc/self/fd/{fd}", "rb").read()).hexdigest())`;
  const { stdout, stderr } = await whole.run([PYTHON, "-c", script]);
  assert.equal(stderr, "");
  const digest = async (bytes: Uint8Array<ArrayBuffer>) =>
    new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  const [small, ofBig] = [await digest(new TextEncoder().encode("hello\n")), await digest(big)];
  assert.deepEqual(stdout.trimEnd().split("\n"), [small, small, ofBig, ofBig]);
});
