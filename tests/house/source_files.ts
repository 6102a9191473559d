/** The source files of this project, for the tests about the code itself. */

export interface SourceFile {
  /** From the top of the project: "src/cli/mod.ts". */
  readonly path: string;
  readonly text: string;
}

const ROOT = new URL("../../", import.meta.url);

/** Files below `folders` whose names end with one of `endings`, in order. What is printed by a tool is left out. */
export function sourceFiles(folders: readonly string[], endings: readonly string[]): SourceFile[] {
  const found: SourceFile[] = [];
  const visit = (folder: string) => {
    for (const entry of Deno.readDirSync(new URL(folder, ROOT))) {
      const path = `${folder}${entry.name}`;
      if (entry.isDirectory) {
        if (entry.name !== "out") visit(`${path}/`);
      } else if (endings.some((ending) => path.endsWith(ending)) && !path.includes(".gen.")) {
        found.push({ path, text: Deno.readTextFileSync(new URL(path, ROOT)) });
      }
    }
  };
  for (const folder of folders) visit(folder);
  return found.sort((a, b) => a.path < b.path ? -1 : 1);
}

/** A file that must exist, by its path from the top. */
export function sourceText(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}
