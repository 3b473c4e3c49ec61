/** The part of LogQL that Shipmate asks with; anything else is refused, as Loki refuses what it can't parse. */
export interface FakeQuery {
  matchers: { label: string; op: '=' | '=~'; value: string }[];
  line?: RegExp;
  parser?: { kind: 'json' | 'logfmt'; label: string; expression: string };
  filter?: { label: string; value: RegExp };
}

export class ParseError extends Error {}

const ESCAPES: Record<string, string> = { n: '\n', r: '\r', t: '\t', '\\': '\\', '"': '"' };

/** Go's strconv.Unquote of a text in double quotes. */
function unquote(literal: string): string {
  return literal.slice(1, -1).replace(/\\(u[0-9a-fA-F]{4}|.)/gs, (_match, escaped: string) => {
    if (escaped.startsWith('u') && escaped.length === 5)
      return String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
    const char = ESCAPES[escaped];
    if (char === undefined) throw new ParseError('invalid char escape');
    return char;
  });
}

/** RE2 without what JavaScript reads otherwise: only literals, alternatives and groups that remember nothing. */
function toRegExp(pattern: string, anchored: boolean): RegExp {
  const bare = pattern.replace(/^\(\?i\)/, '');
  const rest = bare.replace(/\\[\\.+*?()|[\]{}^$]/g, '').replace(/\(\?:|[|)]/g, '');
  if (/[\\.+*?()|[\]{}^$]/.test(rest) && bare !== '.+') throw new ParseError(`error parsing regexp: ${pattern}`);
  const flags = bare === pattern ? 'su' : 'isu';
  return new RegExp(anchored ? `^(?:${bare})$` : bare, flags);
}

const STRING = '"(?:[^"\\\\\\n]|\\\\.)*"';

export function parse(query: string): FakeQuery {
  let rest = query;
  const take = (pattern: string): string[] | null => {
    const match = new RegExp(`^\\s*${pattern}`, 's').exec(rest);
    if (!match) return null;
    rest = rest.slice(match[0].length);
    return [...match].map((part) => part ?? '');
  };
  const fail = () =>
    new ParseError(`parse error at line 1, col ${query.length - rest.length + 1}: syntax error: unexpected IDENTIFIER`);
  const matchers: FakeQuery['matchers'] = [];
  if (!take('\\{')) throw fail();
  do {
    const [, label = '', op = '', value = ''] = take(`([A-Za-z_]\\w*)\\s*(=~|=)\\s*(${STRING})`) ?? [];
    if (op !== '=' && op !== '=~') throw fail();
    matchers.push({ label, op, value: unquote(value) });
  } while (take(','));
  if (!take('\\}')) throw fail();
  if (!matchers.some(({ op, value }) => (op === '=' ? value !== '' : value === '.+')))
    throw new ParseError(
      'parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, app=~".*" does not meet this requirement, but app=~".+" will',
    );
  const found: FakeQuery = { matchers };
  const line = take(`\\|~\\s*(${STRING})`);
  if (line) found.line = toRegExp(unquote(line[1] ?? ''), false);
  const parser = take(`\\|\\s*(json|logfmt)\\s+([A-Za-z_]\\w*)\\s*=\\s*(${STRING})`);
  if (parser)
    found.parser = {
      kind: parser[1] === 'json' ? 'json' : 'logfmt',
      label: parser[2] ?? '',
      expression: unquote(parser[3] ?? ''),
    };
  const filter = take(`\\|\\s*([A-Za-z_]\\w*)\\s*=~\\s*(${STRING})`);
  if (filter) found.filter = { label: filter[1] ?? '', value: toRegExp(unquote(filter[2] ?? ''), true) };
  if (rest.trim() !== '') throw fail();
  return found;
}

/** The labels with what the parser adds: an empty one where the field is missing, and an error where the line is none. */
export function parsed(
  labels: Record<string, string>,
  line: string,
  parser: FakeQuery['parser'],
): Record<string, string> {
  if (!parser) return labels;
  if (parser.kind === 'logfmt') {
    const field = new RegExp(`(?:^|\\s)${parser.expression.replace(/[^\w]/g, '\\$&')}=(?:"([^"]*)"|(\\S*))`).exec(line);
    return { ...labels, [parser.label]: field?.[1] ?? field?.[2] ?? '' };
  }
  try {
    let value: unknown = JSON.parse(line);
    for (const [, name, quoted] of parser.expression.matchAll(/\.?([A-Za-z_]\w*)|\["([^"]+)"\]/g))
      value =
        typeof value === 'object' && value !== null
          ? (value as Record<string, unknown>)[quoted ?? name ?? '']
          : undefined;
    return { ...labels, [parser.label]: value === undefined ? '' : String(value) };
  } catch {
    return { ...labels, __error__: 'JSONParserErr' };
  }
}
