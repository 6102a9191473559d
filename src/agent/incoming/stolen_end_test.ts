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

  constructor(said: string) {
    this.#said = said;
  }

  async read(into: Uint8Array): Promise<number> {
    if (this.#said === "") return await new Promise<never>(() => {});
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
    end[how]();
    end.close();
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
  assert.deepEqual(living.client.done, ["is reset"]);
  const answered = stolenFrom(GET);
  await hear(answered.end);
  await answered.end.writeAll(utf8("HTTP"));
  answered.run.hasLeft = true;
  answered.end.reset();
  assert.deepEqual(answered.client.done, ["hears HTTP", "is reset"]);
});

Deno.test("who has said more than is kept is reset", async () => {
  const { client, end, run } = stolenFrom("PUT / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n" + "x".repeat(99_999));
  await hear(end);
  run.hasLeft = true;
  end.reset();
  assert.deepEqual(client.done, ["is reset"]);
});
