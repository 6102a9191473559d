/** What becomes of connections that were stolen whole when their run ends. */
import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../../base/bytes.ts";
import { type ReleasableEnd, StolenEnd } from "./stolen_end.ts";

const GET = "GET / HTTP/1.1\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx";

/** A client that has said something; what was done to its connection. */
class Client implements ReleasableEnd {
  readonly isUrgent = false;
  readonly done: string[] = [];
  #said: string;
  #wake = () => {};

  constructor(said: string) {
    this.#said = said;
  }

  say(text: string): void {
    this.#said += text;
    this.#wake();
  }

  async read(into: Uint8Array): Promise<number> {
    if (this.#said === "") await new Promise<void>((resolve) => this.#wake = resolve);
    const { written } = new TextEncoder().encodeInto(this.#said, into);
    this.#said = "";
    return written;
  }

  readable(): Promise<void> {
    return Promise.resolve();
  }

  writeAll(bytes: Uint8Array): Promise<void> {
    this.done.push(`hears ${fromUtf8(bytes)}`);
    return Promise.resolve();
  }

  closeWrite(): void {
    this.done.push("hears the end");
  }

  reset(): void {
    this.done.push("is reset");
  }

  close(): void {
    this.done.push("is closed");
  }

  release(): number {
    return 7;
  }
}

interface Scene {
  readonly client: Client;
  readonly end: StolenEnd;
  run: { hasLeft: boolean };
  /** Resolves when it has gone on. */
  settled(): Promise<unknown>;
}

function stolenFrom(said: string): Scene {
  const client = new Client(said);
  const tasks: Promise<void>[] = [];
  const run = { hasLeft: false };
  const end = new StolenEnd(client, {
    hasLeft: () => run.hasLeft,
    goOn: (fd, bytes) => client.done.push(`goes on as ${fd} with ${fromUtf8(bytes)}`),
    own: (task) => tasks.push(task),
  });
  return { client, end, run, settled: () => Promise.all(tasks) };
}

async function hear(end: StolenEnd): Promise<string | null> {
  const into = new Uint8Array(1 << 17);
  const count = await end.read(into);
  return count === null ? null : fromUtf8(into.subarray(0, count));
}

for (const how of ["reset", "closeWrite"] as const) {
  Deno.test(`a connection that its run has not answered goes on without the run, and ends for it: ${how}`, async () => {
    const { client, end, run, settled } = stolenFrom(GET);
    assert.equal(await hear(end), GET);
    const hearing = hear(end);
    run.hasLeft = true;
    const ended = end[how]();
    end.close();
    await ended;
    assert.equal(await hearing, null);
    await settled();
    assert.deepEqual(client.done, [`goes on as 7 with ${GET}`]);
    await assert.rejects(end.writeAll(utf8("late")));
  });
}

const WHAT: readonly [string, string, boolean][] = [
  ["nothing", "", true],
  ["requests that may be done twice", GET + "PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", true],
  ["a part of a head", "POST / HTTP/1.1\r\nCont", true],
  ["the first words of TLS", "\x16\x03\x01\0\x05hello", true],
  ["a request that may not be done twice", POST, false],
  ["one behind others", GET + POST, false],
  ["another protocol", "SET a 1\r\n\r\n", false],
];

for (const [what, said, isSaidAgain] of WHAT) {
  Deno.test(`who has said ${what} to a run that ends ${isSaidAgain ? "goes on" : "is reset"}`, async () => {
    const { client, end, run, settled } = stolenFrom(said);
    if (said !== "") await hear(end);
    run.hasLeft = true;
    end.reset();
    await settled();
    assert.deepEqual(client.done, [isSaidAgain ? `goes on as 7 with ${said}` : "is reset"]);
  });

  Deno.test(`who has said ${what} goes on when no program has seen it`, async () => {
    const { client, end, run, settled } = stolenFrom(said);
    if (said !== "") await hear(end);
    run.hasLeft = true;
    end.leaveUntouched();
    end.reset();
    await settled();
    assert.deepEqual(client.done, [`goes on as 7 with ${said}`]);
  });
}

Deno.test("a connection whose program lives, or has answered, is broken off as it was there", async () => {
  const living = stolenFrom(GET);
  await hear(living.end);
  living.end.leaveUntouched();
  living.end.reset();
  await living.settled();
  assert.deepEqual(living.client.done, ["is reset"]);
  const answered = stolenFrom(GET);
  await hear(answered.end);
  await answered.end.writeAll(utf8("HTTP"));
  answered.run.hasLeft = true;
  answered.end.reset();
  await answered.settled();
  assert.deepEqual(answered.client.done, ["hears HTTP", "is reset"]);
});

Deno.test("who has said more than is kept is reset", async () => {
  const { client, end, run, settled } = stolenFrom(
    "PUT / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n" + "x".repeat(99_999),
  );
  await hear(end);
  run.hasLeft = true;
  end.reset();
  await settled();
  assert.deepEqual(client.done, ["is reset"]);
});

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

for (const how of ["reset", "closeWrite"] as const) {
  for (const next of ["", GET]) {
    Deno.test(`a connection whose requests all had answers goes on, ${how}, ${next === "" ? "idle" : "asking"}`, async () => {
      const { client, end, run, settled } = stolenFrom(GET);
      await hear(end);
      for (const piece of [OK.slice(0, 20), OK.slice(20)]) await end.writeAll(utf8(piece));
      const hearing = hear(end);
      if (next !== "") {
        client.say(next);
        assert.equal(await hearing, next);
      }
      // Its end may be heard of before the run's.
      const ended = end[how]();
      end.close();
      run.hasLeft = true;
      await ended;
      await settled();
      if (next === "") assert.equal(await hearing, null);
      assert.deepEqual(client.done.slice(2), [`goes on as 7 with ${next}`]);
    });
  }
}

Deno.test("a connection that its program ends after an answer, and that may not go on, ends", async () => {
  const cases: [string, string, boolean][] = [
    [GET, OK, false], // the program lives
    [GET, OK.slice(0, -1), true],
    [GET, OK.replace("Content-Length: 2", "Connection: close\r\nContent-Length: 2"), true],
    [GET, "HTTP/1.1 200 OK\r\n\r\nok", true],
    [GET, "HTTP/1.1 101 Switching Protocols\r\n\r\nok", true],
    ["hello", "and more", true],
  ];
  for (const [said, answer, hasLeft] of cases) {
    const { client, end, run, settled } = stolenFrom(said);
    await hear(end);
    await end.writeAll(utf8(answer));
    run.hasLeft = hasLeft;
    await end.closeWrite();
    end.close();
    await settled();
    assert.deepEqual(client.done, [`hears ${answer}`, "hears the end", "is closed"], answer);
  }
});
