/**
 * One `Config` from all that was said: flags, environment, configuration file. The file is the one that was named, or the
 * one that lies where such files lie; what reads it is loaded when there is one.
 */
import { adviceOn } from "../config/advice.ts";
import { CONFIG_FILE_OPTION, EXEC_OPTIONS } from "../config/options.ts";
import { type Config, resolveConfig, saidByEnvironment } from "../config/resolve.ts";
import type { FileSays } from "../config/keys.ts";
import type { Said } from "../config/values.ts";
import { checkJqPrograms } from "./check_jq.ts";
import type { CommandInput } from "./command.ts";

export interface LoadedConfig {
  readonly config: Config;
  /** The file that was read. */
  readonly file: string | undefined;
  /** What has no effect here, or another one than it seems. */
  readonly warnings: readonly string[];
}

/** The flags in `input` are rows of the table of options. Throws `UserError` for the first thing that is wrong. */
export async function loadConfig(input: CommandInput): Promise<LoadedConfig> {
  const file = await configFile(input);
  const typed = [...saidByVariables(), ...saidByFlags(input)];
  const { said, warnings } = file === undefined ? { said: [], warnings: [] } : await saidByFileAt(file, keyOf(typed));
  const config = resolveConfig([...said, ...typed]);
  await checkJqPrograms(config.incoming.jqPrograms);
  return { config, file, warnings: [...warnings, ...adviceOn(config)] };
}

export function saidByVariables(): Said[] {
  return saidByEnvironment((name) => Deno.env.get(name));
}

async function configFile(input: CommandInput): Promise<string | undefined> {
  const given = input.flags.findLast((it) => it.decl.flag === CONFIG_FILE_OPTION.flag);
  if (given) return given.text ?? CONFIG_FILE_OPTION.sets;
  const named = Deno.env.get(CONFIG_FILE_OPTION.env);
  if (named) return named;
  if (!isThere(".mirrord")) return undefined;
  const { defaultFile } = await import("../config/file.ts");
  return defaultFile();
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** The session's key, which the file's template may speak of. */
export function keyOf(said: readonly Said[]): string | undefined {
  const it = said.findLast(({ key }) => key === "key");
  return it && "text" in it ? it.text : undefined;
}

async function saidByFileAt(path: string, key: string | undefined): Promise<FileSays> {
  const { readConfigFile } = await import("../config/file.ts");
  const says = await readConfigFile(path, key);
  if (says.errors[0]) throw says.errors[0];
  return says;
}

function saidByFlags(input: CommandInput): Said[] {
  return input.flags.flatMap(({ decl, text }) => {
    const option = EXEC_OPTIONS.find((it) => it.flag === decl.flag);
    if (!option) return [];
    const says = { text: text ?? option.sets!, from: option.flag };
    return [option.key, option.also].flatMap((key) => key ? [{ key, ...says }] : []);
  });
}
