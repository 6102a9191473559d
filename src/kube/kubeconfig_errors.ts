/** What is said of a kubeconfig that cannot be used. */
import { UserError } from "../base/errors.ts";

export function missing(env: (name: string) => string | undefined): UserError {
  const usual = `${env("HOME") ?? "~"}/.kube/config`;
  return new UserError(
    "KUBECONFIG_MISSING",
    `Cannot find a kubeconfig: KUBECONFIG is not set and there is no ${usual}`,
    {
      hint: "--kubeconfig FILE names one; --target process/PID needs none",
    },
  );
}

export function invalid(from: string, because: string, cause?: unknown): UserError {
  return new UserError("KUBECONFIG_INVALID", `Cannot use the kubeconfig ${from}: ${because}`, {
    hint: "`kubectl config view` must be able to read it",
    ...(cause === undefined ? {} : { cause }),
  });
}
