/** Prints the names of the nftables tables of this network that are ours, one a line. */
import { listTables } from "../../../src/sys/netfilter.ts";

const tables = listTables();
if (typeof tables === "number") throw new Error(`error ${-tables}`);
const names = tables.map(({ name }) => `${name}\n`).filter((name) => name.startsWith("mirrord"));
await Deno.stdout.write(new TextEncoder().encode(names.join("")));
