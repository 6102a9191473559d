/** Program for tests in network namespaces: answers each connection on 127.0.0.1:PORT with a text and its end. */
const [port, text] = Deno.args;
const listener = Deno.listen({ hostname: "127.0.0.1", port: Number(port) });
Deno.stdout.writeSync(new TextEncoder().encode("serving\n"));
for await (const connection of listener) {
  await connection.write(new TextEncoder().encode(text));
  connection.close();
}
