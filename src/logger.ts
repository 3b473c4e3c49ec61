import winston from 'winston';

export type LogFields = Record<string, unknown>;

/** Structured log: a static message, data as fields. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  child(fields: LogFields): Logger;
}

const REDACTED = '[redacted]';

// Patterns of secrets whose literal value we can't know. Literal values are registered with `secret()`.
const PATTERNS: readonly RegExp[] = [
  /\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, // JWT
  /\b(?:ghp|gho|ghu|ghs|ghr|github_pat|xox[abprs])[-_][\w-]{16,}/g,
  /\bgl(?:pat|cbt|rt|dt|ft|agent|oas|imt|ptt|soat|ffct)-[\w.-]{16,}/g, // GitLab; the newer ones have dots
  /\bAKIA[0-9A-Z]{16}\b/g,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
  /\b((?:bearer|basic)\s+)[\w.~+/=-]{8,}/gi,
  // A name may begin before: REGISTRY_PASSWORD=...
  /(?<![A-Za-z0-9])((?:password|passwd|pwd|secret|token|api[-_]?key|client[-_]?secret|sig|accountkey)["']?\s*[=:]\s*["']?)[^\s"',;&}]{4,}/gi,
  /\b([a-z][a-z0-9+.-]*:\/\/[^\s:/@]+:)[^\s@/]+(?=@)/gi, // user:password in a URL
];

/** Removes secrets from text: known literal values first, then what looks like one. */
export interface Redactor {
  (text: string): string;
  /** Registers a literal value; ones shorter than six characters would redact ordinary words and are ignored. */
  secret(value: string): void;
}

export function createRedactor(secrets: readonly string[] = []): Redactor {
  const literals = new Set<string>();
  let matcher: RegExp | null = null;
  const redact = ((text: string) => {
    let result = matcher ? text.replace(matcher, REDACTED) : text;
    for (const pattern of PATTERNS)
      result = result.replace(pattern, (_match, prefix: unknown) =>
        typeof prefix === 'string' ? `${prefix}${REDACTED}` : REDACTED,
      );
    return result;
  }) as Redactor;
  redact.secret = (value) => {
    if (value.length < 6) return;
    literals.add(value);
    literals.add(encodeURIComponent(value));
    literals.add(JSON.stringify(value).slice(1, -1));
    const sorted = [...literals].sort((a, b) => b.length - a.length);
    matcher = new RegExp(sorted.map((literal) => literal.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|'), 'g');
  };
  for (const secret of secrets) redact.secret(secret);
  return redact;
}

/** Deep copy with every string redacted; errors become {name, message, code, stack, cause}; cycles are cut. */
function clean(value: unknown, redact: Redactor, depth = 0, seen = new WeakSet<object>()): unknown {
  if (typeof value === 'string') return redact(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (seen.has(value)) return '[circular]';
  if (depth > 6) return '[deep]';
  seen.add(value);
  if (value instanceof Error) {
    const { name, message, stack } = value;
    const code = 'code' in value ? value.code : undefined;
    return {
      name,
      message: redact(message),
      ...(code === undefined ? {} : { code }),
      ...(stack ? { stack: redact(stack) } : {}),
      ...(value.cause === undefined ? {} : { cause: clean(value.cause, redact, depth + 1, seen) }),
    };
  }
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map((item) => clean(item, redact, depth + 1, seen));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, clean(item, redact, depth + 1, seen)]));
}

/**
 * A winston logger that redacts everything it writes. JSON lines on standard output, or short text lines with
 * `format: 'text'`; `stream` replaces standard output in tests.
 */
export function createLogger(options: {
  level?: string;
  format?: 'json' | 'text';
  redact: Redactor;
  stream?: NodeJS.WritableStream;
}): Logger {
  const redacted = winston.format((info) => {
    const { level, message, ...fields } = info;
    const safe = clean(fields, options.redact) as LogFields;
    return { ...info, ...safe, level, message: options.redact(String(message)) };
  });
  const text = winston.format.printf(({ timestamp, level, message, ...fields }) => {
    const more = Object.keys(fields).length > 0 ? ` ${JSON.stringify(fields)}` : '';
    return `${String(timestamp).slice(11, 19)} ${level.padEnd(5)} ${String(message)}${more}`;
  });
  const transport = options.stream
    ? new winston.transports.Stream({ stream: options.stream })
    : new winston.transports.Console({ forceConsole: false });
  return winston.createLogger({
    level: options.level ?? 'info',
    format: winston.format.combine(
      winston.format.timestamp(),
      redacted(),
      options.format === 'text' ? text : winston.format.json(),
    ),
    transports: [transport],
  });
}
