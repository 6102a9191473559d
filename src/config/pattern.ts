/** Regular expressions as configuration files write them, which may begin with flags: `(?i)name`. */

/** The expression, or why it is none. */
export function compilePattern(source: string): RegExp | string {
  const [, flags = "", body = ""] = /^(?:\(\?([ims]+)\))?(.*)$/s.exec(source) ?? [];
  try {
    return new RegExp(body, [...new Set(flags)].join(""));
  } catch (error) {
    return (error instanceof Error ? error.message : String(error)).replace(/^Invalid regular expression: /, "");
  }
}
