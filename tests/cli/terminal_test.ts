/** At a real terminal: what is drawn, what keys do, and how the terminal is left. */
import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { startApiServer } from "../support/api_server.ts";
import { MIRRORD, testUnless, whyNotBuilt } from "../support/mirrord.ts";
import { startSandbox, whyNoSandbox } from "../support/sandbox.ts";
import { Terminal, whyNoTmux } from "../support/tmux.ts";

const REASON = whyNotBuilt() ?? whyNoTmux();
const SANDBOX_REASON = REASON ?? whyNoSandbox();
const FRAME = /[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] mirrord exec/;

/** A kubeconfig for an API server that never answers, and how often it was asked. */
async function atSilentServer(
  user: object,
  body: (run: string, folder: string) => Promise<void>,
): Promise<void> {
  const hold = Promise.withResolvers<Response>();
  const api = startApiServer(() => hold.promise);
  const folder = await Deno.makeTempDir();
  try {
    const config = {
      clusters: [{ name: "c", cluster: { server: api.server.url } }],
      users: [{ name: "dev", user }],
      contexts: [{ name: "c", context: { cluster: "c", user: "dev" } }],
      "current-context": "c",
    };
    await Deno.writeTextFile(`${folder}/config`, JSON.stringify(config));
    await body(`${MIRRORD} exec --kubeconfig ${folder}/config -t pod/web`, folder);
  } finally {
    hold.resolve(new Response(null, { status: 500 }));
    await api[Symbol.asyncDispose]();
    await Deno.remove(folder, { recursive: true });
  }
}

testUnless(REASON, "the spinner turns, and Ctrl-C leaves the terminal as it was", async () => {
  await atSilentServer({}, async (run) => {
    await using terminal = await Terminal.open({});
    await terminal.line("stty -g > /tmp/stty-$$; clear");
    await terminal.untilPrompt();
    await terminal.line(`${run} true`);
    const frames = new Set<string>();
    while (frames.size < 3) {
      frames.add(FRAME.exec(await terminal.untilShows(/[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] mirrord exec: looking for pod\/web/))![0]);
    }
    await terminal.key("C-c");
    assert.doesNotMatch(await terminal.untilPrompt(), FRAME);
    await terminal.line('echo "code $?"; stty -g | cmp - /tmp/stty-$$ && echo same; rm /tmp/stty-$$');
    assert.match(await terminal.untilShows(/\nsame\nready\$$/), /code 130\n/);
  });
});

testUnless(REASON, "Ctrl-Z stops the start, fg goes on with it", async () => {
  await atSilentServer({}, async (run) => {
    await using terminal = await Terminal.open({});
    await terminal.line(`${run} true`);
    await terminal.untilShows(/looking for pod\/web/);
    await terminal.key("C-z");
    await terminal.untilShows(/Stopped/);
    await terminal.line("clear; fg");
    await terminal.untilShows(/mirrord exec: looking for pod\/web$/);
    await terminal.key("C-c");
    await terminal.untilPrompt();
  });
});

for (const [name, setting] of [["CI is set", "CI=true"], ["the terminal is dumb", "TERM=dumb"]] as const) {
  testUnless(REASON, `nothing moves where ${name}`, async () => {
    await atSilentServer({}, async (run) => {
      await using terminal = await Terminal.open({});
      await terminal.line(`${setting} ${run} true`);
      const seen = await terminal.untilShows(/\* dns: /);
      assert.doesNotMatch(seen, FRAME);
      await terminal.key("C-c");
      await terminal.untilShows(/ready\$$/);
    });
  });
}

testUnless(SANDBOX_REASON, "nothing is coloured, whether NO_COLOR is set or not", async () => {
  await using sandbox = await startSandbox();
  for (const env of [{}, { NO_COLOR: "1" }, { FORCE_COLOR: "1" }]) {
    const typed = `${MIRRORD} exec -t process/${sandbox.pid} true; ${MIRRORD} exec -t nonsense true; ${MIRRORD} --help`;
    const command = new Deno.Command("script", { args: ["-qec", typed, "/dev/null"], env, stdin: "null" });
    const text = new TextDecoder().decode((await command.output()).stdout);
    assert.match(text, /ready to launch/);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(text, /\x1b\[[0-9;]*m/);
  }
});

const ASKING = `#!/bin/sh
stty -echo; printf 'Password: ' >&2; read -r password; stty echo; echo >&2
[ "$password" = sesame ] || { echo 'wrong password' >&2; exit 1; }
echo '{"kind":"ExecCredential","status":{"token":"t"}}'
`;

testUnless(REASON, "a plugin asks for a password: nothing moves meanwhile, and nothing of it is seen", async () => {
  const api = "client.authentication.k8s.io/v1";
  await atSilentServer(
    { exec: { apiVersion: api, command: "./ask", interactiveMode: "Always" } },
    async (run, folder) => {
      await Deno.writeTextFile(`${folder}/ask`, ASKING, { mode: 0o755 });
      await using terminal = await Terminal.open({});
      await terminal.line(`${run} true`);
      assert.doesNotMatch(await terminal.untilShows(/\nPassword:$/), FRAME);
      await terminal.line("sesame");
      const seen = await terminal.untilShows(/looking for pod\/web/);
      assert.doesNotMatch(seen, /sesame/);
      await terminal.key("C-c");
      await terminal.untilPrompt();
      await terminal.line(`clear; ${run} true`);
      await terminal.untilShows(/\nPassword:$/);
      await terminal.line("open");
      assert.match(
        await terminal.untilPrompt(),
        /\nwrong password\nerror: Cannot authenticate as user "dev": .*ask" failed/,
      );
    },
  );
});

testUnless(REASON, "Ctrl-C at a plugin's prompt ends the start, also when the plugin does not care", async () => {
  const api = "client.authentication.k8s.io/v1";
  const script = "trap '' INT; printf 'Code: ' >&2; exec sleep 1000";
  await atSilentServer({ exec: { apiVersion: api, command: "sh", args: ["-c", script] } }, async (run) => {
    await using terminal = await Terminal.open({});
    await terminal.line(`${run} true`);
    await terminal.untilShows(/\nCode:$/);
    await terminal.key("C-c");
    await terminal.untilShows(/ready\$$/);
    await terminal.line('echo "code $?"');
    await terminal.untilShows(/\ncode 130\n/);
  });
});

testUnless(REASON, "Ctrl-C where a password is typed leaves a terminal that shows what is typed", async () => {
  const api = "client.authentication.k8s.io/v1";
  const script = "stty -echo; printf 'Password: ' >&2; read -r password";
  await atSilentServer({ exec: { apiVersion: api, command: "sh", args: ["-c", script] } }, async (run) => {
    await using terminal = await Terminal.open({});
    await terminal.line(`${run} true`);
    await terminal.untilShows(/\nPassword:$/);
    await terminal.key("C-c");
    await terminal.untilShows(/ready\$$/);
    await terminal.line("clear; stty -a | grep -o -- '-\\?echo '");
    await terminal.untilShows(/(^|\n)echo\nready\$$/);
  });
});

testUnless(REASON, "Ctrl-C ends the script that started the run too", async () => {
  await atSilentServer({}, async (run, folder) => {
    await Deno.writeTextFile(`${folder}/script`, `${run} true\necho went on\n`);
    await using terminal = await Terminal.open({});
    await terminal.line(`bash ${folder}/script`);
    await terminal.untilShows(/looking for pod\/web/);
    await terminal.key("C-c");
    assert.doesNotMatch(await terminal.untilPrompt(), /went on/);
  });
});

testUnless(REASON, "a terminal that is closed takes the start with it, and nothing stays", async () => {
  await atSilentServer({}, async (run, folder) => {
    {
      await using terminal = await Terminal.open({ XDG_RUNTIME_DIR: folder });
      await terminal.line(`${run} true`);
      await terminal.untilShows(/looking for pod\/web/);
      assert.equal([...Deno.readDirSync(`${folder}/mirrord`)].length, 1);
    }
    await eventually(() => [...Deno.readDirSync(`${folder}/mirrord`)].length === 0);
  });
});

testUnless(SANDBOX_REASON, "the program has the terminal: Ctrl-Z and fg, Ctrl-C, Ctrl-D, its size", async (test) => {
  await using sandbox = await startSandbox();
  await using terminal = await Terminal.open({});
  const run = `clear; ${MIRRORD} exec -t process/${sandbox.pid}`;
  await test.step("stopped and brought back it still has the target's files", async () => {
    await terminal.line(`${run} sh -c 'while read -r word; do echo "$word: $(cat /app/config.json)"; done'`);
    await terminal.untilShows(/ready to launch process/);
    await terminal.line("one");
    await terminal.untilShows(/one: \{ "color": "blue" \}/);
    await terminal.key("C-z");
    await terminal.untilShows(/Stopped[^]*\nready\$$/);
    await terminal.line("jobs");
    await terminal.untilShows(/\[1\]\+ +Stopped +.*mirrord exec/);
    await terminal.line("fg");
    await terminal.line("two");
    await terminal.untilShows(/two: \{ "color": "blue" \}/);
    await terminal.key("C-d");
    await terminal.untilPrompt();
  });
  await test.step("Ctrl-C is the program's, and so is how it ends", async () => {
    await terminal.line(`${run} sh -c 'trap "echo caught; exit 3" INT; echo begun; while :; do sleep 0.05; done'`);
    await terminal.untilShows(/\nbegun/);
    await terminal.key("C-c");
    await terminal.untilShows(/caught\n(\[.*\n)?ready\$$/);
    await terminal.line('echo "code $?"');
    await terminal.untilShows(/code 3/);
  });
  await test.step("it learns that the window has another size", async () => {
    await terminal.line(`${run} bash -c 'trap "stty size" WINCH; stty size; while :; do sleep 0.05; done'`);
    await terminal.untilShows(/\n40 120/);
    await terminal.resize(90, 25);
    await terminal.untilShows(/\n25 90/);
    await terminal.key("C-c");
    await terminal.untilPrompt();
  });
  await test.step("in the background it goes on, and fg brings it back", async () => {
    await terminal.line(`${run} sh -c 'read -r word; echo "got $word"' &`);
    await terminal.untilShows(/ready to launch process/);
    // It reads from the terminal; the shell tells that it was stopped when it is about to ask again.
    await eventually(async () => {
      await terminal.key("Enter");
      return /Stopped/.test(await terminal.screen());
    });
    await terminal.line("fg");
    await terminal.line("this");
    await terminal.untilShows(/got this/);
  });
});
