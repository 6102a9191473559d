// A gRPC server: says who answers, in calls of all four kinds; messages are text. `Slow` never ends its answer, and says when it is cancelled.
const grpc = require("@grpc/grpc-js");

const [port, label] = process.argv.slice(2);
const text = { serialize: (it) => Buffer.from(it), deserialize: (it) => it.toString() };
const say = (line) => process.stdout.write(`${line}\n`);

function method(name, requestStream, responseStream) {
  return {
    path: `/echo.Echo/${name}`,
    requestStream,
    responseStream,
    requestSerialize: text.serialize,
    requestDeserialize: text.deserialize,
    responseSerialize: text.serialize,
    responseDeserialize: text.deserialize,
  };
}

const service = {
  Unary: method("Unary", false, false),
  Count: method("Count", false, true),
  Sum: method("Sum", true, false),
  Talk: method("Talk", true, true),
  Slow: method("Slow", false, true),
};

const server = new grpc.Server({ "grpc.max_receive_message_length": 64 << 20 });
server.addService(service, {
  Unary(call, reply) {
    if (call.request === "fail") {
      return reply({ code: grpc.status.INVALID_ARGUMENT, details: `${label} says no` });
    }
    const trailers = new grpc.Metadata();
    trailers.set("x-served-by", label);
    reply(null, call.request.length > 100 ? `${label} ${call.request.length}` : `${label} ${call.request}`, trailers);
  },
  Count(call) {
    for (let at = 0; at < Number(call.request); at++) call.write(`${label} ${at}`);
    call.end();
  },
  Sum(call, reply) {
    let sum = 0;
    call.on("data", (it) => sum += Number(it));
    call.on("end", () => reply(null, `${label} ${sum}`));
  },
  Talk(call) {
    call.on("data", (it) => call.write(`${label} ${it}`));
    call.on("end", () => call.end());
  },
  Slow(call) {
    call.on("cancelled", () => say("cancelled"));
    call.write(label);
  },
});
server.bindAsync(`0.0.0.0:${port}`, grpc.ServerCredentials.createInsecure(), (error) => {
  say(error ? String(error) : "listening");
});
