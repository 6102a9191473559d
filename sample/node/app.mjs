// A server to run under `mirrord exec`: says what it sees of the pod, then prints every request and answers it.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { hostname } from "node:os";

console.log(`I am ${hostname()}, SAMPLE_FIRST is ${process.env.SAMPLE_FIRST}`);
console.log(`greeting: ${(await readFile("/etc/sample/greeting.txt", "utf8").catch(String)).trim()}`);

const server = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts).toString();
  console.log(`${request.method} ${request.url} from ${request.socket.remoteAddress}${body && `: ${body}`}`);
  response.end("your machine answers\n");
});
server.listen(80, () => console.log(`listening on port ${server.address().port}`));
