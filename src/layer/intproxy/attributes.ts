/**
 * Extended attributes: most files have none, and `ls -l` asks of each for two. So an answer about one entry of a listing
 * brings the errnos for all whose stats came together with its own, and for the attributes that tools ask for next.
 *
 * Values are never kept. What is known ends with the facts of its listing (snapshots.ts).
 */
import { concatBytes } from "../../base/bytes.ts";
import { ERRNO } from "../../base/errors.ts";
import type { LAYER } from "../../proto/layer.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import type { AgentClient } from "./agent_client.ts";
import { keyOf, type Validity } from "./listing.ts";
import type { ShimConnection } from "./shim_connection.ts";
import type { Snapshots } from "./snapshots.ts";

type Question = MessageNamed<typeof LAYER, "GetAttribute">;

const ENODATA = 61;
const SLASH = 0x2f;
/** What ls, cp, tar and rsync ask for. */
const USUAL = ["security.selinux", "system.posix_acl_access", "system.posix_acl_default"];
const MOST_ALONE = 64;
const NOTHING = new Uint8Array(0);

export class Attributes {
  readonly #agent: AgentClient;
  readonly #snapshots: Snapshots;
  /** Errnos of files that are in no listing, by path and attribute. */
  readonly #alone = new Map<string, { errnos: Map<string, number>; validity: Validity }>();

  /** The agent's handle of a file that is written, by its number on the shelf. */
  readonly #handleOf: (number: bigint) => bigint | undefined;

  constructor(agent: AgentClient, snapshots: Snapshots, handleOf: (number: bigint) => bigint | undefined) {
    this.#agent = agent;
    this.#snapshots = snapshots;
    this.#handleOf = handleOf;
  }

  onRequest(message: Question, id: number, shim: ShimConnection): void {
    const question = { ...message, name: message.name.slice(), path: message.path.slice() };
    const failure = (errno: number) => shim.send({ type: "AttributeReply", errno, value: NOTHING }, id);
    const onErrno = (errno: number | undefined) => {
      // Of no names there is an empty list.
      if (errno === ENODATA && question.name.length === 0) return failure(0);
      if (errno) return failure(errno);
      this.#agent.request(question, (answer) => answer ? shim.send(answer, id) : failure(ERRNO.EIO));
    };
    if (question.path.length === 0) {
      const handle = this.#handleOf(question.ino);
      if (handle === undefined) return failure(ERRNO.EPERM);
      question.ino = handle;
    }
    // A file that is known by its descriptor may have left its path.
    if (question.ino !== 0n) onErrno(0);
    else this.#errno(question, onErrno);
  }

  /** Calls back with the errno that the question gives; undefined or 0: it has to be asked alone. */
  #errno({ path, name, isFollowing }: Question, onErrno: (errno: number | undefined) => void): void {
    const attribute = keyOf(name);
    const entry = this.#snapshots.entry(path, isFollowing);
    const known = this.#known(path, attribute, entry);
    const slash = path.lastIndexOf(SLASH);
    if (known !== undefined || slash === path.length - 1) return onErrno(known);

    const block = entry?.listing.knownWith(entry.ordinal);
    const names = block?.names ?? concatBytes([path.subarray(slash + 1), NUL]);
    const attributes = [...new Set([...USUAL, attribute])];
    const asked = this.#snapshots.moment();
    this.#agent.request({
      type: "EntryAttributes",
      path: path.subarray(0, Math.max(1, slash)),
      names,
      attributes: concatBytes(attributes.flatMap((it) => [latin1(it), NUL])),
    }, (answer) => {
      if (answer?.errno !== 0) return onErrno(undefined);
      const errnos = answer.value.slice();
      const validity = this.#snapshots.validity(asked);
      if (entry && block) entry.listing.addAttributes(block, attributes, errnos, validity);
      else this.#keep(keyOf(path), new Map(attributes.map((it, at) => [it, errnos[at] ?? 0])), validity);
      const row = entry && block ? entry.ordinal - block.first : 0;
      onErrno(errnos[row * attributes.length + attributes.indexOf(attribute)]);
    });
  }

  #known(path: Uint8Array, attribute: string, entry: ReturnType<Snapshots["entry"]>): number | undefined {
    const isValid = (validity: Validity) => this.#snapshots.isValid(validity);
    const known = entry?.listing.attributeErrno(entry.ordinal, attribute, isValid);
    const alone = this.#alone.get(keyOf(path));
    return known ?? (alone && isValid(alone.validity) ? alone.errnos.get(attribute) : undefined);
  }

  #keep(path: string, errnos: Map<string, number>, validity: Validity): void {
    this.#alone.delete(path);
    this.#alone.set(path, { errnos, validity });
    if (this.#alone.size > MOST_ALONE) this.#alone.delete(this.#alone.keys().next().value!);
  }
}

const NUL = Uint8Array.of(0);

/** The bytes that keyOf() made the text of. */
function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}
