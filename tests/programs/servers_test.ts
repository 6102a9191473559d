/**
 * Real servers of the user's under `mirrord exec` in place of a target's own: stolen and mirrored, with workers, reloaded as people
 * reload them; and nothing is left of them afterwards.
 */
import assert from "node:assert/strict";
import { askThere, LocalServer, nothingIsLeft, type RunOptions, whoAnswers } from "../support/incoming.ts";
import { eventually } from "../support/sandbox.ts";
import { type Case, sandboxTest } from "../support/sandbox_case.ts";
import { shell } from "./network_fixture.ts";
import { PYTHON, WEB_ENVIRONMENT, whyNoNodeWeb, whyNoPythonWeb } from "./packages.ts";
import { isThere } from "../../src/base/is_there.ts";

const LOCAL = new URL("./local/", import.meta.url).pathname;
const NO_PYTHON = await whyNoPythonWeb();
const NO_NODE = await whyNoNodeWeb();

interface ServerCase {
  readonly name: string;
  readonly needs: readonly string[];
  readonly waits?: string | undefined;
  /** In a directory that holds what is in LOCAL. */
  readonly command: (here: string) => readonly string[];
  /** The answer does not tell the body. */
  readonly isWithoutBody?: boolean;
  /** Makes the running server answer as "reloaded". */
  readonly reload?: (it: Case, server: LocalServer) => Promise<unknown>;
}

const relabel = (file: string) => async ({ here }: Case) => {
  const path = `${here}/${file}`;
  await Deno.writeTextFile(path, (await Deno.readTextFile(path)).replace('"local"', '"reloaded"'));
};

const uvicorn = (...flags: string[]) => (here: string) => {
  const where = ["--app-dir", here, "--host", "0.0.0.0", "--port", "80"];
  return [PYTHON, "-m", "uvicorn", "app_fastapi:app", ...where, ...flags];
};
const gunicorn = (...flags: string[]) => (here: string) => {
  return [PYTHON, "-m", "gunicorn", "--chdir", here, "--bind", "0.0.0.0:80", ...flags, "app_flask:app"];
};
const python = { needs: [PYTHON], waits: NO_PYTHON };
const node = { needs: ["/usr/bin/node"], waits: NO_NODE };

const CASES: readonly ServerCase[] = [
  { name: "Flask's own server", ...python, command: (here) => [PYTHON, `${here}/app_flask.py`] },
  {
    name: "Flask's own server with its reloader",
    ...python,
    command: (here) => [PYTHON, `${here}/app_flask.py`, "reload"],
    reload: relabel("app_flask.py"),
  },
  { name: "FastAPI under uvicorn", ...python, command: uvicorn() },
  {
    name: "FastAPI under uvicorn --reload",
    ...python,
    command: (here) => uvicorn("--reload", "--reload-dir", here)(here),
    reload: relabel("app_fastapi.py"),
  },
  { name: "FastAPI under uvicorn with two workers", ...python, command: uvicorn("--workers", "2") },
  {
    name: "Flask under gunicorn with three workers, told to load anew by a signal",
    ...python,
    command: gunicorn("--workers", "3"),
    reload: async (it, server) => {
      await relabel("app_flask.py")(it);
      server.kill("SIGHUP");
    },
  },
  {
    name: "Flask under gunicorn with threads",
    ...python,
    command: gunicorn("--threads", "4", "--worker-class", "gthread"),
  },
  { name: "Express", ...node, command: (here) => ["/usr/bin/node", `${here}/express.cjs`] },
  { name: "Node's http", ...node, command: (here) => ["/usr/bin/node", `${here}/http.cjs`] },
  { name: "Node's cluster", ...node, command: (here) => ["/usr/bin/node", `${here}/http.cjs`, "cluster"] },
  {
    name: "com.sun.net.httpserver",
    needs: ["/usr/bin/java", "/usr/bin/javac"],
    command: (here) => ["/usr/bin/java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", here, "Serve"],
  },
  {
    name: "nginx with three workers for IPv4 and IPv6, handing on to itself",
    needs: ["/usr/sbin/nginx"],
    command: (here) => ["/usr/sbin/nginx", "-e", "stderr", "-c", `${here}/nginx.conf`],
    isWithoutBody: true,
    reload: async ({ here }, server) => {
      await shell(`sed -i 's/"by":"local"/"by":"reloaded"/' ${here}/nginx.conf`);
      server.kill("SIGHUP");
    },
  },
  {
    name: "PHP's own server",
    needs: ["/usr/bin/php"],
    command: (here) => ["/usr/bin/php", "-S", "0.0.0.0:80", `${here}/serve.php`],
  },
];

for (const one of CASES) {
  const options = { needs: one.needs, ...one.waits === undefined ? {} : { waits: one.waits } };
  // Row E41
  sandboxTest(`${one.name} answers what is stolen${one.reload ? ", also when reloaded" : ""}`, options, async (it) => {
    const { sandbox } = it;
    await using server = await start(it, one, ["--steal"]);
    await eventually(async () => await whoAnswers(sandbox, "http://127.0.0.1/") === "local");
    for (const method of ["GET", "POST", "PUT", "DELETE"]) {
      const told = await askThere(
        sandbox,
        "-X",
        method,
        "-d",
        `a ${method}`,
        `http://${sandbox.address}/some/path?a=b`,
      );
      const { by, path, peer, body } = told;
      assert.deepEqual([by, told["method"], String(path).split("?")[0], peer], [
        "local",
        method,
        "/some/path",
        sandbox.address,
      ]);
      if (!one.isWithoutBody) assert.equal(body, `a ${method}`);
    }
    if (one.reload) {
      await one.reload(it, server);
      await eventually(async () => await whoAnswers(sandbox, "http://127.0.0.1/") === "reloaded");
      for (let at = 0; at < 10; at++) {
        await eventually(async () => await whoAnswers(sandbox, "http://127.0.0.1/") !== "nobody");
      }
      await eventually(async () => await whoAnswers(sandbox, "http://127.0.0.1/") === "reloaded");
    }
    await endKindly(it, server);
  });

  // Row L25
  sandboxTest(`${one.name} sees what is mirrored`, options, async (it) => {
    const { sandbox } = it;
    await using server = await start(it, one, []);
    const seen = server.seen(/served (\w+) (\S+)/);
    await eventually(async () => {
      assert.equal(await whoAnswers(sandbox, "http://127.0.0.1/are-you-there"), "target");
      return seen.some(([, , path]) => path === "/are-you-there");
    });
    for (const method of ["GET", "POST", "PUT", "DELETE"]) {
      assert.equal(await whoAnswers(sandbox, "-X", method, "-d", "body", `http://127.0.0.1/mirrored`), "target");
    }
    const told = () => seen.filter(([, , path]) => path === "/mirrored").map(([, method]) => method);
    await eventually(() => told().length === 4);
    assert.deepEqual(told().sort(), ["DELETE", "GET", "POST", "PUT"]);
    await endKindly(it, server);
  });
}

async function start({ sandbox, here }: Case, one: ServerCase, flags: readonly string[]): Promise<LocalServer> {
  await shell(`cp ${LOCAL}* ${here}/ && sed -i 's#DIRECTORY#${here}#; s/LABEL/local/' ${here}/nginx.conf
    chmod 711 ${here}; ${isThere("/usr/bin/javac") ? `javac -d ${here} ${here}/Serve.java` : "true"}`);
  const env = { ...WEB_ENVIRONMENT, XDG_RUNTIME_DIR: here };
  return await LocalServer.start(sandbox, one.command(here), { flags, env } satisfies RunOptions);
}

/** As Ctrl-C or a supervisor ends it: all of it goes, and the target answers again. */
async function endKindly({ sandbox, here }: Case, server: LocalServer): Promise<void> {
  server.kill("SIGTERM");
  await server.exitCode();
  await nothingIsLeft(sandbox, here);
}
