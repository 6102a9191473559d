/** The branch that is checked out here, for templates: read from .git, without running git. */

/** Undefined: no repository, no branch, or one that cannot be read. */
export function gitBranch(directory: string): string | undefined {
  for (let at = directory;; at = at.slice(0, at.lastIndexOf("/"))) {
    const head = headIn(`${at}/.git`);
    if (head !== undefined) return /^ref: refs\/heads\/(.+)$/m.exec(head)?.[1];
    if (at === "") return undefined;
  }
}

function headIn(path: string): string | undefined {
  try {
    if (Deno.statSync(path).isDirectory) return Deno.readTextFileSync(`${path}/HEAD`);
    // A worktree or a submodule: a file that says where.
    const where = /^gitdir: (.+)$/m.exec(Deno.readTextFileSync(path))?.[1];
    const folder = path.slice(0, path.lastIndexOf("/"));
    return where && Deno.readTextFileSync(`${where.startsWith("/") ? where : `${folder}/${where}`}/HEAD`);
  } catch {
    return undefined;
  }
}
