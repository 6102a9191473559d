/**
 * The end of an outgoing stream. Who waits for sockets by descriptor (sockets.ts) sees urgent bytes in their place and hears of
 * what comes some 30 µs later than the runtime, which sees none; but the runtime's own socket costs as much as a connect to make, and
 * more for each big piece. So a connection begins here and goes over to the runtime when short words went over it often and none
 * was urgent; connections of protocols that are known to send urgent bytes stay. Its writes stay plain calls.
 *
 * State      event                                          action > next
 * WATCHED    the OFTENth word, none was urgent              the runtime takes the descriptor > FAST
 * WATCHED    an urgent byte, either way                     > KEPT
 * FAST       urgent byte to be written                      written past the runtime, which has nothing left to write > FAST
 * FAST       urgent byte to be read                         an ordinary byte in its place > FAST
 */
import { Socket } from "node:net";
import { ERRNO } from "../base/errors.ts";
import { EndOver } from "../base/end_over.ts";
import { SocketEnd, type StreamEnd } from "../base/socket_end.ts";
import { type FdEnd, sendAtOnce, sendUrgent, type Sockets } from "./sockets.ts";

const OFTEN = 100;
/** What is longer is no word: bulk is quicker here. */
const WORD_BYTES = 4096;
/** ftp, telnet, and the remote shells of RFC 1282 and its kin. */
const URGENT_PORTS: ReadonlySet<number> = new Set([21, 23, 512, 513, 514]);

interface Fast {
  readonly end: SocketEnd;
  readonly socket: Socket;
  readonly fd: number;
}

export class RelayedEnd extends EndOver {
  readonly #watched: FdEnd;
  #fast: Fast | undefined;
  #words = 0;
  #isKept: boolean;
  #writes = 0;

  /** Takes a connected socket over. `port` is the server's. */
  constructor(sockets: Sockets, fd: number, port: number) {
    super();
    this.#watched = sockets.adopt(fd, undefined, true);
    this.#isKept = URGENT_PORTS.has(port);
  }

  get isUrgent(): boolean {
    return !this.#fast && this.#watched.isUrgent;
  }

  readable(): Promise<void> {
    if (this.#watched.isUrgent) this.#isKept = true;
    const isTime = this.#words > OFTEN && !this.#fast && !this.#isKept && this.#writes === 0;
    if (isTime && !this.#watched.isEnding) this.#hasten();
    return (this.#fast?.end ?? this.#watched).readable();
  }

  override async read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    if (this.#fast) return await this.#fast.end.read(into);
    const count = await this.#watched.read(into);
    this.#words = count !== null && count > WORD_BYTES ? 0 : this.#words + 1;
    return count;
  }

  override async writeAll(bytes: Uint8Array<ArrayBuffer>, isUrgent = false): Promise<void> {
    if (isUrgent) this.#isKept = true;
    this.#writes++;
    try {
      await this.end.writeAll(this.#fast ? this.#rest(bytes, isUrgent, this.#fast) : bytes, isUrgent);
    } finally {
      this.#writes--;
    }
  }

  protected get end(): StreamEnd {
    return this.#fast?.end ?? this.#watched;
  }

  #hasten(): void {
    const fd = this.#watched.release();
    const socket = new Socket({ fd, allowHalfOpen: true });
    this.#fast = { end: new SocketEnd(socket), socket, fd };
  }

  /** What the kernel does not take at once: the runtime, which waits to write nothing else, gets that. */
  #rest(bytes: Uint8Array<ArrayBuffer>, isUrgent: boolean, { socket, fd }: Fast): Uint8Array<ArrayBuffer> {
    // A descriptor that was closed may be another's by now.
    if (socket.destroyed) return bytes;
    if (isUrgent) return sendUrgent(fd, bytes) ? NOTHING : bytes;
    const count = sendAtOnce(fd, bytes);
    if (count < 0 && count !== -ERRNO.EAGAIN) throw new Error(`The socket is broken: error ${-count}`);
    return bytes.subarray(Math.max(0, count));
  }
}

const NOTHING = new Uint8Array(0);
