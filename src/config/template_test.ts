import assert from "node:assert/strict";
import { gitBranch } from "./git_branch.ts";
import { renderTemplate, TemplateError } from "./template.ts";

const CONTEXT = {
  variables: { key: "abc12", git_branch: "feature/Login" },
  getEnv: (name: string) => ({ USER: "ada", EMPTY: "" } as Record<string, string>)[name],
};

for (
  const [template, expected] of [
    ["plain { text } and $1", "plain { text } and $1"],
    ['{{ get_env(name="USER") }}', "ada"],
    ['{{get_env(name="NONE", default="y")}}', "y"],
    ["{{ get_env(name='EMPTY', default='y') }}", ""],
    ["{{ key }}-{{ git_branch }}", "abc12-feature/Login"],
    ['{{ get_env(name="USER") ~ "-" ~ key }}', "ada-abc12"],
    ["{{ git_branch | lower | replace(from='/', to='-') }}", "feature-login"],
    ["{{ git_branch | slugify }}", "feature-login"],
    ["{{ none | default(value=`x`) }}", "x"],
    ['{{ "say \\"hi\\"" | json_encode }}', '"say \\"hi\\""'],
    ["a{# no {{ value }} #}b", "ab"],
    ["{% raw %}{{ key }}{% endraw %}", "{{ key }}"],
    ['{% if key == "abc12" %}yes{% else %}no{% endif %}', "yes"],
    ['{% if get_env(name="CI", default="") %}ci{% elif not key %}none{% else %}dev{% endif %}', "dev"],
    ["{% if key and (false or true) %}{% if key != key %}x{% endif %}y{% endif %}", "y"],
    ["{% set who = key ~ 1 %}{{ who }}", "abc121"],
    ["a {{- key -}} b", "aabc12b"],
  ] as const
) {
  Deno.test(`renderTemplate() makes ${JSON.stringify(expected)} of ${template}`, () => {
    assert.equal(renderTemplate(template, CONTEXT), expected);
  });
}

for (
  const [template, line, says] of [
    ["\n{{ key", 2, /"\{\{" is not closed/],
    ['{{ get_env(name="NONE") }}', 1, /no variable "NONE" in the environment/],
    ["{{ none }}", 1, /no variable "none"/],
    ["{{ now() }}", 1, /no function "now"/],
    ["{{ key | shout }}", 1, /no filter "shout"/],
    ["\n\n{% for i in range(end=1000000000) %}x{% endfor %}", 3, /loops cannot be used/],
    ["{% include 'x' %}", 1, /"\{% include %\}" cannot be used/],
    ["{% if key %}x", 1, /no "\{% endif %\}"/],
    ["x{% endif %}", 1, /has no beginning/],
    ["{{ }}", 1, /a value is missing/],
    ["{{ key key }}", 1, /"key" is too much/],
    ["{{ key # }}", 1, /cannot be understood/],
    ["{{ __proto__ }}", 1, /no variable "__proto__"/],
  ] as const
) {
  Deno.test(`renderTemplate() refuses ${JSON.stringify(template)}: ${says.source}`, () => {
    assert.throws(() => renderTemplate(template, CONTEXT), (error) => {
      assert.ok(error instanceof TemplateError, String(error));
      assert.match(error.message, says);
      assert.equal(error.line, line);
      return true;
    });
  });
}

Deno.test("gitBranch() reads the branch of a repository, of a worktree, and of none", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/repo/.git/worktrees/w`, { recursive: true });
    await Deno.mkdir(`${folder}/repo/sub`);
    await Deno.mkdir(`${folder}/w`);
    await Deno.writeTextFile(`${folder}/repo/.git/HEAD`, "ref: refs/heads/feature/x\n");
    await Deno.writeTextFile(`${folder}/repo/.git/worktrees/w/HEAD`, "ref: refs/heads/other\n");
    await Deno.writeTextFile(`${folder}/w/.git`, `gitdir: ${folder}/repo/.git/worktrees/w\n`);
    assert.equal(gitBranch(`${folder}/repo/sub`), "feature/x");
    assert.equal(gitBranch(`${folder}/w`), "other");
    assert.equal(gitBranch(folder), undefined);
    await Deno.writeTextFile(`${folder}/repo/.git/HEAD`, "b69af07000000000000000000000000000000000\n");
    assert.equal(gitBranch(`${folder}/repo`), undefined);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
