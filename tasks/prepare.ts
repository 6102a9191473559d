/**
 * Installs what a task needs and this machine lacks, from Debian, quietly: for the two commands of the README, which must
 * do on a machine where nothing was installed by hand. Where it may not (no root, no apt) it says what is missing.
 */
import { isThere } from "../src/base/is_there.ts";

/** A file that shows that a package is there, and the package. */
const PACKAGES = {
  compiler: ["/usr/bin/gcc", "gcc"],
  headers: ["/usr/include/stdio.h", "libc6-dev"],
  binutils: ["/usr/bin/strip", "binutils"],
  ip: ["/usr/sbin/ip", "iproute2"],
  unshare: ["/usr/bin/unshare", "util-linux"],
  mount: ["/usr/bin/mount", "mount"],
  curl: ["/usr/bin/curl", "curl"],
  script: ["/usr/bin/script", "bsdutils"],
  tmux: ["/usr/bin/tmux", "tmux"],
  procps: ["/usr/bin/ps", "procps"],
  services: ["/etc/services", "netbase"],
  buildah: ["/usr/bin/buildah", "buildah"],
  python: ["/usr/bin/python3", "python3"],
  pip: ["/usr/bin/pip3", "python3-pip"],
  git: ["/usr/bin/git", "git"],
  sqlite: ["/usr/bin/sqlite3", "sqlite3"],
  node: ["/usr/bin/node", "nodejs"],
  npm: ["/usr/bin/npm", "npm"],
  java: ["/usr/bin/javac", "default-jdk-headless"],
  rsync: ["/usr/bin/rsync", "rsync"],
  ruby: ["/usr/bin/ruby", "ruby"],
  make: ["/usr/bin/make", "make"],
  wget: ["/usr/bin/wget", "wget"],
  openssl: ["/usr/bin/openssl", "openssl"],
  socat: ["/usr/bin/socat", "socat"],
  dig: ["/usr/bin/dig", "bind9-dnsutils"],
  host: ["/usr/bin/host", "bind9-host"],
  redis: ["/usr/bin/redis-server", "redis-server"],
  psql: ["/usr/bin/psql", "postgresql-client"],
  postgres: ["/usr/lib/postgresql/15/bin/postgres", "postgresql-15"],
  psycopg2: ["/usr/lib/python3/dist-packages/psycopg2/__init__.py", "python3-psycopg2"],
  nft: ["/usr/sbin/nft", "nftables"],
  wrk: ["/usr/bin/wrk", "wrk"],
  h2load: ["/usr/bin/h2load", "nghttp2-client"],
  nginx: ["/usr/sbin/nginx", "nginx-light"],
  php: ["/usr/bin/php", "php-cli"],
  iptables: ["/usr/sbin/iptables", "iptables"],
  busybox: ["/usr/bin/busybox", "busybox-static"],
  musl: ["/usr/bin/musl-gcc", "musl-tools"],
  go: ["/usr/lib/go-1.19/bin/go", "golang-1.19-go"],
} as const;

export type Need = keyof typeof PACKAGES;

/** What building the executable needs. */
export const TO_BUILD: readonly Need[] = ["compiler", "headers", "binutils"];

/** Makes sure that all of `needs` is installed. Throws when it cannot be. */
export async function prepare(needs: readonly Need[]): Promise<void> {
  const missing = needs.filter((need) => !isThere(PACKAGES[need][0])).map((need) => PACKAGES[need][1]);
  if (missing.length === 0) return;
  const command = `apt-get install ${missing.join(" ")}`;
  if (Deno.uid() !== 0 || !isThere("/usr/bin/apt-get")) throw new Error(`Missing on this machine: ${command}`);
  say(`installing ${missing.join(", ")}`);
  const install = ["install", "-y", "-qq", "--no-install-recommends", ...missing];
  if (await aptGet(install) === undefined) return;
  await aptGet(["update", "-qq"]); // the lists may be missing or old
  const failure = await aptGet(install);
  if (failure !== undefined) throw new Error(`${command}:\n${failure}`);
}

/** Installs what it can of `wants`, and says what it cannot. */
export async function tryToPrepare(wants: readonly Need[]): Promise<void> {
  for (const want of wants) await prepare([want]).catch((error) => say(`without ${want}: ${error.message}`));
}

/** Undefined when it went well, else what it said. */
async function aptGet(args: readonly string[]): Promise<string | undefined> {
  const env = { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" };
  const command = new Deno.Command("apt-get", {
    args: [...args],
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const { success, stdout, stderr } = await command.output();
  return success ? undefined : new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

/** A line about what a task is doing. */
export function say(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`# ${text}\n`));
}
