/**
 * Looks which libraries a program needs, as far as its file says so itself: whether it may start with this machine's alone. Wrong
 * guesses cost a millisecond. What it finds to be missing the shim looks for at the target (native/preloads.c).
 */
import { fromUtf8 } from "../base/bytes.ts";
import { isThere } from "../base/is_there.ts";

/** Where programs find libraries without being told; as needed_is_usual() of the shim. */
const USUAL = ["/lib", "/usr/lib", "/usr/local/lib"].flatMap((it) => [`${it}/x86_64-linux-gnu`, it, `${it}64`]);

const PT_LOAD = 1, PT_DYNAMIC = 2;
const DT_NEEDED = 1, DT_STRTAB = 5, DT_RPATH = 15, DT_RUNPATH = 29;
/** Of the part of a file in which the strings lie. */
const MOST_STRING_BYTES = 1 << 20;

interface Dynamic {
  readonly needed: readonly string[];
  /** RUNPATH, or else RPATH; may be empty. */
  readonly path: string;
}

/** Does it name a library that neither the usual directories have nor those that it names or `libraryPath` does? */
export function missesLibraries(program: string, libraryPath: string | undefined): boolean {
  const dynamic = readDynamic(program);
  if (!dynamic) return false;
  const told = `${dynamic.path}:${libraryPath ?? ""}`.split(/[:;]/).filter((it) => it !== "");
  if (told.length === 0) return false;
  const origin = Deno.realPathSync(program).replace(/\/[^/]*$/, "");
  const directories = [...USUAL, ...told.map((it) => it.replaceAll(/\$ORIGIN\b|\$\{ORIGIN\}/g, origin))];
  return dynamic.needed.some((name) => !name.includes("/") && !directories.some((it) => isThere(`${it}/${name}`)));
}

function readDynamic(path: string): Dynamic | undefined {
  try {
    using file = Deno.openSync(path);
    const header = readAt(file, 0, 64);
    const [size, count] = [header.getUint16(54, true), header.getUint16(56, true)];
    if (size !== 56 || header.getUint32(0) !== 0x7f454c46) return undefined;
    const table = readAt(file, Number(header.getBigUint64(32, true)), size * count);
    const segments = Array.from({ length: count }, (_, at) => segmentAt(table, at * size));
    const dynamic = segments.find((it) => it.type === PT_DYNAMIC);
    return dynamic && entriesOf(file, segments, readAt(file, dynamic.offset, dynamic.length));
  } catch {
    return undefined; // cut short, or not ours to read
  }
}

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly length: number;
}

function segmentAt(table: DataView, at: number): Segment {
  const number = (offset: number) => Number(table.getBigUint64(at + offset, true));
  return { type: table.getUint32(at, true), offset: number(8), address: number(16), length: number(32) };
}

function entriesOf(file: Deno.FsFile, segments: readonly Segment[], view: DataView): Dynamic | undefined {
  const entries: [tag: number, value: number][] = [];
  for (let at = 0; at + 16 <= view.byteLength; at += 16) {
    entries.push([Number(view.getBigInt64(at, true)), Number(view.getBigUint64(at + 8, true))]);
  }
  const address = entries.find(([tag]) => tag === DT_STRTAB)?.[1] ?? 0;
  const place = segments.find((it) => it.type === PT_LOAD && address >= it.address && address < it.address + it.length);
  if (!place) return undefined;
  const skipped = address - place.address;
  const strings = readAt(file, place.offset + skipped, Math.min(place.length - skipped, MOST_STRING_BYTES));
  const bytes = new Uint8Array(strings.buffer);
  const textsOf = (wanted: number) =>
    entries.filter(([tag]) => tag === wanted).map(([, value]) => {
      const end = bytes.indexOf(0, value);
      return end < 0 ? "" : fromUtf8(bytes.subarray(value, end));
    });
  return { needed: textsOf(DT_NEEDED), path: textsOf(DT_RUNPATH)[0] ?? textsOf(DT_RPATH)[0] ?? "" };
}

function readAt(file: Deno.FsFile, offset: number, length: number): DataView {
  const bytes = new Uint8Array(length);
  file.seekSync(offset, Deno.SeekMode.Start);
  let read = 0;
  for (let count; read < length && (count = file.readSync(bytes.subarray(read))) !== null; read += count);
  return new DataView(bytes.buffer, 0, read);
}
