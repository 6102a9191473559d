/** The file `settings` of a session: one frame that every process of the run reads when the shim enters it. */
import type { LAYER } from "../../proto/layer.ts";
import type { MessageNamed } from "../../proto/schema.ts";
import { layerCodec } from "./shim_connection.ts";

export type Settings = Omit<MessageNamed<typeof LAYER, "Settings">, "type">;

/** What the user's side decides of it; the rest the intproxy knows. */
export type UserSettings = Omit<
  Settings,
  | "build"
  | "hostname"
  | "acceptPort4"
  | "acceptPort6"
  | "holePort4"
  | "holePort6"
  | "datagramRelay"
  | "asksDestinations"
  | "isIncomingRemote"
  | "streamRelay"
  | "packetRelay"
  | "isTracing"
>;

/** In a directory that only the run knows. */
const SETTINGS_MODE = 0o644;

/** Whoever finds the file finds it whole. */
export async function writeSettings(directory: string, settings: Settings): Promise<void> {
  const path = `${directory}/settings`;
  await Deno.writeFile(`${path}.new`, layerCodec.encode({ type: "Settings", ...settings }, 0), { mode: 0o600 });
  await Deno.chmod(`${path}.new`, SETTINGS_MODE);
  await Deno.rename(`${path}.new`, path);
}
