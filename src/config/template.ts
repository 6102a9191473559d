/**
 * Renders a configuration file that is a template, in the part of Tera's language that such files use: values, get_env(),
 * filters, conditions, comments, raw text.
 *
 * It refuses what can go on and on or reach for other files: loops, macros, inclusion. What a value becomes is text as it is:
 * nothing is quoted for JSON, as the reference tool does not either.
 */

/** Why a template cannot be rendered: the end of a sentence. */
export class TemplateError extends Error {
  constructor(readonly line: number, message: string) {
    super(message);
  }
}

type Value = string | number | boolean;

export interface TemplateContext {
  readonly variables: Readonly<Record<string, Value>>;
  readonly getEnv: (name: string) => string | undefined;
}

/** What is rendered may be much longer than what was written, but not this much. */
const MAX_CHARACTERS = 10 << 20;

/** Throws `TemplateError`. */
export function renderTemplate(text: string, context: TemplateContext): string {
  const pieces = split(text);
  const parser = new Renderer(pieces, context);
  return parser.render();
}

interface Piece {
  readonly kind: "text" | "value" | "tag";
  readonly content: string;
  readonly line: number;
}

/** Text, {{ value }} and {% tag %}; comments and raw marks are gone, and so is the space that a dash asks for. */
function split(text: string): Piece[] {
  const pieces: Piece[] = [];
  const mark = /\{%-?\s*raw\s*-?%\}([\s\S]*?)\{%-?\s*endraw\s*-?%\}|\{\{|\{%|\{#/g;
  let from = 0;
  let trims = false;
  const lineAt = (at: number) => text.slice(0, at).split("\n").length;
  const addText = (to: number, trimsEnd: boolean) => {
    let content = text.slice(from, to);
    if (trims) content = content.trimStart();
    if (trimsEnd) content = content.trimEnd();
    if (content !== "") pieces.push({ kind: "text", content, line: lineAt(from) });
    trims = false;
  };
  for (let match = mark.exec(text); match; match = mark.exec(text)) {
    const line = lineAt(match.index);
    if (match[1] !== undefined) {
      addText(match.index, false);
      pieces.push({ kind: "text", content: match[1], line });
      from = mark.lastIndex;
      continue;
    }
    const close = match[0] === "{{" ? "}}" : match[0] === "{%" ? "%}" : "#}";
    const end = text.indexOf(close, mark.lastIndex);
    if (end === -1) throw new TemplateError(line, `"${match[0]}" is not closed`);
    const inner = text.slice(mark.lastIndex, end);
    addText(match.index, inner.startsWith("-"));
    trims = inner.endsWith("-");
    const content = inner.replace(/^-/, "").replace(/-$/, "").trim();
    if (close !== "#}") pieces.push({ kind: close === "}}" ? "value" : "tag", content, line });
    from = mark.lastIndex = end + 2;
  }
  addText(text.length, false);
  return pieces;
}

class Renderer {
  #at = 0;
  #length = 0;
  readonly #variables: Record<string, Value>;

  constructor(readonly pieces: readonly Piece[], readonly context: TemplateContext) {
    this.#variables = { __proto__: null, ...context.variables } as unknown as Record<string, Value>;
  }

  render(): string {
    const text = this.#until([], true);
    const left = this.pieces[this.#at];
    if (left) throw new TemplateError(left.line, `"{% ${left.content} %}" has no beginning`);
    return text;
  }

  /** Up to a tag of one of these names, which is left where it is. */
  #until(ends: readonly string[], isWanted: boolean): string {
    let text = "";
    for (; this.#at < this.pieces.length; this.#at++) {
      const piece = this.pieces[this.#at]!;
      if (piece.kind === "tag") {
        const name = /^\w*/.exec(piece.content)![0];
        if (ends.includes(name) || ["elif", "else", "endif"].includes(name)) return text;
        text += this.#tag(piece, name, isWanted);
      } else if (isWanted) text += piece.kind === "text" ? piece.content : String(this.#value(piece, piece.content));
      this.#length = Math.max(this.#length, text.length);
      if (this.#length > MAX_CHARACTERS) throw new TemplateError(piece.line, "it becomes too long");
    }
    if (ends.length > 0) throw new TemplateError(this.pieces.at(-1)!.line, `there is no "{% ${ends[0]} %}"`);
    return text;
  }

  #tag(piece: Piece, name: string, isWanted: boolean): string {
    if (name === "if") return this.#condition(piece, isWanted);
    if (name === "set" || name === "set_global") {
      const [, variable, expression] = /^\w+\s+([A-Za-z_]\w*)\s*=(?!=)(.*)$/s.exec(piece.content) ?? [];
      if (variable === undefined) throw new TemplateError(piece.line, `"${piece.content}" sets nothing`);
      if (isWanted) this.#variables[variable] = this.#value(piece, expression!);
      return "";
    }
    const because = name === "for" ? "loops cannot be used" : `"{% ${name} %}" cannot be used`;
    throw new TemplateError(piece.line, `${because} (only if, set and raw)`);
  }

  #condition(first: Piece, isWanted: boolean): string {
    let text = "";
    let isDone = !isWanted;
    let piece = first;
    while (true) {
      const name = /^\w*/.exec(piece.content)![0];
      if (name === "endif") return text;
      const isTrue = !isDone && (name === "else" || truth(this.#value(piece, piece.content.slice(name.length))));
      this.#at++;
      const branch = this.#until(["endif"], isTrue);
      if (isTrue) text = branch;
      isDone ||= isTrue;
      const next = this.pieces[this.#at];
      if (!next) throw new TemplateError(first.line, 'there is no "{% endif %}"');
      piece = next;
    }
  }

  #value(piece: Piece, expression: string): Value {
    try {
      return new Expression(expression, this.#variables, this.context.getEnv).value();
    } catch (error) {
      if (error instanceof TemplateError || !(error instanceof SyntaxError)) throw error;
      throw new TemplateError(piece.line, error.message);
    }
  }
}

function truth(value: Value | undefined): boolean {
  return value !== undefined && value !== "" && value !== 0 && value !== false;
}

const TOKEN =
  /\s*(?:("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)|(\d+(?:\.\d+)?)|([A-Za-z_][\w.]*)|(==|!=|[~|(),=]))/y;

class Expression {
  readonly #tokens: { readonly kind: "text" | "number" | "name" | "sign"; readonly text: string }[] = [];
  #at = 0;

  constructor(source: string, readonly variables: Record<string, Value>, readonly getEnv: TemplateContext["getEnv"]) {
    const text = source.trim();
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.length) {
      const from = TOKEN.lastIndex;
      const [, quoted, number, name, sign] = TOKEN.exec(text) ?? [];
      if (quoted !== undefined) this.#tokens.push({ kind: "text", text: unquote(quoted) });
      else if (number !== undefined) this.#tokens.push({ kind: "number", text: number });
      else if (name !== undefined) this.#tokens.push({ kind: "name", text: name });
      else if (sign !== undefined) this.#tokens.push({ kind: "sign", text: sign });
      else throw new SyntaxError(`"${text.slice(from).trim()}" cannot be understood`);
    }
  }

  value(): Value {
    const value = this.#or();
    const left = this.#tokens[this.#at];
    if (left) throw new SyntaxError(`"${left.text}" is too much`);
    return value ?? "";
  }

  #or(): Value | undefined {
    let value = this.#and();
    while (this.#take("or")) {
      const other = this.#and();
      value = truth(value) || truth(other);
    }
    return value;
  }

  #and(): Value | undefined {
    let value = this.#not();
    while (this.#take("and")) {
      const other = this.#not();
      value = truth(value) && truth(other);
    }
    return value;
  }

  #not(): Value | undefined {
    if (this.#take("not")) return !truth(this.#not());
    const value = this.#joined();
    if (this.#take("==")) return value === this.#joined();
    if (this.#take("!=")) return value !== this.#joined();
    return value;
  }

  #joined(): Value {
    let value = this.#filtered();
    while (this.#take("~")) {
      value = `${value}${this.#filtered()}`;
      if (value.length > MAX_CHARACTERS) throw new SyntaxError("it becomes too long");
    }
    return value;
  }

  #filtered(): Value {
    const name = this.#tokens[this.#at];
    let value = this.#primary();
    while (this.#take("|")) {
      const filter = this.#next("name");
      const given = this.#take("(") ? this.#arguments() : {};
      value = filter === "default" ? value ?? given["value"] : filtered(filter, String(value ?? missing(name)), given);
    }
    return value ?? missing(name);
  }

  /** Undefined: a variable that is none. */
  #primary(): Value | undefined {
    if (this.#take("(")) {
      const value = this.#or();
      this.#expect(")");
      return value;
    }
    const token = this.#tokens[this.#at++];
    if (!token || token.kind === "sign") throw new SyntaxError("a value is missing");
    if (token.kind === "text") return token.text;
    if (token.kind === "number") return Number(token.text);
    if (token.text === "true" || token.text === "false") return token.text === "true";
    if (!this.#take("(")) return this.variables[token.text];
    if (token.text !== "get_env") throw new SyntaxError(`there is no function "${token.text}" (only get_env)`);
    return this.#environment(this.#arguments());
  }

  #environment({ name, default: otherwise }: Readonly<Record<string, Value>>): Value {
    if (typeof name !== "string") throw new SyntaxError('get_env wants a name: get_env(name="HOME")');
    const value = this.getEnv(name) ?? otherwise;
    if (value !== undefined) return value;
    throw new SyntaxError(`there is no variable "${name}" in the environment (get_env takes default="…" too)`);
  }

  #arguments(): Record<string, Value> {
    const found: Record<string, Value> = {};
    while (!this.#take(")")) {
      const name = this.#next("name");
      this.#expect("=");
      found[name] = this.#joined();
      if (!this.#take(",") && this.#tokens[this.#at]?.text !== ")") throw new SyntaxError('")" is missing');
    }
    return found;
  }

  #take(text: string): boolean {
    const token = this.#tokens[this.#at];
    const isThere = token !== undefined && token.text === text && token.kind !== "text";
    if (isThere) this.#at++;
    return isThere;
  }

  #expect(text: string): void {
    if (!this.#take(text)) throw new SyntaxError(`"${text}" is missing`);
  }

  #next(kind: "name"): string {
    const token = this.#tokens[this.#at++];
    if (token?.kind !== kind) throw new SyntaxError(`a ${kind} is missing`);
    return token.text;
  }
}

function unquote(text: string): string {
  const inner = text.slice(1, -1);
  if (text.startsWith("`")) return inner;
  return inner.replace(/\\(.)/gs, (_, it: string) => ({ n: "\n", t: "\t", r: "\r" })[it] ?? it);
}

function missing(token: { readonly text: string } | undefined): never {
  throw new SyntaxError(`there is no variable "${token?.text ?? ""}"`);
}

function filtered(name: string, text: string, given: Readonly<Record<string, Value>>): Value {
  switch (name) {
    case "upper":
      return text.toUpperCase();
    case "lower":
      return text.toLowerCase();
    case "trim":
      return text.trim();
    case "replace":
      return text.replaceAll(String(given["from"] ?? ""), String(given["to"] ?? ""));
    case "truncate":
      return [...text].slice(0, Number(given["length"] ?? 255)).join("");
    case "slugify":
      return text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
    case "json_encode":
      return JSON.stringify(text);
    default:
      throw new SyntaxError(
        `there is no filter "${name}" (known: default, json_encode, lower, replace, slugify, trim, truncate, upper)`,
      );
  }
}
