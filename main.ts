/** The entry: hands the arguments to src/cli and exits with the code it returns. Nothing else calls Deno.exit. */
import { runCommandLine } from "./src/cli/mod.ts";

Deno.exit(await runCommandLine(Deno.args));
