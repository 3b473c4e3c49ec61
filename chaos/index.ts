/**
 * Kills the bot again and again in the middle of a deploy, and counts what went wrong:
 * `npm run chaos -- --rounds 100 --json [--store pglite|postgres|both] [--seed N] [--round N] [--timelines] [--sabotage kind,...]`.
 * Exits with 1 when anything did; the failing round's timeline is on standard error.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { INVARIANTS } from './judge.ts';
import { SABOTAGES, type Sabotage } from './round.ts';
import { type ChaosResult, runChaos } from './run.ts';
import type { StoreKind } from './types.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    store: { type: 'string', default: 'both' },
    seed: { type: 'string' },
    round: { type: 'string' },
    sabotage: { type: 'string' },
    timelines: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

async function main(): Promise<void> {
  const seed = values.seed === undefined ? Date.now() % 1_000_000 : numberOf('seed', values.seed);
  const rounds = numberOf('rounds', values.rounds);
  const only = values.round === undefined ? undefined : numberOf('round', values.round);
  const sabotage = (values.sabotage?.split(',') ?? []).map(sabotageOf);
  const machine = `${os.cpus().length} x ${os.cpus()[0]?.model ?? 'unknown'}, ${Math.round(os.totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
  const say = (line: string) => process.stdout.write(`${line}\n`);
  say(values.json ? JSON.stringify({ machine }) : machine);
  let broken = false;
  for (const store of storesOf(values.store)) {
    const server = store === 'postgres' ? await startPostgres() : null;
    try {
      const { found, result } = await runChaos({
        store,
        rounds: Math.max(rounds, only ?? 0),
        seed,
        sabotage,
        ...(only === undefined ? {} : { only }),
        server: server?.url,
        timelines: values.timelines,
        report: (line) => process.stderr.write(`${line}\n`),
      });
      broken ||= found.length > 0;
      say(values.json ? JSON.stringify(result) : table(result));
    } finally {
      server?.stop();
    }
  }
  process.exitCode = broken ? 1 : 0;
}

function numberOf(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`--${name} is a whole number, not "${text}"`);
  return Number(text);
}

function storesOf(text: string): StoreKind[] {
  if (text === 'both') return ['pglite', 'postgres'];
  if (text === 'pglite' || text === 'postgres') return [text];
  throw new Error(`--store is pglite, postgres or both, not "${text}"`);
}

function sabotageOf(text: string): Sabotage {
  const found = SABOTAGES.find((each) => each === text);
  if (!found) throw new Error(`--sabotage is one of ${SABOTAGES.join(', ')}, not "${text}"`);
  return found;
}

/** The one of SHIPMATE_TEST_PG, else a throw-away one of this machine's own. */
async function startPostgres(): Promise<{ url: string; stop(): void }> {
  const given = process.env.SHIPMATE_TEST_PG;
  if (given !== undefined && given !== '') return { url: given, stop: () => {} };
  const script = path.join(import.meta.dirname, '..', 'scripts', 'peers', 'postgres.sh');
  const folder = mkdtempSync(path.join(os.tmpdir(), 'shipmate-chaos-pg-'));
  const run = (action: 'start' | 'stop', port: string) =>
    execFileSync('bash', [script, action, port, folder], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  const port = String(await freePort());
  const url = run('start', port).trim().split('\n').at(-1) ?? '';
  return {
    url,
    stop() {
      run('stop', port);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function table(result: ChaosResult): string {
  const { killsWhile, rounds, seconds, seed, store, takeovers } = result;
  const seconds_ = (value: number | null) => (value === null ? 'none' : `${value} s`);
  return [
    `${store}: ${rounds} rounds in ${seconds} s, seed ${seed}`,
    ...INVARIANTS.map((invariant) => `  ${invariant.padEnd(15)} ${result[invariant]}`),
    `  takeover        P50 ${seconds_(result.takeoverP50Seconds)}, P95 ${seconds_(result.takeoverP95Seconds)}, max ${seconds_(result.takeoverMaxSeconds)} of ${takeovers}`,
    `  killed while    ${Object.entries(killsWhile)
      .map(([phase, count]) => `${phase} ${count}`)
      .join(', ')}`,
  ].join('\n');
}

await main();
