import assert from "node:assert/strict";
import { BUILD_TOOLS, skippedIn } from "./skipped.ts";

/** Conformance 9.3, "layer load": is a process of that name left alone? */
function isSkipped(
  name: string,
  skip: { processes?: string[]; isSkippingBuildTools?: boolean; extraBuildTools?: string[] },
  typed: string[] = ["app"],
): boolean {
  const given = { processes: [], isSkippingBuildTools: true, extraBuildTools: [], ...skip };
  const { processes, buildTools } = skippedIn({ skip: given }, typed);
  return processes.includes(name) || buildTools.includes(name);
}

for (
  const { name, skip, typed, expected } of [
    { name: "app", skip: {}, expected: false },
    { name: "app", skip: { processes: ["other"] }, expected: false },
    { name: "app", skip: { processes: ["other", "app"] }, expected: true },
    { name: "app", skip: { processes: ["ap", "apps"] }, expected: false },
    { name: "git", skip: {}, expected: true },
    { name: "cargo", skip: {}, expected: true },
    { name: "go", skip: {}, expected: true },
    { name: "jspawnhelper", skip: {}, expected: false },
    { name: "git", skip: { isSkippingBuildTools: false }, expected: false },
    { name: "git", skip: { isSkippingBuildTools: false, processes: ["git"] }, expected: true },
    { name: "make", skip: {}, expected: false },
    { name: "make", skip: { extraBuildTools: ["make"] }, expected: true },
    { name: "make", skip: { extraBuildTools: ["make"], isSkippingBuildTools: false }, expected: false },
    { name: "git", skip: {}, typed: ["git"], expected: false },
    { name: "git", skip: {}, typed: ["g", "/usr/bin/git"], expected: false },
    { name: "gcc", skip: {}, typed: ["git"], expected: true },
    { name: "git", skip: { processes: ["git"] }, typed: ["git"], expected: true },
    { name: "make", skip: { extraBuildTools: ["make"] }, typed: ["/usr/bin/make"], expected: false },
    { name: "sh", skip: {}, typed: ["git"], expected: false },
  ]
) {
  const how = `${JSON.stringify(skip)}${typed ? `, typed ${typed.join(" or ")}` : ""}`;
  // Row U04
  Deno.test(`a process called ${name} is ${expected ? "left alone" : "entered"} with ${how}`, () => {
    assert.equal(isSkipped(name, skip, typed), expected);
  });
}

Deno.test("the list of build tools names each once", () => {
  assert.equal(new Set(BUILD_TOOLS).size, BUILD_TOOLS.length);
});
