/** What this build calls itself; said in deno.json. */
import project from "../../deno.json" with { type: "json" };

export const VERSION: string = project.version;
