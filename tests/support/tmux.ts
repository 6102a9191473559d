/** A terminal with somebody at it: tmux draws what programs write, and types what a test says. */
import { eventually } from "./eventually.ts";

/** Undefined, or the reason why a test has to be skipped. */
export function whyNoTmux(): string | undefined {
  try {
    Deno.statSync("/usr/bin/tmux");
    return undefined;
  } catch {
    return 'needs the program "tmux"';
  }
}

const PROMPT = "ready$ ";

/** One window with an interactive bash in it, whose prompt is "ready$ ". */
export class Terminal implements AsyncDisposable {
  readonly #folder = Deno.makeTempDirSync({ prefix: "mirrord-tmux-" });

  private constructor() {}

  static async open(env: Readonly<Record<string, string>>, columns = 120): Promise<Terminal> {
    const terminal = new Terminal();
    const variables = Object.entries({ PS1: PROMPT, LC_ALL: "C.UTF-8", ...env }).flatMap(([name, value]) => [
      "-e",
      `${name}=${value}`,
    ]);
    const shell = ["bash", "--noprofile", "--norc", "-i"];
    await terminal.#tmux("new-session", "-d", "-x", String(columns), "-y", "40", ...variables, "--", ...shell);
    await terminal.untilPrompt();
    return terminal;
  }

  /** What somebody sees, without what is to the right of it. */
  async screen(): Promise<string> {
    const text = await this.#tmux("capture-pane", "-p", "-S", "-200");
    return text.split("\n").map((line) => line.trimEnd()).join("\n").trimEnd();
  }

  /** Types a line and Return. */
  async line(text: string): Promise<void> {
    await this.#tmux("send-keys", "-l", text);
    await this.#tmux("send-keys", "Enter");
  }

  /** As tmux calls keys: "C-c". */
  async key(name: string): Promise<void> {
    await this.#tmux("send-keys", name);
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux("resize-window", "-x", String(columns), "-y", String(rows));
  }

  /** Fails with what was seen instead. */
  async untilShows(what: RegExp): Promise<string> {
    let seen = "";
    await eventually(async () => what.test(seen = await this.screen())).catch(() => {
      throw new Error(`Gave up waiting for ${what}; the screen shows:\n${seen}`);
    });
    return seen;
  }

  /** The shell is asking again, and nothing but its prompt is on the line. */
  async untilPrompt(): Promise<string> {
    return await this.untilShows(/(^|\n)ready\$$/);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tmux("kill-server");
    await Deno.remove(this.#folder, { recursive: true });
  }

  async #tmux(...args: string[]): Promise<string> {
    const options = { clearEnv: true, env: { PATH: "/usr/bin:/bin", LC_ALL: "C.UTF-8", TERM: "screen", HOME: "/" } };
    const command = new Deno.Command("tmux", {
      args: ["-S", `${this.#folder}/socket`, "-f", "/dev/null", ...args],
      ...options,
    });
    const { success, stdout, stderr } = await command.output();
    if (!success) throw new Error(`tmux ${args[0]}: ${new TextDecoder().decode(stderr)}`);
    return new TextDecoder().decode(stdout);
  }
}
