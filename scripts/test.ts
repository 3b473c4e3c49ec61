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

const root = path.resolve(import.meta.dirname, '..');
const output = path.join(root, 'artifacts', 'jest.json');
mkdirSync(path.dirname(output), { recursive: true });
rmSync(output, { force: true });

const jest = createRequire(import.meta.url).resolve('jest/bin/jest');
const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', '--disable-warning=DEP0040'];
const result = spawnSync(
  process.execPath,
  // One suite per core: by itself jest leaves one core alone, and most suites wait more than they work.
  [
    ...flags,
    jest,
    `--maxWorkers=${availableParallelism()}`,
    '--json',
    `--outputFile=${output}`,
    ...process.argv.slice(2),
  ],
  // jest prints its report to standard output with --json; people read what it writes to standard error.
  { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
);

let report: Report;
try {
  report = JSON.parse(readFileSync(output, 'utf8')) as Report;
} catch {
  console.error('jest wrote no report');
  process.exit(1);
}
const skipped = report.testResults.flatMap(({ name, assertionResults }) =>
  assertionResults
    .filter(({ status }) => status === 'pending' || status === 'skipped')
    .map(({ fullName }) => `${path.relative(root, name)}: ${fullName}`),
);
if (skipped.length > 0) {
  console.log(`\nSkipped, because what they need is not on this machine:`);
  for (const line of skipped) console.log(`  ${line}`);
}
const failed = report.numFailedTests + report.numRuntimeErrorTestSuites;
console.log(
  `${report.numPassedTests} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`,
);
process.exitCode = result.status === 0 && failed === 0 ? 0 : 1;
