/** Programs of jq in a configuration: jq itself reads them before anything starts. It is loaded only when there is one. */
import type { IncomingConfig } from "../config/incoming.ts";
import { refuse } from "../config/values.ts";

/** Throws `UserError` for the first that is none. */
export async function checkJqPrograms(programs: IncomingConfig["jqPrograms"]): Promise<void> {
  if (programs.length === 0) return;
  const { JqRunner } = await import("../base/jq.ts");
  const jq = await JqRunner.load();
  for (const { program, from } of programs) {
    const fault = jq.fault(program);
    if (fault === undefined) continue;
    throw refuse(
      { from },
      `"${program}" is no jq program: ${fault}`,
      "jq 'PROGRAM' says the same; its manual: jqlang.org/manual",
    );
  }
}
