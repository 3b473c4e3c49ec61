/**
 * A full authenticated turn and an invoke, each beside a plain botbuilder + restify + JWT echo measured in the same run.
 * `npm run bench -- --json` prints one JSON object last. Ratios are ours / echo; absolute figures say little on a noisy machine.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { type BenchRequest, type BenchTeams, CHATS, startBenchTeams } from './teams.ts';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
  },
});
const SECONDS = Number(values.seconds);
const ROUNDS = Number(values.rounds);
const CONCURRENT = 16;

interface Figures {
  perSecond: number;
  cpuMicros: number;
  p50Ms: number;
  p95Ms: number;
}
interface Usage {
  cpu: { user: number; system: number };
  rss: number;
}

class Subject {
  readonly #child: ChildProcess;
  readonly port: number;
  readonly coldStartMs: number;
  readonly pool: Pool;

  private constructor(child: ChildProcess, port: number, coldStartMs: number) {
    this.#child = child;
    this.port = port;
    this.coldStartMs = coldStartMs;
    this.pool = new Pool(`http://127.0.0.1:${port}`, { connections: CONCURRENT });
  }

  static async start(kind: 'echo' | 'shipmate', teams: BenchTeams, data: string): Promise<Subject> {
    const started = performance.now();
    const child = fork(path.join(import.meta.dirname, 'subject.ts'), [kind, teams.metadataUrl, teams.origin, data], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const port = await new Promise<number>((resolve, reject) => {
      child.once('message', (message: { port: number }) => resolve(message.port));
      child.once('exit', (code) => reject(new Error(`${kind} ended with ${code}`)));
    });
    return new Subject(child, port, performance.now() - started);
  }

  ask<T>(question: string): Promise<T> {
    return new Promise((resolve) => {
      this.#child.once('message', (answer) => resolve(answer as T));
      this.#child.send({ ask: question });
    });
  }

  async send({ body, headers }: BenchRequest): Promise<number> {
    const answer = await this.pool.request({ path: '/api/messages', method: 'POST', headers, body });
    await answer.body.dump();
    return answer.statusCode;
  }

  async stop(): Promise<void> {
    await this.pool.destroy();
    this.#child.send({ ask: 'stop' });
    await new Promise((resolve) => this.#child.once('exit', resolve));
  }
}

const counter = { next: 1 };

/** Keeps `CONCURRENT` requests in flight for some seconds. */
async function load(
  subject: Subject,
  make: (number: number) => Promise<BenchRequest>,
  seconds: number,
): Promise<Figures> {
  const times: number[] = [];
  const before = await subject.ask<Usage>('usage');
  const started = performance.now();
  const until = started + seconds * 1000;
  const lane = async () => {
    while (performance.now() < until) {
      const request = await make(counter.next++);
      const sent = performance.now();
      const status = await subject.send(request);
      if (status !== 200) throw new Error(`answered ${status}`);
      times.push(performance.now() - sent);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT }, lane));
  const elapsed = (performance.now() - started) / 1000;
  const after = await subject.ask<Usage>('usage');
  times.sort((a, b) => a - b);
  const cpu = after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system;
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return { perSecond: times.length / elapsed, cpuMicros: cpu / times.length, p50Ms: at(0.5), p95Ms: at(0.95) };
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** Ours and the echo in turns, so that the machine's moods meet both. */
async function compare(
  ours: Subject,
  echo: Subject,
  make: (number: number) => Promise<BenchRequest>,
  makeEcho: (number: number) => Promise<BenchRequest>,
) {
  await load(ours, make, 2);
  await load(echo, makeEcho, 2);
  const rounds: { ours: Figures; echo: Figures }[] = [];
  for (let round = 0; round < ROUNDS; round += 1)
    rounds.push({ echo: await load(echo, makeEcho, SECONDS), ours: await load(ours, make, SECONDS) });
  const of = (pick: (round: (typeof rounds)[number]) => number) => median(rounds.map(pick));
  const ratios = rounds.map((round) => round.ours.perSecond / round.echo.perSecond);
  const round = (value: number, digits = 2) => Number(value.toFixed(digits));
  return {
    perSecond: round(
      of(({ ours: { perSecond } }) => perSecond),
      0,
    ),
    cpuMicros: round(
      of(({ ours: { cpuMicros } }) => cpuMicros),
      0,
    ),
    p50Ms: round(of(({ ours: { p50Ms } }) => p50Ms)),
    p95Ms: round(of(({ ours: { p95Ms } }) => p95Ms)),
    throughputRatio: round(of((each) => each.ours.perSecond / each.echo.perSecond)),
    cpuRatio: round(of((each) => each.ours.cpuMicros / each.echo.cpuMicros)),
    spread: [round(Math.min(...ratios)), round(Math.max(...ratios))],
    echo: {
      perSecond: round(
        of(({ echo: { perSecond } }) => perSecond),
        0,
      ),
      cpuMicros: round(
        of(({ echo: { cpuMicros } }) => cpuMicros),
        0,
      ),
    },
  };
}

async function main(): Promise<void> {
  const teams = await startBenchTeams();
  const data = mkdtempSync(path.join(os.tmpdir(), 'shipmate-bench-'));
  // The first start makes the store; the cold start that counts is the second.
  await (await Subject.start('shipmate', teams, data)).stop();
  const echo = await Subject.start('echo', teams, data);
  const ours = await Subject.start('shipmate', teams, data);
  // Compiling the embedded store's WebAssembly takes memory that is given back after a few seconds.
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  const idle = (await ours.ask<Usage>('usage')).rss;

  // Every chat is known before anything is measured, as it is in a team's second week.
  for (let chat = 0; chat < CHATS; chat += 1) await ours.send(await teams.message('help', counter.next++));

  const line = (text: string) => (number: number) => teams.message(text, number);
  const turn = await compare(ours, echo, line('/deploy version=1.2.3 environment=production'), line('hello'));

  // An invoke: the form is sent, and becomes the confirmation.
  const form = await formAction(teams, ours);
  const sent = (number: number) =>
    teams.invoke(
      {
        verb: form.verb,
        data: { ...form.data, service: 'storefront', environment: 'production', version: '1.2.3', reason: '' },
      },
      number,
    );
  const invoke = await compare(ours, echo, sent, (number) => teams.invoke({ verb: 'x', data: {} }, number));

  const effect = await load(ours, line('/deploy version=1.2.3 environment=direct'), SECONDS);
  const { commits } = await ours.ask<{ commits: number }>('commits');
  const after = (await ours.ask<Usage>('usage')).rss;
  const result = {
    machine: `${os.cpus().length} x ${os.cpus()[0]?.model ?? 'unknown'}, ${Math.round(os.totalmem() / 2 ** 30)} GiB, Node ${process.version}`,
    turn,
    invoke,
    effect: {
      perSecond: Math.round(effect.perSecond),
      cpuMicros: Math.round(effect.cpuMicros),
      p50Ms: Number(effect.p50Ms.toFixed(1)),
      p95Ms: Number(effect.p95Ms.toFixed(1)),
      storeCommitsPerSecond: Math.round(commits),
    },
    coldStart: { ms: Math.round(ours.coldStartMs), ratio: Number((ours.coldStartMs / echo.coldStartMs).toFixed(2)) },
    rssMb: { idle: Math.round(idle / 2 ** 20), after: Math.round(after / 2 ** 20) },
  };
  await ours.stop();
  await echo.stop();
  await teams.close();
  rmSync(data, { recursive: true, force: true });
  if (!values.json) {
    const row = (name: string, figures: typeof turn) =>
      console.log(
        `${name.padEnd(8)} ${figures.perSecond}/s (echo ${figures.echo.perSecond}/s, ratio ${figures.throughputRatio}, ${figures.spread.join(' to ')}); CPU ${figures.cpuMicros} us (ratio ${figures.cpuRatio}); p50 ${figures.p50Ms} ms, p95 ${figures.p95Ms} ms`,
      );
    console.log(result.machine);
    row('turn', turn);
    row('invoke', invoke);
    console.log(
      `effect   ${result.effect.perSecond}/s; CPU ${result.effect.cpuMicros} us; the store alone ${result.effect.storeCommitsPerSecond} commits/s`,
    );
    console.log(
      `start    ${result.coldStart.ms} ms (ratio ${result.coldStart.ratio}); memory ${result.rssMb.idle} MB idle, ${result.rssMb.after} MB after`,
    );
  }
  console.log(JSON.stringify(result));
}

/** The "Deploy" button of a form. */
async function formAction(teams: BenchTeams, ours: Subject): Promise<{ verb: string; data: Record<string, string> }> {
  teams.watch(true);
  await ours.send(await teams.message('deploy', counter.next++));
  const found = find(teams.lastCard());
  teams.watch(false);
  if (!found) throw new Error('no form was posted');
  return found;
}

function find(value: unknown): { verb: string; data: Record<string, string> } | null {
  if (typeof value !== 'object' || value === null) return null;
  if ('verb' in value && value.verb === 'deploy.plan' && 'data' in value)
    return { verb: 'deploy.plan', data: value.data as Record<string, string> };
  for (const member of Object.values(value)) {
    const found = find(member);
    if (found) return found;
  }
  return null;
}

await main();
