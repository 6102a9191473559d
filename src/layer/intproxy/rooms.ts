/**
 * How much the target's file systems can still take: so that a program hears of a full one from write(2), not first from
 * close(2) (docs/decisions/0041).
 *
 * Where there is plenty nobody asks. Where there is less than TIGHT_BYTES, a program asks after each write; as long as what is
 * unsent fits easily, that is answered at once, and else when the target has taken it.
 */

const TIGHT_BYTES = 256 << 20;
/** A file system's own needs: blocks of names, of pointers, half-used blocks. */
const SPARE_BYTES = 256 << 10;

interface Tenant {
  /** Bytes that were written here and not sent. */
  readonly unsent: number;
}

interface Room {
  free: number;
  readonly tenants: Set<Tenant>;
}

export class Rooms {
  readonly #byDevice = new Map<bigint, Room>();

  enter(device: bigint, tenant: Tenant): void {
    const room = this.#byDevice.get(device);
    if (room) room.tenants.add(tenant);
    else this.#byDevice.set(device, { free: Infinity, tenants: new Set([tenant]) });
  }

  leave(device: bigint, tenant: Tenant): void {
    const room = this.#byDevice.get(device);
    room?.tenants.delete(tenant);
    if (room?.tenants.size === 0) this.#byDevice.delete(device);
  }

  heard(device: bigint, free: bigint): void {
    const room = this.#byDevice.get(device);
    if (room) room.free = Number(free);
  }

  isTight(device: bigint): boolean {
    const room = this.#byDevice.get(device);
    return room !== undefined && room.free - unsentOf(room) < TIGHT_BYTES;
  }

  /** What is unsent will fit, whatever else is written there in a moment. */
  fits(device: bigint): boolean {
    const room = this.#byDevice.get(device);
    return room === undefined || unsentOf(room) * 2 + SPARE_BYTES <= room.free;
  }
}

function unsentOf(room: Room): number {
  let bytes = 0;
  for (const tenant of room.tenants) bytes += tenant.unsent;
  return bytes;
}
