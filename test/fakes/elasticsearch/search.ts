/** The part of the search DSL that Shipmate asks with; anything else is refused, as Elasticsearch refuses what it can't parse. */

export type FieldType = 'date' | 'date_nanos' | 'keyword' | 'text' | 'long';
export type Mapping = Readonly<Record<string, FieldType>>;

export interface Doc {
  index: string;
  id: string;
  seq: number;
  /** Dates as ISO 8601. */
  source: Readonly<Record<string, unknown>>;
}

/** What is answered with an error of this type. */
export class Refused extends Error {
  readonly status: number;
  readonly type: string;
  constructor(type: string, reason: string, status = 400) {
    super(reason);
    this.type = type;
    this.status = status;
  }
}

type Json = Record<string, unknown>;

export function object(value: unknown, known: readonly string[], where: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Refused('parsing_exception', `[${where}] malformed, expected START_OBJECT`);
  const odd = Object.keys(value).find((key) => known[0] !== '*' && !known.includes(key));
  if (odd !== undefined) throw new Refused('parsing_exception', `unknown key [${odd}] for [${where}]`);
  return value as Json;
}

function only(value: unknown, where: string): [string, unknown] {
  const entries = Object.entries(object(value, ['*'], where));
  const [entry] = entries;
  if (entries.length !== 1 || entry === undefined)
    throw new Refused('parsing_exception', `[${where}] query malformed, expected [END_OBJECT] but found [FIELD_NAME]`);
  return entry;
}

/** Nanoseconds of a date; digits that are left out are filled with `fill`. */
export function dateOf(text: unknown, fill = '0'): bigint {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{3,9})Z$/.exec(String(text));
  if (!match) throw new Refused('parse_exception', `failed to parse date field [${text}] with format`);
  return BigInt(Date.parse(`${match[1]}Z`)) * 1_000_000n + BigInt((match[2] ?? '').padEnd(9, fill));
}

/** As strict_date_optional_time_nanos writes it: three digits or more, without zeros at the end. */
export function writeDate(ns: bigint): string {
  const seconds = new Date(Number(ns / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  const digits = String(ns % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0{1,6}$/, '');
  return `${seconds}.${digits.padEnd(3, '0')}Z`;
}

/** Like the standard analyser: words of letters and digits, in small letters. */
const words = (text: unknown): string[] =>
  String(text)
    .toLowerCase()
    .match(/[\p{L}\p{N}_]+/gu) ?? [];

type Test = (doc: Doc) => boolean;

function clause(filter: unknown, mapping: Mapping): Test {
  const [kind, body] = only(filter, 'query');
  const [field, given] = only(body, kind);
  const type = mapping[field];
  const fieldOf = (doc: Doc) => doc.source[field];
  if (kind === 'range') {
    const { format, gt, gte, lt, lte } = object(given, ['gt', 'gte', 'lt', 'lte', 'format'], 'range');
    if (format !== 'strict_date_optional_time_nanos') throw new Refused('illegal_argument_exception', 'fake: a format');
    // As DateFieldMapper has it: bounds are cut to the field's own precision, and then open ones go one unit inwards.
    const unit = type === 'date' ? 1_000_000n : 1n;
    const bound = (text: unknown, roundUp: boolean) => (dateOf(text, roundUp ? '9' : '0') / unit) * unit;
    const from = gt === undefined ? bound(gte, false) : bound(gt, true) + unit;
    const to = lt === undefined ? bound(lte, true) : bound(lt, false) - unit;
    return (doc) => fieldOf(doc) !== undefined && dateOf(fieldOf(doc)) >= from && dateOf(fieldOf(doc)) <= to;
  }
  const matches = (doc: Doc, wanted: unknown) => {
    if (type === 'long' && !/^-?\d+$/.test(String(wanted)))
      throw new Refused('query_shard_exception', `failed to create query: For input string: "${wanted}"`);
    // A whole value is looked for among the words of a text.
    return type === 'text' ? words(fieldOf(doc)).includes(String(wanted)) : String(fieldOf(doc)) === String(wanted);
  };
  if (kind === 'term') {
    const { value } = object(given, ['value'], 'term');
    if (typeof value !== 'string') throw new Refused('parsing_exception', '[term] value');
    return (doc) => type !== undefined && matches(doc, value);
  }
  if (kind === 'terms') {
    if (!Array.isArray(given)) throw new Refused('parsing_exception', '[terms] query does not support this');
    return (doc) => type !== undefined && given.map((value) => matches(doc, value)).includes(true);
  }
  if (kind === 'match_phrase_prefix') {
    const { max_expansions, query } = object(given, ['query', 'max_expansions'], 'match_phrase_prefix');
    if (typeof query !== 'string' || typeof max_expansions !== 'number')
      throw new Refused('parsing_exception', '[match_phrase_prefix]');
    if (type !== 'text')
      throw new Refused(
        'query_shard_exception',
        `failed to create query: Can only use phrase prefix queries on text fields - not on [${field}] which is of type [${type}]`,
      );
    const wanted = words(query);
    return (doc) => {
      const there = words(fieldOf(doc));
      return (
        wanted.length > 0 &&
        there.some((_, at) =>
          wanted.every((word, index) =>
            index === wanted.length - 1 ? there[at + index]?.startsWith(word) : there[at + index] === word,
          ),
        )
      );
    };
  }
  throw new Refused('parsing_exception', `unknown query [${kind}]`);
}

/** Whether a document is found by the query of a body. */
export function compileQuery(query: unknown, mapping: Mapping): Test {
  const [kind, body] = only(query, 'query');
  if (kind !== 'bool') throw new Refused('parsing_exception', `fake: no query [${kind}]`);
  const { filter } = object(body, ['filter'], 'bool');
  if (!Array.isArray(filter)) throw new Refused('parsing_exception', 'fake: filters');
  const tests = filter.map((each) => clause(each, mapping));
  return (doc) => tests.every((test) => test(doc));
}

/** Values of a document by which it is sorted, and how they are written. */
export interface Key {
  value: bigint;
  written: string | number;
}

/** The order of a body: one by time, in a point in time with the shard's after it. */
export function compileSort(
  sort: unknown,
  options: { mapping: Mapping; inPit: boolean; isOpenSearch: boolean; hasShardDoc: boolean },
) {
  const { hasShardDoc, inPit, isOpenSearch, mapping } = options;
  if (!Array.isArray(sort)) throw new Refused('parsing_exception', 'fake: a sort');
  return sort.map((each) => {
    const [field, given] = only(each, 'sort');
    if (field === '_shard_doc') {
      if (!inPit || !hasShardDoc)
        throw new Refused('query_shard_exception', 'No mapping found for [_shard_doc] in order to sort on');
      object(given, ['order'], 'sort');
      return { descending: false, key: (_doc: Doc, place: number): Key => ({ value: BigInt(place), written: place }) };
    }
    const known = ['order', 'unmapped_type', 'numeric_type', ...(isOpenSearch ? [] : ['format'])];
    const { format, numeric_type, order } = object(given, known, 'field_sort');
    if (mapping[field] !== 'date' && mapping[field] !== 'date_nanos')
      throw new Refused('query_shard_exception', `No mapping found for [${field}] in order to sort on`);
    if (numeric_type !== 'date' && numeric_type !== 'date_nanos')
      throw new Refused('illegal_argument_exception', 'numeric_type');
    return {
      descending: order === 'desc',
      key(doc: Doc): Key {
        const ns = dateOf(doc.source[field]);
        const value = numeric_type === 'date' ? ns / 1_000_000n : ns;
        return { value, written: format === undefined ? Number(value) : writeDate(ns) };
      },
    };
  });
}
