/** At a real terminal, with a real cluster: the steps as they are seen, and Ctrl-C at each of them. */
import assert from "node:assert/strict";
import { MIRRORD } from "../support/mirrord.ts";
import { Terminal } from "../support/tmux.ts";
import { clusterTest } from "./namespace.ts";
import { pod } from "./objects.ts";

/** What stands behind the spinner, or above it, when the key is pressed. */
const STEPS = [
  /mirrord exec: looking for pod\/web/,
  /mirrord exec: creating the agent/,
  /mirrord exec: agent job mirrord-agent-\w+ created/,
  /✓ agent pod \S+ is running/,
];

clusterTest("Ctrl-C at a terminal, at each step of the start, leaves nothing behind", async (namespace, test) => {
  await namespace.apply(pod({ name: "web", script: "exec sleep 100000" }));
  await namespace.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout", "300s");
  await using terminal = await Terminal.open(namespace.environment);
  const run = `clear; ${MIRRORD} exec -t pod/web -- sh -c 'echo begun; sleep 1000'`;
  for (const step of STEPS) {
    await test.step(String(step), async () => {
      // A step may be over before the screen is looked at.
      for (let attempt = 0, seen = "\nbegun"; seen.endsWith("\nbegun"); attempt++) {
        assert.ok(attempt < 10, "the step was never seen");
        await terminal.line(run);
        seen = await terminal.untilShows(new RegExp(`${step.source}|\nbegun$`));
        await terminal.key("C-c");
        await terminal.untilPrompt();
      }
      await terminal.line('echo "code $?"');
      assert.doesNotMatch(await terminal.untilShows(/\ncode 130\nready\$$/), /error:|Uncaught/);
      await namespace.noAgents();
    });
  }
  await test.step("and in the program, which has the terminal then", async () => {
    await terminal.line(run);
    const seen = await terminal.untilShows(/\nbegun$/);
    assert.match(seen, /\n✓ mirrord exec: ready to launch process\nbegun$/);
    await terminal.key("C-c");
    await terminal.untilPrompt();
    await namespace.noAgents();
  });
});
