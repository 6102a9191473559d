/** The conformance list's rows about connections and names, by the built program and real programs in a sandbox. */
import assert from "node:assert/strict";
import { type Case, sandboxTest } from "../support/sandbox_case.ts";

const PYTHON = "/usr/bin/python3";

/** What a Python program says that succeeds without a word on standard error. */
async function python(it: Case, script: string, env: Record<string, string> = {}, flags: string[] = []) {
  const { code, stdout, stderr } = await it.run([PYTHON, "-c", script], { env, flags });
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" }, stdout);
  return stdout.trimEnd().split("\n");
}

/** Starts a Python program inside the target; resolves when it has said a line. */
async function serveInside(it: Case, script: string): Promise<AsyncDisposable> {
  const there = ["--target", String(it.sandbox.pid), "--net", "--uts", "--mount", "--root", "--"];
  const args = [...there, PYTHON, "-c", script];
  const child = new Deno.Command("nsenter", { args, stdout: "piped", stderr: "inherit" }).spawn();
  const reader = child.stdout.getReader();
  assert.equal((await reader.read()).done, false, "the server did not start");
  reader.releaseLock();
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.stdout.cancel();
      await child.status;
    },
  };
}

// Row E35
sandboxTest("a Unix socket of the target answers, by path and by abstract name", { needs: [PYTHON] }, async (it) => {
  await using _server = await serveInside(
    it,
    `import socket, threading
def serve(name):
    it = socket.socket(socket.AF_UNIX)
    it.bind(name)
    it.listen()
    print("ready", flush=True)
    while True:
        peer = it.accept()[0]
        while told := peer.recv(100): peer.send(b"target: " + told)
threading.Thread(target=serve, args=("\\0conformance",), daemon=True).start()
serve("/app/socket")`,
  );
  const said = await python(
    it,
    `import socket
for name in ("/app/socket", "\\0conformance"):
    s = socket.socket(socket.AF_UNIX)
    s.connect(name)
    s.send(b"hello")
    print(s.recv(100), s.getpeername())
try: socket.socket(socket.AF_UNIX).connect("/app/other")
except FileNotFoundError as error: print(error)`,
    { MIRRORD_OUTGOING_REMOTE_UNIX_STREAMS: "^/app/;^@conformance$" },
  );
  assert.deepEqual(said, [
    "b'target: hello' /app/socket",
    "b'target: hello' b'\\x00conformance'",
    "[Errno 2] No such file or directory",
  ]);
});
