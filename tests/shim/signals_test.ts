/** Signals while a call waits for the target: handlers run at once; what becomes of the call is as POSIX says. */
import assert from "node:assert/strict";
import { answerFrom, directory, file, type Tree } from "../support/remote_tree.ts";
import { eventually } from "../support/eventually.ts";
import { type AppUnderShim, startUnderShim } from "../support/under_shim.ts";

const RECVFROM = 45;

/** A signal that comes before the program waits ends no waiting, as everywhere. */
async function untilWaiting(app: AppUnderShim): Promise<void> {
  const threads = () => [...Deno.readDirSync(`/proc/${app.pid}/task`)].map(({ name }) => name);
  const isWaiting = (thread: string) =>
    Deno.readTextFileSync(`/proc/${app.pid}/task/${thread}/syscall`).startsWith(`${RECVFROM} `);
  await eventually(() => threads().some(isWaiting));
}

const TREE: Tree = {
  "/data": directory("file"),
  "/data/file": file("bytes of file"),
  "/data/after": file("bytes of after"),
  "/data/in-handler": file(""),
};
const answer = answerFrom(TREE);

for (const call of ["open", "fopen"]) {
  Deno.test(`${call}() that hangs ends with EINTR when the handler does not ask for SA_RESTART`, async () => {
    await using app = await startUnderShim("signals", ["handled", "no", call, "/data/file"]);
    await app.expect("Open");
    await untilWaiting(app);
    app.kill("SIGUSR1");
    const inHandler = await app.expect("Access");
    await app.reply(inHandler, answer(inHandler));
    assert.equal(await app.output(), "EINTR\nhandled 1\n");
  });
}

Deno.test("open() goes on after EINTR over another connection", async () => {
  await using app = await startUnderShim("signals", ["handled", "no", "open", "/data/file", "/data/after"]);
  const hanging = await app.expect("Open");
  await untilWaiting(app);
  app.kill("SIGUSR1");
  const inHandler = await app.expect("Access");
  await app.reply(inHandler, answer(inHandler));
  const next = await app.expect("Open");
  await app.reply(hanging, answer(hanging)).catch(() => {});
  await app.reply(next, answer(next));
  assert.equal(await app.output(), "EINTR\nhandled 1\nbytes of after\n");
  assert.notEqual(app.connectionOf(hanging), app.connectionOf(next));
});

for (const [how, call] of [["restart", "open"], ["no", "stat"], ["no", "opendir"]] as const) {
  const why = how === "restart" ? "the handler asks for SA_RESTART" : "it is a call that no signal ends";
  Deno.test(`${call}() is answered after a handler has run: ${why}`, async () => {
    const path = call === "opendir" ? "/data" : "/data/file";
    await using app = await startUnderShim("signals", ["handled", how, call, path]);
    const request = await app.expect(call === "stat" ? "Stat" : "Open");
    for (let times = 0; times < 2; times++) {
      app.kill("SIGUSR1");
      const inHandler = await app.expect("Access");
      await app.reply(inHandler, answer(inHandler));
    }
    await app.reply(request, answer(request));
    assert.equal(await app.output(), `${call === "open" ? "bytes of file\n" : ""}handled 2\n`);
  });
}

Deno.test("a call whose answer is on its way does not end with EINTR", async () => {
  await using app = await startUnderShim("signals", ["handled", "no", "open", "/data/file"]);
  const request = await app.expect("Open");
  app.kill("SIGUSR1");
  const inHandler = await app.expect("Access");
  await app.reply(request, answer(request));
  await app.reply(inHandler, answer(inHandler));
  assert.equal(await app.output(), "bytes of file\nhandled 1\n");
});

for (const signal of ["SIGINT", "SIGTERM", "SIGQUIT"] as const) {
  Deno.test(`${signal} ends a program that waits at once`, async () => {
    await using app = await startUnderShim("signals", ["plain", "stat", "/data/file"]);
    await app.expect("Stat");
    app.kill(signal);
    assert.equal((await app.end()).signal, signal);
  });
}

Deno.test("a program that was stopped while it waits goes on when it is continued", async () => {
  await using app = await startUnderShim("signals", ["plain", "open", "/data/file"]);
  const request = await app.expect("Open");
  app.kill("SIGSTOP");
  app.kill("SIGCONT");
  app.kill("SIGTSTP");
  app.kill("SIGCONT");
  await app.reply(request, answer(request));
  assert.equal(await app.output(), "bytes of file\n");
});

Deno.test("timers that fire all the time disturb no call", async () => {
  await using app = await startUnderShim("signals", ["storm", "/data/file"], { answer });
  assert.equal(await app.output(), "stormy, 0 failures\n");
  assert.equal(app.count("Open"), 300);
});

for (const [command, who] of [["cancel", "another"], ["cancel_signalled", "it"]] as const) {
  Deno.test(`a thread that is cancelled while open() waits ends there, after a signal that ${who} has handled too`, async () => {
    await using app = await startUnderShim("signals", [command, "/data/file", "/data/after"]);
    await app.expect("Open");
    await untilWaiting(app);
    app.kill("SIGUSR1");
    const next = await app.expect("Open");
    await app.reply(next, answer(next));
    assert.equal(await app.output(), "cancelled\nbytes of after\n");
  });
}
