/** The part of the shim's wire about FIFOs of the target (docs/decisions/0047). */
import type { Schema } from "./schema.ts";

export const FIFOS = {
  OpenFifo: {
    id: 178,
    doc: "open(2) of what is neither a file nor a directory; `flags` are open(2)'s. Answered by FifoPlace",
    fields: { path: "bytes", flags: "u32" },
  },
  FifoPlace: {
    id: 179,
    doc:
      "the FIFO of this machine that stands for the target's: the shim opens `path`, which may wait as open(2) does, and " +
      "says FifoOpened. ENXIO: it is no FIFO, or nobody reads it",
    fields: { errno: "i32", token: "u64", path: "bytes" },
  },
  FifoOpened: {
    id: 180,
    doc: "open(2) of a FifoPlace has ended, one way or the other; not answered",
    fields: { token: "u64" },
  },
} as const satisfies Schema;
