/** What a request says, checked as strictly as the API's description allows: nothing unknown, nothing of another type. */

export interface Asked {
  method: string;
  /** Parts of the path behind /api/v4, decoded. */
  parts: string[];
  query: Map<string, string[]>;
  body: unknown;
  /** Who asks. */
  as: 'bot' | 'approver';
}

export interface Answered {
  status: number;
  json?: unknown;
  text?: string;
  headers?: Record<string, string>;
}

/** Ends the handling of a request with this answer. */
export class Refusal extends Error {
  readonly answer: Answered;
  constructor(status: number, json: unknown) {
    super(JSON.stringify(json));
    this.answer = { status, json };
  }
}

export function notFound(what: string): Refusal {
  return new Refusal(404, { message: `404 ${what} Not Found` });
}

export function bad(error: string): Refusal {
  return new Refusal(400, { error });
}

/** The values of the query; unknown names and repeated values are refused. */
export function queryOf(asked: Asked, allowed: Readonly<Record<string, RegExp>>): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [name, given] of asked.query) {
    const rule = Object.hasOwn(allowed, name) ? allowed[name] : undefined;
    const [value = ''] = given;
    if (rule === undefined) throw bad(`${name} is not a parameter`);
    if (given.length > 1) throw bad(`${name} is given twice`);
    if (!rule.test(value)) throw bad(`${name} does not have a valid value`);
    values[name] = value;
  }
  return values;
}

export const NUMBER = /^[1-9]\d*$/;
export const TEXT = /^[\s\S]+$/;
export const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/;
export const PAGING = { page: NUMBER, per_page: /^(?:[1-9]\d?|100)$/ };

type Kind = 'text' | 'texts' | 'variables';

/** The fields of the body; unknown ones and ones of another type are refused. */
export function bodyOf(asked: Asked, allowed: Readonly<Record<string, Kind>>, required: readonly string[] = []) {
  const body = asked.body ?? {};
  if (typeof body !== 'object' || Array.isArray(body)) throw bad('body is invalid');
  const fields = body as Record<string, unknown>;
  for (const name of required) if (fields[name] === undefined) throw bad(`${name} is missing`);
  for (const [name, value] of Object.entries(fields)) {
    const kind = Object.hasOwn(allowed, name) ? allowed[name] : undefined;
    if (kind === undefined) throw bad(`${name} is not a parameter`);
    const isText = typeof value === 'string';
    const isTexts =
      typeof value === 'object' &&
      value !== null &&
      !Array.isArray(value) &&
      Object.values(value).every((each) => typeof each === 'string');
    const isVariables =
      Array.isArray(value) &&
      value.every((each: unknown) => {
        if (typeof each !== 'object' || each === null) return false;
        const { key, value: text, ...rest } = each as Record<string, unknown>;
        return typeof key === 'string' && typeof text === 'string' && Object.keys(rest).length === 0;
      });
    if (!{ text: isText, texts: isTexts, variables: isVariables }[kind]) throw bad(`${name} is invalid`);
  }
  return fields;
}

/** One page, with GitLab's headers. */
export function paged<T>(
  all: readonly T[],
  query: Readonly<Record<string, string>>,
  largest: number,
): { page: T[]; headers: Record<string, string> } {
  const size = Math.min(Number(query.per_page ?? '20'), largest);
  const number = Number(query.page ?? '1');
  const page = all.slice((number - 1) * size, number * size);
  const next = number * size < all.length ? String(number + 1) : '';
  return { page, headers: { 'x-page': String(number), 'x-per-page': String(size), 'x-next-page': next } };
}
