/**
 * Environments: reading and writing them as bytes, and which of the target's variables the program gets.
 *
 * The program's environment is the user's own with the target's variables over it, but for those that speak of the
 * target's file system or runtime and would break a program here.
 */
import { fromUtf8, splitNul, utf8 } from "../base/bytes.ts";
import { isThere } from "../base/is_there.ts";
import { firstMatch } from "../config/pattern.ts";

/** Variables by name, bytes as they are: values need not be UTF-8, nor do names. */
export type Environment = Map<string, Uint8Array>;

/** Reads what /proc/PID/environ holds. Entries without "=" are of no use to anybody; the first of two equal names wins, as
 * in getenv(3). */
export function parseEnvironment(bytes: Uint8Array): Environment {
  const environment: Environment = new Map();
  for (const entry of splitNul(bytes)) {
    const equals = entry.indexOf(0x3d, 1);
    if (equals === -1) continue;
    const name = latin1(entry.subarray(0, equals));
    if (!environment.has(name)) environment.set(name, entry.slice(equals + 1));
  }
  return environment;
}

/** NAME=VALUE entries for execve(2). */
export function formatEnvironment(environment: Environment): Uint8Array[] {
  return [...environment].map(([name, value]) => {
    const entry = new Uint8Array(name.length + 1 + value.length);
    for (let index = 0; index < name.length; index++) entry[index] = name.charCodeAt(index);
    entry[name.length] = 0x3d;
    entry.set(value, name.length + 1);
    return entry;
  });
}

/** One character per byte: names compare and come back as they are. */
export function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

/** The value of a variable as text. */
export function textOf(environment: Environment, name: string): string | undefined {
  const value = environment.get(name);
  return value && fromUtf8(value);
}

/** Names of the target that stay the user's own unless they are included by name; the reference tool's list. */
export const EXCLUDED_BY_DEFAULT: readonly string[] = [
  "BUNDLER_*",
  "BUNDLE_*",
  "CATALINA_HOME",
  "CLASSPATH",
  "DOTNET_EnableDiagnostics",
  "DOTNET_STARTUP_HOOKS",
  "GEM_HOME",
  "GEM_PATH",
  "GOPATH",
  "GOMODCACHE",
  "HOME",
  "HOMEPATH",
  "JAVA_EXE",
  "JAVA_HOME",
  "JAVA_TOOL_OPTIONS",
  "_JAVA_OPTIONS",
  "PATH",
  "PWD",
  "PYTHONPATH",
  "RUBYLIB",
  "RUBYOPT",
  "RUST_LOG",
];

/** What no option can take over: the loader's variables would load the target's paths here, ours would confuse us. */
const NEVER: readonly string[] = ["LD_PRELOAD", "LD_AUDIT", "MIRRORD_*"];

const LIBRARY_PATH = "LD_LIBRARY_PATH";

export interface EnvironmentRules {
  readonly include: readonly string[] | undefined;
  readonly exclude: readonly string[];
}

/** Why a variable of the target's is taken, or is not. */
export type TargetRule = "taken" | "included" | "never" | "not-included" | "excluded" | "excluded-by-default";

/** By name: the rule for a variable of the target's. */
export function targetRules(rules: EnvironmentRules): (name: string) => TargetRule {
  const never = matcher(NEVER);
  const excluded = matcher(rules.exclude);
  const byDefault = matcher(EXCLUDED_BY_DEFAULT);
  const wanted = rules.include && matcher(rules.include);
  return (name) => {
    if (never(name)) return "never";
    if (wanted) return wanted(name) ? "included" : "not-included";
    return excluded(name) ? "excluded" : byDefault(name) ? "excluded-by-default" : "taken";
  };
}

/** The target's variables that the rules let through. */
export function selectVariables(target: Environment, rules: EnvironmentRules): Environment {
  const ruleOf = targetRules(rules);
  return new Map([...target].filter(([name]) => ["taken", "included"].includes(ruleOf(name))));
}

/** What is said of variables beyond which of the target's are taken. */
export interface EnvironmentChanges extends EnvironmentRules {
  readonly unset: readonly string[];
  readonly mapping: Readonly<Record<string, string>>;
  readonly override: Readonly<Record<string, string>>;
}

/**
 * The program's environment: the user's own without what is unset, and over it what comes from the target, from the file
 * of variables, by mapping, and by override, each over the one before.
 */
export function composeEnvironment(
  user: Environment,
  target: Environment,
  file: Environment,
  changes: EnvironmentChanges,
): Environment {
  const isUnset = unsetBy(changes.unset);
  const kept = [...user].filter(([name]) => !isUnset(name));
  const remote = new Map([...selectVariables(withLibraryPath(user, target), changes), ...file]);
  const mappingOf = mappedBy(changes.mapping);
  for (const name of remote.keys()) {
    const mapping = mappingOf(name);
    if (mapping) remote.set(name, utf8(mapping[1]));
  }
  const override = Object.entries(changes.override).map(([name, value]) => [latin1(utf8(name)), utf8(value)] as const);
  return new Map([...kept, ...remote, ...override]);
}

/**
 * The loader of this machine follows the user's LD_LIBRARY_PATH. Of the target's it may have what is not here, so that only the
 * shim finds anything there (decision 0054).
 */
function withLibraryPath(user: Environment, target: Environment): Environment {
  const theirs = textOf(target, LIBRARY_PATH);
  if (theirs === undefined) return target;
  const added = theirs.split(/[:;]/).filter((it) => it.startsWith("/") && !isThere(it));
  const own = textOf(user, LIBRARY_PATH);
  const rest = new Map([...target].filter(([name]) => name !== LIBRARY_PATH));
  if (added.length === 0) return rest;
  return rest.set(LIBRARY_PATH, utf8([...own ? [own] : [], ...added].join(":")));
}

/** Is this variable of the user's one that goes? */
export function unsetBy(names: readonly string[]): (name: string) => boolean {
  const unset = new Set(names.map((name) => latin1(utf8(name)).toLowerCase()));
  return (name) => unset.has(name.toLowerCase());
}

/** Tells the pattern that matches a name, and the value it gives. */
export function mappedBy(mapping: EnvironmentChanges["mapping"]): (name: string) => [string, string] | undefined {
  const find = firstMatch(mapping);
  return (name) => find(nameText(name));
}

function nameText(name: string): string {
  return fromUtf8(Uint8Array.from(name, (it) => it.charCodeAt(0)));
}

/** Does a name match one of the patterns? `*` stands for any characters, `?` for one; case counts. */
function matcher(patterns: readonly string[]): (name: string) => boolean {
  const expressions = patterns.map((pattern) => {
    const body = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
    return new RegExp(`^${body}$`, "s");
  });
  return (name) => expressions.some((it) => it.test(name));
}
