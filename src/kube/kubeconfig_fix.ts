/**
 * Makes the commands of a kubeconfig's exec plugins absolute, so that it works for whoever has another PATH or directory
 * (editors started from a desktop, services).
 *
 * Only the text of such a command is replaced: comments, order, quotes and every other byte stay. What cannot be found is
 * left as it is, and told.
 */
import { resolve } from "node:path";
import { isAlias, isMap, isScalar, isSeq, parseDocument, type Scalar } from "yaml";
import { UserError } from "../base/errors.ts";
import { directoryOf, readSources, type Source } from "./kubeconfig.ts";
import { invalid, missing } from "./kubeconfig_errors.ts";

export interface CommandFix {
  readonly file: string;
  readonly user: string;
  readonly command: string;
  /** Undefined: no such program was found. */
  readonly absolute: string | undefined;
}

export interface FixedFile {
  readonly path: string;
  readonly text: string;
  readonly fixes: readonly CommandFix[];
}

/** The files that mirrord would read, each with what is to be changed. Nothing is written. */
export async function fixKubeconfig(
  given: string | undefined,
  env: (name: string) => string | undefined,
): Promise<FixedFile[]> {
  const sources = await readSources(given, env);
  if (!sources) throw missing(env);
  return sources.map((it) => fixSource(it, env("PATH") ?? ""));
}

function fixSource({ path, text }: Source, searched: string): FixedFile {
  const fixes: CommandFix[] = [];
  const edits = new Map<number, { end: number; text: string }>();
  for (const { user, node } of commandsIn(path, text)) {
    const command = String(node.value);
    if (command === "" || command.startsWith("/")) continue;
    const absolute = command.includes("/")
      ? executable(resolve(directoryOf(path), command))
      : searched.split(":").filter((it) => it.startsWith("/")).map((it) => executable(resolve(it, command))).find(
        Boolean,
      );
    fixes.push({ file: path, user, command, absolute });
    const [start, end] = node.range!;
    if (absolute !== undefined) edits.set(start, { end, text: written(absolute, node) });
  }
  let fixed = text;
  for (const [start, edit] of [...edits].sort(([a], [b]) => b - a)) {
    fixed = fixed.slice(0, start) + edit.text + fixed.slice(edit.end);
  }
  return { path, text: fixed, fixes };
}

/** users[].user.exec.command, as nodes of the document. An alias stands for what it names. */
function commandsIn(path: string, text: string): { user: string; node: Scalar }[] {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error) throw invalid(path, error.message.split("\n", 1)[0]!);
  const real = (node: unknown) => isAlias(node) ? node.resolve(document) : node;
  const inside = (node: unknown, key: string) => isMap(node) ? real(node.get(key, true)) : undefined;
  const users = inside(document.contents, "users");
  if (!isSeq(users)) return [];
  return users.items.map(real).flatMap((user) => {
    const node = inside(inside(inside(user, "user"), "exec"), "command");
    const name = inside(user, "name");
    return isScalar(node) && node.range ? [{ user: isScalar(name) ? String(name.value) : "", node }] : [];
  });
}

/** In the quotes that were there, or none. */
function written(path: string, { type }: Scalar): string {
  if (type === "PLAIN" && /^[\w/.+@-]+$/.test(path)) return path;
  if (type === "QUOTE_SINGLE") return `'${path.replaceAll("'", "''")}'`;
  return type?.startsWith("BLOCK") ? `${JSON.stringify(path)}\n` : JSON.stringify(path);
}

function executable(path: string): string | undefined {
  try {
    const { isFile, mode } = Deno.statSync(path);
    return isFile && (mode! & 0o111) !== 0 ? path : undefined;
  } catch {
    return undefined;
  }
}

/** In the old file's place at once, with its mode and owner; where `path` is a link, what it leads to is replaced. */
export async function replaceFile(path: string, text: string): Promise<void> {
  try {
    const real = await Deno.realPath(path);
    const { mode, uid, gid } = await Deno.stat(real);
    const scratch = await Deno.makeTempFile({ dir: directoryOf(real), prefix: ".mirrord-kubeconfig-" });
    try {
      using file = await Deno.open(scratch, { write: true });
      const bytes = new TextEncoder().encode(text);
      for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
      if (Deno.uid() !== uid || Deno.gid() !== gid) await Deno.chown(scratch, uid, gid);
      await Deno.chmod(scratch, mode! & 0o7777);
      await file.sync();
      await Deno.rename(scratch, real);
    } catch (error) {
      await Deno.remove(scratch).catch(() => {});
      throw error;
    }
  } catch (error) {
    const because = error instanceof Error ? error.message : String(error);
    throw new UserError("KUBECONFIG_UNWRITABLE", `Cannot write the kubeconfig "${path}": ${because}`, {
      hint: "may you write there? nothing of it was changed",
    });
  }
}
