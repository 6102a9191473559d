/** Prints docs/config.md from the tables of options and of other keys. */
import { CONFIG_FILE_OPTION, keyDecls } from "./options.ts";
import { OTHER_KEYS, type Why } from "./other_keys.ts";
import { ALLOWED } from "./values.ts";

const HEAD = `# Configuration

Printed by \`deno task gen\` from src/config/options.ts and src/config/other_keys.ts.

What is said by a flag wins over an environment variable, that over the configuration file, that over the default. The file is
named by \`${CONFIG_FILE_OPTION.short}\`, \`${CONFIG_FILE_OPTION.flag}\` or \`${CONFIG_FILE_OPTION.env}\`; a \`-\` stands for standard input, and the flag alone
for \`${CONFIG_FILE_OPTION.sets}\`. When nobody names one, \`./.mirrord/mirrord.json\`, \`.toml\` or \`.yaml\` is read if it is there. Files
ending with \`.toml\` are TOML, with \`.yaml\` or \`.yml\` YAML, all others JSON; at most 10 MiB of UTF-8. Keys that nobody knows are
refused, and so are those that this tool cannot keep. \`mirrord verify-config --resolved FILE\` checks one.

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

## The environment, in order

1. this machine's variables without those in \`feature.env.unset\`;
2. over them the target's: those in \`include\`, or all but those in \`exclude\` and those that would break a program here;
3. over them those of \`env_file\`;
4. of the target's and the file's, those whose name a pattern of \`mapping\` matches get its value;
5. over all, \`override\`.
`;

const TITLES: Readonly<Record<Why, string>> = {
  later: "Not supported yet",
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
  return [HEAD, ...tables, SHORT_FORMS, ...otherKeys()].join("\n");
}

function otherKeys(): string[] {
  return (["later", "operator", "harmless"] as const).map((why) => {
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
