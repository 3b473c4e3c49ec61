/** What a handler answers: JSON unless `html`. */
export interface Answer {
  status: number;
  body?: unknown;
  html?: string;
  headers?: Record<string, string>;
}

/** Thrown by handlers: Azure DevOps's own form of an error. */
export class Refusal extends Error {
  readonly answer: Answer;
  constructor(status: number, typeKey: string, message: string) {
    super(message);
    const body = {
      $id: '1',
      innerException: null,
      message,
      typeName: `Microsoft.TeamFoundation.${typeKey}, Microsoft.TeamFoundation`,
      typeKey,
      errorCode: 0,
      eventId: 3000,
    };
    this.answer = { status, body };
  }
}

export function ok(body: unknown, headers: Record<string, string> = {}): Answer {
  return { status: 200, body, headers };
}

export function list(value: readonly unknown[], headers: Record<string, string> = {}): Answer {
  return ok({ count: value.length, value }, headers);
}

/** The page that browsers get; its status says that it is no answer of the API. */
export function signInPage(): Answer {
  return {
    status: 203,
    html: '<!DOCTYPE html><html><head><title>Azure DevOps Services | Sign In</title></head><body>Sign in</body></html>',
  };
}

type Kind = 'string' | 'number' | 'boolean' | 'object' | 'strings' | 'texts';

function isKind(value: unknown, kind: Kind): boolean {
  if (kind === 'strings') return Array.isArray(value) && value.every((each) => typeof each === 'string');
  if (kind === 'texts')
    return isKind(value, 'object') && Object.values(value as object).every((each) => typeof each === 'string');
  if (kind === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === kind;
}

/** A body with these fields and no others. Stricter than the vendor, which passes over what it does not know. */
export function fields<T>(value: unknown, shape: Record<string, Kind>, required: readonly string[] = []): T {
  const refuse = (message: string) => new Refusal(400, 'VssPropertyValidationException', message);
  if (!isKind(value, 'object')) throw refuse('Value cannot be null. Parameter name: body');
  for (const [name, each] of Object.entries(value as object)) {
    const kind = Object.hasOwn(shape, name) ? shape[name] : undefined;
    if (kind === undefined) throw refuse(`Could not find member '${name}' on object of type 'body'.`);
    if (!isKind(each, kind)) throw refuse(`Error converting value to type '${kind}'. Path '${name}'.`);
  }
  for (const name of required)
    if (!Object.hasOwn(value as object, name)) throw refuse(`Value cannot be null. Parameter name: ${name}`);
  return value as T;
}

/** A query with these names and no others, beside api-version. */
export function query(given: URLSearchParams, names: readonly string[]): Record<string, string | undefined> {
  for (const name of given.keys())
    if (name !== 'api-version' && !names.includes(name))
      throw new Refusal(400, 'VssPropertyValidationException', `The query parameter ${name} is not known.`);
  return Object.fromEntries(names.map((name) => [name, given.get(name) ?? undefined]));
}

/** A whole number in a query, or what it is without. */
export function count(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (!/^\d{1,9}$/.test(text))
    throw new Refusal(400, 'VssPropertyValidationException', `The value '${text}' is not valid.`);
  return Number(text);
}
