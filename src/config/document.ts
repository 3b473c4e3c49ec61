import { readFileSync } from 'node:fs';
import path from 'node:path';
import { isCollection, isPair, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import type { Problem } from './problems.ts';

export type Path = readonly PropertyKey[];

/** A file of the configuration: its value with the environment filled in, and where each part of it stands. */
export interface ConfigDocument {
  file: string;
  value: unknown;
  problems: Problem[];
  /** Values that came from the environment, by the variable's name. */
  used: ReadonlyMap<string, string>;
  problem(at: Path, message: string): Problem;
}

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
    return { file: name, value: {}, problems: [missing], used, problem: () => missing };
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  const at = (offset: number) => {
    const { col, line } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  for (const error of document.errors) {
    const position = at(error.pos[0]);
    problems.push({
      file: name,
      ...position,
      path: '',
      message: `${plainYaml(error.message)}${quoteHint(text, position.line)}`,
    });
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
            message: `${whole} is not set in the environment.`,
          });
          return whole;
        }
        used.set(variable, found);
        return found;
      });
    },
    Map(_key, node) {
      // `{ web: ${G_WEB} }` without quotes is a map in a map for YAML.
      const bare =
        node.flow &&
        node.items.some((pair) => isPair(pair) && isScalar(pair.key) && pair.value === null) &&
        quoteHint(text, at(node.range?.[0] ?? 0).line) !== '';
      if (bare)
        problems.push({
          file: name,
          ...at(node.range?.[0] ?? 0),
          path: '',
          message: `this reads as a map.${quoteHint(text, at(node.range?.[0] ?? 0).line)}`,
        });
    },
  });
  const positionOf = (wanted: Path) => {
    for (let length = wanted.length; length > 0; length -= 1) {
      const keys = wanted.slice(0, length);
      const parent = keys.length === 1 ? document.contents : document.getIn(keys.slice(0, -1), true);
      if (!isCollection(parent)) continue;
      // The key's own place reads better than its value's.
      const pair = parent.items.find(
        (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(keys.at(-1)),
      );
      if (isPair(pair) && isScalar(pair.key) && pair.key.range) {
        const value = isScalar(pair.value) && length === wanted.length ? pair.value.range : null;
        return at((value ?? pair.key.range)[0]);
      }
      const node = document.getIn(keys, true);
      if (isScalar(node) && node.range) return at(node.range[0]);
      if (isCollection(node) && node.range) return at(node.range[0]);
    }
    return { line: 1, column: 1 };
  };
  return {
    file: name,
    value: document.errors.length > 0 ? {} : (document.toJS({ maxAliasCount: 50 }) ?? {}),
    problems,
    used,
    problem: (wanted, message) => ({ file: name, ...positionOf(wanted), path: wanted.map(String).join('.'), message }),
  };
}

function plainYaml(message: string): string {
  return message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? message;
}

function quoteHint(text: string, line: number): string {
  const source = text.split('\n')[line - 1] ?? '';
  return /[{,[][^"'#]*\$\{/.test(source) ? ` Inside { } or [ ] write "$\{NAME}" with its quotes.` : '';
}
