/**
 * The errors a person can do something about, and Linux error numbers.
 *
 * A `UserError` is a sentence with a hint and a documented code; anything else that is thrown is a bug of ours.
 * A failed request on a wire is never an exception: it is an answer that carries an errno.
 */

/** What went wrong, for a person: printed as `error: Cannot …` with its hint. Codes are listed in docs/errors.md. */
export class UserError extends Error {
  override readonly name = "UserError";
  readonly code: string;
  readonly hint: string | undefined;
  /** What the process exits with; 125 to 127 as env(1) has them, 2 for misuse. */
  readonly exitCode: number;

  constructor(code: string, message: string, options: { hint?: string; cause?: unknown; exitCode?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.exitCode = options.exitCode ?? 125;
  }
}

/** The peer broke the rules of a wire: that connection ends, nothing else does. */
export class WireError extends Error {
  override readonly name = "WireError";
}

/** Linux error numbers (asm-generic/errno-base.h, errno.h) that this program names. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  ENOEXEC: 8,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EMFILE: 24,
  EFBIG: 27,
  ENOSPC: 28,
  EDQUOT: 122,
  EROFS: 30,
  EPIPE: 32,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ELOOP: 40,
  ENODATA: 61,
  EPROTO: 71,
  EPROTONOSUPPORT: 93,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
  ESTALE: 116,
} as const;

/** The errno inside a Deno I/O error ("… (os error 111)"), or `fallback` when it carries none. */
export function errnoOf(error: unknown, fallback: number): number {
  const match = error instanceof Error ? /\(os error (\d+)\)/.exec(error.message) : null;
  return match ? Number(match[1]) : fallback;
}
