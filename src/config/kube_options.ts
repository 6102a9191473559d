/** The part of the table of options that is about the way to the cluster. */
import type { KeyDecl, OptionDecl } from "./options.ts";

export const KUBE_OPTIONS: readonly OptionDecl[] = [
  {
    flag: "--context",
    env: "MIRRORD_KUBE_CONTEXT",
    key: "kube_context",
    kind: "text",
    value: "NAME",
    doc: "Context of the kubeconfig to use",
    default: "its current one",
    group: "Kubernetes",
  },
  {
    flag: "--kubeconfig",
    env: "MIRRORD_KUBECONFIG",
    key: "kubeconfig",
    kind: "text",
    value: "FILE",
    doc: "Kubeconfig file",
    default: "$KUBECONFIG, then ~/.kube/config",
    group: "Kubernetes",
  },
  {
    flag: "--accept-invalid-certificates",
    short: "-c",
    env: "MIRRORD_ACCEPT_INVALID_CERTIFICATES",
    key: "accept_invalid_certificates",
    kind: "boolean",
    value: "BOOL",
    isValueOptional: true,
    sets: "true",
    doc: "Do not verify the API server's certificate",
    default: "what the kubeconfig says",
    group: "Kubernetes",
  },
];

/** Without a flag. */
export const KUBE_FILE_OPTIONS: readonly KeyDecl[] = [
  {
    key: "use_proxy",
    env: "MIRRORD_PROXY",
    kind: "boolean",
    doc: "Whether HTTPS_PROXY and the like lead to the API server; proxy-url of the kubeconfig always does",
    default: "true",
    group: "Kubernetes",
  },
];
