import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isGateId, parseGate } from '../../../src/pipelines/command/gates.ts';
import type { Pipeline, RunRef, TriggerRequest } from '../../../src/pipelines/types.ts';
import { until } from '../../contract/harness/deps.ts';
import { finished, openCommand } from './helpers.ts';

let system: Awaited<ReturnType<typeof openCommand>>;
afterEach(() => system.close());

const REJECTED = { code: 'PIPELINE_REJECTED', sent: 'no' };
// What the documentation tells people to write.
const SNIPPET = /^while \[ ! -e "\$SHIPMATE_GATES\/smoke" \].*$/m.exec(
  readFileSync(new URL('../../../docs/pipelines/command.md', import.meta.url), 'utf8'),
)?.[0];
/** A program that asks, waits for the answer of `id`, then does `then` with its lines as `lines`. */
const asks = (id: string, question: string, then = '') => `
const { existsSync, readFileSync, writeFileSync } = require('node:fs');
writeFileSync('pid', String(process.pid));
console.log('::gate ${id} ${question}');
const file = process.env.SHIPMATE_GATES + '/${id}';
const timer = setInterval(() => {
  if (!existsSync(file)) return;
  clearInterval(timer);
  const lines = readFileSync(file, 'utf8').split('\\n');
  ${then}
}, 20);
`;

interface Started {
  pipeline: Pipeline;
  run: RunRef;
  request: TriggerRequest;
  gates: string;
}

async function start(program: string, config: Parameters<typeof system.create>[0] = {}): Promise<Started> {
  system = await openCommand(program);
  const pipeline = system.create(config);
  const request = system.request();
  const run = await pipeline.trigger(request);
  return { pipeline, run, request, gates: join(system.runFolder(request), 'gates') };
}

const waiting = ({ pipeline, run }: Pick<Started, 'pipeline' | 'run'>, id?: string) =>
  until(
    () => pipeline.status(run),
    ({ gate, state }) => {
      if (state === 'failed' || state === 'succeeded') throw new Error('it is over');
      return gate !== undefined && (id === undefined || gate.id === id);
    },
  );

async function answer({ pipeline, run }: Pick<Started, 'pipeline' | 'run'>, id: string, approved: boolean, by = 'Ana') {
  if (pipeline.answer === undefined) throw new Error('no gates');
  await pipeline.answer(run, id, { approved, by });
}

describe('a gate', () => {
  it('is answered by a whole file with the decision and who made it', async () => {
    const started = await start(
      asks('smoke', 'Did it pass?', `writeFileSync('told', JSON.stringify(lines)); console.log('::stage release');`),
    );
    const status = await waiting(started);
    expect(status).toMatchObject({ state: 'running', gate: { id: 'smoke', question: 'Did it pass?' }, tail: [] });
    const long = '\u{1f600}'.repeat(150);
    const by = ` Ana\nrejected\u202e ${long}`;
    await answer(started, 'smoke', true, by);
    expect(readdirSync(started.gates)).toEqual(['smoke']);
    expect((await started.pipeline.status(started.run)).gate).toBeUndefined();
    // The name was cut; told again in full it is still the same answer.
    await answer({ ...started, pipeline: system.create() }, 'smoke', true, by);
    expect((await finished(started.pipeline, started.run)).state).toBe('succeeded');
    const told = JSON.parse(readFileSync(join(system.folder, 'told'), 'utf8')) as string[];
    expect(told).toEqual(['approved', `Ana rejected  ${'\u{1f600}'.repeat(86)}`, '']);
    expect(readdirSync(system.runFolder(started.request)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it.each([
    [true, 'succeeded'],
    [false, 'failed'],
  ] as const)('is waited for as the documentation says (approved: %s)', async (approved, state) => {
    expect(SNIPPET).toBeDefined();
    system = await openCommand('');
    const script = join(system.folder, 'deploy.sh');
    writeFileSync(script, `#!/bin/sh\necho "::gate smoke Did it pass?"\n${SNIPPET}\necho released\n`, { mode: 0o755 });
    const pipeline = system.create({ command: './deploy.sh' });
    const run = await pipeline.trigger(system.request());
    await waiting({ pipeline, run });
    await answer({ pipeline, run }, 'smoke', approved);
    const status = await finished(pipeline, run);
    expect(status).toMatchObject({ state, tail: approved ? ['released'] : [] });
  });

  it('names who was first when somebody else answers, and keeps their answer', async () => {
    const started = await start(asks('smoke', 'Did it pass?', 'setInterval(() => undefined, 1000);'));
    await waiting(started);
    const answers = await Promise.allSettled(
      Array.from({ length: 12 }, (_each, index) =>
        answer({ ...started, pipeline: system.create() }, 'smoke', index % 2 === 0, `Person ${index}`),
      ),
    );
    const winners = answers.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : []));
    expect(winners).toHaveLength(1);
    const [winner = -1] = winners;
    const decision = winner % 2 === 0 ? 'approved' : 'rejected';
    expect(readFileSync(join(started.gates, 'smoke'), 'utf8')).toBe(`${decision}\nPerson ${winner}\n`);
    for (const each of answers)
      if (each.status === 'rejected')
        expect(each.reason).toMatchObject({
          ...REJECTED,
          message: `The gate "smoke" was ${decision} already by Person ${winner}; that stays.`,
        });
  });

  it('shows the newest that was asked; an older one can still be answered', async () => {
    const started = await start(
      asks('second', 'Go on?', `console.log('::gate third And now?'); setInterval(() => undefined, 1000);`).replace(
        "console.log('::gate",
        "console.log('::gate first Begin?\\n::gate",
      ),
    );
    expect((await waiting(started, 'second')).gate).toEqual({ id: 'second', question: 'Go on?' });
    await answer(started, 'first', true);
    expect((await started.pipeline.status(started.run)).gate?.id).toBe('second');
    await answer(started, 'second', true);
    expect((await waiting(started, 'third')).gate?.question).toBe('And now?');
    await expect(answer(started, 'fourth', true)).rejects.toMatchObject(REJECTED);
  });

  it('keeps its question when it is asked again: somebody may be reading it', async () => {
    const started = await start(`
      console.log('::gate a Release to one percent?\\n::gate b Sure?\\n::gate a Release to everybody?');
      setInterval(() => undefined, 1000);
    `);
    expect((await waiting(started, 'a')).gate).toEqual({ id: 'a', question: 'Release to one percent?' });
  });

  it('is open until a person answers, and is answered once, over a bot that was killed', async () => {
    const started = await start(asks('smoke', 'Did it pass?'));
    await waiting(started);
    const bot = spawn(
      process.execPath,
      ['--input-type=module', '-e', BOT, system.folder, JSON.stringify(started.run)],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { PATH: process.env.PATH },
      },
    );
    await once(bot.stdout, 'data');
    bot.kill('SIGKILL');
    await once(bot, 'exit');
    expect((await started.pipeline.status(started.run)).gate).toBeUndefined();
    await answer(started, 'smoke', false, 'Ben');
    await expect(answer(started, 'smoke', true, 'Ben')).rejects.toMatchObject(REJECTED);
  });

  it('appears once the disk has room again', async () => {
    system = await openCommand(`
      const { existsSync } = require('node:fs');
      const timer = setInterval(() => {
        if (!existsSync('go')) return;
        clearInterval(timer);
        console.log('::gate smoke Did it pass?');
        console.log('asked');
        setInterval(() => undefined, 1000);
      }, 20);
    `);
    const pipeline = system.create();
    const request = system.request();
    const run = await pipeline.trigger(request);
    const folder = system.runFolder(request);
    // A folder in its place can't be replaced by root either.
    mkdirSync(join(folder, 'progress.json'));
    writeFileSync(join(system.folder, 'go'), '');
    await until(
      () => pipeline.logs(run, { lines: 5 }),
      (lines) => lines.includes('asked'),
    );
    await new Promise((resolve) => setTimeout(resolve, 1200));
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    rmSync(join(folder, 'progress.json'), { recursive: true });
    expect((await waiting({ pipeline, run })).gate?.id).toBe('smoke');
  });
});

// A bot of its own: it answers, says so, and goes on until it is killed.
const BOT = `
import { createCommandPipeline } from '${new URL('../../../src/pipelines/command/index.ts', import.meta.url).href}';
import { commandConfig } from '${new URL('../../../src/pipelines/command/config.ts', import.meta.url).href}';
import { createLogger, createRedactor } from '${new URL('../../../src/logger.ts', import.meta.url).href}';
const [folder, run] = process.argv.slice(1);
const deps = {
  logger: createLogger({ redact: createRedactor() }), dataDir: folder + '/data', baseDir: folder, env: process.env,
};
const pipeline = createCommandPipeline(
  commandConfig.parse({ command: [process.execPath, 'program.cjs'] }), 'storefront', deps,
);
await pipeline.answer(JSON.parse(run), 'smoke', { approved: false, by: 'Ben' });
console.log('answered');
setInterval(() => undefined, 1000);
`;

describe('a run that stops while it waits', () => {
  it('has no gate when its time is up, and takes no answer', async () => {
    const started = await start(asks('smoke', 'Did it pass?'), { timeout: '1s' });
    await waiting(started);
    const status = await finished(started.pipeline, started.run);
    expect(status).toMatchObject({ state: 'failed', error: 'stopped after 1 s' });
    expect(status.gate).toBeUndefined();
    await expect(answer(started, 'smoke', true)).rejects.toMatchObject({
      ...REJECTED,
      message: expect.stringContaining('over or being stopped'),
    });
    expect(readdirSync(started.gates)).toEqual([]);
  });

  it.each(['time', 'person'])('has none while it is being stopped (by %s)', async (by) => {
    // It ignores the request to stop, so that it is still there during the grace time.
    const started = await start(`process.on('SIGTERM', () => console.log('no')); ${asks('smoke', 'Did it pass?')}`, {
      stopGrace: '3s',
      ...(by === 'time' ? { timeout: '1s' } : {}),
    });
    await waiting(started);
    if (by === 'person') await started.pipeline.cancel(started.run);
    const status = await until(
      () => started.pipeline.status(started.run),
      ({ tail }) => tail.includes('no'),
    );
    expect(status.state).toBe('running');
    expect(status.gate).toBeUndefined();
    await expect(answer(started, 'smoke', true)).rejects.toMatchObject(REJECTED);
    expect(existsSync(join(started.gates, 'smoke'))).toBe(false);
  });

  it('has none when it was killed', async () => {
    const started = await start(asks('smoke', 'Did it pass?'));
    await waiting(started);
    process.kill(Number(readFileSync(join(system.folder, 'pid'), 'utf8')), 'SIGKILL');
    const status = await finished(started.pipeline, started.run);
    expect(status).toMatchObject({ state: 'failed', error: expect.stringContaining('SIGKILL') });
    expect(status.gate).toBeUndefined();
    await expect(answer(started, 'smoke', true)).rejects.toMatchObject(REJECTED);
  });

  it('keeps it when only the wrapper was killed: the program still waits', async () => {
    const started = await start(
      asks('smoke', 'Did it pass?', `writeFileSync('done', lines[0]); setInterval(() => undefined, 1000);`),
    );
    await waiting(started);
    const claim = JSON.parse(readFileSync(join(started.gates, '..', 'claim.json'), 'utf8')) as { pid: number };
    process.kill(claim.pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 200));
    const later = { ...started, pipeline: system.create() };
    expect((await later.pipeline.status(started.run)).gate?.id).toBe('smoke');
    await answer(later, 'smoke', true);
    await until(
      async () => readdirSync(system.folder),
      (names) => names.includes('done'),
    );
    expect(readFileSync(join(system.folder, 'done'), 'utf8')).toBe('approved');
  });
});

describe('what is printed', () => {
  it('is ordinary output when it is no valid gate', async () => {
    const odd = [
      '::gate .. up?',
      '::gate . here?',
      '::gate ../request.json up?',
      '::gate a/b in?',
      `::gate ${'x'.repeat(61)} long?`,
      '::gate b\\u00e4d really?',
      '::gate smoke',
      '::gate smoke \\u200b',
      ' ::gate smoke Indented?',
      '::gates smoke Other?',
    ];
    // What comes after the carriage return is all that people see of this line; it may be somebody else's text.
    const hidden = 'subject: x\\r::gate smoke Faked?';
    const started = await start(`
      console.log(${JSON.stringify(odd).replaceAll('\\\\u', '\\u')}.join('\\n'));
      console.log('${hidden}');
      console.log('::stage end');
      setInterval(() => undefined, 1000);
    `);
    const status = await until(
      () => started.pipeline.status(started.run),
      ({ stages }) => stages.length > 0,
    );
    expect(status.gate).toBeUndefined();
    expect(status.tail).toHaveLength(odd.length + 1);
    expect(status.tail).toContain('::gate ../request.json up?');
    expect(status.tail.at(-1)).toBe('::gate smoke Faked?');
    for (const id of ['..', '.', 'a/b', '../request.json', 'smoke', 'x'.repeat(61)])
      await expect(answer(started, id, true)).rejects.toMatchObject(REJECTED);
    expect(readdirSync(started.gates)).toEqual([]);
  });

  it('may arrive in pieces, in colour and with long or secret text', async () => {
    const started = await start(
      `
      process.stdout.write('\\x1b[1m::ga');
      setTimeout(() => {
        process.stdout.write('te Sw0rdf1sh-id Use\\t' + process.env.TOKEN + '\\x07\\u202e? ' + '\\u{1f600}'.repeat(400));
        setTimeout(() => console.log('\\x1b[0m\\r'), 50);
      }, 50);
      setInterval(() => undefined, 1000);
    `,
      { env: { TOKEN: 'Sw0rdf1sh' } },
    );
    const { gate, tail } = await waiting(started);
    const question = gate?.question ?? '';
    expect(gate?.id).toBe('Sw0rdf1sh-id');
    expect(question).toMatch(/^Use \[redacted\] \? \u{1f600}+$/u);
    expect([...question]).toHaveLength(300);
    expect(question.isWellFormed()).toBe(true);
    expect(tail).toEqual([]);
    await answer(started, 'Sw0rdf1sh-id', false);
  });

  it('never overrules an answer that is there, whatever it is', async () => {
    const started = await start(`
      const { execFileSync } = require('node:child_process');
      const { mkdirSync, symlinkSync, writeFileSync } = require('node:fs');
      const at = (id) => process.env.SHIPMATE_GATES + '/' + id;
      writeFileSync(at('word'), 'perhaps');
      writeFileSync(at('large'), 'approved\\n' + 'x'.repeat(9999));
      mkdirSync(at('folder'));
      symlinkSync(process.cwd() + '/nowhere', at('link'));
      execFileSync('mkfifo', [at('pipe')]);
      for (const id of ['word', 'large', 'folder', 'link', 'pipe']) console.log('::gate ' + id + ' Well?');
      console.log('::stage asked');
      setInterval(() => undefined, 1000);
    `);
    await until(
      () => started.pipeline.status(started.run),
      ({ stages }) => stages.length > 0,
    );
    for (const id of ['word', 'large', 'folder', 'link', 'pipe'])
      for (const approved of [true, false])
        await expect(answer(started, id, approved, '')).rejects.toMatchObject({
          ...REJECTED,
          message: `The gate "${id}" was answered already; that stays.`,
        });
    expect(existsSync(join(system.folder, 'nowhere'))).toBe(false);
    expect((await started.pipeline.status(started.run)).gate).toBeUndefined();
  });
});

describe('ids', () => {
  it('name a file within the folder, always', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary', maxLength: 70 }),
          fc.string({ unit: fc.constantFrom('.', '/', '\\', 'a', '\n'), maxLength: 8 }),
        ),
        (id) => {
          if (!isGateId(id)) return;
          expect(join('/run/gates', id)).toBe(`/run/gates/${id}`);
          expect(id).toMatch(/^[\w.-]{1,60}$/);
          expect(parseGate(`::gate ${id} Well?`)).toEqual({ id, question: 'Well?' });
        },
      ),
    );
    for (const id of ['', '.', '..', 'a\n', 'a b', 'ä', 'x'.repeat(61), '../a', '/a']) expect(isGateId(id)).toBe(false);
    for (const id of ['a', '...', '.a', '-', 'A.b_c-9', 'x'.repeat(60)]) expect(isGateId(id)).toBe(true);
  });
});
