/**
 * Names as the target would resolve them: its hosts file, then its name servers through its search list.
 *
 * Both files are read anew for each question and nothing is kept: what is asked here is what is true there now. What the
 * target's nsswitch.conf says is not read: it is "files dns" in all but exotic systems.
 */
import { fromUtf8 } from "../base/bytes.ts";
import type { AGENT, AgentMessage } from "../proto/agent.ts";
import type { MessageNamed } from "../proto/schema.ts";
import { closeFile, openFile, readFileAt } from "../sys/files.ts";
import { cString } from "../sys/load.ts";
import { inOrder } from "./address_order.ts";
import { isLoopback6, mapped6, parseAddress, parseOldAddress4, unmapped4 } from "../base/addresses.ts";
import { Budget } from "./budget.ts";
import type { QuestionType } from "./dns_message.ts";
import { askDns, packResolver } from "./dns_raw.ts";
import { searchDns } from "./dns_search.ts";
import { AI, EAI } from "./eai.ts";
import { findInHosts, namesInHosts } from "./hosts_file.ts";
import { parseResolvConf, type ResolvConf } from "./resolv_conf.ts";

type Resolve = MessageNamed<typeof AGENT, "Resolve">;

interface Resolved {
  addresses: Uint8Array[];
  canonicalName: string;
  /** Other names of it, as far as they are known. */
  aliases?: string[];
}

const DNS_PORT = 53;
/** Beside AI_…: the canonical name is followed by what else is known of names, with spaces between. */
const WITH_ALIASES = 0x40000000;
/** hosts files of ad blockers have some megabytes. */
const FILE_BYTES = 16 << 20;
const FIRST_READ_BYTES = 32 << 10;

export class Names {
  readonly #root: number;
  readonly #hostname: () => string | number;
  readonly #port: number;
  /** Threads of their own: names do not wait for files. */
  readonly #threads = new Budget(4);

  /** `port` of the name servers is 53 except in tests. */
  constructor(root: number, hostname: () => string | number, port = DNS_PORT) {
    this.#root = root;
    this.#hostname = hostname;
    this.#port = port;
  }

  async resolve({ name, family, flags }: Resolve, signal: AbortSignal): Promise<AgentMessage> {
    const resolved = await this.#resolve(name, family, flags, signal);
    if (typeof resolved === "number") {
      return { type: "ResolveReply", eai: resolved, canonicalName: "", addresses: new Uint8Array(0) };
    }
    const aliases = flags & WITH_ALIASES ? resolved.aliases ?? [] : [];
    const canonicalName = flags & AI.CANONNAME ? [resolved.canonicalName, ...aliases].join(" ") : "";
    return { type: "ResolveReply", eai: 0, canonicalName, addresses: packRecords(resolved.addresses) };
  }

  async #resolve(name: string, family: number, flags: number, signal: AbortSignal): Promise<Resolved | number> {
    if (family !== 0 && family !== 4 && family !== 6) return EAI.FAMILY;
    if (name === "" || name.includes("\0")) return EAI.NONAME;
    const numeric = parseOldAddress4(name) ?? parseAddress(name);
    if (numeric) return resolveNumeric(numeric, name, family, flags);
    if (flags & AI.NUMERICHOST) return EAI.NONAME;
    const wanted = configured(family, flags);
    if (wanted === undefined) return EAI.NONAME;
    const found = await this.#fromHosts(name, wanted, flags) ?? await this.#fromDns(name, wanted, flags, signal);
    if (typeof found === "number") return found;
    return found.addresses.length > 0 ? chosen(found, wanted, flags) : withoutAddresses(wanted, flags);
  }

  async #fromHosts(name: string, family: number, flags: number): Promise<Resolved | undefined> {
    const hosts = await this.#readText("/etc/hosts");
    if (hosts === undefined) return /^localhost\.?$/i.test(name) ? loopback(name) : undefined;
    const all = linesFor(name, hosts, family, flags, true);
    if (!all || all.addresses.length < 2) return all;
    return await this.#takesAllLines() ? all : linesFor(name, hosts, family, flags, false);
  }

  /** As host.conf(5) says, which libc has unless it is musl: that one takes all. */
  async #takesAllLines(): Promise<boolean> {
    const conf = await this.#readText("/etc/host.conf");
    return conf === undefined ? await this.#readText("/etc/alpine-release") !== undefined : saysMulti(conf);
  }

  async #fromDns(name: string, family: number, flags: number, signal: AbortSignal): Promise<Resolved | number> {
    const conf = await this.#conf();
    const ask = (...types: QuestionType[]) => this.#search(name, types, conf, signal);
    if (family !== 6) return family === 4 ? await ask("A") : await ask("A", "AAAA");
    // What is mapped is found by itself: it may be of another name of the search list.
    const isMapping = (flags & AI.V4MAPPED) !== 0;
    const [v6, v4] = await Promise.all([ask("AAAA"), isMapping ? ask("A") : EAI.NODATA]);
    if (typeof v6 === "number" || typeof v4 === "number") return typeof v6 !== "number" || !isMapping ? v6 : v4;
    return { ...v6, addresses: [...v6.addresses, ...v4.addresses] };
  }

  async #search(
    name: string,
    types: QuestionType[],
    conf: ResolvConf,
    signal: AbortSignal,
  ): Promise<Resolved | number> {
    const found = await searchDns(name, types, conf, this.#port, signal);
    if (typeof found === "number") return found;
    const [first] = found.answers;
    return {
      addresses: found.answers.flatMap(({ addresses }) => addresses),
      canonicalName: first!.canonicalName,
      aliases: first!.aliases,
    };
  }

  /** res_query(3) and its kin. */
  async askDns(message: MessageNamed<typeof AGENT, "AskDns">, signal: AbortSignal): Promise<AgentMessage> {
    // Its bytes are good until we wait.
    const kept = { ...message, servers: message.servers.slice(), query: message.query.slice() };
    return await askDns(kept, await this.#conf(), this.#port, signal);
  }

  /** What the target's resolv.conf says. */
  async resolver(): Promise<AgentMessage> {
    return packResolver(await this.#conf(), this.#port);
  }

  /** The name of an address (4 or 16 bytes); `withAliases`: all of them, with spaces between. */
  async nameOf(address: Uint8Array, signal: AbortSignal, withAliases = false): Promise<AgentMessage> {
    const reply = (eai: number, name = ""): AgentMessage => ({ type: "NameReply", eai, name });
    if (address.length !== 4 && address.length !== 16) return reply(EAI.FAMILY);
    const known = namesInHosts(await this.#readText("/etc/hosts") ?? "", address);
    if (known) return reply(0, withAliases ? known.join(" ") : known[0]!);
    const plain = unmapped4(address) ?? address;
    const found = await searchDns(`${reverseName(plain)}.`, ["PTR"], await this.#conf(), this.#port, signal);
    const name = typeof found === "number" ? undefined : found.answers[0]!.names[0];
    if (name !== undefined) return reply(0, name.replace(/\.$/, ""));
    // getnameinfo(3) has no "nodata".
    return reply(typeof found !== "number" || found === EAI.NODATA ? EAI.NONAME : found);
  }

  async #conf(): Promise<ResolvConf> {
    return parseResolvConf(await this.#readText("/etc/resolv.conf"), () => {
      const hostname = this.#hostname();
      return typeof hostname === "string" ? hostname : "";
    });
  }

  /** With the agent's own rights: the target's processes may read these files, whoever they are. */
  #readText(path: string): Promise<string | undefined> {
    return this.#threads.spend(1, async () => {
      const first = new Uint8Array(FIRST_READ_BYTES);
      const opened = await openFile(this.#root, cString(path), 0, null, first);
      if (typeof opened === "number") return undefined;
      if (opened.handle === undefined) return fromUtf8(first.subarray(0, opened.count));
      const whole = new Uint8Array(FILE_BYTES);
      const count = await readFileAt(opened.handle, 0n, whole);
      await closeFile(opened.handle);
      return count < 0 ? undefined : fromUtf8(whole.subarray(0, count));
    });
  }
}

function resolveNumeric(address: Uint8Array, name: string, family: number, flags: number): Resolved | number {
  const isV4 = address.length === 4;
  if (family === 0 || (family === 4) === isV4) return { addresses: [address], canonicalName: name };
  if (isV4) return flags & AI.V4MAPPED ? { addresses: [mapped6(address)], canonicalName: name } : EAI.ADDRFAMILY;
  const inside = unmapped4(address);
  return inside ? { addresses: [inside], canonicalName: name } : EAI.ADDRFAMILY;
}

/** The family that AI_ADDRCONFIG leaves of `family`; undefined: none. */
function configured(family: number, flags: number): number | undefined {
  if (!(flags & AI.ADDRCONFIG)) return family;
  const { has4, has6 } = configuredFamilies();
  // A host with loopback alone is restricted only where it is asked for one of the two, as glibc has it.
  if (family === 0) return has4 === has6 ? 0 : has4 ? 4 : 6;
  return (family === 4 ? has4 : has6) ? family : undefined;
}

/** What an alias of nothing is: glibc has three words for it. */
function withoutAddresses(family: number, flags: number): number {
  if (flags & WITH_ALIASES) return EAI.FAIL;
  return family === 4 && !(flags & AI.CANONNAME) ? EAI.NODATA : EAI.NONAME;
}

/** What the hosts file has for a name. */
function linesFor(name: string, hosts: string, family: number, flags: number, isMulti: boolean): Resolved | undefined {
  const found = findInHosts(hosts, name, family, isMulti);
  // What is mapped is looked up as for IPv4, where it is needed.
  const isMapping = family === 6 && (flags & AI.V4MAPPED) !== 0 && (!found || (flags & AI.ALL) !== 0);
  const mapped = isMapping ? findInHosts(hosts, name, 4, isMulti) : undefined;
  if (!found || !mapped) return found ?? mapped;
  return { ...found, addresses: [...found.addresses, ...mapped.addresses] };
}

/** Of a target without a hosts file; RFC 6761 6.3: not a question for the name servers. */
function loopback(name: string): Resolved {
  return { addresses: [Uint8Array.of(127, 0, 0, 1), new Uint8Array(16).with(15, 1)], canonicalName: name };
}

/** host.conf(5) */
function saysMulti(text: string): boolean {
  return /^\s*multi\s+on\b/im.test(text);
}

/** Families with an address other than loopback, in the network namespace of the main thread. */
function configuredFamilies(): { has4: boolean; has6: boolean } {
  const addresses = Deno.networkInterfaces().map(({ address }) => parseAddress(address)).filter((it) =>
    it !== undefined
  );
  return {
    has4: addresses.some((address) => address.length === 4 && address.join(".") !== "127.0.0.1"),
    has6: addresses.some((address) => address.length === 16 && !isLoopback6(address)),
  };
}

/** What of the addresses found the caller gets, in the order to try them; gethostbyname(3) leaves them as they were found. */
function chosen({ addresses, ...names }: Resolved, family: number, flags: number): Resolved | number {
  const ordered = flags & WITH_ALIASES ? (it: Uint8Array[]) => it : inOrder;
  const v4 = addresses.filter((address) => address.length === 4);
  const v6 = addresses.filter((address) => address.length === 16);
  if (family === 0) return { addresses: ordered([...v6, ...v4]), ...names };
  if (family === 4) return v4.length > 0 ? { addresses: ordered(v4), ...names } : EAI.NODATA;
  const takesMapped = (flags & AI.V4MAPPED) !== 0 && (v6.length === 0 || (flags & AI.ALL) !== 0);
  const all = takesMapped ? [...v6, ...v4.map(mapped6)] : v6;
  return all.length > 0 ? { addresses: ordered(all), ...names } : EAI.NODATA;
}

/** Records of 17 bytes: 4 or 6, then the address, IPv4 in the first four. */
function packRecords(addresses: Uint8Array[]): Uint8Array {
  const records = new Uint8Array(addresses.length * 17);
  addresses.forEach((address, at) => {
    records[at * 17] = address.length === 4 ? 4 : 6;
    records.set(address, at * 17 + 1);
  });
  return records;
}

function reverseName(address: Uint8Array): string {
  if (address.length === 4) return `${[...address].reverse().join(".")}.in-addr.arpa`;
  return `${address.toHex().split("").reverse().join(".")}.ip6.arpa`;
}
