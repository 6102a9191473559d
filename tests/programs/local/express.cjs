// An Express application of the user's: says who answered.
const express = require("express");
const app = express();
app.use(express.text({ type: () => true }));
app.all(/.*/, (request, response) => {
  process.stdout.write(`served ${request.method} ${request.path}\n`);
  const { method, path, body, socket } = request;
  response.json({
    by: "local",
    method,
    path,
    body: typeof body === "string" ? body : "",
    peer: socket.remoteAddress.replace("::ffff:", ""),
  });
});
app.listen(80);
