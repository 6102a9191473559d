/**
 * Which remote files the processes of a run have open: the kernel tells, by the names of their memfds (native/fds.h).
 *
 * Of a process that may not be looked into nothing is told.
 */

/** "/memfd:mirrord-b-" (big) or "-f-", the stat in hexadecimal, the handle in eight digits. */
const NAME = /^\/memfd:mirrord-[bf]-[0-9a-f]{216}([0-9a-f]{8})/;

/** The handles of files that these processes have descriptors of. */
export function handlesOf(pids: Iterable<number>): Set<bigint> {
  const handles = new Set<bigint>();
  for (const pid of pids) {
    for (const link of linksOf(pid)) {
      const match = NAME.exec(link);
      if (match) handles.add(BigInt(`0x${match[1]}`));
    }
  }
  return handles;
}

function* linksOf(pid: number): Generator<string> {
  const directory = `/proc/${pid}/fd`;
  try {
    for (const { name } of Deno.readDirSync(directory)) {
      const link = linkOf(`${directory}/${name}`);
      if (link !== undefined) yield link;
    }
  } catch {
    // It has ended, or is another user's.
  }
}

function linkOf(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined;
  }
}

/** Inodes (hexadecimal) that these processes watch by inotify(7); undefined: some of them cannot be looked into. */
export function watchedInodes(pids: Iterable<number>): Set<string> | undefined {
  const inodes = new Set<string>();
  for (const pid of pids) {
    try {
      for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
        if (linkOf(`/proc/${pid}/fd/${name}`) !== "anon_inode:inotify") continue;
        const text = Deno.readTextFileSync(`/proc/${pid}/fdinfo/${name}`);
        for (const [, inode] of text.matchAll(/^inotify .* ino:([0-9a-f]+) /gm)) inodes.add(inode!);
      }
    } catch {
      if (isThere(pid)) return undefined;
    }
  }
  return inodes;
}

export interface Ends {
  readers: number;
  writers: number;
}

/** How many descriptors of these processes read and write the FIFOs in a directory, by name; undefined as above. */
export function fifoEnds(pids: Iterable<number>, directory: string): Map<string, Ends> | undefined {
  const ends = new Map<string, Ends>();
  for (const pid of pids) {
    try {
      for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
        const link = linkOf(`/proc/${pid}/fd/${name}`);
        if (!link?.startsWith(`${directory}/`)) continue;
        const fifo = link.slice(directory.length + 1);
        const known = ends.get(fifo) ?? { readers: 0, writers: 0 };
        ends.set(fifo, known);
        const mode = accessMode(`/proc/${pid}/fdinfo/${name}`);
        if (mode !== O_WRONLY) known.readers++;
        if (mode !== O_RDONLY) known.writers++;
      }
    } catch {
      if (isThere(pid)) return undefined;
    }
  }
  return ends;
}

const O_RDONLY = 0;
const O_WRONLY = 1;
const O_ACCMODE = 3;

function accessMode(path: string): number {
  return parseInt(/^flags:\s*(\d+)/m.exec(Deno.readTextFileSync(path))?.[1] ?? "0", 8) & O_ACCMODE;
}

function isThere(pid: number): boolean {
  return linkOf(`/proc/${pid}/exe`) !== undefined;
}
