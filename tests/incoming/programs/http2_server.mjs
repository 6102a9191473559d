// An HTTP/2 server of the user's: says who answered and what it was asked; with trailers, and with what a path asks for.
import http2 from "node:http2";

const [port, label] = process.argv.slice(2);
const say = (text) => process.stdout.write(`${text}\n`);

const PATHS = {
  "/reset": (stream) => stream.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM),
  "/big": (stream) => {
    stream.respond({ ":status": 200 });
    stream.end(Buffer.alloc(20 << 20, "x"));
  },
  "/push": (stream) => {
    stream.respond({ ":status": 200 });
    stream.end(JSON.stringify({ by: label, mayPush: stream.pushAllowed }));
  },
  // Answers nothing, ever.
  "/slow": (stream) => {
    stream.respond({ ":status": 200 });
    stream.write("{");
  },
  "/exit": () => process.exit(0),
  "/leave": (stream) => {
    stream.session.goaway(0);
    stream.respond({ ":status": 200 });
    stream.end(JSON.stringify({ by: label }));
  },
};

const server = http2.createServer({ maxSessionMemory: 100 });
server.on("stream", (stream, headers) => {
  const path = headers[":path"];
  stream.on("aborted", () => say(`aborted ${path}`));
  stream.on("error", (error) => say(`error ${error.message}`));
  if (PATHS[path]) return PATHS[path](stream);
  let bytes = 0;
  let trailers = {};
  stream.on("data", (it) => bytes += it.length);
  stream.on("trailers", (it) => trailers = it);
  stream.on("end", () => {
    if (stream.destroyed) return;
    const told = { by: label, method: headers[":method"], path, bytes, asked: headers, trailers };
    stream.respond({ ":status": 200, "content-type": "application/json" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-last": `${bytes} bytes` }));
    stream.end(JSON.stringify(told));
    say(`served ${headers[":method"]} ${path}`);
  });
});
server.listen(Number(port), "0.0.0.0", () => say("listening"));
