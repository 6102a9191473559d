/** The rules by which the shim decides whose a path is: `enum rule` of native/paths.h, in its order; a test compares them. */
export const RULES = [
  "undecidable",
  "mode-local",
  "not-found-pattern",
  "read-write-pattern",
  "read-only-pattern",
  "local-pattern",
  "mount",
  "target-network",
  "user-credentials",
  "target-identity",
  "root",
  "launch-directory",
  "temporary-directory",
  "system-directory",
  "program",
  "home-dotfile",
  "code",
  "mode-overrides",
  "write",
  "mode-remote",
] as const;
export type Rule = typeof RULES[number];
