import assert from "node:assert/strict";
import { UserError } from "../base/errors.ts";
import { readConfigFile } from "./file.ts";
import { resolveConfig } from "./resolve.ts";

/** What is told of a file of that name and content. */
async function withFile<T>(name: string, content: string | Uint8Array, use: (path: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await Deno.writeFile(`${folder}/${name}`, bytes);
    return await use(`${folder}/${name}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

for (
  const [name, content] of [
    ["mirrord.json", '{ "target": "pod/web", "agent": { "ttl": 5 }, "skip_processes": ["git", "make"] }'],
    ["mirrord", '\ufeff{ "target": "pod/web", "agent": { "ttl": 5 }, "skip_processes": "git;make" }'],
    ["mirrord.toml", 'target = "pod/web"\nskip_processes = ["git", "make"]\n[agent]\nttl = 5\n'],
    ["mirrord.yaml", "target: pod/web\nskip_processes: [git, make]\nagent:\n  ttl: 5\n"],
    ["mirrord.YML", "target: pod/web\nskip_processes:\n- git\n- make\nagent: { ttl: 5 }\n"],
  ] as const
) {
  Deno.test(`readConfigFile() reads ${name} by its ending`, async () => {
    const { said, errors } = await withFile(name, content, readConfigFile);
    assert.deepEqual(errors, []);
    const config = resolveConfig(said);
    assert.deepEqual(config.target, { kind: "pod", name: "web", container: undefined });
    assert.equal(config.agent.ttlSeconds, 5);
    assert.deepEqual(config.skip.processes, ["git", "make"]);
  });
}

for (
  const { name, content, says } of [
    {
      name: "a.json",
      content: '{\n"agent": {\n}},\n}',
      says: /line 3 is no JSON: unexpected non-whitespace character$/,
    },
    { name: "a.json", content: '{ "agent":\n', says: /line 2 is no JSON: unexpected end of JSON input$/ },
    { name: "a.json", content: "", says: /line 1 is no JSON/ },
    { name: "a.toml", content: "[agent]\nttl = = 5\n", says: /line 2 is no TOML: invalid value$/ },
    { name: "a.yaml", content: "agent:\n  ttl: 5\n  ttl: 6\n", says: /line 3 is no YAML: map keys must be unique$/ },
    { name: "a.json", content: "[1]", says: /it is not an object of keys$/ },
    { name: "a.json", content: new Uint8Array([0x7b, 0xff, 0x7d]), says: /it is not UTF-8$/ },
    { name: "a.json", content: " ".repeat((10 << 20) + 1), says: /it is over 10 MiB long$/ },
    { name: "a.ini", content: "{}", says: /files that end with "\.ini" are not read$/ },
    {
      name: "a.json",
      content: '{ "target": "{{ get_env(name=`MIRRORD_TEST_NO_SUCH`) }}" }',
      says: /the template cannot be rendered: line 1: there is no variable "MIRRORD_TEST_NO_SUCH" in the environment/,
    },
    {
      name: "a.json",
      content: "{\n{% for i in range(end=9) %}1{% endfor %}",
      says: /line 2: loops cannot be used/,
    },
  ]
) {
  Deno.test(`readConfigFile() refuses a file: ${says.source}`, async () => {
    await assert.rejects(withFile(name, content, readConfigFile), (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.equal(error.code, "CONFIG_FILE_INVALID");
      assert.equal(error.exitCode, 2);
      assert.match(error.message, says);
      return true;
    });
  });
}

for (const [path, says] of [["/no/such.json", /there is no such file/], ["/tmp", /it is a directory/]] as const) {
  Deno.test(`readConfigFile() cannot read ${path}: ${says.source}`, async () => {
    await assert.rejects(readConfigFile(path), (error) => {
      assert.ok(error instanceof UserError);
      assert.equal(error.code, "CONFIG_FILE_UNREADABLE");
      assert.match(error.message, says);
      return true;
    });
  });
}

Deno.test("readConfigFile() renders templates, the key of the file first", async () => {
  const content = `{ "key": "dev-{{ get_env(name='MIRRORD_TEST_NO_SUCH', default='ada') }}",
    {# whose #} "target": { "namespace": "{{ key }}", "path": {% if key == "x" %}"pod/x"{% else %}"pod/a"{% endif %} } }`;
  const written = resolveConfig((await withFile("a.json", content, readConfigFile)).said);
  assert.equal(written.targetNamespace, "dev-ada");
  assert.equal(written.key, "dev-ada");
  const typed = await withFile("a.json", content, (path) => readConfigFile(path, "x"));
  assert.deepEqual(resolveConfig(typed.said).targetNamespace, "x");
  assert.deepEqual(resolveConfig(typed.said).target, { kind: "pod", name: "x", container: undefined });
  const toml = await withFile("a.toml", 'key = "k1"\n[target]\nnamespace = "{{ key }}"\n', readConfigFile);
  assert.equal(resolveConfig(toml.said).targetNamespace, "k1");
  const nested = '{ "agent": { "labels": { "key": "other" } }, "target": { "namespace": "{{ key }}" }, "key": "k2" }';
  assert.equal(resolveConfig((await withFile("a.json", nested, readConfigFile)).said).targetNamespace, "k2");
  const random = await withFile("a.yaml", "target: { namespace: '{{ key }}' }\n", readConfigFile);
  assert.match(resolveConfig(random.said).targetNamespace!, /^[0-9a-f]{5}$/);
});
