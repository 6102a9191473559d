/**
 * What programs and users of this field rely on, one row per behaviour, in our words. Ids beginning with L and E are those of the
 * conformance list this product is judged by; U rows stand for areas of small tests there, R rows for the cases of one
 * test program. A test that holds a row says so in a comment above it: `// Row L12` or `// Rows E01, E02`.
 *
 * `docs/conformance.md` is printed from this table and those comments. Rows that speak of other platforms or of parts that
 * only the paid operator has are not in it.
 */

import { NETWORK } from "./rows_network.ts";

export interface Row {
  readonly id: string;
  /** C: must hold. c: should, unless a decision note says why not. */
  readonly rank: "C" | "c";
  /** The issue that brings it: 3 files, environment, processes; 4 network; 5 targets, configuration, command line. */
  readonly issue: 3 | 4 | 5;
  /** What must hold. */
  readonly holds: string;
  /** Why it is not held, and where that is decided. */
  readonly decided?: string;
}

/** Go programs ask the kernel themselves, without libc. */
const GO = "[0017](decisions/0017-what-conformance-leaves-out.md): Go asks the kernel past libc";
const VFORK = "[0017](decisions/0017-what-conformance-leaves-out.md): our shim does not patch Go's runtime";

const FILES: readonly Row[] = [
  {
    id: "L01",
    rank: "C",
    issue: 3,
    holds: "a script's chain env, bash, cat: each reads the target's host name and files",
  },
  {
    id: "L04",
    rank: "C",
    issue: 3,
    holds: "modes 0640, 0604, 0431, 0755 of local files and directories are kept exactly",
  },
  { id: "L09", rank: "C", issue: 3, holds: "`exec` unpacks the shim itself, nothing has to be installed beside it" },
  {
    id: "L10",
    rank: "c",
    issue: 3,
    holds: "a Go program reads its own binary locally, without a message",
    decided: GO,
  },
  {
    id: "L12",
    rank: "C",
    issue: 3,
    holds: "open to create, pwrite at 0 and close reach the target; local stdio beside it works",
  },
  { id: "L13", rank: "C", issue: 3, holds: "Node's fs.readFileSync reads a file of the target" },
  { id: "L14", rank: "c", issue: 3, holds: "Go: stat, statfs, fstatfs of the target; `.` and `/` local" },
  { id: "L16", rank: "c", issue: 3, holds: "Go: a directory of the target is listed to its end" },
  { id: "L17", rank: "c", issue: 3, holds: "Go: a directory kept local by pattern is listed here", decided: GO },
  { id: "L18", rank: "c", issue: 3, holds: "Go: open, stats, read, close of the target's file" },
  { id: "L19", rank: "c", issue: 3, holds: "Go: a file of the target is created and written" },
  { id: "L20", rank: "c", issue: 3, holds: "Go: seek from the current place, read the rest" },
  { id: "L21", rank: "c", issue: 3, holds: "Go: access of a local and of the target's file" },
  {
    id: "L23",
    rank: "C",
    issue: 3,
    holds: "a child of fork without exec opens the target's file: one open, one close",
  },
  { id: "L33", rank: "C", issue: 3, holds: "opendir of a directory of the target" },
  { id: "L34", rank: "C", issue: 3, holds: "readdir and readdir64 give the entries in order, one listing for all" },
  { id: "L37", rank: "C", issue: 3, holds: "statx: relative local; absolute at the target, by path and by descriptor" },
  { id: "L39", rank: "c", issue: 3, holds: "Go: the mode of a local file that is created is kept", decided: GO },
  {
    id: "L42",
    rank: "c",
    issue: 3,
    holds: "Go's probing of pidfd by a vfork-like clone does not crash",
    decided: VFORK,
  },
  { id: "L44", rank: "C", issue: 3, holds: "Node renames at the target, locally, and across a mapping" },
  { id: "L46", rank: "c", issue: 3, holds: "a program with heavy cgo code starts" },
  { id: "L49", rank: "C", issue: 3, holds: "mkdir, mkdirat, rmdir: /tmp local, configured paths at the target" },
  { id: "L50", rank: "c", issue: 3, holds: "Node's fs.copyFile from and to the target" },
  { id: "L58", rank: "C", issue: 3, holds: "readlink gives the target's text and its length" },
  { id: "L63", rank: "C", issue: 3, holds: "a process is left alone by the name of its executable" },
  { id: "L64", rank: "C", issue: 3, holds: "a process is left alone by its argv[0]" },
  { id: "L65", rank: "C", issue: 3, holds: "any other process is entered, and reads the target's /etc/resolv.conf" },
  { id: "L67", rank: "C", issue: 3, holds: "children that Node starts through sh follow" },
  { id: "L68", rank: "C", issue: 3, holds: "statfs of a path, open, fstatfs of the descriptor, close" },
  { id: "R1", rank: "C", issue: 3, holds: "realpath of a relative local path" },
  { id: "R2", rank: "C", issue: 3, holds: "realpath of an absolute local path" },
  { id: "R3", rank: "C", issue: 3, holds: "realpath of the target's path into a buffer" },
  { id: "R4", rank: "C", issue: 3, holds: "realpath of the target's path into memory it allocates" },
  { id: "R5", rank: "C", issue: 3, holds: "realpath of what is missing is ENOENT" },
  {
    id: "E01",
    rank: "C",
    issue: 3,
    holds:
      "Python and C over the target's tree: read, readline, seek, openat, mkdir, mkdirat, statvfs, rmdir, fdopen, pread, pwrite, errors",
  },
  { id: "E02", rank: "C", issue: 3, holds: "mode read: opening for writing is local (ENOENT), reading the target's" },
  {
    id: "E03",
    rank: "C",
    issue: 3,
    holds: "unlink and unlinkat at the target (also of an open file), locally and mapped; makedirs",
  },
  { id: "E04", rank: "c", issue: 3, holds: "bash tests, reads and writes files of the target" },
  { id: "E05", rank: "c", issue: 3, holds: "Go: listing, mkdir and rmdir at the target" },
  { id: "E06", rank: "c", issue: 3, holds: "the fields of statfs equal those inside the target" },
  {
    id: "E07",
    rank: "C",
    issue: 3,
    holds: "bash sees all of the target's variables, or those included, or all but those excluded",
  },
  { id: "E08", rank: "C", issue: 3, holds: "other languages see the target's variables, with include and exclude" },
  { id: "E34", rank: "C", issue: 3, holds: "the host name is the target's, without a newline, and can be looked up" },
  { id: "U01", rank: "C", issue: 3, holds: "which file is whose: mode × pattern kind × reading or writing" },
  { id: "U02", rank: "C", issue: 3, holds: "/etc/resolv.conf is read from the target and written here" },
  {
    id: "U03",
    rank: "C",
    issue: 3,
    holds: "the user's cloud credentials are not found at home, the target's elsewhere are",
  },
  {
    id: "U04",
    rank: "C",
    issue: 3,
    holds: "which processes are entered: lists by executable and argv[0], build tools, additions",
  },
  { id: "U05", rank: "C", issue: 3, holds: "paths are mapped by pattern and replacement" },
  {
    id: "U06",
    rank: "C",
    issue: 3,
    holds: "ports of debuggers stay local: debugpy, pydevd, Java agents, node --inspect",
  },
  { id: "U07", rank: "C", issue: 3, holds: "variables: include, exclude, mapping" },
  { id: "U08", rank: "C", issue: 3, holds: "file modes by configuration file, flag and variable" },
  {
    id: "U09",
    rank: "C",
    issue: 3,
    holds: "directories come in batches, files whole or by ranges, seeking within both",
  },
  { id: "U10", rank: "C", issue: 3, holds: "frames: sound, cut short, invalid" },
  { id: "U11", rank: "C", issue: 3, holds: "the agent hands out the target's variables" },
];

export const ROWS: readonly Row[] = [...FILES, ...NETWORK];
