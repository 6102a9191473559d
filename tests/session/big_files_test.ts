/** Big files of the target, read on demand by real programs, through the real intproxy, from the real agent. */
import assert from "node:assert/strict";
import { Whole } from "../support/whole.ts";

/** Bytes without a pattern of pages, and without zeros: a hole that shows is seen. */
function contents(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let state = 12345;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    bytes[at] = ((state >> 16) % 255) + 1;
  }
  return bytes;
}

const SIZE = 9_000_001;
const BYTES = contents(SIZE);
const DIGEST = new Uint8Array(await crypto.subtle.digest("SHA-256", BYTES)).toHex();
const started = () => Whole.start({ "/data/big": BYTES });

for (
  const command of [
    "sha256sum /data/big",
    "sha256sum < /data/big",
    "cat /data/big | sha256sum",
    "cat < /data/big | sha256sum",
    "dd if=/data/big bs=4097 status=none | sha256sum",
    "dd if=/data/big bs=3M status=none | sha256sum",
    "head -c 9000001 /data/big | sha256sum",
    "(head -c 4000000 >/dev/null; cat /data/big) < /data/big | sha256sum",
    "tac -s '' < /dev/null; exec 7< /data/big; cat <&7 | sha256sum",
    "exec 7< /data/big; cat /dev/fd/7 | sha256sum",
    "exec 7< /data/big; python3 -c 'import os; print(os.read(7, 10) and 1)' >/dev/null; sha256sum < /dev/fd/7",
    "cp /data/big copy && sha256sum < copy",
    "tail -c +1 /data/big | sha256sum",
    "awk 1 RS=never ORS= /data/big | sha256sum",
    "perl -e 'undef $/; open F, shift; print <F>' /data/big | sha256sum",
    "tar cf - -C /data big | tar xOf - big | sha256sum",
    "tee < /data/big | sha256sum",
  ]
) {
  Deno.test(`a big file is read right by ${command}`, async () => {
    await using whole = await started();
    const { stdout, stderr } = await whole.run(["bash", "-c", `cd $(mktemp -d); ${command}; rm -f copy`]);
    assert.deepEqual([stdout.split(" ")[0], stderr], [DIGEST, ""]);
  });
}
