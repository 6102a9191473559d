/**
 * Packages of PyPI and npm that programs of these tests need, installed by pip and npm into a cache directory, once; where
 * that cannot be, a test is skipped by name.
 */
export const CACHE = `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`}/mirrord-tests`;
export const PYTHON = "/usr/bin/python3";
export const GO = "/usr/lib/go-1.19/bin/go";

const PIP = [PYTHON, "-m", "pip", "install", "-q", "--target", "DIRECTORY"];
const NPM = ["npm", "install", "--silent", "--prefix", "DIRECTORY"];
const WEB = ["requests", "aiohttp", "httpx", "flask", "fastapi", "uvicorn", "gunicorn", "watchfiles"];

/** Each undefined, or why the packages of a directory of the cache are not there. */
export const whyNoFlask = (): Promise<string | undefined> => whyNotInstalled("flask", [...PIP, "flask"]);
export const whyNoHandlebars = (): Promise<string | undefined> =>
  whyNotInstalled("handlebars", [...NPM, "handlebars@4"]);
export const whyNoPythonWeb = (): Promise<string | undefined> => whyNotInstalled("python-web", [...PIP, ...WEB]);
export const whyNoNodeWeb = (): Promise<string | undefined> =>
  whyNotInstalled("node-web", [...NPM, "express", "undici@6", "ws", "@grpc/grpc-js", "axios"]);

export const whyNoNumpy = (): Promise<string | undefined> => whyNotInstalled("numpy", [...PIP, "numpy"]);
export const whyNoPythonGrpc = (): Promise<string | undefined> => whyNotInstalled("python-grpc", [...PIP, "grpcio"]);

/** For programs that use them. */
export const WEB_ENVIRONMENT: Readonly<Record<string, string>> = {
  PYTHONPATH: `${CACHE}/python-web:${CACHE}/python-grpc`,
  PYTHONDONTWRITEBYTECODE: "1",
  PYTHONUNBUFFERED: "1",
  NODE_PATH: `${CACHE}/node-web/node_modules`,
};

async function whyNotInstalled(name: string, command: readonly string[]): Promise<string | undefined> {
  const directory = `${CACHE}/${name}`;
  if (await Deno.stat(`${directory}/.whole`).then(() => true, () => false)) return undefined;
  await Deno.mkdir(directory, { recursive: true });
  const [program, ...args] = command.map((it) => it.replace("DIRECTORY", directory));
  const failed = await new Deno.Command(program!, { args, cwd: directory, stdin: "null" }).output()
    .then(({ success, stderr }) => success ? undefined : new TextDecoder().decode(stderr).trim().split("\n").at(-1))
    .catch((error) => String(error));
  if (failed === undefined) await Deno.writeTextFile(`${directory}/.whole`, "");
  return failed && `cannot install ${name}: ${failed}`;
}
