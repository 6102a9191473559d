import assert from "node:assert/strict";
import { UserError } from "../base/errors.ts";
import { formatConfig, resolveConfig, saidByEnvironment } from "./resolve.ts";
import type { Said } from "./values.ts";

function environment(variables: Record<string, string>): Said[] {
  return saidByEnvironment((name) => variables[name]);
}

Deno.test("resolveConfig() of nothing is targetless, local files but for names, all variables, everything remote", () => {
  const config = resolveConfig([]);
  assert.deepEqual(config.target, { kind: "targetless" });
  assert.equal(config.isTargetDefault, true);
  assert.equal(config.fsMode, "localwithoverrides");
  const none = {
    include: undefined,
    exclude: [],
    isLoadedByProcess: false,
    unset: [],
    file: undefined,
    mapping: {},
    override: {},
  };
  assert.deepEqual(config.env, none);
  assert.ok(config.isDnsRemote && config.isTcpRemote && config.isHostnameRemote);
  const { image, ttlSeconds, startupTimeoutMs, pullPolicy, isEphemeral, keepAliveSeconds } = config.agent;
  assert.deepEqual(image, { name: undefined, registry: undefined, tag: undefined });
  assert.deepEqual({ ttlSeconds, startupTimeoutMs, pullPolicy, isEphemeral, keepAliveSeconds }, {
    ttlSeconds: 1,
    startupTimeoutMs: 60_000,
    pullPolicy: "IfNotPresent",
    isEphemeral: false,
    keepAliveSeconds: 0,
  });
});

Deno.test("resolveConfig() reads files of a target by default, and leaves them alone when told to", () => {
  const target: Said = { key: "target.path", text: "pod/a", from: "--target" };
  assert.equal(resolveConfig([target]).fsMode, "read");
  const local: Said = { key: "feature.fs.mode", text: "local", from: "--fs-mode" };
  assert.equal(resolveConfig([target, local]).fsMode, "local");
  assert.equal(resolveConfig([local]).fsMode, "local");
});

Deno.test("resolveConfig() lets what is said later win", () => {
  const said = environment({ MIRRORD_TARGET_NAMESPACE: "shop", MIRRORD_AGENT_TTL: "5" });
  const config = resolveConfig([...said, { key: "target.namespace", text: "bank", from: "-n" }]);
  assert.equal(config.targetNamespace, "bank");
  assert.equal(config.agent.ttlSeconds, 5);
});

Deno.test("saidByEnvironment() hears no empty variable, and one that stands in two rows once", () => {
  assert.deepEqual(environment({ MIRRORD_TARGET_NAMESPACE: "", MIRRORD_TCP_OUTGOING: "false" }), [
    { key: "feature.network.outgoing.tcp", text: "false", from: "MIRRORD_TCP_OUTGOING" },
  ]);
});

Deno.test("resolveConfig() splits lists at semicolons and drops blanks", () => {
  const config = resolveConfig([{ key: "skip_processes", text: "git; make ;;", from: "--skip-processes" }]);
  assert.deepEqual(config.skip.processes, ["git", "make"]);
});

Deno.test("resolveConfig() gives something that cannot be changed", () => {
  const config = resolveConfig([{ key: "feature.env.exclude", text: "A", from: "-x" }]);
  assert.throws(() => (config.env.exclude as string[]).push("B"), TypeError);
  assert.throws(() => Object.assign(config.agent, { image: "x" }), TypeError);
});

for (
  const { key, text, says } of [
    { key: "agent.ttl", text: "-1", says: /"-1" is not a number of seconds/ },
    { key: "agent.ttl", text: "86401", says: /from 0 to 86400/ },
    { key: "agent.startup_timeout", text: "1.5", says: /"1.5" is not a number/ },
    { key: "feature.network.dns.enabled", text: "yes", says: /neither true nor false/ },
    { key: "feature.fs.mode", text: "READ", says: /no mode "READ"/ },
    { key: "target.namespace", text: "  ", says: /it is empty/ },
    { key: "telemetry", text: "never", says: /neither true nor false/ },
  ] as const
) {
  Deno.test(`resolveConfig() refuses "${text}" for ${key}, naming who said it`, () => {
    assert.throws(() => resolveConfig([{ key, text, from: "MIRRORD_X" }]), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /^Cannot use the value of MIRRORD_X: /);
      assert.match(error.message, says);
      assert.equal(error.exitCode, 2);
      return true;
    });
  });
}

Deno.test("resolveConfig() refuses a mapping whose pattern is no regular expression", () => {
  const said: Said = { key: "feature.env.mapping", value: { "A(": "x" }, from: '"feature.env.mapping" in x.json' };
  assert.throws(() => resolveConfig([said]), /mapping" in x\.json: "A\(" is no regular expression/);
});

Deno.test("formatConfig() says as a file what was resolved, and nothing that nobody knows", () => {
  const config = resolveConfig([{ key: "target.path", text: "deploy/web", from: "-t" }]);
  assert.deepEqual(formatConfig(config), {
    target: { path: "deployment/web" },
    agent: {
      image_pull_policy: "IfNotPresent",
      ttl: 1,
      keep_alive: 0,
      startup_timeout: 60,
      ephemeral: false,
      json_log: false,
      privileged: false,
      disable_mesh_sidecar_injection: true,
      flush_connections: true,
      override_cache_control: true,
      max_body_buffer_size: 65535,
      max_body_buffer_timeout: 1000,
      http_detection_timeout: 2,
      jaq_time_limit: 1,
    },
    feature: {
      fs: { mode: "read", read_write: [], read_only: [], local: [], not_found: [], mapping: {} },
      env: { exclude: [], load_from_process: false, unset: [], mapping: {}, override: {} },
      network: {
        incoming: { mode: "mirror" },
        dns: { enabled: true },
        ipv6: true,
        outgoing: { tcp: true, udp: true, ignore_localhost: false, unix_streams: [] },
      },
      hostname: true,
      magic: { auto_mount: true, aws: true, turbo: true },
    },
    internal_proxy: { start_idle_timeout: 60, idle_timeout: 5, log_level: "info", json_log: false },
    experimental: { hide_ipv6_interfaces: false },
    skip_processes: [],
    skip_build_tools: true,
    skip_extra_build_tools: [],
    telemetry: false,
    use_proxy: true,
  });
});

Deno.test("resolveConfig() hears patterns for paths from variables, and refuses too many of them", () => {
  const config = resolveConfig(environment({
    MIRRORD_FILE_READ_ONLY_PATTERN: "^/data/; \\.crt$",
    MIRRORD_FILE_LOCAL_PATTERN: "^/app",
  }));
  assert.deepEqual(config.paths, { notFound: [], readWrite: [], readOnly: ["^/data/", "\\.crt$"], local: ["^/app"] });
  assert.throws(
    () => resolveConfig([{ key: "feature.fs.local", value: ["(a|b)*a(a|b){20}"], from: "x" }]),
    (error) => error instanceof UserError && error.code === "PATTERNS_TOO_BIG" && error.exitCode === 2,
  );
});

Deno.test("resolveConfig() refuses an ephemeral container where there is no pod to put it into", () => {
  for (const target of ["targetless", "process/1"]) {
    const said: Said[] = [
      { key: "target.path", text: target, from: "--target" },
      { key: "agent.ephemeral", text: "true", from: "--ephemeral-container" },
    ];
    assert.throws(() => resolveConfig(said), /Cannot use --ephemeral-container with target ".*": there is no pod/);
  }
});

Deno.test("a filter of destinations says one side only", () => {
  const said = (key: "remote" | "local") =>
    ({ key: `feature.network.outgoing.filter.${key}`, text: "tcp://db:5432", from: `"${key}"` }) as const;
  assert.deepEqual(resolveConfig([said("local")]).network.outgoing, { side: "local", rules: ["tcp://db:5432"] });
  assert.throws(() => resolveConfig([said("local"), said("remote")]), /Cannot use "remote" together with "local"/);
});

Deno.test("saidByEnvironment() hears the older variables for files, and the newer one over them", () => {
  const target = { MIRRORD_IMPERSONATED_TARGET: "pod/a" };
  const mode = (variables: Record<string, string>) => resolveConfig(environment({ ...target, ...variables })).fsMode;
  assert.equal(mode({ MIRRORD_FILE_OPS: "true" }), "write");
  assert.equal(mode({ MIRRORD_FILE_OPS: "false" }), "local");
  assert.equal(mode({ MIRRORD_FILE_RO_OPS: "true" }), "read");
  assert.equal(mode({ MIRRORD_FILE_OPS: "true", MIRRORD_FILE_MODE: "read" }), "read");
});
