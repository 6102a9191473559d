/**
 * What programs ask in a sandbox, beside the servers it has: ten HTTPS hosts, Express, WebSocket, gRPC and HTTP/2 servers,
 * Redis, PostgreSQL. Each is started if its program is here; all listen in the sandbox's network and end with the test.
 */
import type { Case } from "../support/sandbox_case.ts";
import { eventually } from "../support/sandbox.ts";
import { CACHE, WEB_ENVIRONMENT } from "./packages.ts";
import { isThere } from "../../src/base/is_there.ts";

const HERE = new URL("./", import.meta.url).pathname;
export const HOSTS = 10;
const NETWORK = "10.99.7";
const POSTGRES = "/usr/lib/postgresql/15/bin";
const PORTS = { web: 8081, redis: 6379, postgres: 5432 } as const;

/** Starts what can be; its names are in the target's hosts file, our clients in `it.here` at both places. */
export async function startServices(it: Case): Promise<AsyncDisposable> {
  await using undo = new AsyncDisposableStack();
  const { sandbox, here } = it;
  const { root } = sandbox;
  await shell(`sh ${HERE}servers/certificates.sh ${here} ${HOSTS} && cp ${HERE}clients/* ${here}/ && chmod 755 ${here}
    cd ${here} && { ! command -v javac >/dev/null || javac -nowarn -Xlint:none *.java 2>&1; }
    for number in $(seq ${HOSTS}); do echo "${NETWORK}.$((10 + number)) host$number.example"; done >>${root}/etc/hosts
    for number in $(seq ${HOSTS}); do nsenter --target ${sandbox.pid} --net -- ip address add ${NETWORK}.$((10 + number))/32 dev lo; done
    cp -r /etc/ssl /etc/alternatives /etc/services /etc/protocols /etc/group ${root}/etc/; cp -rL /etc/java* ${root}/etc/ 2>/dev/null
    mkdir -p ${root}${here} ${root}${CACHE} && cp -r ${here}/* ${root}${here}/
    nsenter --target ${sandbox.pid} --mount -- sh -c 'mount --rbind /dev ${root}/dev; mount --bind ${CACHE} ${root}${CACHE}'`);
  const start = (command: readonly string[]) => undo.adopt(spawnThere(sandbox.pid, command), end);
  const address = sandbox.address;
  await ready(start(["/usr/bin/python3", `${HERE}servers/tls_hosts.py`, here, NETWORK, String(HOSTS)]));
  if (isThere("/usr/bin/node") && isThere(`${CACHE}/node-web/.whole`)) {
    await ready(start(["/usr/bin/node", `${HERE}servers/services.cjs`, address]));
  }
  if (isThere("/usr/bin/redis-server")) {
    const quiet = ["--save", "", "--protected-mode", "no", "--loglevel", "warning", "--logfile", "/dev/null"];
    start(["/usr/bin/redis-server", "--bind", address, "--port", String(PORTS.redis), ...quiet]);
    await answers(it, PORTS.redis);
  }
  if (isThere(`${POSTGRES}/postgres`)) {
    await startPostgres(it, undo, start);
    await answers(it, PORTS.postgres);
  }
  return undo.move();
}

async function startPostgres(
  it: Case,
  undo: AsyncDisposableStack,
  start: (command: readonly string[]) => Deno.ChildProcess,
): Promise<void> {
  const data = await Deno.makeTempDir({ prefix: "mirrord-postgres-" });
  undo.defer(() => Deno.remove(data, { recursive: true }));
  const asPostgres = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"];
  await shell(`chown postgres:postgres ${data} && cd ${data} && ${asPostgres.join(" ")} \\
    ${POSTGRES}/initdb -D ${data}/db -A trust --no-sync --no-instructions >/dev/null &&
    echo 'host all all 0.0.0.0/0 trust' >> ${data}/db/pg_hba.conf`);
  const settings = ["-c", "fsync=off", "-c", `unix_socket_directories=${data}`, "-c", "shared_memory_type=mmap"];
  const listen = ["-h", it.sandbox.address, "-p", String(PORTS.postgres)];
  const postgres = start([...asPostgres, `${POSTGRES}/postgres`, "-D", `${data}/db`, ...listen, ...settings]);
  undo.defer(async () => { // before it is killed: its own processes end with it
    postgres.kill("SIGQUIT");
    await postgres.status;
  });
}

/** Resolves when something accepts connections at the sandbox's port. */
async function answers({ sandbox }: Case, port: number): Promise<void> {
  const script = `exec 3<>/dev/tcp/${sandbox.address}/${port} && echo yes`;
  await eventually(async () =>
    (await sandbox.inNetwork(["bash", "-c", `(${script}) 2>/dev/null || true`])) === "yes\n"
  );
}

function spawnThere(pid: number, command: readonly string[]): Deno.ChildProcess {
  return new Deno.Command("nsenter", {
    args: ["--target", String(pid), "--net", "--uts", "--", ...command],
    env: { ...WEB_ENVIRONMENT },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
}

/** Resolves when it has printed a line. */
async function ready(child: Deno.ChildProcess): Promise<void> {
  const reader = child.stdout.getReader();
  const { done } = await reader.read();
  reader.releaseLock();
  if (done) throw new Error(`A server of the test ended with ${(await child.status).code}`);
}

async function end(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended by itself.
  }
  await child.stdin.close().catch(() => {});
  await child.stdout.cancel();
  await child.status;
}

export async function shell(script: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("sh", { args: ["-c", script] }).output();
  const text = new TextDecoder();
  if (!success) throw new Error(`${script}: ${text.decode(stdout)}${text.decode(stderr)}`);
  return text.decode(stdout);
}
