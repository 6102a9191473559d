/**
 * A PostgreSQL server in the cluster, behind a Service and with TLS: psql and psycopg2 of this machine, run as a pod, say the same as
 * inside of it. Pods borrow this machine's /usr, so the node has to be this machine (tests/cluster/up).
 */
import assert from "node:assert/strict";
import { isThere } from "../../src/base/is_there.ts";
import { clusterTest, eventually, type Namespace } from "./namespace.ts";
import { pod, service } from "./objects.ts";

const BIN = "/usr/lib/postgresql/15/bin";
const PSYCOPG2 = "/usr/lib/python3/dist-packages/psycopg2/__init__.py";
const MACHINE = "/bin/ln -s usr/lib /lib; /bin/ln -s usr/lib64 /lib64;";

/** As root: a server must not be, and its key has to be its own. */
const SERVE = `${MACHINE}
echo 'postgres:x:999:999::/data:/bin/sh' >> /etc/passwd
mkdir /data && cp /tls/server.key /data && chown -R 999:999 /data && chmod 600 /data/server.key
as() { /usr/bin/setpriv --reuid 999 --regid 999 --clear-groups "$@"; }
export LC_ALL=C
as ${BIN}/initdb -D /data/db -A trust --no-sync --no-instructions >/dev/null
echo 'host all all all trust' >> /data/db/pg_hba.conf
exec /usr/bin/setpriv --reuid 999 --regid 999 --clear-groups ${BIN}/postgres -D /data/db -h '*' -k /data -c fsync=off \\
  -c ssl=on -c ssl_cert_file=/tls/server.crt -c ssl_key_file=/data/server.key -c timezone=UTC`;

const ENVIRONMENT =
  "export LC_ALL=C PGTZ=UTC PGUSER=postgres PGHOST=db PGCONNECT_TIMEOUT=10 PGSSLMODE=verify-full PGSSLROOTCERT=/tls/ca.crt";

const CASES: readonly { name: string; needs?: string; script: string }[] = [
  {
    name: "queries, errors, who is who",
    script: `psql -At -c 'select 6*7, inet_client_addr(), inet_server_addr() is not null, inet_server_port()'
psql -c 'select nothing'; psql -h nosuch -c 'select 1'; psql -p 9 -c 'select 1' 2>&1 | sed 's/([0-9.]*)/(IP)/'
for n in 1 2 3 4; do psql -At -c "select pg_sleep(0.1), $n" & done | sort; wait
psql -x -c "select n, repeat('x', n) from generate_series(1, 5) n"; psql -c 'select 1/0'; echo $?`,
  },
  {
    name: "TLS, verified by a file of the pod's and by name",
    script: `psql -At -c 'select ssl, version from pg_stat_ssl where pid = pg_backend_pid()'
psql -h db.$(sed -n 's/^search \\([^ ]*\\).*/\\1/p' /etc/resolv.conf) -c 'select 1' 2>&1 | grep -o 'does not match host name'
PGSSLMODE=disable psql -At -c 'select ssl from pg_stat_ssl where pid = pg_backend_pid()'`,
  },
  {
    name: "COPY of megabytes in and out",
    script: `psql -q -c 'drop table if exists item' -c 'create table item(n int, text text)' 2>/dev/null
seq 100000 | sed 's/.*/&,some text of & that takes its room &/' | psql -qc 'copy item from stdin csv'
psql -At -c 'select count(*), sum(n), sum(length(text)) from item'
psql -qAt -c 'copy (select * from item order by n) to stdout' | sha256sum
psql -At -c 'select repeat(md5(n::text), 30) from item where n <= 10000 order by n' | sha256sum
psql -q -c "\\\\copy (select n from item where n % 1000 = 0 order by n) to '/dev/stdout'" | cksum`,
  },
  {
    name: "LISTEN and NOTIFY, transactions, prepared statements",
    script: `psql -At -c 'listen news' -c "notify news, 'first'" -c 'select 1' | sed 's/PID [0-9]*/PID/'
(echo 'listen later;'; echo "select 'ready';"; sleep 1; echo 'select 2;') | psql -qAt 2>&1 | sed 's/PID [0-9]*/PID/' &
sleep 0.4; psql -q -c "notify later, 'from another session'"; wait
printf 'begin;\\nprepare it(int) as select $1 + 1;\\nexecute it(41);\\nsavepoint s;\\nselect nothing;\\nrollback to s;\\nselect 3;\\ncommit;\\n' | psql -At 2>&1`,
  },
  {
    name: "psycopg2: cursors of the server, COPY, notifications, cancelling",
    needs: PSYCOPG2,
    script: `/usr/bin/python3 - <<'PY'
import io, select, psycopg2, psycopg2.extensions
one, two = psycopg2.connect(""), psycopg2.connect("sslmode=require")
with one, one.cursor("named") as cursor:
    cursor.itersize = 500
    cursor.execute("select n, n * n from generate_series(1, 5000) n")
    print(sum(row[1] for row in cursor))
with two, two.cursor() as cursor:
    cursor.execute("create temp table t(a text)")
    cursor.copy_expert("copy t from stdin", io.StringIO("x" * 1000 + "\\\\n" + ("y" * 999 + "\\n") * 3000))
    cursor.execute("select count(*), sum(length(a)) from t")
    print(cursor.fetchall())
one.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_AUTOCOMMIT)
one.cursor().execute("listen py")
with two, two.cursor() as cursor:
    cursor.execute("select pg_notify('py', 'hello')")
print(select.select([one], [], [], 10)[0] == [one])
one.poll()
print([(it.channel, it.payload) for it in one.notifies])
import threading
threading.Timer(0.3, two.cancel).start()
try:
    two.cursor().execute("select pg_sleep(30)")
except psycopg2.Error as error:
    print(type(error).__name__, str(error).strip())
PY`,
  },
];

async function certificates(folder: string): Promise<Record<string, string>> {
  const script = `cd "$0"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=tests -keyout ca.key -out ca.crt
openssl req -newkey rsa:2048 -nodes -subj /CN=db -keyout server.key -out server.csr
printf 'subjectAltName=DNS:db' > names
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt`;
  const { success, stderr } = await new Deno.Command("sh", { args: ["-ec", script, folder], stderr: "piped" }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const files = ["ca.crt", "server.crt", "server.key"];
  return Object.fromEntries(
    await Promise.all(files.map(async (name) => [name, btoa(await Deno.readTextFile(`${folder}/${name}`))])),
  );
}

async function setUp(namespace: Namespace): Promise<void> {
  const volumes = [
    { name: "usr", path: "/usr", source: { hostPath: { path: "/usr" } } },
    { name: "tls", path: "/tls", source: { secret: { secretName: "tls" } } },
  ];
  await namespace.apply(
    { apiVersion: "v1", kind: "Secret", metadata: { name: "tls" }, data: await certificates(namespace.folder) },
    pod({ name: "db", labels: { app: "db" }, script: SERVE, volumes }),
    service("db", 5432, 5432),
    pod({ name: "client", script: `${MACHINE} exec sleep 1000`, volumes }),
  );
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/db", "pod/client", "--timeout", "300s");
  await eventually(async () => (await inside(namespace, whole("psql -At -c 'select 1'"))).endsWith("\n1\n"));
}

const LINE = "=== the next case ===";

function whole(...scripts: readonly string[]): string {
  return [`PATH=${BIN}:$PATH; ${ENVIRONMENT}; exec 2>&1`, ...scripts].join(`\necho '${LINE}'\n`);
}

async function inside(namespace: Namespace, script: string): Promise<string> {
  return await namespace.kubectl("exec", "client", "--", "/usr/bin/sh", "-c", script);
}

const MISSING = [`${BIN}/postgres`, `${BIN}/psql`, "/usr/bin/openssl"].find((it) => !isThere(it));

if (MISSING !== undefined) {
  Deno.test({ name: `PostgreSQL in the cluster (skipped: needs ${MISSING})`, ignore: true, fn() {} });
} else {
  clusterTest(
    "clients of a PostgreSQL server in the cluster say the same in a pod and under mirrord",
    async (namespace, test) => {
      await setUp(namespace);
      const cases = CASES.filter(({ needs }) => needs === undefined || isThere(needs));
      const script = whole(...cases.map((it) => it.script));
      const expected = (await inside(namespace, script)).split(`${LINE}\n`).slice(1);
      const { stdout, stderr } = await namespace.exec(["--target", "pod/client", "--", "/usr/bin/sh", "-c", script]);
      const said = stdout.split(`${LINE}\n`).slice(1);
      for (const it of CASES) {
        const at = cases.indexOf(it);
        const name = at < 0 ? `${it.name} (skipped: needs ${it.needs})` : it.name;
        await test.step({
          name,
          ignore: at < 0,
          fn() {
            assert.equal(said[at], expected[at], stderr);
            assert.notEqual(expected[at], "");
          },
        });
      }
    },
  );
}
