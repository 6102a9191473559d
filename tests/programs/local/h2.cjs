// A server of Node's http2 without TLS, the user's: says who answered.
const http2 = require("node:http2");
http2.createServer((request, response) => {
  request.resume().on("end", () => response.end('{"by":"local"}'));
}).listen(80, () => process.stdout.write("listening\n"));
