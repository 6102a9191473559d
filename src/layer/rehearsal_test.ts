import { checkRehearsal } from "../../tests/support/rehearsal.ts";
import { rehearse } from "./rehearsal.ts";

Deno.test("a rehearsal of the layer makes its connects, says nothing, and leaves nothing open", async () => {
  await checkRehearsal(rehearse);
});
