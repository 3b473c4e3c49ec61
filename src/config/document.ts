import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Document, isCollection, isPair, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import type { Problem } from './problems.ts';

export type Path = readonly PropertyKey[];

/** A file of the configuration: its value with the environment filled in, and where each part of it stands. */
export interface ConfigDocument {
  file: string;
  /** Null when the file can not be read as YAML at all; `problems` says why. */
  value: unknown;
  problems: Problem[];
  /** Values that came from the environment, by the variable's name. */
  used: ReadonlyMap<string, string>;
  /** `of`: whether the key itself is wrong or, as mostly, its value. */
  problem(at: Path, message: string, of?: 'key' | 'value' | undefined): Problem;
}

/** How the complaint about a variable that is not set ends. */
export const UNSET = 'is not set in the environment.';

const VARIABLE = /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g;

/** Reads a YAML file. What is wrong is collected, not thrown, so that a person sees all of it at once. */
export function readDocument(file: string, env: Readonly<Record<string, string | undefined>>): ConfigDocument {
  const name = path.relative(process.cwd(), file).startsWith('..') ? file : path.relative(process.cwd(), file) || file;
  const used = new Map<string, string>();
  const problems: Problem[] = [];
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    const missing = { file: name, line: 1, column: 1, path: '', message: 'this file can not be read. Does it exist?' };
    return { file: name, value: null, problems: [missing], used, problem: () => missing };
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  const at = (offset: number) => {
    const { col, line } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  // What a parser says after its first complaint mostly follows from it.
  const [broken] = document.errors;
  if (broken) {
    const bare = bareVariable(text, at(broken.pos[0]).line);
    const position = bare ?? at(broken.pos[0]);
    const { column, line } = position;
    const message = bare ? `inside { } or [ ] YAML needs quotes here: write "$\{NAME}".` : plainYaml(broken.message);
    problems.push({ file: name, line, column, path: '', message });
  }
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value !== 'string') return;
      const { value } = node;
      node.value = value.replace(VARIABLE, (whole, variable: string) => {
        const found = env[variable];
        if (found === undefined || found === '') {
          problems.push({
            file: name,
            ...at(node.range?.[0] ?? 0),
            path: '',
            message: `${whole} ${UNSET}`,
          });
          return whole;
        }
        used.set(variable, found);
        return found;
      });
    },
  });
  const positionOf = (wanted: Path, of: 'key' | 'value') => {
    for (let length = wanted.length; length > 0; length -= 1) {
      const keys = wanted.slice(0, length);
      const parent = keys.length === 1 ? document.contents : document.getIn(keys.slice(0, -1), true);
      if (!isCollection(parent)) continue;
      // A list or a map begins somewhere; its key's place reads better.
      const pair = parent.items.find(
        (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(keys.at(-1)),
      );
      if (isPair(pair) && isScalar(pair.key) && pair.key.range) {
        const value = of === 'value' && isScalar(pair.value) && length === wanted.length ? pair.value.range : null;
        return at((value ?? pair.key.range)[0]);
      }
      const node = document.getIn(keys, true);
      if (isScalar(node) && node.range) return at(node.range[0]);
      if (isCollection(node) && node.range) return at(node.range[0]);
    }
    return { line: 1, column: 1 };
  };
  const value = broken ? null : plainValue(document);
  if (!broken && value === null)
    problems.push({ file: name, line: 1, column: 1, path: '', message: 'this file has too many aliases (*name).' });
  return {
    file: name,
    value,
    problems,
    used,
    problem: (wanted, message, of = 'value') => ({
      file: name,
      ...positionOf(wanted, of),
      path: wanted.map(String).join('.'),
      message,
    }),
  };
}

/** The document as plain data, {} for an empty one; null when aliases would blow it up. */
function plainValue(document: Document.Parsed): unknown {
  try {
    return document.toJS({ maxAliasCount: 50 }) ?? {};
  } catch {
    return null;
  }
}

function plainYaml(message: string): string {
  return message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? message;
}

/** Where on this line a ${NAME} stands without quotes inside { } or [ ]. YAML reads its brace as a map of its own. */
function bareVariable(text: string, line: number): { line: number; column: number } | null {
  const source = text.split('\n')[line - 1] ?? '';
  let depth = 0;
  let quote = '';
  for (let at = 0; at < source.length; at += 1) {
    const char = source[at] ?? '';
    if (quote !== '') quote = char === quote ? '' : quote;
    else if (char === '"' || char === "'") quote = char;
    else if (char === '$' && source[at + 1] === '{' && depth > 0) return { line, column: at + 1 };
    else if (char === '{' || char === '[') depth += 1;
    else if (char === '}' || char === ']') depth -= 1;
  }
  return null;
}
