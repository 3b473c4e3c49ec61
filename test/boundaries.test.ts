import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const ROOT = path.resolve(import.meta.dirname, '..');
const RULES = path.join(ROOT, '.dependency-cruiser.json');

/** One import per rule that must not be: the rule, the file, what it imports. */
const BAD: readonly (readonly [rule: string, file: string, imported: string])[] = [
  ['no-circular', 'deploys/round.ts', './trip.ts'],
  ['leaf-modules', 'logger.ts', './store/index.ts'],
  ['index-starts-only', 'index.ts', './server.ts'],
  ['server-knows-bot-and-types', 'server.ts', './store/index.ts'],
  ['bot-directions', 'bot/to-store.ts', '../store/index.ts'],
  ['commands-directions', 'commands/to-bot.ts', '../bot/good.ts'],
  ['domain-directions', 'deploys/to-cards.ts', '../cards/index.ts'],
  ['cards-see-types-only', 'cards/to-deploys.ts', '../deploys/index.ts'],
  ['access-and-audit-see-types-only', 'access/to-store.ts', '../store/index.ts'],
  ['access-and-audit-see-types-only', 'audit/to-deploys.ts', '../deploys/index.ts'],
  ['store-sees-domain-types', 'store/to-deploys.ts', '../deploys/index.ts'],
  ['adapters-know-their-family-only', 'pipelines/one/sibling.ts', '../two/index.ts'],
  ['adapters-know-their-family-only', 'monitoring/logs/domain.ts', '../../deploys/types.ts'],
  ['cli-directions', 'cli/to-bot.ts', '../bot/good.ts'],
  ['only-app-constructs', 'bot/to-app.ts', '../app.ts'],
  ['fence-botbuilder', 'commands/sdk.ts', 'botbuilder'],
  ['fence-restify', 'bot/restify.ts', 'restify'],
  ['fence-templating', 'commands/templating.ts', 'adaptivecards-templating'],
  ['fence-azure', 'directory/graph/azure.ts', '@azure/identity'],
  ['fence-store', 'deploys/kysely.ts', 'kysely'],
  ['fence-store', 'deploys/boss.ts', 'pg-boss'],
  ['fence-octokit', 'deploys/octokit.ts', '@octokit/rest'],
  ['no-dev-dependencies', 'deploys/dev.ts', 'fast-check'],
  ['no-unresolvable', 'deploys/nowhere.ts', './nowhere-at-all.ts'],
];

/** And what may be, though it is near to the above. */
const GOOD: readonly (readonly [file: string, imported: string])[] = [
  ['bot/good.ts', 'botbuilder'],
  ['bot/types-of-store.ts', '../store/types.ts'],
  ['cards/index.ts', '../deploys/types.ts'],
  ['cards/templating.ts', 'adaptivecards-templating'],
  ['store/index.ts', 'kysely'],
  ['pipelines/two/index.ts', '../types.ts'],
  ['pipelines/two/durations.ts', '../../durations.ts'],
  ['cli/store.ts', '../store/index.ts'],
  ['cli/app.ts', '../app.ts'],
  ['app.ts', '@azure/identity'],
  ['deploys/trip.ts', './round.ts'],
];
const EMPTY = ['deploys/index.ts', 'deploys/types.ts', 'store/types.ts', 'pipelines/types.ts', 'durations.ts'];

let folder: string;
let violations: { rule: string; from: string }[];

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'shipmate-boundaries-'));
  const write = (file: string, text: string) => {
    const target = path.join(folder, 'src', file);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, text);
  };
  for (const file of EMPTY) write(file, 'export const nothing = 0;\n');
  for (const [file, imported] of [...BAD.map(([, ...rest]) => rest), ...GOOD])
    write(file, `import * as imported from '${imported}';\nexport const kept = imported;\n`);
  // What only a parser of TypeScript gets through, types of modules included.
  write(
    'bot/typed.ts',
    `import type { Store } from '../store/index.ts';
import { nothing as n, type Kept } from '../deploys/index.ts';
export const each = <T extends { a?: Store }>(it: T): it is T & { a: Store } => (it satisfies object) && n !== (0 as never as number);
export abstract class Typed<const K> { declare readonly kept: Kept; protected abstract of(this: Typed<K>, key: K): asserts key is K; }
`,
  );
  writeFileSync(path.join(folder, 'package.json'), readFileSync(path.join(ROOT, 'package.json')));
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  const program = path.join(ROOT, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruiser.mjs');
  // It exits with the number of violations.
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [program, 'src', '--config', RULES, '--output-type', 'json'],
    { cwd: folder, maxBuffer: 64 * 1024 * 1024 },
  ).catch((error: { stdout: string }) => error);
  const report = JSON.parse(stdout) as { summary: { violations: { rule: { name: string }; from: string }[] } };
  violations = report.summary.violations.map(({ from, rule }) => ({ rule: rule.name, from }));
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the boundaries of the house', () => {
  it.each(BAD)('%s: src/%s may not import %s', (rule, file) => {
    expect(violations).toContainEqual({ rule, from: `src/${file}` });
  });
  it('hold in what only TypeScript can read', () => {
    const found = violations.filter(({ from, rule }) => rule === 'bot-directions' && from === 'src/bot/typed.ts');
    expect(found).toHaveLength(2);
  });
  it('leave alone what may be', () => {
    const accused = new Set(violations.map(({ from }) => from));
    expect(
      GOOD.map(([file]) => `src/${file}`).filter((file) => accused.has(file) && !file.endsWith('trip.ts')),
    ).toEqual([]);
  });
  it('are all tried here', () => {
    const rules = (JSON.parse(readFileSync(RULES, 'utf8')) as { forbidden: { name: string }[] }).forbidden;
    expect(new Set(BAD.map(([rule]) => rule))).toEqual(new Set(rules.map(({ name }) => name)));
  });
});
