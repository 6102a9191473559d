// deno-lint-ignore-file
// What Node programs ask: http, https, undici, fetch, axios, ws, grpc-js, dns, net.
const http = require("http"), https = require("https"), fs = require("fs"), dns = require("dns"), net = require("net");
const { request, Agent, fetch: ufetch, Pool } = require("undici");
const WebSocket = require("ws");
const grpc = require("@grpc/grpc-js");
const axios = require("axios");
const ca = fs.readFileSync("ca.crt");
const get = (mod, url, o = {}) =>
  new Promise((done) =>
    mod.get(url, o, (r) => {
      let t = "";
      r.on("data", (d) => t += d).on("end", () => done(r.statusCode + " " + t.trim()));
    }).on("error", (e) => done([e.code, e.message, e.syscall, e.address, e.port].join(" ")))
  );
const raw = (it) => it;
const id = { requestSerialize: raw, requestDeserialize: raw, responseSerialize: raw, responseDeserialize: raw };
(async () => {
  const ten = Array.from({ length: 10 }, (_, n) => n + 1);
  for (const t of await Promise.all(ten.map((n) => get(https, `https://host${n}.example/n`, { ca })))) console.log(t);
  const d = new Agent({ connect: { ca } });
  for (
    const t of await Promise.all(
      ten.map((n) => request(`https://host${n}.example/u`, { dispatcher: d }).then((r) => r.body.text())),
    )
  ) console.log(t.trim());
  console.log(
    await (await fetch("http://10.99.7.1:8081/global?x=1", { method: "POST", body: "x".repeat(1000000) })).text(),
  );
  const pool = new Pool("http://echo-server.sandbox.local:8081", { connections: 5, pipelining: 1 });
  console.log(
    (await Promise.all(
      ten.map(async (n) => (await (await pool.request({ path: "/" + n, method: "GET" })).body.json()).path),
    )).join(),
  );
  console.log(await get(http, "http://nosuch.example/"));
  console.log(await get(http, "http://10.99.7.1:9/"));
  console.log(await get(http, "http://both:9/"));
  for (const u of ["http://10.99.7.1:9/", "http://nosuch.example/"]) {
    await fetch(u).catch((e) => console.log(e.message, e.cause.code, e.cause.message));
  }
  await axios.get("http://echo-server.sandbox.local:8081/axios").then((r) => console.log(r.data));
  const w = new WebSocket("ws://10.99.7.1:8082/w");
  await new Promise((done) => {
    let n = 0;
    w.on("message", (m) => {
      console.log(String(m).slice(0, 30), m.length);
      if (n++ < 3) w.send("m" + n + "y".repeat(n * 50000));
      else {
        w.close();
        done();
      }
    });
  });
  const c = new grpc.Client("echo-server.sandbox.local:8083", grpc.credentials.createInsecure());
  const m = new grpc.Metadata();
  m.set("user", "ann");
  console.log(
    await new Promise((done) =>
      c.makeUnaryRequest("/test.Echo/Say", raw, raw, Buffer.from("hi"), m, (e, r) => done(e ? e.message : String(r)))
    ),
  );
  console.log(
    await new Promise((done) =>
      c.makeUnaryRequest("/test.Echo/Fail", raw, raw, Buffer.from("hi"), m, (e, r) => done(e ? e.message : String(r)))
    ),
  );
  console.log(
    await new Promise((done) => {
      const got = [];
      c.makeServerStreamRequest("/test.Echo/Count", raw, raw, Buffer.from("50"), m).on(
        "data",
        (x) => got.push(String(x)),
      ).on("end", () => done(got.join()));
    }),
  );
  console.log(
    await new Promise((done) => {
      const got = [];
      const s = c.makeBidiStreamRequest("/test.Echo/Chat", raw, raw, m);
      s.on("data", (x) => {
        got.push(String(x));
        if (got.length == 3) s.end();
        else s.write(Buffer.from("n" + got.length));
      }).on("end", () => done(got.join()));
      s.write(Buffer.from("n0"));
    }),
  );
  c.close();
  const bad = new grpc.Client("10.99.7.1:9", grpc.credentials.createInsecure());
  console.log(
    await new Promise((done) =>
      bad.makeUnaryRequest("/a/b", raw, raw, Buffer.from("x"), (e) => done(e.code + " " + e.message.slice(0, 80)))
    ),
  );
  bad.close();
  console.log(
    await dns.promises.lookup("both", { all: true }),
    await dns.promises.resolve4("two.sandbox.local"),
    await dns.promises.resolve6("six.sandbox.local"),
    await dns.promises.resolve4("nosuch.sandbox.local").catch((e) => e.code + e.message),
    dns.getServers(),
  );
  console.log(await dns.promises.lookup("nosuch").catch((e) => e.code + e.message));
  await new Promise((done) => {
    const s = net.connect(7000, "echo-server", () => {
      console.log(s.remoteAddress, s.remotePort, s.localAddress);
      s.end("half close");
      s.on("data", (x) => console.log(String(x))).on("end", () => done());
    });
  });
  await new Promise((done) => {
    const s = net.connect({ port: 7002, host: "10.99.7.1", timeout: 1000 });
    s.on("error", (e) => {
      console.log(e.message);
      done();
    });
  });
  await pool.close();
  await d.close();
})();
