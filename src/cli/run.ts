export function runProgram(..._: unknown[]): Promise<number> {
  throw new Error("not yet");
}
