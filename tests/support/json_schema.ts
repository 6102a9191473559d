/** The part of JSON Schema that this repository's schemas use, and a word it does not know is an error in the schema. */
import assert from "node:assert/strict";

export type Schema = Readonly<Record<string, unknown>>;

const KNOWN = new Set([
  ...["$schema", "$id", "title", "description", "default", "deprecated", "examples", "$defs"],
  ...["type", "enum", "const", "properties", "required", "additionalProperties", "items", "minItems", "maxItems"],
  ...["minimum", "maximum", "minLength", "pattern", "oneOf", "$ref"],
]);

/** What is wrong with `value`, each with where. */
export function problems(schema: Schema, value: unknown, at = "$", root: Schema = schema): string[] {
  const odd = Object.keys(schema).find((it) => !KNOWN.has(it));
  if (odd !== undefined) throw new TypeError(`The schema says "${odd}", which is not checked here`);
  if (typeof schema["$ref"] === "string") return problems(referred(schema["$ref"], root), value, at, root);
  const choices = schema["oneOf"] as readonly Schema[] | undefined;
  if (choices) {
    const told = choices.map((it) => problems(it, value, at, root));
    const fitting = told.filter((it) => it.length === 0).length;
    return fitting === 1 ? [] : [`${at} fits ${fitting} of ${choices.length}: ${told.flat().join("; ")}`];
  }
  const type = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
  const types = [schema["type"] ?? []].flat() as string[];
  const isInteger = type === "number" && Number.isInteger(value) && types.includes("integer");
  if (types.length > 0 && !types.includes(type) && !isInteger) return [`${at} is ${type}, not ${types.join("|")}`];
  return [...simpleProblems(schema, value, at), ...innerProblems(schema, value, at, root)];
}

function referred(path: string, root: Schema): Schema {
  return path.replace(/^#\//, "").split("/").reduce((it, name) => it[name] as Schema, root);
}

function simpleProblems(schema: Schema, value: unknown, at: string): string[] {
  const found: string[] = [];
  const said = <T>(name: string) => schema[name] as T | undefined;
  const choices = said<unknown[]>("enum");
  if (choices && !choices.includes(value)) found.push(`${at} is ${JSON.stringify(value)}, none of ${choices}`);
  if ("const" in schema && schema["const"] !== value) found.push(`${at} is not ${JSON.stringify(schema["const"])}`);
  if (typeof value === "number") {
    if (value < (said<number>("minimum") ?? -Infinity)) found.push(`${at} is too small`);
    if (value > (said<number>("maximum") ?? Infinity)) found.push(`${at} is too big`);
  }
  if (typeof value === "string") {
    if (value.length < (said<number>("minLength") ?? 0)) found.push(`${at} is too short`);
    const pattern = said<string>("pattern");
    if (pattern !== undefined && !new RegExp(pattern).test(value)) found.push(`${at} does not match ${pattern}`);
  }
  return found;
}

function innerProblems(schema: Schema, value: unknown, at: string, root: Schema): string[] {
  if (Array.isArray(value)) {
    const items = schema["items"] as Schema | undefined;
    const found = items ? value.flatMap((it, index) => problems(items, it, `${at}[${index}]`, root)) : [];
    const [least = 0, most = Infinity] = [schema["minItems"], schema["maxItems"]] as (number | undefined)[];
    return value.length < least || value.length > most ? [...found, `${at} has ${value.length} items`] : found;
  }
  if (typeof value !== "object" || value === null) return [];
  const properties = (schema["properties"] ?? {}) as Readonly<Record<string, Schema>>;
  const rest = schema["additionalProperties"];
  const missing = ((schema["required"] ?? []) as string[]).filter((it) => !Object.hasOwn(value, it));
  return [
    ...missing.map((it) => `${at}.${it} is missing`),
    ...Object.entries(value).flatMap(([name, inner]) => {
      if (Object.hasOwn(properties, name)) return problems(properties[name]!, inner, `${at}.${name}`, root);
      if (rest === false) return [`${at}.${name} is not known`];
      return typeof rest === "object" ? problems(rest as Schema, inner, `${at}.${name}`, root) : [];
    }),
  ];
}

/** Fails unless `value` is as docs/schemas/NAME.json has it. */
export async function assertFits(name: string, value: unknown): Promise<void> {
  const file = new URL(`../../docs/schemas/${name}.json`, import.meta.url);
  assert.deepEqual(problems(JSON.parse(await Deno.readTextFile(file)) as Schema, value), [], JSON.stringify(value));
}
