/** HPACK against the examples of RFC 7541, appendix C, and what is no HPACK. */
import assert from "node:assert/strict";
import { ConnectionFault } from "./faults.ts";
import { FieldDecoder } from "./field_decoder.ts";
import { FieldEncoder } from "./field_encoder.ts";
import type { Field } from "./field_table.ts";
import { HeaderBlock } from "./header_block.ts";
import { decodeHuffman, encodeHuffman, huffmanLength } from "./huffman.ts";

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.fromHex(hex.replaceAll(/\s/g, ""));
}

function linesOf({ fields }: HeaderBlock): string[] {
  return fields.map(({ name, value }) => `${name}: ${value}`);
}

function blockOf(lines: readonly string[], indexing: Field["indexing"] = "yes"): HeaderBlock {
  return new HeaderBlock(lines.map((line) => {
    const colon = line.indexOf(": ", 1);
    return { name: line.slice(0, colon), value: line.slice(colon + 2), indexing };
  }));
}

const GET = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
const REQUESTS = [
  GET,
  [...GET, "cache-control: no-cache"],
  [":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com", "custom-key: custom-value"],
];
const COOKIE = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
const DATE = "date: Mon, 21 Oct 2013 20:13:21 GMT";
const ANSWERS = [
  [":status: 302", "cache-control: private", DATE, "location: https://www.example.com"],
  [":status: 307", "cache-control: private", DATE, "location: https://www.example.com"],
  [
    ":status: 200",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:22 GMT",
    "location: https://www.example.com",
    "content-encoding: gzip",
    COOKIE,
  ],
];

interface Example {
  readonly name: string;
  readonly isHuffman: boolean;
  readonly tableBytes: number;
  readonly blocks: readonly (readonly string[])[];
  readonly hex: readonly string[];
}

const EXAMPLES: readonly Example[] = [
  {
    name: "C.3: requests, plain",
    isHuffman: false,
    tableBytes: 4096,
    blocks: REQUESTS,
    hex: [
      "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "8286 84be 5808 6e6f 2d63 6163 6865",
      "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ],
  },
  {
    name: "C.4: requests, by Huffman's code",
    isHuffman: true,
    tableBytes: 4096,
    blocks: REQUESTS,
    hex: [
      "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
      "8286 84be 5886 a8eb 1064 9cbf",
      "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ],
  },
  {
    name: "C.5: answers, plain, with a table that is too small for all",
    isHuffman: false,
    tableBytes: 256,
    blocks: ANSWERS,
    hex: [
      `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d
       546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
      "4803 3330 37c1 c0bf",
      `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f
       6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b
       2076 6572 7369 6f6e 3d31`,
    ],
  },
  {
    name: "C.6: answers, by Huffman's code, with a table that is too small for all",
    isHuffman: true,
    tableBytes: 256,
    blocks: ANSWERS,
    hex: [
      `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7
       8f0b 97c8 e9ae 82ae 43d3`,
      "4883 640e ffc1 c0bf",
      `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335
       dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
    ],
  },
];

for (const { name, isHuffman, tableBytes, blocks, hex } of EXAMPLES) {
  Deno.test(`RFC 7541 ${name}`, () => {
    const encoder = new FieldEncoder({ isHuffman });
    const decoder = new FieldDecoder();
    encoder.resize(tableBytes);
    decoder.decode(encoder.encode(new HeaderBlock([])));
    for (const [at, lines] of blocks.entries()) {
      const bytes = bytesOf(hex[at]!);
      assert.deepEqual(linesOf(decoder.decode(bytes)), lines);
      assert.equal(encoder.encode(blockOf(lines)).toHex(), bytes.toHex());
    }
  });
}

Deno.test("RFC 7541 C.2: fields one by one, and what may not be remembered stays so when it is passed on", () => {
  const cases: [string, string, Field["indexing"]][] = [
    ["400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "custom-key: custom-header", "yes"],
    ["040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path", "no"],
    ["1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret", "never"],
    ["82", ":method: GET", "yes"],
  ];
  for (const [hex, line, indexing] of cases) {
    const block = new FieldDecoder().decode(bytesOf(hex));
    assert.deepEqual([linesOf(block), block.fields[0]!.indexing], [[line], indexing]);
    assert.equal(new FieldEncoder().encode(block).toHex(), bytesOf(hex).toHex());
  }
});

Deno.test("Huffman's code gives back every byte, alone and among others", () => {
  const all = String.fromCharCode(...Array.from({ length: 256 }, (_, at) => at));
  for (const text of [...all, all, all + all, "", "a".repeat(70_000)]) {
    const bytes = new Uint8Array(huffmanLength(text));
    encodeHuffman(text, bytes, 0);
    assert.equal(
      decodeHuffman(bytes, 0, bytes.length).toHex(),
      Uint8Array.from(text, (it) => it.charCodeAt(0)).toHex(),
    );
  }
});

Deno.test("what is no HPACK is a fault of the connection", () => {
  const wrong: Record<string, string> = {
    "80": "index 0",
    "be": "an index beyond the tables",
    "ffffffffffffff7f": "a number that does not end",
    "4003": "a block that ends within a string",
    "40": "a block that ends before a name",
    "0085ffffffffff00": "the end of a string in its midst",
    "00818100": "padding that is not all ones",
    "0082ffff00": "padding of more than 7 bits",
    "3fe21f": "a table larger than was agreed",
    "8220": "a size of the table within a block",
  };
  for (const [hex, what] of Object.entries(wrong)) {
    assert.throws(() => new FieldDecoder().decode(bytesOf(hex)), ConnectionFault, what);
  }
});

Deno.test("a table shrinks and grows when the peer says so, and both sides mean the same all the while", () => {
  const encoder = new FieldEncoder();
  const decoder = new FieldDecoder();
  const blocks = [...REQUESTS, ...ANSWERS].map((lines) => blockOf(lines));
  for (const size of [4096, 100, 0, 4096, 64, 70_000, 200]) {
    encoder.resize(0);
    encoder.resize(size);
    for (const block of [...blocks, ...blocks]) {
      assert.deepEqual(linesOf(decoder.decode(encoder.encode(block))), linesOf(block));
    }
  }
});

Deno.test("the same block is the same object as long as the table is the same, and is not written anew either", () => {
  const encoder = new FieldEncoder();
  const decoder = new FieldDecoder();
  encoder.encode(blockOf(GET)); // enters the table
  const bytes = bytesOf("8286 84be");
  decoder.decode(bytesOf(EXAMPLES[0]!.hex[0]!));
  const block = decoder.decode(bytes);
  assert.equal(decoder.decode(bytes), block);
  const written = encoder.encode(block);
  assert.equal(encoder.encode(block), encoder.encode(block));
  assert.equal(written.toHex(), bytes.toHex());
  decoder.decode(bytesOf("400161 0162")); // something else enters: 62 is now another field
  assert.deepEqual(linesOf(decoder.decode(bytes)), [":method: GET", ":scheme: http", ":path: /", "a: b"]);
  encoder.encode(blockOf(["a: b"]));
  assert.equal(encoder.encode(block).toHex(), "828684bf");
});

Deno.test("fields of more than 256 kB are left out, and the table is right nevertheless", () => {
  const encoder = new FieldEncoder();
  const decoder = new FieldDecoder();
  const big = `big: ${"x".repeat(2000)}`;
  decoder.decode(encoder.encode(blockOf([big])));
  // 1 000 bytes that say 2 MB.
  const bomb = decoder.decode(
    new Uint8Array([...new Uint8Array(1000).fill(0xbe), ...encoder.encode(blockOf(["a: b"]))]),
  );
  assert.ok(bomb.isTooLarge);
  assert.ok(bomb.fields.length * 2035 <= 256 << 10);
  assert.deepEqual(linesOf(decoder.decode(encoder.encode(blockOf(["a: b", big])))), ["a: b", big]);
});
