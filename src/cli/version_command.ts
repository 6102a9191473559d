/** `mirrord version`: what this build is, and which agent fits it. */
import { UserError } from "../base/errors.ts";
import { type Command, valueOf } from "./command.ts";
import { printLine } from "./terminal.ts";
import { VERSION } from "./version.ts";

export const VERSION_COMMAND: Command = {
  name: "version",
  summary: "Print the version, and the agent's image that fits",
  doc:
    `Prints the version of mirrord, of the protocol that it speaks with agents, and the agent's image that fits. An agent of
another protocol is refused when a run starts, one of another version is warned of.`,
  usage: ["mirrord version [-o text|json]"],
  flags: [{ flag: "--output", short: "-o", value: "FORMAT", doc: "text or json", default: "text" }],
  async run(input) {
    const format = valueOf(input, "--output") ?? "text";
    if (!["text", "json"].includes(format) || input.rest[0] !== undefined) {
      throw new UserError("USAGE", `Cannot print the version as "${input.rest[0] ?? format}"`, {
        hint: "mirrord version [-o text|json]",
        exitCode: 2,
      });
    }
    const { AGENT_PROTOCOL } = await import("../proto/agent.ts");
    const { agentImage } = await import("../kube/image.ts");
    const image = agentImage({ name: undefined, registry: undefined, tag: undefined }, VERSION);
    const told = { version: VERSION, protocol: AGENT_PROTOCOL, agent_image: image, platform: Deno.build.target };
    printLine(
      format === "json"
        ? JSON.stringify(told)
        : `mirrord ${VERSION}\nprotocol ${AGENT_PROTOCOL}\nagent ${image}\nplatform ${Deno.build.target}`,
    );
    return 0;
  },
};
