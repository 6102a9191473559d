/** The options of the reference tool's `exec`: each is here, by its names, and its variable says what it says. */
import assert from "node:assert/strict";
import { CONFIG_FILE_OPTION, EXEC_OPTIONS } from "./options.ts";
import { formatConfig, resolveConfig, saidByEnvironment } from "./resolve.ts";

/** Flag, short form, variable, and a value; features.md, 1.2. */
const REFERENCE: readonly [string, string | undefined, string, string][] = [
  ["--target", "-t", "MIRRORD_IMPERSONATED_TARGET", "pod/web"],
  ["--target-namespace", "-n", "MIRRORD_TARGET_NAMESPACE", "shop"],
  ["--agent-namespace", "-a", "MIRRORD_AGENT_NAMESPACE", "agents"],
  ["--agent-log-level", "-l", "MIRRORD_AGENT_RUST_LOG", "debug"],
  ["--agent-image", "-i", "MIRRORD_AGENT_IMAGE", "registry/agent:1"],
  ["--agent-ttl", undefined, "MIRRORD_AGENT_TTL", "30"],
  ["--agent-startup-timeout", undefined, "MIRRORD_AGENT_STARTUP_TIMEOUT", "90"],
  ["--ephemeral-container", "-e", "MIRRORD_EPHEMERAL_CONTAINER", "true"],
  ["--fs-mode", undefined, "MIRRORD_FILE_MODE", "write"],
  ["--override-env-vars-exclude", "-x", "MIRRORD_OVERRIDE_ENV_VARS_EXCLUDE", "AWS_*;GCP_*"],
  ["--override-env-vars-include", "-s", "MIRRORD_OVERRIDE_ENV_VARS_INCLUDE", "DB_*"],
  ["--env-file", undefined, "MIRRORD_OVERRIDE_ENV_VARS_FILE", ".env"],
  ["--no-remote-dns", undefined, "MIRRORD_REMOTE_DNS", "false"],
  ["--skip-processes", undefined, "MIRRORD_SKIP_PROCESSES", "bash;git"],
  ["--accept-invalid-certificates", "-c", "MIRRORD_ACCEPT_INVALID_CERTIFICATES", "true"],
  ["--steal", undefined, "MIRRORD_AGENT_TCP_STEAL_TRAFFIC", "true"],
  ["--no-outgoing", undefined, "MIRRORD_TCP_OUTGOING", "false"],
  ["--no-tcp-outgoing", undefined, "MIRRORD_TCP_OUTGOING", "false"],
  ["--no-udp-outgoing", undefined, "MIRRORD_UDP_OUTGOING", "false"],
  ["--no-telemetry", undefined, "MIRRORD_TELEMETRY", "false"],
  ["--disable-version-check", undefined, "MIRRORD_CHECK_VERSION", "false"],
  ["--context", undefined, "MIRRORD_KUBE_CONTEXT", "staging"],
  ["--key", "-k", "MIRRORD_KEY", "abc"],
];

/** Others of its variables, that have no flag: features.md, 2. */
const VARIABLES: readonly [string, string, string, unknown][] = [
  ["MIRRORD_OUTGOING_IGNORE_LOCALHOST", "true", "feature.network.outgoing.ignore_localhost", true],
  ["MIRRORD_HTTP_HEADER_FILTER", "^x: y$", "feature.network.incoming.http_filter.header_filter", "^x: y$"],
  ["MIRRORD_HTTP_HEADER_FILTER_JQ", "true", "feature.network.incoming.http_filter.header_filter_jq", "true"],
  ["MIRRORD_HTTP_FILTER_PORTS", "80,8080", "feature.network.incoming.http_filter.ports", [80, 8080]],
  ["MIRRORD_PROXY", "false", "use_proxy", false],
  ["MIRRORD_KUBECONFIG", "/k", "kubeconfig", "/k"],
  ["MIRRORD_SKIP_BUILD_TOOLS", "false", "skip_build_tools", false],
  ["MIRRORD_AGENT_JSON_LOG", "true", "agent.json_log", true],
  ["MIRRORD_FILE_OPS", "true", "feature.fs.mode", "write"],
  ["MIRRORD_ENV_LOAD_FROM_PROCESS", "1", "feature.env.load_from_process", true],
];

const POD = { key: "target.path", text: "pod/any", from: "test" } as const;

for (const [flag, short, env, text] of REFERENCE) {
  Deno.test(`${flag}${short ? ` (${short})` : ""} is an option, and ${env} says the same`, () => {
    const row = EXEC_OPTIONS.find((it) => it.flag === flag);
    assert.deepEqual([row?.short, row?.env], [short, env]);
    const { key, also, sets } = row!;
    const byFlag = [key, also].flatMap((it) => it ? [{ key: it, text: sets ?? text, from: flag }] : []);
    const names = also ? [env, "MIRRORD_UDP_OUTGOING"] : [env];
    const byVariable = saidByEnvironment((name) => names.includes(name) ? text : undefined);
    const configs = [byFlag, byVariable].map((said) => formatConfig(resolveConfig([POD, ...said])));
    assert.deepEqual(configs[1], configs[0]);
    const silent = formatConfig(resolveConfig([POD]));
    if (key !== "telemetry") assert.notDeepEqual(configs[0], silent);
  });
}

for (const [env, text, key, expected] of VARIABLES) {
  Deno.test(`${env}=${text} is ${key}`, () => {
    const said = saidByEnvironment((name) => name === env ? text : undefined);
    const config = formatConfig(resolveConfig([POD, ...said]));
    const value = key.split(".").reduce<unknown>((it, name) => (it as Record<string, unknown>)[name], config);
    assert.deepEqual(value, expected);
  });
}

Deno.test("-f names the configuration file, and so does MIRRORD_CONFIG_FILE", () => {
  const { flag, short, env, sets } = CONFIG_FILE_OPTION;
  assert.deepEqual([flag, short, env, sets], [
    "--config-file",
    "-f",
    "MIRRORD_CONFIG_FILE",
    "./.mirrord/mirrord.json",
  ]);
});
