/** What programs ask the kernel of their network is the target's: by netlink, and by ioctl of a socket. */
import assert from "node:assert/strict";
import { ERRNO } from "../../src/base/errors.ts";
import type { LayerFrame, LayerMessage } from "../../src/proto/layer.ts";
import { answerFrom, file } from "../support/remote_tree.ts";
import { startUnderShim } from "../support/under_shim.ts";

const SIOCGIFINDEX = 0x8933;
const EADDRNOTAVAIL = 99;

/** A record as native/sys/network_questions.c makes it. */
function told(request: number, errno: number, name: string, value: number): Uint8Array {
  const bytes = new Uint8Array(48);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, request, true);
  view.setInt32(4, errno, true);
  bytes.set(new TextEncoder().encode(name), 8);
  view.setInt32(24, value, true);
  return bytes;
}

/** A message of the kernel's, to another port. */
function message(type: number, flags: number, bytes: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(bytes));
  view.setUint32(0, bytes, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, 77, true);
  view.setUint32(12, 4711, true);
  return new Uint8Array(view.buffer);
}

const MULTI = 2;
const DONE = 3;

function answering(errno: number, ...parts: Uint8Array[]): (request: LayerFrame) => LayerMessage | undefined {
  const data = Uint8Array.from(parts.flatMap((it) => [...it]));
  return ({ type }) => type.startsWith("Ask") ? { type: "NetworkAnswer", errno, data } : undefined;
}

async function call(args: string[], answer = answering(0), settings = {}) {
  await using app = await startUnderShim("network", args, { answer, settings });
  const lines = (await app.output()).trimEnd().split("\n");
  return { lines, asked: app.frames };
}

Deno.test("ioctl() of a socket about an interface tells what the target says of it", async () => {
  const { lines, asked } = await call(["ioctl", "8933", "pod0"], answering(0, told(SIOCGIFINDEX, 0, "pod0", 7)));
  assert.deepEqual(lines, ["pod0 7"]);
  const [question] = asked;
  assert.ok(question?.type === "AskInterface" && question.request === SIOCGIFINDEX && question.family === 2);
  assert.equal(new TextDecoder().decode(question.ifreq.slice(0, 5)), "pod0\0");
});

Deno.test("ioctl() of a socket fails with the target's errno", async () => {
  assert.deepEqual(
    (await call(["ioctl", "8915", "pod0"], answering(0, told(0x8915, EADDRNOTAVAIL, "pod0", 0)))).lines,
    [
      "EADDRNOTAVAIL",
    ],
  );
  assert.deepEqual((await call(["ioctl", "8933", "none"], answering(ERRNO.EIO))).lines, ["EIO"]);
});

Deno.test("ioctl() SIOCGIFCONF lists as many addresses of the target as have room", async () => {
  const list = Array.from({ length: 9 }, (_, at) => told(0, 0, `pod${at}`, 0).slice(8));
  const { lines } = await call(["ioctl", "8912", ""], answering(0, ...list));
  assert.deepEqual(lines, ["320 bytes, pod0"]);
  const short = await call(["ioctl", "8912", ""], answering(0, ...list.slice(0, 2)));
  assert.deepEqual(short.lines, ["80 bytes, pod0"]);
});

Deno.test("ioctl() that would change an interface is refused without a message", async () => {
  const { lines, asked } = await call(["ioctl", "8914", "lo"]);
  assert.deepEqual([lines, asked], [["EPERM"], []]);
});

Deno.test("ioctl() stays local without a message when it is about anything else, or outgoing connections are this machine's", async () => {
  const other = await call(["ioctl", "8906", "x"]);
  assert.deepEqual([other.lines, other.asked], [["ENOENT"], []]);
  const local = await call(["ioctl", "8933", "lo"], answering(0), { isTcpRemote: false });
  assert.deepEqual([local.lines, local.asked], [["lo 1"], []]);
  const file = await call(["ioctl", "8933", "lo", "of a file"]);
  assert.deepEqual([file.lines, file.asked], [["ENOTTY"], []]);
});

const GETLINK = "18";
const ROUTE = "0";
const BEGINNING = ["bind 0", "protocol 0", "setsockopt 0", "send 32"];

Deno.test("a question by netlink is answered by the target's kernel, in datagrams as this one makes them", async () => {
  const links = Array.from({ length: 4 }, () => message(16, MULTI, 1300));
  const { lines, asked } = await call(
    ["netlink", GETLINK, "1", ROUTE],
    answering(0, ...links, message(DONE, MULTI, 20)),
  );
  const link = " type 16 of 77 to us";
  assert.deepEqual(lines, [
    ...BEGINNING,
    `2600 whole from 0:${link}${link}`,
    `2620 whole from 0:${link}${link} type 3 of 77 to us`,
  ]);
  const [question] = asked;
  assert.ok(question?.type === "AskNetlink" && question.protocol === 0 && question.request.length === 32);
});

Deno.test("an answer by netlink that is longer than a queue comes whole", async () => {
  const links = Array.from({ length: 1000 }, () => message(16, MULTI, 1300));
  const { lines } = await call(["netlink", GETLINK, "0", ROUTE], answering(0, ...links, message(DONE, MULTI, 20)));
  const said = lines.slice(BEGINNING.length).join("\n");
  assert.equal(said.match(/type 16 of 77 to us/g)?.length, 1000);
  assert.match(said, /type 3 of 77 to us$/);
});

Deno.test("a change by netlink is refused without a message", async () => {
  const { lines, asked } = await call(["netlink", "16", "0", ROUTE]);
  assert.deepEqual(lines, [...BEGINNING, "52 whole from 0: type 2 of 77 to us"]);
  assert.deepEqual(asked, []);
});

Deno.test("setsockopt() of a netlink socket's groups is done, and there is no news of this machine's", async () => {
  const { lines } = await call(["netlink", GETLINK, "0", ROUTE], answering(ERRNO.EIO));
  assert.deepEqual(lines, [...BEGINNING, "52 whole from 0: type 2 of 77 to us"]);
});

Deno.test("setsockopt() and netlink stay local without a message when outgoing connections are this machine's", async () => {
  const { lines, asked } = await call(["netlink", GETLINK, "0", ROUTE], answering(0), { isTcpRemote: false });
  assert.deepEqual(lines.slice(0, 4), BEGINNING);
  assert.match(lines[4] ?? "", /type 16 of 77 to us/);
  assert.deepEqual(asked, []);
});

Deno.test("a netlink socket of another protocol is this machine's", async () => {
  const NETFILTER = "12";
  const { lines, asked } = await call(["netlink", GETLINK, "0", NETFILTER]);
  assert.equal(lines[1], "protocol 12");
  assert.deepEqual(asked, []);
});

Deno.test("sethostent(), gethostent() and endhostent() go through the target's hosts file", async () => {
  const hosts = "127.0.0.1 localhost\n::1\tlocalhost six # seven\nfe80::1 other\n# none\n\n10.0.0.1 web web.shop";
  const { lines } = await call(["gethostent"], answerFrom({ "/etc/hosts": file(hosts) }));
  assert.deepEqual(lines, ["localhost 7f000001", "localhost six 7f000001", "web web.shop 0a000001", "again localhost"]);
});

Deno.test("sethostent(), gethostent() and endhostent() stay local without a message where names are", async () => {
  const { lines, asked } = await call(["gethostent"], answering(0), { isDnsRemote: false });
  assert.match(lines.at(-1) ?? "", /^again /);
  assert.deepEqual(asked, []);
});
