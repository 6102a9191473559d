/** Outgoing TCP: the app's own socket ends at the intproxy's relays, and tells what it would tell inside the target. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { Socket } from "node:net";
import { ERRNO } from "../../src/base/errors.ts";
import { type BlackHole, openBlackHole } from "../../src/sys/relay.ts";
import { type AppUnderShim, type Named, type Settings, startUnderShim } from "../support/under_shim.ts";

const DONE = { type: "ConnectStatusReply", isKnown: true, isPending: false } as const;
const WEB = Uint8Array.from([10, 1, 2, 3]);
const WEB6 = Uint8Array.from([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
const LOOPBACK4 = Uint8Array.from([127, 0, 0, 1]);
const LOOPBACK6 = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/** The relays of an intproxy: one that accepts, one that drops. */
class TestRelays implements Disposable {
  readonly listener4 = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly listener6 = Deno.listen({ hostname: "::1", port: 0 });
  readonly hole4 = openBlackHole(4) as BlackHole;
  readonly hole6 = openBlackHole(6) as BlackHole;

  get ports(): Partial<Settings> {
    return {
      acceptPort4: this.listener4.addr.port,
      acceptPort6: this.listener6.addr.port,
      holePort4: this.hole4.port,
      holePort6: this.hole6.port,
    };
  }

  [Symbol.dispose](): void {
    this.listener4.close();
    this.listener6.close();
    this.hole4[Symbol.dispose]();
    this.hole6[Symbol.dispose]();
  }
}

async function start(relays: TestRelays, words: string[], more: Partial<Settings> = {}): Promise<AppUnderShim> {
  return await startUnderShim("sockets", words, { settings: { ...relays.ports, ...more } });
}

/** Takes the app's connection at the accepting relay and answers its ping. */
async function serveOne(listener: Deno.TcpListener): Promise<Deno.NetAddr> {
  using conn = await listener.accept();
  const bytes = new Uint8Array(16);
  const count = await conn.read(bytes);
  assert.equal(new TextDecoder().decode(bytes.subarray(0, count ?? 0)), "ping");
  await conn.write(new TextEncoder().encode("pong"));
  return conn.remoteAddr;
}

/** Answers the ping on a descriptor that came out of a black hole. */
async function serveDescriptor(fd: number): Promise<void> {
  assert.ok(fd > 0, `complete: ${fd}`);
  const socket = new Socket({ fd, readable: true, writable: true });
  const [bytes] = await once(socket, "data") as [Uint8Array];
  assert.equal(new TextDecoder().decode(bytes), "ping");
  socket.end("pong");
  socket.resume();
  await once(socket, "close");
}

/** Without what only says that the program has not bound the socket. */
function plain<T extends { id: number }>(message: T): Omit<T, "id"> {
  const { id: _, ...rest } = message;
  if ((rest as Partial<Named<"Connect">>).boundInode !== 0n) return rest;
  const { boundInode: _inode, boundAddress: _address, boundPort: _port, ...unbound } = rest as Partial<
    Named<"Connect">
  >;
  return unbound as Omit<T, "id">;
}

function completes(hole: BlackHole, request: Named<"Connect">): number {
  return hole.complete(request.localAddress.slice(), request.localPort);
}

for (const word of ["connect", "raw-connect"]) {
  const name = word === "connect" ? "connect()" : "syscall() of connect(2)";
  Deno.test(`${name} goes through the agent when TCP is remote, with one message`, async () => {
    using relays = new TestRelays();
    await using app = await start(relays, ["tcp4", `${word}/10.1.2.3/80`, "echo"]);
    const request = await app.expect("Connect");
    assert.deepEqual(plain(request), {
      type: "Connect",
      address: WEB,
      port: 80,
      localAddress: LOOPBACK4,
      localPort: request.localPort,
      isBlocking: true,
    });
    const served = serveOne(relays.listener4);
    await app.reply(request, { type: "ConnectReply", errno: 0 });
    assert.equal((await served).port, request.localPort);
    assert.equal(await app.output(), "connect 0\necho pong\n");
    assert.equal(app.count(), 1);
  });
}

for (const errno of ["ECONNREFUSED", "EHOSTUNREACH", "ETIMEDOUT", "ENETUNREACH"] as const) {
  Deno.test(`connect() fails with ${errno} when the agent's does`, async () => {
    using relays = new TestRelays();
    await using app = await start(relays, ["tcp4", "connect/10.1.2.3/80"]);
    await app.reply(await app.expect("Connect"), { type: "ConnectReply", errno: ERRNO[errno] });
    assert.equal(await app.output(), `connect ${errno}\n`);
  });
}

Deno.test("connect() may be tried again on the same socket after a failure", async () => {
  using relays = new TestRelays();
  await using app = await start(relays, ["tcp4", "connect/10.1.2.3/80", "connect/10.1.2.3/80", "echo"]);
  await app.reply(await app.expect("Connect"), { type: "ConnectReply", errno: ERRNO.ECONNREFUSED });
  const served = serveOne(relays.listener4);
  await app.reply(await app.expect("Connect"), { type: "ConnectReply", errno: 0 });
  await served;
  assert.equal(await app.output(), "connect ECONNREFUSED\nconnect 0\necho pong\n");
});

Deno.test("connect() stays real when TCP is not remote", async () => {
  using relays = new TestRelays();
  const { port } = relays.listener4.addr;
  await using app = await start(relays, ["tcp4", `connect/127.0.0.1/${port}`, "echo"], { isTcpRemote: false });
  await serveOne(relays.listener4);
  assert.equal(await app.output(), "connect 0\necho pong\n");
  assert.equal(app.count(), 0);
});

Deno.test("connect() of UDP sockets, where UDP is not remote, and of Unix sockets stays real", async () => {
  using relays = new TestRelays();
  const words = ["udp4", "connect/127.0.0.1/9", "peer", "unix//nowhere/socket"];
  await using app = await start(relays, words, { isUdpRemote: false });
  assert.equal(await app.output(), "connect 0\npeer 127.0.0.1 9 length 16\nconnect ENOENT\n");
  assert.equal(app.count(), 0);
});

Deno.test("connect() to a loopback port of the run itself stays real, to another it is the target's", async () => {
  using relays = new TestRelays();
  using own = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const words = ["tcp4", `connect/127.0.0.1/${own.addr.port}`, "echo", "tcp4", "connect/127.0.0.1/7"];
  await using app = await start(relays, words);
  const asked = await app.expect("Destination");
  assert.deepEqual(plain(asked), { type: "Destination", address: LOOPBACK4, port: own.addr.port });
  await app.reply(asked, { type: "DestinationReply", isLocal: true });
  await serveOne(own);
  await app.reply(await app.expect("Destination"), { type: "DestinationReply", isLocal: false });
  const request = await app.expect("Connect");
  assert.deepEqual([request.address, request.port], [LOOPBACK4, 7]);
  await app.reply(request, { type: "ConnectReply", errno: ERRNO.ECONNREFUSED });
  assert.equal(await app.output(), "connect 0\necho pong\nconnect ECONNREFUSED\n");
});

Deno.test("connect() of a socket the app has bound keeps its port", async () => {
  using relays = new TestRelays();
  using free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr;
  free.close();
  await using app = await start(relays, ["tcp4", `bind/0.0.0.0/${port}`, "connect/10.1.2.3/80", "echo"]);
  const request = await app.expect("Connect");
  assert.deepEqual([request.localAddress, request.localPort], [LOOPBACK4, port]);
  const served = serveOne(relays.listener4);
  await app.reply(request, { type: "ConnectReply", errno: 0 });
  assert.equal((await served).port, port);
  assert.equal(await app.output(), "bind 0\nconnect 0\necho pong\n");
});

Deno.test("connect() without blocking is EINPROGRESS at once and ready when the agent has connected, with nothing more to ask", async () => {
  using relays = new TestRelays();
  const connect = "connect/10.1.2.3/80";
  const words = ["tcp4", "nonblock", "epoll", connect, connect, "ask//data/sync", "wait", "error"];
  await using app = await start(relays, [...words, connect, connect, "block", "echo"]);
  const request = await app.expect("Connect");
  assert.equal(request.isBlocking, false);
  const sync = await app.expect("Access");
  const served = serveDescriptor(completes(relays.hole4, request));
  await app.reply(sync, { type: "Done", errno: 0 });
  await served;
  const expected = ["connect EINPROGRESS", "connect EALREADY", "wait out", "error 0", "connect 0", "connect EISCONN"];
  assert.equal(await app.output(), [...expected, "echo pong", ""].join("\n"));
});

Deno.test("getsockopt(SO_ERROR) tells the agent's errno when a non-blocking connect has failed", async () => {
  using relays = new TestRelays();
  await using app = await start(relays, ["tcp4", "nonblock", "epoll", "connect/10.1.2.3/80", "wait", "error"]);
  const request = await app.expect("Connect");
  assert.equal(relays.hole4.breakOff(request.localAddress.slice(), request.localPort), 0);
  const status = await app.expect("ConnectStatus");
  assert.deepEqual([status.localAddress, status.localPort], [request.localAddress, request.localPort]);
  await app.reply(status, { ...DONE, errno: ERRNO.ECONNREFUSED });
  const output = await app.output();
  assert.match(output, /^connect EINPROGRESS\nwait out( err)?\nerror ECONNREFUSED\n$/);
});

for (const call of ["read", "readv", "recv", "__recv_chk", "write", "writev", "send"]) {
  Deno.test(`${call}() of a socket whose connect has failed tells the agent's errno, once`, async () => {
    using relays = new TestRelays();
    const words = ["tcp4", "nonblock", "epoll", "connect/10.1.2.3/80", "wait", `data/${call}`];
    await using app = await start(relays, words);
    const request = await app.expect("Connect");
    assert.equal(relays.hole4.breakOff(request.localAddress.slice(), request.localPort), 0);
    await app.reply(await app.expect("ConnectStatus"), { ...DONE, errno: ERRNO.ECONNREFUSED });
    assert.equal(await app.output(), `connect EINPROGRESS\nwait out err\n${call} ECONNREFUSED\n`);
  });
}

Deno.test("socket() of IPv6 is EAFNOSUPPORT when it is off", async () => {
  using relays = new TestRelays();
  await using app = await start(relays, ["tcp6", "connect/fd00::9/80", "tcp4", "error"], { isIpv6Off: true });
  assert.equal(await app.output(), "connect EBADF\nerror 0\n");
});

Deno.test("getsockopt(SO_ERROR) stays real on sockets that are not ours", async () => {
  using relays = new TestRelays();
  await using app = await start(relays, ["udp4", "error", "tcp4", "error"]);
  assert.equal(await app.output(), "error 0\nerror 0\n");
  assert.equal(app.count(), 0);
});

// Row L53
for (const asksDestinations of [false, true]) {
  const filter = asksDestinations ? "with a filter" : "without a filter";
  Deno.test(`three non-blocking connects are asked for before any is answered, ${filter}`, async () => {
    using relays = new TestRelays();
    const one = (port: number) => ["tcp4", "nonblock", `connect/10.1.2.3/${port}`];
    const words = [...one(1), ...one(2), ...one(3), "epoll", "wait"];
    await using app = await start(relays, words, { asksDestinations });
    const requests: Named<"Connect">[] = [];
    for (const port of [1, 2, 3]) {
      if (asksDestinations) {
        await app.reply(await app.expect("Destination"), { type: "DestinationReply", isLocal: false });
      }
      const request = await app.expect("Connect");
      assert.deepEqual([request.port, request.isBlocking], [port, false]);
      requests.push(request);
    }
    // The one that the program waits for is the last.
    const sockets = requests.map((request) => new Socket({ fd: completes(relays.hole4, request) }));
    assert.equal(await app.output(), "connect EINPROGRESS\n".repeat(3) + "wait out\n");
    for (const socket of sockets) socket.destroy();
  });
}

Deno.test("connect() a second time tells the agent's errno, and a third begins anew", async () => {
  using relays = new TestRelays();
  const connect = "connect/10.1.2.3/80";
  await using app = await start(relays, ["tcp4", "nonblock", "epoll", connect, "wait", connect, connect]);
  const request = await app.expect("Connect");
  relays.hole4.breakOff(request.localAddress.slice(), request.localPort);
  await app.reply(await app.expect("ConnectStatus"), { ...DONE, errno: ERRNO.EHOSTUNREACH });
  await app.expect("Connect");
  assert.match(await app.output(), /^connect EINPROGRESS\nwait .*\nconnect EHOSTUNREACH\nconnect EINPROGRESS\n$/);
});

Deno.test("getpeername() and getsockname() tell what they would inside the target, and ask once", async () => {
  using relays = new TestRelays();
  await using app = await start(relays, ["tcp4", "connect/10.1.2.3/80", "peer", "own", "peer"]);
  const request = await app.expect("Connect");
  await app.reply(request, { type: "ConnectReply", errno: 0 });
  using _conn = await relays.listener4.accept();
  const names = await app.expect("SocketNames");
  assert.deepEqual([names.localAddress, names.localPort], [LOOPBACK4, request.localPort]);
  const own = { ownAddress: Uint8Array.from([10, 9, 9, 9]), ownPort: 40404 };
  await app.reply(names, { type: "SocketNamesReply", isKnown: true, peerAddress: WEB, peerPort: 80, ...own });
  const [peer, mine] = ["peer 10.1.2.3 80 length 16", "own 10.9.9.9 40404 length 16"];
  assert.equal(await app.output(), `connect 0\n${peer}\n${mine}\n${peer}\n`);
});

for (const [symbol, word] of [["getpeername", "peer"], ["getsockname", "own"]] as const) {
  Deno.test(`${symbol}() stays real on a socket that is not connected to a relay`, async () => {
    using relays = new TestRelays();
    using own = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const words = ["tcp4", `connect/127.0.0.1/${own.addr.port}`, word];
    await using app = await start(relays, words);
    await app.reply(await app.expect("Destination"), { type: "DestinationReply", isLocal: true });
    using _conn = await own.accept();
    assert.match(await app.output(), new RegExp(`^connect 0\n${word} 127\\.0\\.0\\.1 \\d+ length 16\n$`));
    assert.equal(app.count(), 1);
  });
}

Deno.test("connect() of an IPv6 socket takes the IPv4 relay and keeps IPv6 names", async () => {
  using relays = new TestRelays();
  await using app = await start(relays, ["tcp6", "connect/fd00::9/80", "echo", "peer"]);
  const request = await app.expect("Connect");
  assert.deepEqual([request.address, request.localAddress], [WEB6, LOOPBACK4]);
  const served = serveOne(relays.listener4);
  await app.reply(request, { type: "ConnectReply", errno: 0 });
  await served;
  const names = await app.expect("SocketNames");
  const own = { ownAddress: WEB6, ownPort: 1 };
  await app.reply(names, { type: "SocketNamesReply", isKnown: true, peerAddress: WEB6, peerPort: 80, ...own });
  assert.equal(await app.output(), "connect 0\necho pong\npeer fd00::9 80 length 28\n");
});

Deno.test("connect() of an IPv6 socket to a mapped IPv4 address asks for IPv4 and shows it mapped", async () => {
  using relays = new TestRelays();
  await using app = await start(relays, ["tcp6", "connect/::ffff:10.1.2.3/80", "peer"]);
  const request = await app.expect("Connect");
  assert.deepEqual(request.address, WEB);
  await app.reply(request, { type: "ConnectReply", errno: 0 });
  using _conn = await relays.listener4.accept();
  const names = await app.expect("SocketNames");
  const own = { ownAddress: WEB, ownPort: 1 };
  await app.reply(names, { type: "SocketNamesReply", isKnown: true, peerAddress: WEB, peerPort: 80, ...own });
  assert.equal(await app.output(), "connect 0\npeer ::ffff:10.1.2.3 80 length 28\n");
});

Deno.test("connect() of a socket that wants only IPv6 takes the IPv6 relays", async () => {
  using relays = new TestRelays();
  const words = ["tcp6", "v6only", "connect/fd00::9/80", "echo"];
  await using app = await start(relays, [
    ...words,
    "tcp6",
    "v6only",
    "nonblock",
    "connect/fd00::9/80",
    "poll",
    "error",
  ]);
  const request = await app.expect("Connect");
  assert.deepEqual(request.localAddress, LOOPBACK6);
  const served = serveOne(relays.listener6);
  await app.reply(request, { type: "ConnectReply", errno: 0 });
  await served;
  const behind = await app.expect("Connect");
  const fd = completes(relays.hole6, behind);
  assert.equal(await app.output(), "connect 0\necho pong\nconnect EINPROGRESS\npoll out\nerror 0\n");
  const socket = new Socket({ fd });
  socket.destroy();
  await once(socket, "close");
});

Deno.test("connect() that SO_SNDTIMEO ends is EINPROGRESS and goes on behind", async () => {
  using relays = new TestRelays();
  await using app = await start(relays, ["tcp4", "timeout/50", "connect/10.1.2.3/80", "poll", "error", "echo"]);
  const waiting = await app.expect("Connect");
  assert.equal(waiting.isBlocking, true);
  const behind = await app.expect("Connect");
  assert.deepEqual(plain(behind), { ...plain(waiting), isBlocking: false });
  const served = serveDescriptor(completes(relays.hole4, behind));
  await served;
  assert.equal(await app.output(), "connect EINPROGRESS\npoll out\nerror 0\necho pong\n");
});

Deno.test("connect() that a signal interrupts is EINTR and goes on behind", async () => {
  using relays = new TestRelays();
  await using app = await start(relays, ["tcp4", "alarm/50", "connect/10.1.2.3/80", "poll", "error", "echo"]);
  await app.expect("Connect");
  await app.reply(await app.expect("Access"), { type: "Done", errno: 0 });
  const behind = await app.expect("Connect");
  const served = serveDescriptor(completes(relays.hole4, behind));
  await served;
  assert.equal(await app.output(), "connect EINTR\npoll out\nerror 0\necho pong\n");
});

Deno.test("connect() goes on when the signal's handler says SA_RESTART", async () => {
  using relays = new TestRelays();
  await using app = await start(relays, ["tcp4", "alarm-restart/20", "connect/10.1.2.3/80"]);
  const request = await app.expect("Connect");
  await app.reply(await app.expect("Access"), { type: "Done", errno: 0 });
  await app.reply(request, { type: "ConnectReply", errno: ERRNO.ECONNREFUSED });
  assert.equal(await app.output(), "connect ECONNREFUSED\n");
  assert.equal(app.count("Connect"), 1);
});

Deno.test("connect() with TCP_FASTOPEN_CONNECT begins at once", async () => {
  using relays = new TestRelays();
  await using app = await start(relays, ["tcp4", "nonblock", "fastopen", "connect/10.1.2.3/80", "poll", "error"]);
  const request = await app.expect("Connect");
  relays.hole4.breakOff(request.localAddress.slice(), request.localPort);
  await app.reply(await app.expect("ConnectStatus"), { ...DONE, errno: ERRNO.ECONNREFUSED });
  assert.match(await app.output(), /^connect EINPROGRESS\npoll .*\nerror ECONNREFUSED\n$/);
});

for (const symbol of ["sendto", "sendmsg"]) {
  Deno.test(`${symbol}() with MSG_FASTOPEN connects through the agent first`, async () => {
    using relays = new TestRelays();
    await using app = await start(relays, ["tcp4", `${symbol}/10.1.2.3/80`]);
    await app.reply(await app.expect("Connect"), { type: "ConnectReply", errno: ERRNO.ECONNREFUSED });
    assert.equal(await app.output(), "fast ECONNREFUSED\n");
    assert.equal(app.count(), 1);
  });
}

Deno.test("connect() is ENETUNREACH when the intproxy is gone", async () => {
  using relays = new TestRelays();
  const words = [
    "tcp4",
    "connect/10.1.2.3/80",
    "tcp4",
    "nonblock",
    "connect/10.1.2.3/80",
    "tcp4",
    "connect/127.0.0.1/7",
  ];
  await using app = await startUnderShim("sockets", words, { settings: relays.ports, isIntproxyGone: true });
  assert.equal(await app.output(), "connect ENETUNREACH\n".repeat(3));
});
