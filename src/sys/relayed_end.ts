/**
 * The end of an outgoing stream. Who waits for sockets by descriptor (sockets.ts) sees urgent bytes in their place and hears of
 * what comes some 30 µs later than the runtime, which sees none. So a connection begins here and goes over to the runtime when
 * it was read often and had nothing urgent; connections of protocols that are known to send urgent bytes stay.
 *
 * State      event                                          action > next
 * WATCHED    read for the OFTENth time, none was urgent     the runtime takes the descriptor > FAST
 * WATCHED    an urgent byte, either way                     > KEPT
 * FAST       urgent byte to be written                      written past the runtime, which has nothing left to write > FAST
 * FAST       urgent byte to be read                         an ordinary byte in its place > FAST
 */
import { Socket } from "node:net";
import { SocketEnd, type StreamEnd } from "../base/socket_end.ts";
import { type FdEnd, sendUrgent, type Sockets } from "./sockets.ts";

const OFTEN = 100;
/** ftp, telnet, and the remote shells of RFC 1282 and its kin. */
const URGENT_PORTS: ReadonlySet<number> = new Set([21, 23, 512, 513, 514]);

export class RelayedEnd implements StreamEnd {
  readonly #watched: FdEnd;
  #fast: { end: SocketEnd; socket: Socket; fd: number } | undefined;
  #reads = 0;
  #isKept: boolean;
  #writes = 0;

  /** Takes a connected socket over. `port` is the server's. */
  constructor(sockets: Sockets, fd: number, port: number) {
    this.#watched = sockets.adopt(fd);
    this.#watched.keepUrgent();
    this.#isKept = URGENT_PORTS.has(port);
  }

  get isUrgent(): boolean {
    return !this.#fast && this.#watched.isUrgent;
  }

  read(into: Uint8Array<ArrayBuffer>): Promise<number | null> {
    if (this.#fast) return this.#fast.end.read(into);
    if (this.#watched.isUrgent) this.#isKept = true;
    const isTime = ++this.#reads > OFTEN && !this.#isKept && this.#writes === 0;
    return isTime && !this.#watched.isEnding ? this.#hasten().read(into) : this.#watched.read(into);
  }

  async writeAll(bytes: Uint8Array<ArrayBuffer>, isUrgent = false): Promise<void> {
    if (isUrgent) this.#isKept = true;
    const { fd, socket } = this.#fast ?? {};
    if (fd !== undefined && isUrgent && !socket!.destroyed && sendUrgent(fd, bytes)) return;
    this.#writes++;
    await this.#end.writeAll(bytes, isUrgent).finally(() => this.#writes--);
  }

  closeWrite(): void | Promise<void> {
    return this.#end.closeWrite();
  }

  reset(): void {
    this.#end.reset();
  }

  close(): void {
    this.#end.close();
  }

  get #end(): StreamEnd {
    return this.#fast?.end ?? this.#watched;
  }

  #hasten(): SocketEnd {
    const fd = this.#watched.release();
    const socket = new Socket({ fd, allowHalfOpen: true });
    this.#fast = { end: new SocketEnd(socket), socket, fd };
    return this.#fast.end;
  }
}
