/** Connections of HTTP/1 as far as they can be told apart into requests, and what becomes of the rest of them. */
import assert from "node:assert/strict";
import { mine, OK, other, RUN, Scene } from "../../../../tests/support/http1_scene.ts";

const UNCLEAR: Readonly<Record<string, string>> = {
  "a folded header": "POST /mine HTTP/1.1\r\nHost: x\r\nX-Long: a\r\n b\r\nContent-Length: 0\r\n\r\n",
  "both lengths": "POST /mine HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "two lengths": "POST /mine HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
  "a length that is none": "POST /mine HTTP/1.1\r\nContent-Length: +4\r\n\r\nabcd",
  "a coding that is not chunked": "POST /mine HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n",
  "chunks in HTTP/1.0": "POST /mine HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "a blank before a colon": "POST /mine HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
  "a control character before a colon": "POST /mine HTTP/1.1\r\nTransfer-Encoding\x0b: chunked\r\n\r\n0\r\n\r\n",
  "a line without a colon": "GET /mine HTTP/1.1\r\nHost\r\n\r\n",
  "a return in a value": "POST /mine HTTP/1.1\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n",
};

for (const [what, bytes] of Object.entries(UNCLEAR)) {
  Deno.test(`a request with ${what} is the target's as it came, with all that follows`, async () => {
    await using scene = new Scene();
    const said = scene.client.say(bytes + mine);
    const [who, target] = await scene.opened();
    assert.deepEqual([who, await target.hear(bytes.length + mine.length)], ["target", bytes + mine]);
    await said;
    await target.say("HTTP/1.1 400 Bad Request\r\n\r\nwhat the target says of it");
    target.end.close();
    const answer = "HTTP/1.1 400 Bad Request\r\n\r\nwhat the target says of it";
    assert.equal(await scene.client.hear(answer.length), answer);
    assert.equal(scene.unclear, 1);
  });
}

Deno.test("what two could read differently goes to who steals the port whole, as other requests do", async () => {
  await using scene = new Scene({ unclearTo: RUN });
  const said = scene.client.say(UNCLEAR["a folded header"]!);
  const [who, run] = await scene.opened();
  assert.deepEqual([who, await run.hear(20)], ["run", UNCLEAR["a folded header"]!.slice(0, 20)]);
  await said;
});

Deno.test("after requests that were the run's and the target's an unclear one ends the run's part in the connection", async () => {
  // Marked, so that it is not given back in between.
  await using scene = new Scene({ fields: [["A", "b"]] });
  const answer = OK.replace("2\r\n", "2\r\nA: b\r\n");
  const ask = async (text: string) => void await scene.client.say(text);
  let asking = ask(mine);
  const [, run] = await scene.opened();
  assert.equal(await run.hear(mine.length), mine);
  await run.say(OK);
  assert.equal(await scene.client.hear(answer.length), answer);
  await asking;
  asking = ask(other);
  const [, target] = await scene.opened();
  assert.equal(await target.hear(other.length), other);
  await target.say(OK);
  assert.equal(await scene.client.hear(answer.length), answer);
  await asking;
  const unclear = UNCLEAR["both lengths"]!;
  asking = ask(unclear + mine);
  // On the connection that the target has already.
  assert.equal(await target.hear(unclear.length + mine.length), unclear + mine);
  assert.match(await run.hear(Infinity), /^(reset)?$/);
  await asking;
  await target.say("bye");
  assert.equal(await scene.client.hear(3), "bye");
});

Deno.test("a head that is never complete reaches the target as far as it came", async () => {
  await using scene = new Scene();
  const said = scene.client.say("GET /mine HTTP/1.1\r\nHos");
  await said;
  await scene.client.end.closeWrite();
  const [who, target] = await scene.opened();
  assert.deepEqual([who, await target.hear(Infinity)], ["target", "GET /mine HTTP/1.1\r\nHos"]);
  await target.end.closeWrite();
});

const CHUNKED = (path: string) => `POST ${path} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n`;

for (const broken of ["3\r\nabc\r\nnone\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n"]) {
  Deno.test(`chunks that are none go on to the target as they came: ${JSON.stringify(broken)}`, async () => {
    await using scene = new Scene();
    const bytes = CHUNKED("/other") + broken + mine;
    const said = scene.client.say(bytes);
    const [, target] = await scene.opened();
    assert.equal(await target.hear(bytes.length), bytes);
    await said;
    await target.say(OK + "and more");
    assert.equal(await scene.client.hear(OK.length + 8), OK + "and more");
    assert.equal(scene.unclear, 1);
    target.end.close();
  });

  Deno.test(`chunks that are none are refused when the request is a run's: ${JSON.stringify(broken)}`, async () => {
    await using scene = new Scene();
    const said = scene.client.say(CHUNKED("/mine") + broken + mine).catch(() => {});
    const [who, run] = await scene.opened();
    assert.equal(who, "run");
    assert.doesNotMatch(await run.hear(Infinity), /GET/);
    assert.match(await scene.client.hear(Infinity), /^HTTP\/1.1 400 /);
    await said;
  });
}

Deno.test("a client that breaks off in the midst of a body is gone for its program too", async () => {
  await using scene = new Scene();
  const said = scene.client.say("POST /mine HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc");
  const [, run] = await scene.opened();
  assert.match(await run.hear(45), /abc$/);
  await said;
  scene.client.end.reset();
  assert.equal(await run.hear(Infinity), "reset");
});

Deno.test("a body that ends in the midst of a chunk reaches its program as far as it came", async () => {
  await using scene = new Scene();
  await Promise.all([
    scene.client.say(CHUNKED("/mine") + "3\r\nab").then(() => scene.client.end.closeWrite()),
    (async () => {
      const [, run] = await scene.opened();
      assert.equal(await run.hear(Infinity), CHUNKED("/mine") + "3\r\nab");
      await run.say(OK);
    })(),
  ]);
  assert.equal(await scene.client.hear(OK.length), OK);
});

for (const [path, who, heard] of [["/mine", "run", /^HTTP\/1.1 502 /], ["/other", "target", /^$/]] as const) {
  Deno.test(`who is not answered is told so by the agent when it was a run's to do, and else not: ${who}`, async () => {
    await using scene = new Scene();
    const request = `POST ${path} HTTP/1.1\r\nContent-Length: 0\r\n\r\n`;
    const said = scene.client.say(request);
    const [by, program] = await scene.opened();
    assert.deepEqual([by, await program.hear(request.length)], [who, request]);
    await said;
    program.end.closeWrite();
    assert.match(await scene.client.hear(Infinity), heard);
  });
}

Deno.test("an answer that ends early ends early for the client, and is not broken off", async () => {
  await using scene = new Scene();
  const said = scene.client.say(mine);
  const [, run] = await scene.opened();
  await run.hear(mine.length);
  await said;
  const answer = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
  const saying = run.say(answer).then(() => run.end.closeWrite());
  assert.equal(await scene.client.hear(Infinity), answer);
  await saying;
});

Deno.test("an answer says which way it came in its last head, not in those before", async () => {
  await using scene = new Scene({ fields: [["Mirrord-Agent", "here"]] });
  const said = scene.client.say(mine);
  const [, run] = await scene.opened();
  assert.equal(await run.hear(mine.length), mine);
  await said;
  const answers = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK;
  const marked = answers.replace("Length: 2\r\n", "Length: 2\r\nMirrord-Agent: here\r\n");
  const saying = run.say(answers);
  assert.equal(await scene.client.hear(marked.length), marked);
  await saying;
});

Deno.test("101 is the last head of a connection and says which way that goes", async () => {
  await using scene = new Scene({ fields: [["Mirrord-Agent", "here"]] });
  const said = scene.client.say(mine);
  const [, run] = await scene.opened();
  await run.hear(mine.length);
  await said;
  const saying = run.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nhello");
  const heard = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nMirrord-Agent: here\r\n\r\nhello";
  assert.equal(await scene.client.hear(heard.length), heard);
  await saying;
});

for (const [who, body] of [["run", '{"a": 1}'], ["target", "no JSON!"]]) {
  Deno.test(`who waits for 100 Continue before a body that decides hears it once: ${who}`, async () => {
    await using scene = new Scene({ bodyLimits: { bodyBytes: 100, bodyMs: 60_000 } });
    const head = "POST /other HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n";
    await scene.client.say(head);
    assert.equal(await scene.client.hear(25), "HTTP/1.1 100 Continue\r\n\r\n");
    await scene.client.say(body!);
    const [by, program] = await scene.opened();
    assert.deepEqual([by, await program.hear(head.length + 8)], [who, head + body]);
    const saying = program.say(`HTTP/1.1 100 Continue\r\n\r\n${OK}`);
    assert.equal(await scene.client.hear(OK.length), OK);
    await saying;
  });
}

Deno.test("who waits for 100 Continue before a body that is too long hears it from who answers", async () => {
  await using scene = new Scene({ bodyLimits: { bodyBytes: 100, bodyMs: 60_000 } });
  const head = "POST /other HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 101\r\n\r\n";
  const said = scene.client.say(head);
  const [who, target] = await scene.opened();
  assert.deepEqual([who, await target.hear(head.length)], ["target", head]);
  await said;
  const saying = target.say("HTTP/1.1 100 Continue\r\n\r\n");
  assert.equal(await scene.client.hear(25), "HTTP/1.1 100 Continue\r\n\r\n");
  await saying;
});
