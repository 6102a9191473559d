/** Locks among the programs of a run, and directories that a program had open before it made something in them. */
import assert from "node:assert/strict";
import { Whole } from "../support/whole.ts";

function start(): Promise<Whole> {
  return Whole.start({ "/data/there": "x" }, undefined, { fsMode: 3 });
}

Deno.test("flock(1) keeps other programs of the run out, by a file that nobody writes", async () => {
  await using whole = await start();
  const busy = (file: string) =>
    `flock ${file} sh -c 'flock -n ${file} echo never || echo busy'; flock -n ${file} echo free`;
  const shared = "flock -s /data/there flock -n -s /data/there echo shared";
  const { stdout, stderr } = await whole.run(["sh", "-c", `${busy("/data/new")}; ${busy("/data/there")}; ${shared}`]);
  assert.deepEqual([stdout, stderr], ["busy\nfree\nbusy\nfree\nshared\n", ""]);
});

Deno.test("a directory is listed as it is when it is read, not as it was when it was opened", async () => {
  await using whole = await start();
  const script = `import os
d = os.open("/data", os.O_RDONLY | os.O_DIRECTORY)
os.close(os.open("later", os.O_CREAT | os.O_WRONLY, dir_fd=d))
os.mkdir("sub", dir_fd=d)
print(sorted(os.listdir(d)), sorted(os.listdir(d)))
`;
  const { stdout, stderr } = await whole.run(["python3", "-c", script]);
  const names = "['later', 'sub', 'there']";
  assert.deepEqual([stdout, stderr], [`${names} ${names}\n`, ""]);
});

Deno.test("a directory that is opened and read at once is asked for once, whatever was made before", async () => {
  await using whole = await start();
  const script = `import os
os.mkdir("/data/sub")
print(sorted(os.listdir("/data")), sorted(os.listdir(os.open("/data", os.O_RDONLY | os.O_DIRECTORY))))
`;
  const { stdout, messages } = await whole.run(["python3", "-c", script]);
  assert.equal(stdout, "['sub', 'there'] ['sub', 'there']\n");
  const asked = messages.slice(messages.indexOf("MakeNode") + 1);
  assert.ok(asked.length <= 2, asked.join());
});

Deno.test("who may write no file of any length reads those of the target all the same", async () => {
  const big = "0123456789".repeat(300_000);
  await using whole = await Whole.start({ "/data/small": "hello\n", "/data/big": big });
  const script =
    "ulimit -f 0; cat /data/small; tail -c 5 /data/big; wc -c < /data/big; stat -c %s /data/small; ulimit -f";
  // The right to lift the limit is not everybody's.
  const without = Deno.uid() === 0 ? ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"] : [];
  const { stdout, stderr } = await whole.run([...without, "bash", "-c", script]);
  assert.deepEqual([stdout, stderr], ["hello\n567893000000\n6\n0\n", ""]);
  const small = "ulimit -f 8; ls /data";
  assert.deepEqual((await whole.run([...without, "bash", "-c", small])).stdout, "big\nsmall\n");
});
