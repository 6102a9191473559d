export function serveAsIntproxy(..._: unknown[]): Promise<number> {
  throw new Error("not yet");
}
