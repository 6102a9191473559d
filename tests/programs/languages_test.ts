/**
 * Programs that need packages: Flask from PyPI, a module from npm, Go's compiler. They are installed by their own tools into a
 * cache directory, once; where that cannot be, the test is skipped by name.
 */
import assert from "node:assert/strict";
import { sandboxTest } from "../support/sandbox_case.ts";
import { CACHE, GO, PYTHON, whyNoFlask, whyNoHandlebars } from "./packages.ts";

const HERE = new URL("./", import.meta.url).pathname;
const NO_FLASK = await whyNoFlask();
const NO_NPM = await whyNoHandlebars();

const WEB = {
  "/data/web/templates/page.html": "<p>{{ name }}</p>\n",
  "/data/web/static/page.css": "p { color: blue }\n",
  "/data/web/settings.cfg": 'NAME = "from the target"\n',
};

sandboxTest("a Flask application renders templates, reads configuration and serves files of the target", {
  files: WEB,
  ...NO_FLASK === undefined ? {} : { waits: NO_FLASK },
}, async (it) => {
  await Deno.copyFile(`${HERE}page.py`, `${it.here}/page.py`);
  const env = { PYTHONPATH: `${CACHE}/flask`, PYTHONDONTWRITEBYTECODE: "1" };
  const { stdout, stderr, code } = await it.run([PYTHON, "page.py"], { env });
  assert.equal(stderr, "");
  assert.equal(
    stdout,
    "/ 200 b'<p>from the target</p>'\n/static/page.css 200 b'p { color: blue }\\n'\n" +
      `/static/none 404 ${stdout.split("\n")[2]!.slice(17)}\nTrue\n`,
  );
  assert.equal(code, 0);
});

sandboxTest("flask's own command serves the target's files, imported by name", {
  files: WEB,
  ...NO_FLASK === undefined ? {} : { waits: NO_FLASK },
}, async (it) => {
  await Deno.copyFile(`${HERE}page.py`, `${it.here}/page.py`);
  const env = { PYTHONPATH: `${CACHE}/flask`, PYTHONDONTWRITEBYTECODE: "1" };
  const { stdout } = await it.run([PYTHON, "-m", "flask", "--app", "page", "routes"], { env });
  assert.match(stdout, /page +GET +\//);
});

sandboxTest("a package of npm, installed here, renders a template of the target", {
  files: { "/data/web/page.hbs": "Hello {{name}}\n" },
  needs: ["/usr/bin/node"],
  ...NO_NPM === undefined ? {} : { waits: NO_NPM },
}, async (it) => {
  const script = `const render = require("${CACHE}/handlebars/node_modules/handlebars");
    process.stdout.write(render.compile(require("fs").readFileSync("/data/web/page.hbs", "utf8"))({ name: "target" }))`;
  const { stdout, stderr } = await it.run(["/usr/bin/node", "-e", script]);
  assert.deepEqual([stdout, stderr], ["Hello target\n", ""]);
});

sandboxTest("npm and pip run and list what is here", {
  needs: ["/usr/bin/npm"],
  ...NO_NPM === undefined ? {} : { waits: NO_NPM },
}, async (it) => {
  const npm = await it.run(["/usr/bin/npm", "ls", "--prefix", `${CACHE}/handlebars`]);
  assert.match(npm.stdout, /handlebars@4/, npm.stderr);
  const pip = await it.run([PYTHON, "-m", "pip", "list", "--path", `${CACHE}/flask`]);
  assert.match(pip.stdout, /^Flask /im, pip.stderr);
});

/** Go programs as Debian's compiler makes them with cgo: dynamically linked, so the shim is loaded. */
async function goProgram(directory: string): Promise<string> {
  await Deno.copyFile(`${HERE}program.go.txt`, `${directory}/program.go`);
  return await goBuild(directory);
}

async function goBuild(directory: string): Promise<string> {
  const env = { GOCACHE: `${CACHE}/go`, HOME: CACHE, CGO_ENABLED: "1", GO111MODULE: "off", GOFLAGS: "" };
  const build = new Deno.Command(GO, { args: ["build", "-o", "program", "program.go"], cwd: directory, env });
  const { success, stderr } = await build.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return `${directory}/program`;
}

// Rows L10, L17, L39, L42, L46
sandboxTest("a Go program with cgo starts, reads itself, lists and makes local files, probes processes", {
  needs: [GO],
}, async (it) => {
  const program = await goProgram(it.here);
  await Deno.remove(`${it.here}/program.go`);
  const { code, stdout, stderr } = await it.run([program, it.here]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.deepEqual(stdout.split("\n"), [
    "itself: \\x7fELF",
    "listed: [program]",
    "made: -rw-r----x",
    "found: true",
    "child: hello",
    "cgo: 42",
    "",
  ]);
});

const RESOLVE = `package main

// #include <netdb.h>
import "C"
import (
	"fmt"
	"net"
	"os"
	"sort"
)

func main() {
	for _, name := range os.Args[1:] {
		addresses, err := net.LookupHost(name)
		sort.Strings(addresses)
		fmt.Println(name, addresses, err != nil)
	}
	hostname, err := os.Hostname()
	fmt.Println(hostname != "", err)
}
`;

sandboxTest("a Go program with cgo looks names up at the target, by libc", { needs: [GO] }, async (it) => {
  await Deno.writeTextFile(`${it.here}/program.go`, RESOLVE);
  const program = await goBuild(it.here);
  const { code, stdout, stderr } = await it.run([program, "echo-server", "two.sandbox.local", "nosuch"], {
    env: { GODEBUG: "netdns=cgo" },
  });
  assert.deepEqual([code, stderr], [0, ""]);
  assert.equal(
    stdout,
    "echo-server [10.99.7.1] false\ntwo.sandbox.local [10.99.7.1 10.99.7.2] false\nnosuch [] true\ntrue <nil>\n",
  );
});
