/** Prints docs/config.md from the tables of options and of other keys. */
import { CONFIG_FILE_OPTION, keyDecls } from "./options.ts";
import { BUILD_TOOLS } from "./skipped.ts";
import { OTHER_KEYS, type Why } from "./other_keys.ts";
import { ALLOWED } from "./values.ts";

const HEAD = `# Configuration

Printed by \`deno task gen\` from src/config/options.ts and src/config/other_keys.ts.

What is said by a flag wins over an environment variable, that over the configuration file, that over the default. The file is
named by \`${CONFIG_FILE_OPTION.short}\`, \`${CONFIG_FILE_OPTION.flag}\` or \`${CONFIG_FILE_OPTION.env}\`; a \`-\` stands for standard input, and the flag alone
for \`${CONFIG_FILE_OPTION.sets}\`. When nobody names one, \`./.mirrord/mirrord.json\`, \`.toml\` or \`.yaml\` is read if it is there. Files
ending with \`.toml\` are TOML, with \`.yaml\` or \`.yml\` YAML, all others JSON; at most 10 MiB of UTF-8. Keys that nobody knows are
refused, and so are those that this tool cannot keep. \`mirrord verify-config --resolved FILE\` checks one, \`mirrord explain\`
tells what it means for a path, an address or a variable. Editors check it while it is typed by mirrord-schema.json:
\`"$schema": "PATH/mirrord-schema.json"\`.

\`\`\`json
{
  "target": { "path": "deployment/shop/container/app", "namespace": "staging" },
  "agent": { "startup_timeout": 120 },
  "feature": {
    "fs": "read",
    "env": { "exclude": ["AWS_*"], "unset": ["AWS_PROFILE"], "override": { "LOG_LEVEL": "debug" } },
    "network": { "dns": true, "outgoing": { "tcp": true } }
  }
}
\`\`\`
`;

const UP = `## mirrord-up.yaml

\`mirrord up\` runs several services, each as \`mirrord exec\` would with a file of its own. It is JSON, TOML or YAML by its ending, and a
template like any configuration file. What a service steals are the requests that \`http_filter\` matches; without one, those with
\`mirrord-session=KEY\` in their baggage header (W3C). A service without a target means the deployment, statefulset, rollout or pod of its name.

\`\`\`yaml
common: { context: staging, accept_invalid_certificates: false }
services:
  shop:
    target: { path: deployment/shop, namespace: green }   # or none
    env: { override: { MODE: debug } }                     # as feature.env
    http_filter: { path_filter: ^/shop }                   # as feature.network.incoming.http_filter
    ignore_ports: [9000]
    skip: false
    run: { command: [node, server.js] }
\`\`\`
`;

const OTHER_VARIABLES = `## Other environment variables

| Variable | Means |
| --- | --- |
| MIRRORD_PROGRESS_MODE | How the start is shown: standard, dumb (or simple), json (json.md), off |
| MIRRORD_LOG | A file for the log of mirrord's own processes; or a level of it (off, error, warn, info, debug, trace, or a list as \`mirrord=debug,warn\`), the file being \`internal_proxy.log_destination\`, or one in $TMPDIR, which is shown |
| MIRRORD_CONSOLE_ADDR | HOST:PORT of a \`mirrord console\` that prints the logs of runs |
| MIRRORD_DONT_LOAD | When set, no program runs in a target: \`mirrord exec\` refuses, and what is started inside of a run with it ends at once with 125. For scripts that delete |
| MIRRORD_OVERRIDE_HOSTNAME | What programs are told the host's name is |
| MIRRORD_IGNORE_DEBUGGER_PORTS | Ports, or ranges of them, that are this machine's: those of debuggers that are not found by themselves |
| MIRRORD_BRANCH_NAME | The branch that templates speak of, whatever the repository says |
| MIRRORD_LS_RICH_OUTPUT, MIRRORD_LS_TARGET_TYPES | For plugins of editors: json.md, \`mirrord ls --help\` |
| MIRRORD_FILE_OPS, MIRRORD_FILE_RO_OPS | Older forms of MIRRORD_FILE_MODE: \`true\` is write, and read |
| CI, TERM=dumb, NO_COLOR | Nothing moves in the progress with the first two; there are no colours anyway |
| MIRRORD_IDE_NAME, MIRRORD_PROGRESS_SUPPORT_IDE, MIRRORD_EXT_PRINT_CONFIG, MIRRORD_DETECT_DEBUGGER_PORT, MIRRORD_LAYER_LOG_PATH, MIRRORD_FORCE_LOG, MIRRORD_NODEADLOCK, MIRRORD_LAYER_TRACE_ONLY | Of the reference tool's; they say nothing here: what they ask for happens anyway, or there is no such part |
`;

const SHORT_FORMS = `## Short forms

| Written | Means |
| --- | --- |
| \`"target": "pod/web"\` | \`"target": { "path": "pod/web" }\` |
| \`"target": { "path": { "pod": "web", "container": "app" } }\` | \`"target": { "path": "pod/web/container/app" }\` |
| \`"feature": { "fs": "local" }\`, or \`false\` | \`"feature": { "fs": { "mode": "local" } }\` |
| \`"feature": { "env": false }\` | \`"feature": { "env": { "exclude": "*" } }\` |
| \`"network": { "dns": false }\` | \`"network": { "dns": { "enabled": false } }\` |
| \`"network": { "outgoing": false }\` | \`"network": { "outgoing": { "tcp": false } }\` |
| \`"feature": { "network": false }\` | \`"network": { "dns": false, "outgoing": false, "incoming": false }\` |

## Templates

A file with \`{{ … }}\` in it is rendered first, in the part of Tera's language that such files use: the variables \`key\` (of the session:
\`--key\`, MIRRORD_KEY, the file's own \`key\`, or five random digits) and \`git_branch\` (of the repository around, or MIRRORD_BRANCH_NAME),
\`get_env(name="NAME", default="…")\`, \`~\` between values, the filters default, json_encode, lower, replace, slugify, trim, truncate and upper,
\`{% if %}\`, \`{% set %}\`, \`{% raw %}\` and \`{# comments #}\`. Loops, macros and inclusion are refused.

## Whose a file is, in order

1. In mode \`local\` everything is this machine's.
2. \`mapping\`: a path that a pattern matches stands for another from here on.
3. \`not_found\`, then \`read_write\`, then \`read_only\` (for writing: this machine's), then \`local\`: the first list with a pattern that matches.
4. For reading, where the target's volumes are mounted: the target's.
5. Your own cloud credentials (\`~/.config/gcloud\`, \`~/.kube\`, \`~/.azure\`): not there.
6. For reading, /etc/hosts, /etc/resolv.conf, /etc/hostname, /etc/ssl/certs: the target's.
7. The directory the program is started in and those it lies in (not what else is in those), $TMPDIR, directories of the system, dot files in your home, the program itself, and code by
   its name where this machine has it: this machine's.
8. In mode \`localwithoverrides\` this machine's; in mode \`read\` the target's for reading; in mode \`write\` the target's.

Patterns are regular expressions as Rust's regex crate has them (no look-around, no back-references). Those of 3 match anywhere in the
absolute path whatever the case of letters; those of \`mapping\` count case, and \`$1\`, \`$name\`, \`\${name}\` in what replaces them are their groups.
\`readonly_file_buffer\` is accepted and says nothing: files up to 1 MiB come whole with the answer to open, bigger ones as they are read.

## Which processes are left alone

Those that \`skip_processes\` names, by the name of the executable or argv[0]; and, unless \`skip_build_tools\` is false, build tools: ${
  BUILD_TOOLS.join(", ")
}, and those of \`skip_extra_build_tools\`. The program that was typed is no build tool (\`mirrord exec git status\` means git), nor is one whose working
directory is the target's. The children of a process that is left alone are entered.

## The environment, in order

1. this machine's variables without those in \`feature.env.unset\`;
2. over them the target's: those in \`include\`, or all but those in \`exclude\` and those that would break a program here;
3. over them those of \`env_file\`;
4. of the target's and the file's, those whose name a pattern of \`mapping\` matches get its value;
5. over all, \`override\`.
`;

const TITLES: Readonly<Record<Why, string>> = {
  operator: "Needs the operator, which this tool does not have",
  harmless: "Other keys that say nothing here",
};

export function emitConfigDoc(): string {
  const groups = Map.groupBy(keyDecls(), (it) => it.group);
  const tables = [...groups].map(([group, options]) => {
    const rows = options.map(({ key, kind, flag, short, env, doc, default: usual }) => {
      const flags = [flag, short].filter((it) => it !== undefined).map(code).join(" ");
      const cells = [code(key), ALLOWED[kind], flags, env ? code(env) : "", usual ?? "", doc];
      return `| ${cells.map((it) => it.replaceAll("|", "\\|")).join(" | ")} |`;
    });
    return `## ${group}\n\n| Key | Value | Flag | Variable | Default | What it is for |\n` +
      `| --- | --- | --- | --- | --- | --- |\n${rows.join("\n")}\n`;
  });
  return [HEAD, ...tables, SHORT_FORMS, UP, OTHER_VARIABLES, ...otherKeys()].join("\n");
}

function otherKeys(): string[] {
  return (["operator", "harmless"] as const).map((why) => {
    const lines = OTHER_KEYS.filter((it) => it.why === why).map(({ key, fine }) => {
      const allowed = fine && fine.length > 0
        ? ` (\`${JSON.stringify(fine[0])}\` is what happens anyway: accepted)`
        : "";
      return `- ${code(key)}${allowed}`;
    });
    const intro = why === "harmless" ? "" : "A file that has one of these is refused, with its name.\n\n";
    return `## ${TITLES[why]}\n\n${intro}${lines.join("\n")}\n`;
  });
}

function code(text: string): string {
  return `\`${text}\``;
}
