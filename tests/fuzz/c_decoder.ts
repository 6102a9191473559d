/** The C decoder of the layer wire as a program that reads damaged frames from its standard input, each in memory of just its length. */
const NATIVE = new URL("../../native/", import.meta.url);

function source(header: string): string {
  const names = [
    ...header.matchAll(/^static inline bool wire_get_(\w+)\(struct wire_in \*in, struct (wire_\w+) \*message\)/gm),
  ];
  const cases = names.map(([, name, type], at) =>
    `\tcase ${at}: { struct ${type} it; memset(&it, 0, sizeof it); return wire_get_${name}(&in, &it); }`
  );
  return `#include <stdio.h>
#include <stdlib.h>
#include "wire.gen.h"

static bool decode(unsigned kind, const uint8_t *bytes, size_t length)
{
	struct wire_in in = { .at = bytes, .end = bytes + length };
	switch (kind % ${names.length}) {
${cases.join("\n")}
	}
	return false;
}

int main(void)
{
	uint32_t length, sound = 0, count = 0;
	while (fread(&length, sizeof length, 1, stdin) == 1) {
		uint8_t *bytes = malloc(length);
		if (length > 0 && fread(bytes, length, 1, stdin) != 1)
			return 1;
		for (unsigned kind = 0; kind < ${names.length}; kind++, count++)
			sound += decode(kind, bytes, length);
		free(bytes);
	}
	printf("%u of %u\\n", sound, count);
	return 0;
}
`;
}

/** Compiles it into `directory`; returns its path. */
export async function buildDecoder(directory: string): Promise<string> {
  const text = source(await Deno.readTextFile(new URL("wire.gen.h", NATIVE)));
  await Deno.writeTextFile(`${directory}/decoder.c`, text);
  const sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
  const args = [
    "-std=gnu11",
    "-O1",
    "-g",
    ...sanitizers,
    "-I",
    NATIVE.pathname,
    "-o",
    `${directory}/decoder`,
    `${directory}/decoder.c`,
  ];
  const { success, stderr } = await new Deno.Command("gcc", { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return `${directory}/decoder`;
}

/** What it says of these bodies of frames; throws with the sanitizer's words when it stumbles. */
export async function decodeInC(program: string, bodies: readonly Uint8Array[]): Promise<string> {
  const child = new Deno.Command(program, { stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  const feeding = (async () => {
    for (const body of bodies) {
      await writer.write(new Uint8Array(new Uint32Array([body.length]).buffer));
      await writer.write(body as Uint8Array<ArrayBuffer>);
    }
    await writer.close();
  })().catch(() => {});
  const { success, stdout, stderr } = await child.output();
  await feeding;
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim();
}
