// A server of Node's own http, by itself, or as three workers of a cluster: says who answered.
const cluster = require("node:cluster");
const http = require("node:http");
if (process.argv[2] === "cluster" && cluster.isPrimary) {
  for (let at = 0; at < 3; at++) cluster.fork();
} else {
  http.createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    process.stdout.write(`served ${request.method} ${request.url}\n`);
    const { method, url: path, socket } = request;
    response.end(
      JSON.stringify({
        by: "local",
        method,
        path,
        body,
        peer: socket.remoteAddress.replace("::ffff:", ""),
        pid: process.pid,
      }),
    );
  }).listen(80);
}
