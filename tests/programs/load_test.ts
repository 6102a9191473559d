/** wrk and h2load against a port of a target that is stolen, mirrored, or stolen from by a filter: every request is answered well. */
import assert from "node:assert/strict";
import { LocalServer, nothingIsLeft, type RunOptions, whoAnswers } from "../support/incoming.ts";
import { eventually } from "../support/sandbox.ts";
import { type Case, sandboxTest } from "../support/sandbox_case.ts";
import { shell } from "./network_fixture.ts";

const LOCAL = new URL("./local/", import.meta.url).pathname;
const NGINX = "/usr/sbin/nginx";
const FILTERED = {
  feature: { network: { incoming: { mode: "steal", http_filter: { header_filter: "^x-user: me" } } } },
};

const LOADS: readonly { name: string; options: RunOptions; headers: readonly string[]; who: string }[] = [
  { name: "stolen", options: { flags: ["--steal"] }, headers: [], who: "local" },
  { name: "mirrored", options: {}, headers: [], who: "target" },
  { name: "matched by a filter", options: { configuration: FILTERED }, headers: ["-H", "X-User: me"], who: "local" },
  { name: "not matched by a filter", options: { configuration: FILTERED }, headers: [], who: "target" },
];

for (const { name, options, headers, who } of LOADS) {
  sandboxTest(`wrk's requests are ${name}, none fails, with nginx as the program`, {
    needs: [NGINX, "/usr/bin/wrk"],
  }, async (it) => {
    await shell(
      `sed 's#DIRECTORY#${it.here}#; s/LABEL/local/; s/access_log .*/access_log off;/; s/stderr error/stderr notice/' ${LOCAL}nginx.conf >${it.here}/nginx.conf`,
    );
    await using server = await start(it, [NGINX, "-e", "stderr", "-c", `${it.here}/nginx.conf`], options);
    const workers = server.seen(/start worker process \d+/);
    await eventually(() => workers.length > 0); // it listens then, and connections from before have been flushed
    await eventually(async () => await whoAnswers(it.sandbox, ...headers, "http://127.0.0.1/") === who);
    const said = await it.sandbox.inNetwork([
      "wrk",
      "-t2",
      "-c100",
      "-d3s",
      ...headers,
      `http://${it.sandbox.address}/`,
    ]);
    assert.ok(Number(/(\d+) requests in/.exec(said)?.[1]) > 100, said);
    assert.doesNotMatch(said, /Socket errors|Non-2xx/);
    assert.equal(await whoAnswers(it.sandbox, ...headers, "http://127.0.0.1/"), who);
    server.kill("SIGTERM");
    await server.exitCode();
    await nothingIsLeft(it.sandbox, it.here);
  });
}

for (const { name, options, headers } of LOADS.filter(({ who }) => who === "local")) {
  sandboxTest(`h2load's requests are ${name}, none fails, with Node's http2 as the program`, {
    needs: ["/usr/bin/h2load", "/usr/bin/node"],
  }, async (it) => {
    await using server = await start(it, ["/usr/bin/node", `${LOCAL}h2.cjs`], options);
    assert.equal(await server.line(), "listening");
    const load = ["h2load", "-n", "5000", "-c", "20", "-m", "10", ...headers, `http://${it.sandbox.address}/`];
    assert.match(await it.sandbox.inNetwork(load), /5000 succeeded, 0 failed, 0 errored, 0 timeout/);
    server.kill("SIGTERM");
    await server.exitCode();
    await nothingIsLeft(it.sandbox, it.here);
  });
}

function start(it: Case, command: readonly string[], options: RunOptions): Promise<LocalServer> {
  return LocalServer.start(it.sandbox, command, { ...options, env: { XDG_RUNTIME_DIR: it.here } });
}
