/** The target's own HTTPS server, which speaks HTTP/2 to who offers that. Its certificate and key come in the environment. */
const [port] = Deno.args;
const [cert, key] = [Deno.env.get("CERT")!, Deno.env.get("KEY")!];
const onListen = () => Deno.stdout.writeSync(new TextEncoder().encode("listening\n"));
Deno.serve({ hostname: "0.0.0.0", port: Number(port), cert, key, onListen }, async (request) => {
  return new Response(`${request.method} ${new URL(request.url).pathname} ${(await request.bytes()).length}`);
});
