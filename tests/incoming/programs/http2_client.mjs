// An HTTP/2 client: all requests (JSON in the arguments) at once on one connection; prints what is answered as JSON.
import http2 from "node:http2";

const [url, ...requests] = process.argv.slice(2);
const session = http2.connect(url, { maxSessionMemory: 100 });
session.on("error", (error) => process.stderr.write(`session: ${error.message}\n`));
session.on("goaway", (code) => process.stderr.write(`goaway ${code}\n`));

/** Pieces of a body, each a while after the last. */
function say(stream, body, pieces, pauseMs) {
  const length = Math.ceil(body.length / pieces);
  for (let at = 0; at < pieces; at++) {
    const piece = body.slice(at * length, (at + 1) * length);
    setTimeout(() => at === pieces - 1 ? stream.end(piece) : stream.write(piece), at * pauseMs);
  }
}

function ask({ body = "", times = 1, pieces = 1, pauseMs = 5, ...headers }) {
  return new Promise((resolve) => {
    const told = { trailers: {} };
    let text = "";
    const stream = session.request(headers, { endStream: body === "" });
    stream.on("response", (it) => Object.assign(told, { status: it[":status"], headers: { ...it } }));
    stream.on("trailers", (it) => told.trailers = { ...it });
    stream.setEncoding("utf8").on("data", (it) => text += it);
    stream.on("error", (error) => told.error = error.message);
    stream.on("close", () => resolve({ ...told, text, code: stream.rstCode }));
    if (body !== "") say(stream, body.repeat(times), pieces, pauseMs);
  });
}

const answers = await Promise.all(requests.map((it) => ask(JSON.parse(it))));
session.close();
process.stdout.write(JSON.stringify(answers));
