// A gRPC client: calls of all four kinds, for each "x-user" of the arguments ("-": none), all at once on one channel.
const grpc = require("@grpc/grpc-js");

const [address, ...users] = process.argv.slice(2);
const client = new grpc.Client(address, grpc.credentials.createInsecure(), {
  "grpc.max_receive_message_length": 64 << 20,
});
const to = (it) => Buffer.from(it);
const from = (it) => it.toString();
const path = (name) => `/echo.Echo/${name}`;

function metadataOf(user) {
  const metadata = new grpc.Metadata();
  if (user !== "-") metadata.set("x-user", user);
  return metadata;
}

function unary(user, name, message) {
  return new Promise((resolve) => {
    let served = "";
    const call = client.makeUnaryRequest(path(name), to, from, message, metadataOf(user), (error, answer) => {
      call.on("status", (status) => served = status.metadata.get("x-served-by").join());
      if (error) resolve(`error ${error.code} ${error.details}`);
      else setImmediate(() => resolve(`${answer} by ${served}`));
    });
  });
}

function count(user) {
  return new Promise((resolve) => {
    const got = [];
    const call = client.makeServerStreamRequest(path("Count"), to, from, "1000", metadataOf(user));
    call.on("data", (it) => got.push(it));
    call.on("error", (error) => resolve(`error ${error.code} ${error.details}`));
    call.on("end", () => resolve(`${got.length} ${got.at(-1)}`));
  });
}

function sum(user) {
  return new Promise((resolve) => {
    const done = (error, answer) => resolve(error ? `error ${error.code} ${error.details}` : answer);
    const call = client.makeClientStreamRequest(path("Sum"), to, from, metadataOf(user), done);
    for (let at = 0; at < 1000; at++) call.write(String(at));
    call.end();
  });
}

function talk(user) {
  return new Promise((resolve) => {
    const call = client.makeBidiStreamRequest(path("Talk"), to, from, metadataOf(user));
    let turns = 0;
    let last;
    call.on("data", (it) => {
      last = it;
      if (++turns < 100) call.write(String(turns));
      else call.end();
    });
    call.on("error", (error) => resolve(`error ${error.code} ${error.details}`));
    call.on("end", () => resolve(`${turns} turns, ${last}`));
    call.write("0");
  });
}

/** A call that is taken back when its first message has come. */
function cancelled(user) {
  return new Promise((resolve) => {
    const call = client.makeServerStreamRequest(path("Slow"), to, from, "x", metadataOf(user));
    call.on("error", () => {});
    call.on("data", (it) => {
      call.cancel();
      resolve(it);
    });
  });
}

async function all(user) {
  return {
    unary: await unary(user, "Unary", "hello"),
    ...Object.fromEntries(
      await Promise.all(
        Object.entries({
          fail: unary(user, "Unary", "fail"),
          big: unary(user, "Unary", "x".repeat(3 << 20)),
          count: count(user),
          sum: sum(user),
          talk: talk(user),
          slow: cancelled(user),
        }).map(async ([name, said]) => [name, await said]),
      ),
    ),
  };
}

Promise.all(users.map(all)).then((said) => {
  process.stdout.write(JSON.stringify(said));
  client.close();
});
