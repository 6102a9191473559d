/**
 * What `feature.magic` does for programs that would otherwise be somebody else's than they seem, each only where there is
 * something to do it for:
 *
 *   aws     the program is the pod to AWS, not the user: variables and files of the user's AWS logins are not there
 *   turbo   Next.js speaks to processes of its own by loopback: that stays here
 */
import type { Config } from "../config/resolve.ts";
import { type Environment, textOf } from "./environment.ts";

/** Of the user's AWS logins. */
export const AWS_VARIABLES: readonly string[] = [
  "AWS_PROFILE",
  "AWS_DEFAULT_PROFILE",
  "AWS_ACCESS_KEY_ID",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "AWS_SECURITY_TOKEN",
  "AWS_CONFIG_FILE",
  "AWS_SHARED_CREDENTIALS_FILE",
];
const AWS_FILES = [".aws/credentials", ".aws/config"];

/** `words` are the program's and its arguments; none where nobody knows them yet. */
export function withMagic(config: Config, environment: Environment, words: readonly string[]): Config {
  const aws = config.magic.isAws ? withoutAwsLogins(config, environment) : config;
  if (!config.magic.isTurbo || !isNextJs(words)) return aws;
  return { ...aws, network: { ...aws.network, keepsLoopback: true } };
}

function withoutAwsLogins(config: Config, environment: Environment): Config {
  const { env, paths } = config;
  const unset = [...env.unset, ...AWS_VARIABLES.filter((it) => environment.has(it))];
  const home = textOf(environment, "HOME");
  const files = home ? AWS_FILES.map((it) => `${home.replace(/\/+$/, "")}/${it}`).filter(isThere) : [];
  const notFound = [...paths.notFound, ...files.map((it) => `^${it.replace(/[^A-Za-z0-9/_]/gu, "\\$&")}$`)];
  return { ...config, env: { ...env, unset }, paths: files.length === 0 ? paths : { ...paths, notFound } };
}

/** `next dev`, whoever starts it: node_modules/.bin/next, node …/next/dist/bin/next, npx next; or a script of package.json. */
function isNextJs(words: readonly string[]): boolean {
  const names = words.map((it) => it.slice(it.lastIndexOf("/") + 1));
  if (names.includes("next")) return true;
  const runner = ["npm", "npx", "pnpm", "yarn", "bun"].some((it) => it === names[0]);
  return runner && /"next"\s*:/.test(packageJson());
}

function packageJson(): string {
  try {
    return Deno.readTextFileSync("package.json");
  } catch {
    return "";
  }
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
