/* files.mjs - Node's fs and fs/promises over the target's files. */
import * as fs from "node:fs";
import * as later from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import process from "node:process";
import { inspect } from "node:util";
import { createHash } from "node:crypto";

const say = (...words) =>
  process.stdout.write(`${words.map((it) => typeof it === "string" ? it : inspect(it)).join(" ")}\n`);
say((await later.readFile("/data/small/poem", "utf8")).split("\n"));
say(
  (await later.readdir("/data/small", { withFileTypes: true })).map((it) =>
    `${it.name} ${it.isDirectory()} ${it.isSymbolicLink()}`
  ).sort(),
);
const hash = createHash("sha256");
await pipeline(fs.createReadStream("/data/random", { start: 5, highWaterMark: 1000 }), hash);
say(hash.digest("hex"));
const handle = await later.open("/data/random");
const { bytesRead, buffer } = await handle.read(Buffer.alloc(20), 0, 20, 1_999_990);
say(bytesRead, buffer.toString("hex"), (await handle.stat()).size);
await handle.close();
for await (const line of (await later.open("/data/small/poem")).readLines()) say(line);
say(fs.readdirSync("/data/small", { recursive: true }).length, fs.existsSync("/data/nothing"));
say(
  fs.realpathSync("/data/small/link/f1"),
  fs.realpathSync.native("/data/small/link"),
  fs.readlinkSync("/data/small/link"),
);
let count = 0;
for await (const _ of await later.opendir("/data/tree/7")) count++;
say(count, fs.lstatSync("/data/tree/link").isSymbolicLink(), fs.statSync("/data/tree/link", { bigint: true }).mtimeNs);
for (
  const attempt of [
    () => fs.readFileSync("/data/nothing"),
    () => fs.readFileSync("/data/small"),
    () => fs.readdirSync("/data/random"),
    () => fs.accessSync("/data/nothing"),
  ]
) {
  try {
    attempt();
  } catch (error) {
    say(error.code, error.syscall);
  }
}
fs.watchFile("/data/small/poem", { interval: 20 }, () => {});
fs.unwatchFile("/data/small/poem");
