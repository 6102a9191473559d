/** What a configuration says that has no effect, or another one than it seems: told in warnings, never refused. */
import { parseAddressRule } from "./address_filter.ts";
import type { Config } from "./resolve.ts";

export function adviceOn(config: Config): string[] {
  const { agent, network, incoming, targetNamespace } = config;
  const advice: string[] = [];
  if (agent.isEphemeral && agent.namespace !== undefined && agent.namespace !== targetNamespace) {
    advice.push("agent.namespace has no effect with agent.ephemeral: the agent lies in the target's pod");
  }
  const names = namesIn(network.outgoing?.rules ?? []);
  if (names.length > 0 && !config.isDnsRemote) {
    advice.push(
      `feature.network.outgoing.filter names ${names.join(", ")}, while names are looked up on this machine: ` +
        "they are matched by the addresses that they have here",
    );
  }
  for (const [own, remote] of incoming.portMapping) {
    if (own === remote) advice.push(`feature.network.incoming.port_mapping [${own}, ${remote}] says nothing`);
  }
  return advice;
}

function namesIn(rules: readonly string[]): string[] {
  return rules.flatMap((text) => {
    const rule = parseAddressRule(text);
    return typeof rule === "string" ? [] : rule.name ?? [];
  });
}
