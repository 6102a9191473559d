/** The rows of the table of options that are about what is done unasked (options.ts): `feature.magic`. */
import type { KeyDecl } from "./options.ts";

export type MagicKey = `feature.magic.${"auto_mount" | "aws" | "turbo"}`;

const group = "What is the target's";

export const MAGIC_FILE_OPTIONS: readonly KeyDecl[] = [
  {
    key: "feature.magic.auto_mount",
    kind: "boolean",
    doc: "Read what lies where the target's volumes are mounted from the target, wherever that is",
    default: "true",
    group,
  },
  {
    key: "feature.magic.aws",
    kind: "boolean",
    doc: "Leave out the user's own AWS logins (AWS_PROFILE, AWS_ACCESS_KEY_ID…, ~/.aws), so that the target's count",
    default: "true",
    group,
  },
  {
    key: "feature.magic.turbo",
    kind: "boolean",
    doc: "For Next.js: connections to loopback stay here, as feature.network.outgoing.ignore_localhost says",
    default: "true",
    group,
  },
];
