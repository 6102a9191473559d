/** Which ports are subscribed, and how, by what the configuration says. */
import assert from "node:assert/strict";
import { saidByFile } from "../../config/keys.ts";
import { resolveConfig } from "../../config/resolve.ts";
import { filterAt, type IncomingWishes, isWished } from "./incoming.ts";

function wishesOf(incoming: Record<string, unknown>): IncomingWishes {
  const file = { target: "pod/a", feature: { network: { incoming: { mode: "steal", ...incoming } } } };
  return { ...resolveConfig(saidByFile(file, "a file").said).incoming, who: "ann" };
}

const ANYWHERE = new Uint8Array(4);

/** What becomes of a program that listens on port 80. */
function kindOf(wishes: IncomingWishes): string {
  if (!isWished(wishes, ANYWHERE, 80)) return "local";
  const filter = filterAt(wishes, 80);
  return filter === "" ? "whole" : (JSON.parse(filter) as { filter: { kind: string } }).filter.kind;
}

const PORTS = [undefined, [], [80], [81]] as const;

// Row L22
Deno.test("ports and the filter's ports decide whether a port is local, stolen whole, or by the filter", () => {
  for (const ports of PORTS) {
    for (const filterPorts of PORTS) {
      for (const hasFilter of [false, true]) {
        const wishes = wishesOf({
          ...(ports ? { ports } : {}),
          http_filter: {
            ...(hasFilter ? { header_filter: "^a: b$" } : {}),
            ...(filterPorts ? { ports: filterPorts } : {}),
          },
        });
        const isNamed = !ports || ports.some((it) => it === 80);
        const isFiltered = filterPorts?.some((it) => it === 80) ?? false;
        const expected = !isNamed && !isFiltered
          ? "local"
          : hasFilter && (filterPorts === undefined || isFiltered)
          ? "header"
          : "whole";
        assert.equal(kindOf(wishes), expected, JSON.stringify({ ports, filterPorts, hasFilter }));
      }
    }
  }
});

const FILTERS: readonly [Record<string, unknown>, string][] = [
  [{}, "whole"],
  [{ header_filter: "^a: b$" }, "header"],
  [{ path_filter: "^/a" }, "path"],
  [{ method_filter: "^get$" }, "method"],
  [{ body_filter: { body: "json", query: "$.user", matches: "^ann$" } }, "body"],
  [{ all_of: [{ path: "^/a" }, { header: "^a: b$" }] }, "all"],
  [{ any_of: [{ path: "^/a" }, { body: "json", query: "$.a", matches: "b" }] }, "any"],
];

// Row L41
Deno.test("each kind of filter makes a subscription of its kind", () => {
  for (const [http_filter, expected] of FILTERS) assert.equal(kindOf(wishesOf({ http_filter })), expected);
});
