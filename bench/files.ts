/** Files of a pod: through mirrord, and by `kubectl exec` in the same pod, in turns; and importing modules from there. */
import type { Bench } from "./main.ts";
import { Conversation, outputOf, type Row, sideBySide } from "./measure.ts";

const POD = "bench-files";
const IMAGE = "docker.io/local/busybox:1";
const ROUNDS = 3;
const MANY = 1000;
const BIG_MB = 1024;
const MODULES = 200;

const CONTENTS = `mkdir -p /data/many /data/pkg/many && cd /data/many
for at in $(seq ${MANY}); do head -c 4096 /dev/urandom > f$at; done
cd /data/pkg/many && : > __init__.py
for at in $(seq ${MODULES}); do echo "value = $at" > m$at.py; echo "from . import m$at" >> __init__.py; done
head -c ${BIG_MB << 20} /dev/urandom > /data/big && touch /data/ready && exec sleep 100000`;

export async function measureFiles(bench: Bench): Promise<Row[]> {
  const { clusterEnv } = bench;
  const kubectl = (...args: string[]) => outputOf(["kubectl", ...args], clusterEnv);
  await kubectl("delete", "pod", POD, "--now", "--ignore-not-found");
  await kubectl("run", POD, `--image=${IMAGE}`, "--restart=Never", "--command", "--", "sh", "-c", CONTENTS);
  await kubectl("wait", "--for=condition=Ready", `pod/${POD}`, "--timeout=60s");
  const inPod = (script: string) => kubectl("exec", POD, "--", "sh", "-c", script);
  await inPod("until [ -e /data/ready ]; do sleep 1; done");
  const local = await Deno.makeTempDir({ prefix: "mirrord-bench-" });
  await outputOf(["sh", "-c", `kubectl exec ${POD} -- tar -C /data -cf - pkg | tar -xf - -C ${local}`], clusterEnv);
  try {
    await using shell = new Conversation(
      [bench.mirrord, "exec", "--target", `pod/${POD}`, "--", "sh"],
      { ...clusterEnv, MIRRORD_PROGRESS_MODE: "off" },
    );
    const under = (script: string) => timed(() => shell.ask(script));
    const beside = (script: string) =>
      timed(() => outputOf(["sh", "-c", script.replace("KUBECTL", `kubectl exec ${POD} --`)], clusterEnv));
    const many = await sideBySide(
      ROUNDS,
      () => under("tar -C /data -cf - many | wc -c"),
      () => beside("KUBECTL tar -C /data -cf - many | wc -c"),
    );
    const big = await sideBySide(
      ROUNDS,
      async () => BIG_MB / await under("cat /data/big | wc -c") * 1000,
      async () => BIG_MB / await beside("KUBECTL cat /data/big | wc -c") * 1000,
    );
    const importing = (place: string) =>
      `PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=${place} python3 -c 'import many; print(many.m7.value)'`;
    const modules = await sideBySide(
      ROUNDS,
      () => under(importing("/data/pkg")),
      () => beside(importing(`${local}/pkg`)),
    );
    const kubectlExec = "`kubectl exec`";
    return [
      row(`${MANY} files of 4 kB by tar`, many, "ms", `${kubectlExec} tar`, ""),
      row(`one file of ${BIG_MB} MB by cat`, big, "MB/s", `${kubectlExec} cat`, "≥ 0.8"),
      row(`Python imports ${MODULES} modules`, modules, "ms", "from a local directory", ""),
    ];
  } finally {
    await Deno.remove(local, { recursive: true });
    await kubectl("delete", "pod", POD, "--now", "--wait=false");
  }
}

function row(
  what: string,
  { ours, theirs, ratio }: { ours: number; theirs: number; ratio: number },
  unit: string,
  other: string,
  bound: string,
): Row {
  const said = { ours: `${ours.toFixed(0)} ${unit}`, beside: `${theirs.toFixed(0)} ${unit} ${other}` };
  return { what, ...said, ratio: ratio.toFixed(2), bound };
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await act();
  return performance.now() - started;
}
