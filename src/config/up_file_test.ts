import assert from "node:assert/strict";
import { UserError } from "../base/errors.ts";
import { readUpFile } from "./up_file.ts";

async function read(text: string, names: readonly string[] = [], key: string | undefined = "ann") {
  const path = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(path, text);
    return await readUpFile(path, key, names);
  } finally {
    await Deno.remove(path);
  }
}

const WHOLE = `
common: { accept_invalid_certificates: true, operator: false, telemetry: true, context: staging }
services:
  shop:
    target: { path: deployment/shop, namespace: green }
    env: { override: { MODE: "{{ key }}" } }
    http_filter: { path_filter: ^/shop }
    ignore_ports: [9000]
    run: { command: [node, server.js] }
  cart:
    context: other
    run: { type: exec, command: "python3 -m cart" }
  old:
    skip: true
    target: none
    run: { command: [true] }
`;

Deno.test("each service is a configuration of its own, with what is common to all", async () => {
  const { services, key } = await read(WHOLE);
  assert.equal(key, "ann");
  assert.deepEqual(services.map((it) => [it.name, it.command, it.isTargetMissing, it.namespace]), [
    ["shop", ["node", "server.js"], false, "green"],
    ["cart", ["python3", "-m", "cart"], true, undefined],
  ]);
  assert.deepEqual(services[0]!.configuration, {
    accept_invalid_certificates: true,
    telemetry: true,
    kube_context: "staging",
    key: "ann",
    target: { path: "deployment/shop", namespace: "green" },
    feature: {
      env: { override: { MODE: "ann" } },
      network: { incoming: { mode: "steal", http_filter: { path_filter: "^/shop" }, ignore_ports: [9000] } },
    },
  });
  // deno-lint-ignore no-explicit-any
  const cart = services[1]!.configuration as any;
  assert.equal(cart.kube_context, "other");
  const filter = new RegExp(cart.feature.network.incoming.http_filter.header_filter);
  for (
    const header of [
      "baggage: mirrord-session=ann",
      "baggage:a=b,mirrord-session=ann;p=1",
      "baggage: x=1, mirrord-session=ann",
    ]
  ) {
    assert.match(header, filter);
  }
  for (
    const header of ["baggage: mirrord-session=anna", "baggage: other-mirrord-session=ann", "x: mirrord-session=ann"]
  ) {
    assert.doesNotMatch(header, filter);
  }
});

Deno.test("a service that skips itself runs when it is named; without a target nothing is stolen", async () => {
  const { services } = await read(WHOLE, ["old"]);
  assert.deepEqual(services.map((it) => it.name), ["old"]);
  // deno-lint-ignore no-explicit-any
  assert.equal((services[0]!.configuration as any).feature.network.incoming, "off");
});

const REFUSED: [text: string, says: RegExp, ...names: string[]][] = [
  ["services: { a: { rnu: {} } }", /"services.a.rnu" in .*: there is no such key/],
  ["srevices: {}", /"srevices" in .*: there is no such key/],
  ["services: {}", /"services" in .*: there is none to run/],
  ["services: { shop: { run: { command: [true] } } }", /"services.shpo" in .*: there is no such service/, "shpo"],
  ["common: { operator: true }", /"common.operator" in .*: it needs the operator/],
  ["services: { a: { default_mode: replace, run: { command: [x] } } }", /default_mode" in .*: it needs the operator/],
  ["services: { a: { split_queues: { q: {} }, run: { command: [x] } } }", /split_queues" in .*: it needs the operator/],
  [
    "services: { a: { run: { type: container, command: [x] } } }",
    /"services.a.run.type" in .*: programs in containers/,
  ],
  ["services: { a: { run: { command: [] } } }", /"services.a.run.command" in .*: it is no list of words/],
  ["services: { a: {} }", /"services.a.run.command" in .*: it is no list of words/],
  ["services: { a: 5 }", /"services.a" in .*: it is no object of keys/],
  [
    'services: { a: { target: none, env: { exlude: "x" }, run: { command: [x] } } }',
    /"feature.env.exlude" in service "a" of .*: there is no such key/,
  ],
  [
    "services: { a: { target: planet/mars, run: { command: [x] } } }",
    /Cannot use target "planet\/mars"/,
  ],
];

for (const [text, says, ...names] of REFUSED) {
  Deno.test(`readUpFile() refuses ${text}`, async () => {
    await assert.rejects(
      read(text, names),
      (error: unknown) => error instanceof UserError && error.exitCode === 2 && says.test(error.message),
    );
  });
}
