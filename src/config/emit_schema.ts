/**
 * Prints mirrord-schema.json, the JSON schema of configuration files for editors, from the tables of options and other keys. What
 * this tool refuses is not in it, so that an editor says so while it is typed.
 */
import { PULL_POLICIES } from "./agent_options.ts";
import { SHORT } from "./keys.ts";
import { FS_MODES, INCOMING_MODES, keyDecls, type ValueKind } from "./options.ts";
import { OTHER_KEYS } from "./other_keys.ts";

type Schema = Record<string, unknown>;

const STRING: Schema = { type: "string" };
const PORT: Schema = { type: "integer", minimum: 1, maximum: 65535 };
const LIST: Schema = { type: ["string", "array"], items: STRING };

const KINDS: Readonly<Partial<Record<ValueKind, Schema>>> = {
  text: { type: "string", minLength: 1 },
  boolean: { type: "boolean" },
  seconds: { type: "integer", minimum: 0, maximum: 86400 },
  list: LIST,
  fsMode: { enum: [...FS_MODES] },
  map: { type: "object", additionalProperties: STRING },
  patterns: LIST,
  addresses: LIST,
  milliseconds: { type: "integer", minimum: 0, maximum: 3_600_000 },
  bufferBytes: { type: "integer", minimum: 0, maximum: 15 << 20 },
  image: { type: ["string", "object"], properties: { registry: STRING, tag: STRING }, additionalProperties: false },
  pullPolicy: { enum: [...PULL_POLICIES] },
  object: { type: "object" },
  objects: { type: "array", items: { type: "object" } },
  incomingMode: { enum: [...INCOMING_MODES] },
  pattern: STRING,
  httpFilters: { type: "array", items: { type: "object", additionalProperties: STRING } },
  ports: { type: "array", items: PORT },
  logLevel: STRING,
  portPairs: { type: "array", items: { type: "array", items: PORT, minItems: 2, maxItems: 2 } },
};

const TARGET: Schema = {
  type: ["string", "object"],
  properties: { container: STRING },
  additionalProperties: true,
};

export function emitConfigSchema(): string {
  const root = section("mirrord's configuration file");
  for (const { key, kind, doc, default: usual } of keyDecls()) {
    const schema = key === "target.path" ? TARGET : KINDS[kind] ?? {};
    put(root, key, { description: usual === undefined ? doc : `${doc} (default: ${usual})`, ...orNull(schema) });
  }
  for (const { key, why, fine } of OTHER_KEYS) {
    if (why === "harmless") put(root, key, { description: "Has no effect here", deprecated: key !== "$schema" });
    else if (fine && fine.length > 0) put(root, key, { description: "Other values cannot be had here", enum: fine });
  }
  addShortForms(root, "");
  const head = { $schema: "https://json-schema.org/draft/2020-12/schema", title: "mirrord configuration" };
  return `${JSON.stringify({ ...head, ...root }, undefined, 2)}\n`;
}

interface Section extends Schema {
  readonly properties: Record<string, Schema>;
}

function section(description: string): Section {
  return { description, type: "object", properties: {}, additionalProperties: false };
}

function put(root: Section, key: string, schema: Schema): void {
  const path = key.split(".");
  let at = root;
  for (const [index, name] of path.slice(0, -1).entries()) {
    at = (at.properties[name] ??= section(path.slice(0, index + 1).join("."))) as Section;
    if (!("properties" in at)) return; // a key that is an option itself, and whose parts are others
  }
  at.properties[path.at(-1)!] ??= schema;
}

/** null says that nobody says it. */
function orNull(schema: Schema): Schema {
  if (Array.isArray(schema["enum"])) return { ...schema, enum: [...schema["enum"], null] };
  if (schema["type"] === undefined) return schema;
  const types = [schema["type"]].flat();
  return { ...schema, type: [...types, "null"] };
}

/** `"fs": "read"` and the like, found by asking the reader of files. */
function addShortForms(it: Section, key: string): void {
  for (const [name, inner] of Object.entries(it.properties)) {
    const path = key === "" ? name : `${key}.${name}`;
    if ("properties" in inner && inner["additionalProperties"] === false) addShortForms(inner as Section, path);
    const short = SHORT[path];
    if (!short) continue;
    const types = ["object", ...(short("x") ? ["string"] : []), ...(short(true) ? ["boolean"] : []), "null"];
    it.properties[name] = { ...inner, type: types };
  }
}
