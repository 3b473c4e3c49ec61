/**
 * Runs jest on this package's own Node and ends with a plain count and the list of what was skipped, so that a skip is
 * seen. Arguments go on to jest: `npm test -- test/commands`.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import path from 'node:path';

interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numRuntimeErrorTestSuites: number;
  success: boolean;
  testResults: { name: string; assertionResults: { fullName: string; status: string }[] }[];
}

/** These start processes, browsers or kills and look at the clock: one after the other, with the machine to themselves. */
const ALONE = ['test/chaos/', 'test/topology/', 'test/e2e/', 'test/integration/kill', 'test/integration/vendors'];

const root = path.resolve(import.meta.dirname, '..');
const output = path.join(root, 'artifacts', 'jest.json');
mkdirSync(path.dirname(output), { recursive: true });
const jest = createRequire(import.meta.url).resolve('jest/bin/jest');
const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', '--disable-warning=DEP0040'];

/** One run of jest; null when it wrote no report. */
function run(...args: string[]): { status: number | null; report: Report } | null {
  rmSync(output, { force: true });
  const { status } = spawnSync(
    process.execPath,
    [...flags, jest, '--json', `--outputFile=${output}`, ...args],
    // jest prints its report to standard output with --json; people read what it writes to standard error.
    { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  try {
    return { status, report: JSON.parse(readFileSync(output, 'utf8')) as Report };
  } catch {
    console.error('jest wrote no report');
    return null;
  }
}

const asked = process.argv.slice(2);
// By itself jest leaves one core alone; most suites wait more than they work.
const workers = `--maxWorkers=${availableParallelism()}`;
const runs =
  asked.length > 0
    ? [run(...asked)]
    : [
        run(workers, '--testPathIgnorePatterns', '/node_modules/', ...ALONE),
        run('--runInBand', '--testPathPatterns', ...ALONE),
      ];
const reports = runs.flatMap((each) => each ?? []);
const sum = (count: (report: Report) => number) => reports.reduce((total, { report }) => total + count(report), 0);
const skipped = reports.flatMap(({ report }) =>
  report.testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === 'pending' || status === 'skipped')
      .map(({ fullName }) => `${path.relative(root, name)}: ${fullName}`),
  ),
);
if (skipped.length > 0) {
  console.log(`\nSkipped, because what they need is not on this machine:`);
  for (const line of skipped) console.log(`  ${line}`);
}
const failed =
  sum(({ numFailedTests, numRuntimeErrorTestSuites }) => numFailedTests + numRuntimeErrorTestSuites) +
  runs.filter((each) => each === null).length;
console.log(
  `${sum(({ numPassedTests }) => numPassedTests)} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`,
);
process.exitCode = failed === 0 && reports.every(({ status }) => status === 0) ? 0 : 1;
