/** The summary before a run: what is run, where, and whose things it will see. One line each. */
import type { Config } from "../config/resolve.ts";
import { formatTarget } from "../config/target.ts";
import type { LoadedConfig } from "./configuration.ts";
import type { Program } from "./program.ts";
import type { Progress } from "./progress.ts";

export function announce(progress: Progress, loaded: LoadedConfig, program: Program, args: readonly string[]): void {
  progress.info(`Running binary "${program.path}" with arguments: ${JSON.stringify(args)}.`);
  announceContext(progress, loaded);
  if (program.obstacle !== undefined) progress.warning(program.obstacle);
}

/** Whatever is to be run. */
export function announceContext(progress: Progress, loaded: LoadedConfig): void {
  const { config } = loaded;
  progress.info(describeTarget(loaded));
  progress.info(`env: ${describeEnvironment(config)}`);
  progress.info(`fs: ${FS_LINES[config.fsMode]}`);
  progress.info(`incoming: ${INCOMING_LINES[config.incoming.mode]}`);
  const protocols = [...config.isTcpRemote ? ["TCP"] : [], ...config.isUdpRemote ? ["UDP"] : []].join(" and ");
  progress.info(`outgoing: ${protocols ? `forwarding is enabled on ${protocols}` : "connections are made locally"}`);
  progress.info(`dns: DNS will be resolved ${config.isDnsRemote ? "remotely" : "locally"}`);
  for (const warning of loaded.warnings) progress.warning(warning);
}

const INCOMING_LINES: Record<Config["incoming"]["mode"], string> = {
  mirror: "incoming traffic will be mirrored to the ports that the program listens on",
  steal: "incoming traffic will be stolen for the ports that the program listens on",
  off: "incoming traffic stays local",
};

const FS_LINES: Record<Config["fsMode"], string> = {
  local: "file operations will be local",
  localwithoverrides: "file operations will default to local, but for what name resolution reads",
  read: "file operations will default to read only from the remote",
  write: "file operations will default to read and write from the remote",
};

function describeTarget({ config, file }: LoadedConfig): string {
  const target = config.target.kind === "targetless"
    ? "without a target"
    : `with target ${formatTarget(config.target)}`;
  const namespace = config.targetNamespace === undefined ? "" : ` in namespace ${config.targetNamespace}`;
  const from = file === undefined ? "no configuration file" : `configuration file ${file === "-" ? "stdin" : file}`;
  return `mirrord will run ${target}${namespace}, ${from} was loaded`;
}

function describeEnvironment({ env }: Config): string {
  if (env.include) return `only these environment variables will be fetched: ${env.include.join(", ")}`;
  if (env.exclude.includes("*")) return "no environment variables will be fetched";
  if (env.exclude.length > 0) return `all environment variables but these will be fetched: ${env.exclude.join(", ")}`;
  return "all environment variables will be fetched";
}
