import assert from "node:assert/strict";
import { createServer, type Server, type Socket } from "node:net";
import { AgentClient, TEST_SECRET } from "../../tests/support/agent_client.ts";
import { duplexPair } from "../base/duplex_pair.ts";
import { fromUtf8, utf8 } from "../base/bytes.ts";
import type { Duplex } from "../base/duplex.ts";
import { ERRNO } from "../base/errors.ts";
import { AGENT_LIMITS, AGENT_PROTOCOL } from "../proto/agent.ts";
import { closeFile, openRoot } from "../sys/files.ts";
import { cString } from "../sys/load.ts";
import { Names } from "./names.ts";
import { Session } from "./session.ts";

interface WorldOptions {
  helloTimeoutMs?: number;
  clientTimeoutMs?: number;
  environ?: () => Promise<Uint8Array>;
}

/** One session with a made-up target, and its client. */
class World implements AsyncDisposable {
  readonly client: AgentClient;
  readonly session: Session;
  /** The client's side, for bytes that are no messages. */
  readonly wire: Duplex;
  readonly served: Promise<void>;
  welcomes = 0;
  log = "";
  readonly #root = openRoot(cString("/"));

  private constructor(expectedSecret: Uint8Array, options: WorldOptions) {
    const [agentSide, clientSide] = duplexPair();
    this.wire = clientSide;
    this.session = new Session(agentSide, {
      target: {
        pid: undefined,
        startTicks: "",
        root: this.#root,
        rights: null,
        hostname: () => "box",
        environ: options.environ ?? (() => Promise.resolve(utf8("A=1\0"))),
      },
      names: new Names(this.#root, () => "box"),
      expectedSecret,
      version: "9.9.9",
      helloTimeoutMs: options.helloTimeoutMs ?? 60_000,
      clientTimeoutMs: options.clientTimeoutMs ?? 60_000,
      log: (line) => this.log += `${line}\n`,
    });
    this.served = this.session.serve(() => this.welcomes++);
    this.client = new AgentClient(clientSide);
  }

  static async start(options: WorldOptions = {}): Promise<World> {
    return new World(new Uint8Array(await crypto.subtle.digest("SHA-256", TEST_SECRET.slice())), options);
  }

  static async welcome(options: WorldOptions = {}): Promise<World> {
    const world = await World.start(options);
    assert.equal((await world.client.hello()).error, "");
    return world;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
    await this.served;
    await closeFile(this.#root);
  }
}

Deno.test("a client with the secret is welcome and learns the agent's version", async () => {
  await using world = await World.start();
  const { error, version, protocol } = await world.client.hello();
  assert.deepEqual([error, version, protocol, world.welcomes], ["", "9.9.9", AGENT_PROTOCOL, 1]);
});

Deno.test("a wrong secret is refused in words, and the connection ends", async () => {
  for (const secret of [new Uint8Array(32), new Uint8Array(0), new Uint8Array(4000)]) {
    await using world = await World.start();
    assert.match((await world.client.hello(secret)).error, /does not know the secret/);
    await world.client.ended();
    assert.equal(world.welcomes, 0);
  }
});

Deno.test("a client of another protocol is told both versions", async () => {
  await using world = await World.start();
  const { error } = await world.client.hello(TEST_SECRET, 99);
  assert.match(error, /mirrord test speaks protocol 99, the agent \(mirrord 9.9.9\) speaks protocol 1/);
  await world.client.ended();
});

Deno.test("nothing but Hello is answered before the handshake", async () => {
  for (const first of [{ type: "GetTarget" }, { type: "Ping" }, { type: "NoSuchType" }]) {
    await using world = await World.start();
    world.client.link.send({ ...first, id: 1 } as never);
    await world.client.ended();
    assert.deepEqual(world.client.unasked, []);
  }
});

Deno.test("a first frame over the limit ends the connection unread", async () => {
  await using world = await World.start();
  await world.wire.writeAll(new Uint8Array(new Uint32Array([AGENT_LIMITS.helloFrameBytes + 1]).buffer));
  await world.client.ended();
  assert.match(world.log, /over the limit/);
});

Deno.test("who says no Hello is let go, and dripping bytes does not help", async () => {
  await using world = await World.start({ helloTimeoutMs: 60 });
  await world.wire.writeAll(Uint8Array.of(0, 4, 0, 0));
  const drip = setInterval(() => world.wire.writeAll(new Uint8Array(1)).catch(() => {}), 10);
  await world.client.ended();
  clearInterval(drip);
  assert.equal(world.welcomes, 0);
});

Deno.test("a client that falls silent is let go, one that pings is not", async () => {
  await using world = await World.welcome({ clientTimeoutMs: 200 });
  for (let count = 0; count < 8; count++) {
    await world.client.ask({ type: "Ping" }, "Pong");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await world.client.ended();
  assert.match(world.log, /nothing heard of it/);
});

Deno.test("malformed frames end the session", async () => {
  const frame = (body: Uint8Array) => Uint8Array.from([body.length, 0, 0, 0, ...body]);
  const broken: Uint8Array[] = [
    frame(Uint8Array.of(0xff, 0xff)),
    frame(utf8("no cbor, but text")),
    frame(new Uint8Array(0)),
    Uint8Array.of(0xff, 0xff, 0xff, 0xff),
  ];
  for (const bytes of broken) {
    await using world = await World.welcome();
    await world.wire.writeAll(bytes);
    await world.client.ended();
    assert.match(world.log, /let go/);
  }
});

Deno.test("a message only the agent may send, and a second Hello, end the session", async () => {
  for (const message of [{ type: "Pong" }, { type: "Hello", protocol: 1, version: "", secret: TEST_SECRET }]) {
    await using world = await World.welcome();
    world.client.link.send({ ...message, id: 0 } as never);
    await world.client.ended();
  }
});

Deno.test("a request the agent does not know is refused, and the session goes on", async () => {
  await using world = await World.welcome();
  const refused = await world.client.ask({ type: "NoSuchType" } as never, "Refused");
  assert.match(refused.error, /NoSuchType/);
  await world.client.ask({ type: "Ping" }, "Pong");
});

// Row U11
Deno.test("GetTarget tells host name and variables, or why not", async () => {
  await using world = await World.welcome();
  const target = await world.client.ask({ type: "GetTarget" }, "Target");
  assert.deepEqual([target.errno, target.hostname, fromUtf8(target.environ)], [0, "box", "A=1\0"]);
  await using gone = await World.welcome({ environ: () => Promise.reject(new Deno.errors.NotFound("gone")) });
  assert.equal((await gone.client.ask({ type: "GetTarget" }, "Target")).errno, ERRNO.ENOENT);
});

Deno.test("a hundred requests at once are each answered", async () => {
  await using world = await World.welcome();
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, at) => at % 2 ? world.client.stat("/etc") : world.client.open("/etc/passwd")),
  );
  assert.ok(answers.every(({ errno }) => errno === 0));
});

/** A server on loopback that does with a connection what it is told. */
class Peer implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
    });
  }

  static async listen(serve: (socket: Socket) => void): Promise<Peer> {
    const server = createServer({ allowHalfOpen: true }, serve);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new Peer(server);
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);

Deno.test("a connection carries bytes both ways, and each direction ends alone", async () => {
  await using peer = await Peer.listen((socket) => {
    socket.on("data", (bytes) => socket.write(`echo ${bytes}`));
    socket.on("end", () => socket.end("bye"));
  });
  await using world = await World.welcome();
  const { client } = world;
  const reply = await client.ask({ type: "Connect", stream: 5, address: LOOPBACK, port: peer.port }, "ConnectReply");
  assert.deepEqual([reply.errno, [...reply.localAddress]], [0, [127, 0, 0, 1]]);
  assert.ok(reply.localPort > 0);
  client.link.send({ type: "Data", id: 0, stream: 5, data: utf8("hello") });
  const echo = await client.next(({ type }) => type === "Data");
  assert.equal(fromUtf8((echo as { data: Uint8Array }).data), "echo hello");
  client.link.send({ type: "End", id: 0, stream: 5 });
  const bye = await client.next(({ type }) => type === "Data");
  assert.equal(fromUtf8((bye as { data: Uint8Array }).data), "bye");
  await client.next(({ type }) => type === "End");
});

Deno.test("how a connect fails is the kernel's word", async () => {
  await using world = await World.welcome();
  const tries: [address: number[], port: number, errno: number][] = [
    [[127, 0, 0, 1], 1, ERRNO.ECONNREFUSED],
    [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 1, ERRNO.ECONNREFUSED],
    [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1], 1, ERRNO.ECONNREFUSED],
    [[1, 2, 3], 1, ERRNO.EAFNOSUPPORT],
  ];
  for (const [at, [address, port, errno]] of tries.entries()) {
    const message = { type: "Connect", stream: at + 1, address: Uint8Array.from(address), port } as const;
    assert.equal((await world.client.ask(message, "ConnectReply")).errno, errno, `${address}`);
  }
});

Deno.test("a v4-mapped address is answered with a v4-mapped one", async () => {
  await using peer = await Peer.listen(() => {});
  await using world = await World.welcome();
  const address = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1);
  const reply = await world.client.ask({ type: "Connect", stream: 1, address, port: peer.port }, "ConnectReply");
  assert.deepEqual([reply.errno, reply.localAddress], [0, address]);
});

Deno.test("a reset of the peer reaches the client, one of the client the peer", async () => {
  const broken = Promise.withResolvers<string>();
  await using peer = await Peer.listen((socket) => {
    socket.on("error", (error: Error & { code?: string }) => broken.resolve(error.code ?? ""));
    socket.on("data", () => socket.resetAndDestroy());
    socket.resume();
  });
  await using world = await World.welcome();
  const { client } = world;
  for (const stream of [1, 2]) {
    await client.ask({ type: "Connect", stream, address: LOOPBACK, port: peer.port }, "ConnectReply");
  }
  client.link.send({ type: "Reset", id: 0, stream: 1 });
  assert.equal(await broken.promise, "ECONNRESET");
  client.link.send({ type: "Data", id: 0, stream: 2, data: utf8("x") });
  const reset = await client.next(({ type }) => type === "Reset");
  assert.equal((reset as { stream: number }).stream, 2);
});

Deno.test("a stream number in use, or 0, ends the session", async () => {
  for (const second of [1, 0]) {
    await using peer = await Peer.listen(() => {});
    await using world = await World.welcome();
    const connect = (stream: number) => ({ type: "Connect", stream, address: LOOPBACK, port: peer.port }) as const;
    await world.client.ask(connect(1), "ConnectReply");
    world.client.link.send({ ...connect(second), id: 99 });
    await world.client.ended();
  }
});

Deno.test("when a client goes, its connections are reset", async () => {
  const broken = Promise.withResolvers<string>();
  await using peer = await Peer.listen((socket) => {
    socket.on("error", (error: Error & { code?: string }) => broken.resolve(error.code ?? ""));
    socket.resume();
  });
  {
    await using world = await World.welcome();
    await world.client.ask({ type: "Connect", stream: 1, address: LOOPBACK, port: peer.port }, "ConnectReply");
  }
  assert.equal(await broken.promise, "ECONNRESET");
});

Deno.test("a peer that does not read holds up its own stream alone", async () => {
  await using peer = await Peer.listen((socket) => socket.pause());
  await using world = await World.welcome();
  const { client } = world;
  await client.ask({ type: "Connect", stream: 1, address: LOOPBACK, port: peer.port }, "ConnectReply");
  const data = new Uint8Array(AGENT_LIMITS.chunkBytes);
  for (let sent = 0; sent < AGENT_LIMITS.streamWindowBytes; sent += data.length) {
    client.link.send({ type: "Data", id: 0, stream: 1, data });
  }
  await client.ask({ type: "Ping" }, "Pong");
  assert.equal((await client.open("/etc/passwd")).errno, 0);
});
