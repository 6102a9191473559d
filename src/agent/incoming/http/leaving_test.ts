/** What becomes of requests that a run was to answer when the run ends. */
import assert from "node:assert/strict";
import { type Listener, mine, OK, Scene } from "../../../../tests/support/http1_scene.ts";
import { MOST_KEPT_BYTES } from "./said_request.ts";

const LAST_OK = OK.replace("2\r\n", "2\r\nConnection: close\r\n");

const ENDS: Readonly<Record<string, (scene: Scene, run: Listener) => Promise<void> | void>> = {
  "is reset": (_, run) => run.end.reset(),
  "ends": (_, run) => run.end.closeWrite(),
  "ends in the midst of the head of its answer": async (_, run) => {
    await run.say("HTTP/1.1 200 OK\r\nContent-Le");
    await run.end.closeWrite();
  },
  "is reset in the midst of its answer": async (_, run) => {
    await run.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    run.end.reset();
  },
  "ends after an interim answer": async ({ client }, run) => {
    const interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
    await Promise.all([run.say(interim), client.hear(interim.length)]);
    await run.end.closeWrite();
  },
};

async function runHears(scene: Scene, text: string): Promise<Listener> {
  const [who, run] = await scene.opened();
  assert.deepEqual([who, await run.hear(text.length)], ["run", text]);
  return run;
}

async function targetAnswers(scene: Scene, text: string): Promise<Listener> {
  const [who, target] = await scene.opened();
  assert.deepEqual([who, await target.hear(text.length)], ["target", text]);
  await target.say(OK);
  return target;
}

for (const [how, end] of Object.entries(ENDS)) {
  Deno.test(`a request that a run has not answered goes to the target when the run's connection ${how}`, async () => {
    await using scene = new Scene();
    await scene.client.say(mine);
    const run = await runHears(scene, mine);
    scene.hasLeft = true;
    await end(scene, run);
    await targetAnswers(scene, mine);
    assert.equal(await scene.client.hear(Infinity), LAST_OK);
  });
}

Deno.test("a body of which the run has heard a part goes to the target whole, and so does the client's end", async () => {
  await using scene = new Scene();
  const head = "PUT /mine HTTP/1.1\r\nContent-Length: 9\r\n\r\n";
  await scene.client.say(head + "abc");
  const run = await runHears(scene, head + "abc");
  scene.hasLeft = true;
  run.end.reset();
  const answered = targetAnswers(scene, head + "abcdefghi");
  await scene.client.say("defghi");
  await scene.client.end.closeWrite();
  const target = await answered;
  assert.equal(await scene.client.hear(Infinity), LAST_OK);
  assert.match(await target.hear(Infinity), /^(reset)?$/);
});

Deno.test("a request that may not be done twice is answered with 502 when the run may have begun with it", async () => {
  await using scene = new Scene();
  const request = "POST /mine HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
  await scene.client.say(request);
  const run = await runHears(scene, request);
  scene.hasLeft = true;
  run.end.reset();
  assert.match(await scene.client.hear(Infinity), /^HTTP\/1.1 502 /);
});

Deno.test("a request that may not be done twice goes to the target when nobody has seen it", async () => {
  await using scene = new Scene();
  const request = "POST /mine HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
  await scene.client.say(request);
  const run = await runHears(scene, request);
  scene.hasLeft = true;
  run.end.leaveUntouched!();
  run.end.reset();
  await targetAnswers(scene, request);
  assert.equal(await scene.client.hear(Infinity), LAST_OK);
});

Deno.test("a request that is too long to be kept is answered with 502", async () => {
  await using scene = new Scene();
  const head = `PUT /mine HTTP/1.1\r\nContent-Length: ${MOST_KEPT_BYTES}\r\n\r\n`;
  const saying = scene.client.say(head + "x".repeat(MOST_KEPT_BYTES));
  const run = await runHears(scene, head + "x".repeat(MOST_KEPT_BYTES));
  await saying;
  scene.hasLeft = true;
  run.end.reset();
  assert.match(await scene.client.hear(Infinity), /^HTTP\/1.1 502 /);
});

Deno.test("a program that ends a connection without an answer, and lives, is told of", async () => {
  await using scene = new Scene();
  await scene.client.say(mine);
  const run = await runHears(scene, mine);
  run.end.closeWrite();
  assert.match(await scene.client.hear(Infinity), /^HTTP\/1.1 502 /);
});

Deno.test("an answer that has begun is cut off, and not begun again", async () => {
  await using scene = new Scene();
  await scene.client.say(mine);
  const run = await runHears(scene, mine);
  const begun = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
  const saying = run.say(begun);
  assert.equal(await scene.client.hear(begun.length), begun);
  await saying;
  scene.hasLeft = true;
  run.end.reset();
  assert.equal(await scene.client.hear(Infinity), "reset");
});

for (const how of ["reset", "closeWrite"] as const) {
  Deno.test(`a connection that a run's end finds idle goes on, its next answer is the last: ${how}`, async () => {
    await using scene = new Scene();
    const said = scene.client.say(mine);
    const run = await runHears(scene, mine);
    await run.say(OK);
    assert.equal(await scene.client.hear(OK.length), OK);
    await said;
    scene.hasLeft = true;
    run.end[how]();
    await scene.client.say(mine);
    await targetAnswers(scene, mine);
    assert.equal(await scene.client.hear(Infinity), LAST_OK);
  });
}

Deno.test("a program that ends an idle connection, and lives, ends it for its client", async () => {
  await using scene = new Scene();
  const said = scene.client.say(mine);
  const run = await runHears(scene, mine);
  await run.say(OK);
  assert.equal(await scene.client.hear(OK.length), OK);
  await said;
  run.end.closeWrite();
  assert.equal(await scene.client.hear(Infinity), "");
});
