/** Libraries that only the target has, loaded by the languages' own ways: extensions, addons, bindings. */
import assert from "node:assert/strict";
import { run } from "../support/inside.ts";
import { isThere } from "../../src/base/is_there.ts";
import { type Case, sandboxTest } from "../support/sandbox_case.ts";
import { CACHE, PYTHON, whyNoNumpy } from "./packages.ts";

const NO_NUMPY = await whyNoNumpy();

interface Language {
  readonly name: string;
  readonly needs: readonly string[];
  /** Below the target's /data: a C file of this text is compiled to it, with these flags. */
  readonly library?: { readonly path: string; readonly source: string; readonly flags?: readonly string[] };
  readonly files?: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  readonly says: string;
}

const NUMBER = "int number(int x) { return x + 1; }";
const JDK = ["/usr/lib/jvm/java-17-openjdk-amd64", "/usr/lib/jvm/default-java"].find(isThere) ?? "/usr/lib/jvm/none";
const PERL = "/usr/lib/x86_64-linux-gnu/perl/5.36/CORE";

const FAST_JAVA = `public class Fast { static native int next(int x); public static void main(String[] a) {
  System.loadLibrary("fast"); System.load("/data/lib/libfast.so"); System.out.println(next(41));
  try { System.load("/data/lib/libnone.so"); } catch (UnsatisfiedLinkError error) { System.out.println(error.getMessage()); } } }`;

const LANGUAGES: readonly Language[] = [
  {
    name: "Python's ctypes",
    needs: [PYTHON],
    library: { path: "lib/libnumber.so", source: NUMBER },
    command: [
      PYTHON,
      "-c",
      `import ctypes
print(ctypes.CDLL("/data/lib/libnumber.so").number(41))
try: ctypes.CDLL("/data/lib/libnone.so")
except OSError as error: print(error)`,
    ],
    says: "42\n/data/lib/libnone.so: cannot open shared object file: No such file or directory\n",
  },
  {
    name: "a Python extension",
    needs: [PYTHON, "/usr/include/python3.11/Python.h"],
    library: {
      path: "site/numbers/_fast.cpython-311-x86_64-linux-gnu.so",
      source: `#include <Python.h>
static PyObject *next(PyObject *self, PyObject *x) { return PyLong_FromLong(PyLong_AsLong(x) + 1); }
static PyMethodDef methods[] = { { "next", next, METH_O, "" }, { 0 } };
static struct PyModuleDef module = { PyModuleDef_HEAD_INIT, "_fast", "", -1, methods };
PyMODINIT_FUNC PyInit__fast(void) { return PyModule_Create(&module); }`,
      flags: ["-I/usr/include/python3.11"],
    },
    files: { "/data/site/numbers/__init__.py": "from ._fast import next\nfrom . import _fast\n" },
    command: [
      "env",
      "PYTHONPATH=/data/site",
      "PYTHONDONTWRITEBYTECODE=1",
      PYTHON,
      "-c",
      "import numbers as _, sys; sys.modules.pop('numbers'); sys.path.insert(0, '/data/site'); import numbers; " +
      "print(numbers.next(41), numbers._fast.__file__)",
    ],
    says: "42 /data/site/numbers/_fast.cpython-311-x86_64-linux-gnu.so\n",
  },
  {
    name: "an addon of Node.js",
    needs: ["/usr/bin/node", "/usr/include/node/node_api.h"],
    library: {
      path: "node_modules/fast/build/Release/fast.node",
      source: `#include <node_api.h>
static napi_value next(napi_env env, napi_callback_info info)
{ size_t count = 1; napi_value it; int x; napi_get_cb_info(env, info, &count, &it, 0, 0); napi_get_value_int32(env, it, &x);
  napi_create_int32(env, x + 1, &it); return it; }
NAPI_MODULE_INIT() { napi_value it; napi_create_function(env, "next", 4, next, 0, &it); return it; }`,
      flags: ["-I/usr/include/node"],
    },
    files: {
      "/data/node_modules/fast/package.json": '{ "main": "index.js" }',
      "/data/node_modules/fast/index.js": "module.exports = require('./build/Release/fast.node')",
    },
    command: [
      "/usr/bin/node",
      "-e",
      `const next = require("/data/node_modules/fast"); console.log(next(41));
      new (require("worker_threads").Worker)('console.log(require("/data/node_modules/fast")(7))', { eval: true });
      try { require("/data/none.node") } catch (error) { console.log(error.code) }`,
    ],
    says: "42\nMODULE_NOT_FOUND\n8\n",
  },
  {
    name: "Perl's DynaLoader",
    needs: ["/usr/bin/perl", `${PERL}/perl.h`],
    library: {
      path: "perl/auto/Fast/Fast.so",
      source: `#include <EXTERN.h>
#include <perl.h>
#include <XSUB.h>
XS(next_number) { dXSARGS; (void)items; ST(0) = sv_2mortal(newSViv(SvIV(ST(0)) + 1)); XSRETURN(1); }
XS(boot_Fast) { dXSARGS; (void)items; newXS("Fast::next", next_number, "Fast.c"); XSRETURN_YES; }`,
      flags: [`-I${PERL}`, "-D_GNU_SOURCE", "-DPERL_NO_GET_CONTEXT=0", "-UPERL_NO_GET_CONTEXT"],
    },
    files: { "/data/perl/Fast.pm": "package Fast; require XSLoader; XSLoader::load('Fast'); 1;" },
    command: ["/usr/bin/perl", "-I/data/perl", "-MFast", "-e", 'print Fast::next(41), "\\n"'],
    says: "42\n",
  },
  {
    name: "Java's System.load and System.loadLibrary",
    needs: [`${JDK}/bin/java`, `${JDK}/include/jni.h`],
    library: {
      path: "lib/libfast.so",
      source: `#include <jni.h>
JNIEXPORT jint JNICALL Java_Fast_next(JNIEnv *env, jclass it, jint x) { return x + 1; }`,
      flags: [`-I${JDK}/include`, `-I${JDK}/include/linux`],
    },
    command: [`${JDK}/bin/java`, "-Xshare:auto", "-Djava.library.path=/data/lib", "-cp", "/data/classes", "Fast"],
    says: "42\nCan't load library: /data/lib/libnone.so\n",
  },
  {
    name: "Ruby's Fiddle",
    needs: ["/usr/bin/ruby"],
    library: { path: "lib/libnumber.so", source: NUMBER },
    command: [
      "/usr/bin/ruby",
      "-rfiddle",
      "-e",
      `it = Fiddle.dlopen("/data/lib/libnumber.so")
      puts Fiddle::Function.new(it["number"], [Fiddle::TYPE_INT], Fiddle::TYPE_INT).call(41)`,
    ],
    says: "42\n",
  },
];

async function furnish({ sandbox, here }: Case, { library }: Language): Promise<void> {
  if (!library) return;
  const output = `${sandbox.root}/data/${library.path}`;
  await Deno.mkdir(output.replace(/\/[^/]*$/, ""), { recursive: true });
  await Deno.writeTextFile(`${here}/source.c`, library.source);
  await run("gcc", ["-shared", "-fPIC", "-w", "-o", output, `${here}/source.c`, ...library.flags ?? []]);
  if (!library.path.includes("fast.so")) return;
  await Deno.writeTextFile(`${here}/Fast.java`, FAST_JAVA);
  await run(`${JDK}/bin/javac`, ["-d", `${sandbox.root}/data/classes`, `${here}/Fast.java`]);
}

for (const language of LANGUAGES) {
  sandboxTest(`${language.name} loads a library of the target`, language, async (it) => {
    await furnish(it, language);
    const { stdout, stderr, code } = await it.run(language.command);
    assert.deepEqual({ stdout, stderr, code }, { stdout: language.says, stderr: "", code: 0 });
  });
}

sandboxTest("numpy, which only the target has, brings its libraries along", {
  needs: [PYTHON],
  ...NO_NUMPY === undefined ? {} : { waits: NO_NUMPY },
}, async (it) => {
  await Deno.mkdir(`${it.sandbox.root}/data`);
  await run("cp", ["-r", `${CACHE}/numpy`, `${it.sandbox.root}/data/site`]);
  const script = "import numpy; print(numpy.__file__, numpy.linalg.inv(numpy.array([[2., 0.], [0., 4.]])).tolist())";
  const { stdout, stderr } = await it.run([PYTHON, "-c", script], {
    env: { PYTHONPATH: "/data/site", PYTHONDONTWRITEBYTECODE: "1" },
  });
  assert.deepEqual([stdout, stderr], ["/data/site/numpy/__init__.py [[0.5, 0.0], [0.0, 0.25]]\n", ""]);
});

sandboxTest(
  "a whole Java that only the target has runs, with the libraries beside it",
  { needs: [`${JDK}/bin/java`] },
  async (it) => {
    await Deno.mkdir(`${it.sandbox.root}/data`);
    // Links that lead nowhere are left out.
    await run("sh", [
      "-c",
      `cp -rL ${JDK} ${it.sandbox.root}/data/jdk 2>/dev/null; test -x ${it.sandbox.root}/data/jdk/bin/java`,
    ]);
    const { stdout, stderr, code } = await it.run([
      "sh",
      "-c",
      "/data/jdk/bin/java -XshowSettings:properties -version 2>&1",
    ]);
    assert.match(stdout, /java.home = \/data\/jdk\n/);
    assert.match(stdout, /sun.boot.library.path = \/data\/jdk\/lib\n/);
    assert.deepEqual([stderr, code], ["", 0]);
  },
);
