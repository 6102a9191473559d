/**
 * From what a configuration file holds to the values it says: every key known, every value of its type. It refuses what
 * it does not know, with the nearest that it does, and what this tool cannot do, rather than leave it out.
 */
import { UserError } from "../base/errors.ts";
import { nearest } from "../base/nearest.ts";
import { type ConfigKey, keyDecls } from "./options.ts";
import { OTHER_KEYS, type OtherKey } from "./other_keys.ts";
import { isObject, readValue, refuse, type Said, typeName } from "./values.ts";

export interface FileSays {
  readonly said: readonly Said[];
  readonly errors: readonly UserError[];
  /** Keys without effect here. */
  readonly warnings: readonly string[];
}

const OPTIONS = new Map(keyDecls().map((it) => [it.key as string, it]));
const OTHERS = new Map(OTHER_KEYS.map((it) => [it.key, it]));
const ALL = [...OPTIONS.keys(), ...OTHERS.keys()];
const SECTIONS = new Set(ALL.flatMap((key) => {
  const path = key.split(".");
  return path.slice(1).map((_, index) => path.slice(0, index + 1).join("."));
}));

type Short = (value: unknown) => Readonly<Record<string, unknown>> | undefined;

/** What may stand in place of a section, and the keys that it means; undefined: this may not. */
export const SHORT: Readonly<Record<string, Short>> = {
  "target": (it) => typeof it === "string" ? { path: it } : undefined,
  "feature.fs": (it) => {
    if (typeof it === "string") return { mode: it };
    return typeof it === "boolean" ? it ? {} : { mode: "local" } : undefined;
  },
  "feature.env": (it) => typeof it === "boolean" ? it ? {} : { exclude: "*" } : undefined,
  "feature.network": (it) => {
    if (typeof it !== "boolean") return undefined;
    return it ? { incoming: true } : { incoming: false, dns: false, outgoing: false };
  },
  "feature.network.dns": (it) => typeof it === "boolean" ? { enabled: it } : undefined,
  "feature.network.outgoing": (it) => typeof it === "boolean" ? { tcp: it, udp: it } : undefined,
  "feature.network.incoming": (it) => {
    if (typeof it === "string") return { mode: it };
    return typeof it === "boolean" ? { mode: it ? "mirror" : "off" } : undefined;
  },
};

/** Reads what a file holds; `file` is its name for messages. Collects what is wrong with it. */
export function saidByFile(content: Record<string, unknown>, file: string): FileSays {
  const said: Said[] = [];
  const errors: UserError[] = [];
  const warnings: string[] = [];
  const visit = (section: string, entries: Readonly<Record<string, unknown>>) => {
    for (const [name, value] of Object.entries(entries)) {
      const key = section === "" ? name : `${section}.${name}`;
      const from = `"${key}" in ${file}`;
      try {
        if (OPTIONS.has(key)) readOption(key, value, from, said);
        else if (OTHERS.has(key)) {
          const warning = judge(OTHERS.get(key)!, value, from);
          if (warning !== undefined) warnings.push(warning);
        } else if (SECTIONS.has(key)) visit(key, entriesOf(key, value, from));
        else throw unknown(section, name, file);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        errors.push(error);
      }
    }
  };
  visit("", content);
  return { said, errors, warnings };
}

function readOption(key: string, value: unknown, from: string, said: Said[]): void {
  if (value === null || value === undefined) return; // says that nobody says it
  const option = OPTIONS.get(key)!;
  const it: Said = { key: key as ConfigKey, value: key === "target.path" ? targetText(value) : value, from };
  readValue(it, option.kind);
  said.push(it);
}

/** `{ "deployment": "web", "container": "app" }` is another way to write "deployment/web/container/app". */
function targetText(value: unknown): unknown {
  if (!isObject(value)) return value;
  const { container, ...rest } = value;
  const [kind, ...more] = Object.keys(rest);
  const labels = kind === "labels" && isObject(rest[kind]) ? Object.entries(rest[kind]) : undefined;
  const suffix = container ? `/container/${container}` : "";
  if (labels && more.length === 0) return `label/${labels.map((it) => it.join("=")).join(",")}${suffix}`;
  const name = kind === undefined ? undefined : rest[kind];
  if (kind === undefined || more.length > 0 || typeof name !== "string") return value;
  if (container !== undefined && container !== null && typeof container !== "string") return value;
  return `${kind.replaceAll("_", "")}/${name}${suffix}`;
}

function entriesOf(key: string, value: unknown, from: string): Readonly<Record<string, unknown>> {
  if (value === null || value === undefined) return {};
  if (isObject(value)) return value;
  const short = SHORT[key]?.(value);
  if (short) return short;
  throw refuse({ from }, `it is ${typeName(value)}`, `allowed: an object with ${childrenOf(key).join(", ")}`);
}

/** A warning, if any. Throws when the value asks for what cannot be had. */
function judge({ why, fine }: OtherKey, value: unknown, from: string): string | undefined {
  if (value === null || value === undefined || fine?.includes(value)) return undefined;
  if (why === "harmless") return `${from} has no effect here`;
  const allowed = fine && fine.length > 0 ? `, or say ${JSON.stringify(fine[0])}` : "";
  throw new UserError(
    "CONFIG_KEY_UNSUPPORTED",
    `Cannot use ${from}: it needs the operator, which this tool does not have`,
    {
      hint: `leave it out${allowed}`,
      exitCode: 2,
    },
  );
}

function unknown(section: string, name: string, file: string): UserError {
  const prefix = section === "" ? "" : `${section}.`;
  const beside = nearest(name, childrenOf(section));
  const elsewhere = beside === undefined ? ALL.find((it) => it.endsWith(`.${name}`)) : `${prefix}${beside}`;
  const hint = elsewhere === undefined
    ? `known ${section === "" ? "at the top" : `in "${section}"`}: ${childrenOf(section).join(", ")}`
    : `did you mean "${elsewhere}"?`;
  return new UserError("CONFIG_KEY_UNKNOWN", `Cannot use "${prefix}${name}" in ${file}: there is no such key`, {
    hint,
    exitCode: 2,
  });
}

function childrenOf(section: string): string[] {
  const prefix = section === "" ? "" : `${section}.`;
  const inside = ALL.filter((it) => it.startsWith(prefix)).map((it) => it.slice(prefix.length).split(".")[0]!);
  return [...new Set(inside)];
}
