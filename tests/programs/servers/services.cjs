// deno-lint-ignore-file
// What Node programs ask: HTTP (Express) on 8081, WebSocket on 8082, gRPC on 8083, HTTP/2 without TLS on 8084. Ends with its input.
const [address] = process.argv.slice(2);
const http2 = require("node:http2");
const express = require("express");
const { WebSocketServer } = require("ws");
const grpc = require("@grpc/grpc-js");

const app = express();
app.use(express.raw({ type: () => true, limit: "100mb" }));
app.all(/.*/, (request, response) => {
  const body = request.body instanceof Buffer ? request.body.length : 0;
  response.json({ method: request.method, path: request.path, query: request.query, body, host: request.headers.host });
});

const bytes = {
  requestSerialize: (it) => it,
  requestDeserialize: (it) => it,
  responseSerialize: (it) => it,
  responseDeserialize: (it) => it,
};
const echo = {
  Say: { path: "/test.Echo/Say", requestStream: false, responseStream: false, ...bytes },
  Count: { path: "/test.Echo/Count", requestStream: false, responseStream: true, ...bytes },
  Chat: { path: "/test.Echo/Chat", requestStream: true, responseStream: true, ...bytes },
  Fail: { path: "/test.Echo/Fail", requestStream: false, responseStream: false, ...bytes },
};
const rpc = new grpc.Server();
rpc.addService(echo, {
  Say: (call, done) => done(null, Buffer.from(`target: ${call.request} for ${call.metadata.get("user")}`)),
  Count: (call) => {
    for (let at = 0; at < Number(call.request); at++) call.write(Buffer.from(String(at)));
    call.end();
  },
  Chat: (call) => call.on("data", (it) => call.write(Buffer.from(`<${it}>`))).on("end", () => call.end()),
  Fail: (_call, done) => done({ code: grpc.status.NOT_FOUND, details: "no such thing" }),
});

const h2 = http2.createServer((request, response) => {
  let count = 0;
  request.on("data", (it) => count += it.length).on("end", () => {
    response.setHeader("content-type", "text/plain");
    response.end(`${request.method} ${request.url} ${count}\n`);
  });
});

(async () => {
  await new Promise((resolve) => app.listen(8081, address, resolve));
  new WebSocketServer({ host: address, port: 8082 }).on("connection", (it, request) => {
    it.send(`hello ${request.url}`);
    it.on("message", (data, isBinary) => it.send(isBinary ? data : `echo ${data}`));
  });
  await new Promise((resolve, reject) =>
    rpc.bindAsync(
      `${address}:8083`,
      grpc.ServerCredentials.createInsecure(),
      (error) => error ? reject(error) : resolve(),
    )
  );
  await new Promise((resolve) => h2.listen(8084, address, resolve));
  console.log("ready");
  process.stdin.on("end", () => process.exit(0)).resume();
})();
