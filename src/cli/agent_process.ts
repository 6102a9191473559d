export function serveAsAgent(..._: unknown[]): Promise<number> {
  throw new Error("not yet");
}
