/**
 * Prints the C of the layer wire (native/wire.gen.h) from its schema: ids, structs, and one put and one get per message.
 *
 * `put` writes a whole frame into a buffer; `get` reads the fields behind a frame's head, and refuses what is too short
 * or too long. A message's last field may reach past what has been buffered (see `wire_tail` in native/wire.h), so that
 * the bytes of a file go from the socket to where they belong without a stop in between.
 */
import { type FieldKind, type MessageDecl, type Schema, STAT_FIELDS } from "./schema.ts";

const C_TYPES: Record<FieldKind, string> = {
  bool: "bool ",
  u8: "uint8_t ",
  u16: "uint16_t ",
  u32: "uint32_t ",
  u64: "uint64_t ",
  i32: "int32_t ",
  i64: "int64_t ",
  str: "struct wire_bytes ",
  bytes: "struct wire_bytes ",
  stat: "struct wire_stat ",
};

/** `isTcpRemote` and `OpenReply` as C has them: is_tcp_remote, open_reply. */
export function snakeCase(name: string): string {
  return name.replace(/(?<=[a-z0-9])[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}

/** Field names: `errno` is a macro in C. */
function fieldName(name: string): string {
  return name === "errno" ? "error" : snakeCase(name);
}

/** Struct names: the message Stat is not the field kind `stat`. */
function messageName(type: string): string {
  const name = snakeCase(type);
  return name in C_TYPES ? `${name}_request` : name;
}

export function emitC(schema: Schema, limits: Readonly<Record<string, number>>): string {
  const messages = Object.entries(schema);
  return [
    "/* wire.gen.h - the layer wire in C. Printed from src/proto/layer.ts by `deno task gen`: do not edit. */",
    "#ifndef MIRRORD_WIRE_GEN_H",
    "#define MIRRORD_WIRE_GEN_H",
    "",
    '#include "wire_fields.h"',
    "",
    ...Object.entries(limits).map(([name, value]) => `#define WIRE_${snakeCase(name).toUpperCase()} ${value}u`),
    "",
    "enum wire_type {",
    ...messages.map(([type, { id }]) => `\tWIRE_${snakeCase(type).toUpperCase()} = ${id},`),
    "};",
    "",
    ...emitStat(),
    ...messages.flatMap(([type, decl]) => emitMessage(messageName(type), decl)),
    "#endif",
    "",
  ].join("\n");
}

function emitStat(): string[] {
  const fields = STAT_FIELDS.map(([name, kind]) => [snakeCase(name), kind] as const);
  return [
    "struct wire_stat {",
    ...fields.map(([name, kind]) => `\t${C_TYPES[kind]}${name};`),
    "};",
    "",
    `#define WIRE_STAT_BYTES ${fields.reduce((sum, [, kind]) => sum + Number(kind.slice(1)) / 8, 0)}u`,
    "",
    "static inline void wire_put_stat(struct wire_out *out, struct wire_stat stat)",
    "{",
    ...fields.map(([name, kind]) => `\twire_put_${kind}(out, stat.${name});`),
    "}",
    "",
    "static inline bool wire_get_stat(struct wire_in *in, struct wire_stat *stat)",
    "{",
    `\treturn ${fields.map(([name, kind]) => `wire_get_${kind}(in, &stat->${name})`).join(" &&\n\t       ")};`,
    "}",
    "",
  ];
}

function emitMessage(name: string, decl: MessageDecl): string[] {
  const fields = Object.entries(decl.fields).map(([field, kind]) => [fieldName(field), kind] as const);
  const gets = fields.map(([field, kind], at) => {
    const isTail = at === fields.length - 1 && (kind === "bytes" || kind === "str");
    return `wire_${isTail ? "tail" : `get_${kind}`}(in, &message->${field})`;
  });
  return [
    ...(decl.doc ? [`/* ${decl.doc} */`] : []),
    `struct wire_${name} {`,
    ...fields.map(([field, kind]) => `\t${C_TYPES[kind]}${field};`),
    "};",
    "",
    `static inline size_t wire_put_${name}(uint8_t *frame, size_t room, uint32_t id, struct wire_${name} message)`,
    "{",
    `\tstruct wire_out out = wire_begin(frame, room, ${decl.id}, id);`,
    ...fields.map(([field, kind]) => `\twire_put_${kind}(&out, message.${field});`),
    "\treturn wire_end(&out);",
    "}",
    "",
    `static inline bool wire_get_${name}(struct wire_in *in, struct wire_${name} *message)`,
    "{",
    `\treturn ${[...gets, "wire_is_done(in)"].join(" &&\n\t       ")};`,
    "}",
    "",
  ];
}
