/** Makes a table whose plain requests need a text that the kernel refuses, and says what has become of it. */
import { RedirectTable } from "../../../src/agent/incoming/table.ts";

const log: string[] = [];
const table = RedirectTable.open((line) => log.push(line));
if (typeof table === "number") throw new Error(`error ${-table}`);
const rule = {
  redirectClass: "filtered",
  port: 80,
  toPort: 1,
  queue: 7,
  asksAnswers: false,
  isRedirected: false,
} as const;
const status = table.commit([{ ...rule, needs: [""], comment: "80 nobody" }]);
await Deno.stdout.write(new TextEncoder().encode(JSON.stringify({ status, passesPlain: table.passesPlain, log })));
table[Symbol.dispose]();
