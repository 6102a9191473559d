/** Command lines that make no sense are refused with exit code 2, a sentence and a hint, before anything is started. */
import assert from "node:assert/strict";
import { exec, mirrord, testUnless, whyNotBuilt } from "../support/mirrord.ts";

const REASON = whyNotBuilt();

const MISUSES: readonly { args: string[]; says: RegExp; env?: Record<string, string> }[] = [
  { args: ["exce"], says: /Cannot understand "exce": no such command\n hint: did you mean "mirrord exec"\?/ },
  { args: ["--verbose"], says: /Cannot understand "--verbose": no such option/ },
  { args: ["exec"], says: /no program was named/ },
  { args: ["exec", "--targte", "x", "true"], says: /no such option\n hint: did you mean --target\?/ },
  { args: ["exec", "--steal", "true"], says: /Cannot use the value of --steal: without a target/ },
  { args: ["exec", "--target"], says: /"--target": it needs PATH/ },
  { args: ["exec", "--no-outgoing=1", "true"], says: /--no-outgoing takes no value/ },
  { args: ["exec", "-t", "pod", "true"], says: /Cannot use target "pod": "" is not a name/ },
  { args: ["exec", "-t", "pod/UPPER", "true"], says: /"UPPER" is not a name/ },
  { args: ["exec", "-t", "pod/a/b", "true"], says: /only "\/container\/NAME" may follow/ },
  {
    args: ["exec", "-t", "statefullset/db", "true"],
    says: /no such kind; did you mean "statefulset"\?\n hint: supported: pod\/NAME/,
  },
  { args: ["exec", "-t", "label/app", "true"], says: /"app" is not a label as KEY=VALUE/ },
  { args: ["ls", "-t", "planet"], says: /Cannot list "planet": no such type of targets\n hint: one of: deployment/ },
  { args: ["ls", "-o", "xml"], says: /Cannot print as "xml": there is no such format\n hint: one of: json/ },
  { args: ["ls"], env: { MIRRORD_LS_TARGET_TYPES: "[1]" }, says: /MIRRORD_LS_TARGET_TYPES: it is no JSON array/ },
  { args: ["exec", "-t", "planet/mars", "true"], says: /no such kind/ },
  { args: ["exec", "-t", "process/0", "true"], says: /"0" is not a process id/ },
  { args: ["exec", "-t", "process/12x", "true"], says: /"12x" is not a process id/ },
  { args: ["exec", "--fs-mode", "wirte", "true"], says: /there is no mode "wirte"\n hint: one of: local, / },
  { args: ["exec", "--agent-ttl", "soon", "true"], says: /value of --agent-ttl: "soon" is not a number of seconds/ },
  { args: ["exec", "-c=maybe", "true"], says: /"maybe" is neither true nor false/ },
  { args: ["exec", "-s", "A", "-x", "B", "true"], says: /Cannot use --override-env-vars-include together with/ },
  { args: ["exec", "true"], env: { MIRRORD_REMOTE_DNS: "perhaps" }, says: /value of MIRRORD_REMOTE_DNS: "perhaps"/ },
  { args: ["exec", "true"], env: { MIRRORD_PROGRESS_MODE: "loud" }, says: /no mode "loud"\n hint: one of: standard/ },
  { args: ["diagnose", "true", "more"], says: /Cannot diagnose: "more" is too much\n hint: mirrord diagnose/ },
  { args: ["diagnose", "license"], says: /Cannot run "mirrord diagnose license": there is no license/ },
  { args: ["diagnose", "--rounds", "0"], says: /"0" round trips: it is no number from 1 to 10000/ },
  { args: ["diagnose", "latency", "-o", "xml"], says: /Cannot print as "xml"/ },
  { args: ["fix"], says: /Cannot fix "": only a kubeconfig can be fixed\n hint: mirrord fix kubeconfig/ },
  { args: ["fix", "kubeconfig", "now"], says: /Cannot fix "kubeconfig now"/ },
  { args: ["port-forward"], says: /Cannot forward: no port was named\n hint: mirrord port-forward -L/ },
  { args: ["port-forward", "-L", "db"], says: /Cannot forward "db": it is no \[LOCAL:\]HOST:PORT/ },
  { args: ["port-forward", "-L", "0:db:5432"], says: /0 is no port from 1 to 65535/ },
  { args: ["port-forward", "-L", "db:0"], says: /0 is no port from 1 to 65535/ },
  { args: ["port-forward", "-L", "[::g]:80"], says: /Cannot forward "\[::g\]:80"/ },
  { args: ["port-forward", "-L", "[1:2]:80"], says: /"1:2" is no IPv6 address/ },
  {
    args: ["port-forward", "-L", "a:80", "-L", "80:b:81"],
    says: /Cannot forward port 80 twice\n hint: .* 81:HOST:PORT/,
  },
  { args: ["port-forward", "-L", "a:80", "b:81"], says: /"b:81" is too much\n hint: each destination has its own -L/ },
  { args: ["port-forward", "-R", "80:x"], says: /Cannot forward "80:x": it is no \[REMOTE:\]LOCAL/ },
  { args: ["port-forward", "-R", "0:80"], says: /0 is no port from 1 to 65535/ },
  { args: ["port-forward", "-R", "80:1", "-R", "80:2"], says: /Cannot forward port 80 of the target twice/ },
  { args: ["port-forward", "-R", "80"], says: /Cannot take the target's traffic: there is no target/ },
  {
    args: ["port-forward", "-t", `process/${Deno.pid}`, "-R", "80"],
    says: /Cannot take the target's traffic: its network is this machine's own/,
  },
  { args: ["dump", "-p", "http"], says: /Cannot dump port "http": it is no number from 1 to 65535/ },
  { args: ["dump", "-o", "xml"], says: /Cannot print as "xml"/ },
  { args: ["dump", "80"], says: /Cannot dump: "80" is too much\n hint: ports are named by --ports/ },
  { args: ["dump"], says: /Cannot take the target's traffic: there is no target/ },
  { args: ["console", "--listen", "11233"], says: /Cannot listen on "11233": it is no HOST:PORT/ },
  { args: ["console", "--level", "loud"], says: /Cannot print level "loud"\n hint: one of: error, warn/ },
  { args: ["extract"], says: /Cannot extract: it needs one path/ },
  { args: ["extract", "a", "b"], says: /Cannot extract: it needs one path/ },
  { args: ["version", "now"], says: /Cannot print the version as "now"/ },
  { args: ["exec", "true"], env: { MIRRORD_DONT_LOAD: "1" }, says: /Cannot run: MIRRORD_DONT_LOAD is set/ },
  { args: ["intproxy"], says: /it is started by `mirrord exec` alone/ },
  { args: ["agent"], says: /exactly one of --pid, --container-id, --neighbour, --targetless/ },
  { args: ["agent", "--pid", "1", "--targetless", "--stdio"], says: /exactly one of --pid/ },
  { args: ["agent", "--pid", "1"], says: /exactly one of --listen, --stdio/ },
  { args: ["agent", "--pid", "x", "--stdio"], says: /--pid "x" is not a number from 1/ },
  { args: ["agent", "--targetless", "--listen", "70000"], says: /--listen "70000" is not a number from 1 to 65535/ },
  { args: ["agent", "--container-id", "../../etc", "--stdio"], says: /is not the id of a container/ },
  { args: ["agent", "--targetless", "--stdio", "now"], says: /"now" is too much/ },
  { args: ["agent", "--targetless", "--listen", "5000"], says: /MIRRORD_AGENT_SECRET_SHA256 has to be set/ },
  {
    args: ["agent", "--targetless", "--listen", "5000"],
    env: { MIRRORD_AGENT_SECRET_SHA256: "abc" },
    says: /MIRRORD_AGENT_SECRET_SHA256 is not a SHA-256 in hex/,
  },
];

for (const { args, env, says } of MISUSES) {
  const typed = [...Object.entries(env ?? {}).map((it) => it.join("=")), "mirrord", ...args].join(" ");
  testUnless(REASON, `"${typed}" is refused with exit code 2 and a reason`, async () => {
    const { code, stdout, stderr } = await mirrord(args, env ? { env } : {});
    assert.match(stderr, says);
    assert.match(stderr, /^error: Cannot .*(?:\n hint: .*)? {3}\(code [A-Z_]+\)\n$/);
    assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
  });
}

const FAILURES: readonly { what: string; args: string[]; code: number; says: RegExp }[] = [
  { what: "a program that is not in PATH", args: ["no-such-program-9"], code: 127, says: /no such program in PATH/ },
  { what: "a path where nothing is", args: ["./no/such/file"], code: 127, says: /no such file/ },
  { what: "a directory", args: ["/tmp"], code: 126, says: /it is a directory/ },
  { what: "a file without the x bit", args: ["/etc/passwd"], code: 126, says: /permission denied\n hint: chmod \+x/ },
  { what: "a device", args: ["/dev/null"], code: 126, says: /not a regular file/ },
];

for (const { what, args, code, says } of FAILURES) {
  testUnless(REASON, `exec of ${what} exits with ${code}`, async () => {
    const ended = await exec(["--", ...args]);
    assert.match(ended.stderr, says);
    assert.equal(ended.code, code);
  });
}

testUnless(REASON, "exec of a script whose interpreter is not there exits with 127 and names it", async () => {
  const script = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(script, "#!/no/such/interpreter -x\n");
    await Deno.chmod(script, 0o755);
    const { code, stderr } = await exec([script]);
    assert.match(stderr, /its interpreter "\/no\/such\/interpreter" is not there/);
    assert.equal(code, 127);
  } finally {
    await Deno.remove(script);
  }
});

testUnless(REASON, "exec inside a run of mirrord is refused", async () => {
  const { code, stderr } = await exec(["true"], { env: { MIRRORD_SESSION_DIR: "/tmp/x" } });
  assert.match(stderr, /already inside a run of mirrord/);
  assert.equal(code, 125);
});
