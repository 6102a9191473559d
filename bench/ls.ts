/** `mirrord ls` beside `kubectl get pods` on a cluster of 2 000 pods, which a scripted API server plays. */
import { kubeconfigFor, startCrowd } from "../tests/support/crowd.ts";
import type { Bench } from "./main.ts";
import { type Row, sideBySide, timeOf } from "./measure.ts";

const PODS = 2000;
const ROUNDS = 5;

export async function measureListing(bench: Bench): Promise<Row[]> {
  await using crowd = startCrowd(PODS);
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(file, kubeconfigFor(crowd));
    const env = { ...bench.clusterEnv, KUBECONFIG: file };
    const { ours, theirs, ratio } = await sideBySide(
      ROUNDS,
      () => timeOf([bench.mirrord, "ls"], env),
      () => timeOf(["kubectl", "get", "pods"], env),
    );
    return [{
      what: `\`mirrord ls\` of ${PODS} pods`,
      ours: `${ours.toFixed(0)} ms`,
      beside: `${theirs.toFixed(0)} ms \`kubectl get pods\``,
      ratio: ratio.toFixed(2),
      bound: "",
    }];
  } finally {
    await Deno.remove(file);
  }
}
