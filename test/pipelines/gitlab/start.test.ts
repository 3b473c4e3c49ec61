import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DEFAULT_INPUTS } from '../../../src/pipelines/gitlab/config.ts';
import { end, type Opened, openGitlab } from './helpers.ts';

let system: Opened;
beforeEach(async () => {
  system = await openGitlab();
});
afterEach(() => system.close());

const rejected = (message: RegExp) =>
  expect.objectContaining({
    code: 'PIPELINE_REJECTED',
    sent: 'no',
    retryable: false,
    message: expect.stringMatching(message),
  });

describe('a pipeline is started', () => {
  it('with the version, the commit, the environment as GitLab names it, and the key', async () => {
    const request = system.request();
    await system.pipeline().trigger(request);
    const [run] = system.fake.world.runs;
    expect(run?.values).toEqual({ version: '1.1.0', sha: request.sha, environment: 'prod', key: request.key });
    expect(run).toMatchObject({ ref: 'main', source: 'api', name: `shipmate ${request.key}` });
  });

  it('on the branch of the entry, without a look at the project', async () => {
    await system.pipeline({ ref: 'main' }).trigger(system.request());
    expect(system.fake.requests()).not.toContain('GET /api/v4/projects/acme%2Fstorefront');
  });

  it('by the number of the project', async () => {
    await system.pipeline({ gitlab: 278_964 }).trigger(system.request());
    expect(system.fake.started()).toBe(1);
  });

  it('with variables on older servers', async () => {
    system.fake.knobs.file = "workflow:\n  name: 'shipmate $SHIPMATE_KEY'\n";
    const pipeline = system.pipeline({
      variables: { SHIPMATE_KEY: '{key}', VERSION: '{version}', NOTE: '{input.note}' },
    });
    const request = system.request({ inputs: { note: 'a "quoted" note; rm -rf' } });
    const run = await pipeline.trigger(request);
    expect(system.fake.world.runs[0]?.values).toEqual({
      SHIPMATE_KEY: request.key,
      VERSION: '1.1.0',
      NOTE: 'a "quoted" note; rm -rf',
    });
    expect(await pipeline.findByKey(request.key)).toEqual(run);
    // GitLab would replace it by the project's secret.
    await expect(pipeline.trigger(system.request({ inputs: { note: 'the $DEPLOY_TOKEN' } }))).rejects.toEqual(
      rejected(/"\$" is not passed on/),
    );
    expect(system.fake.started()).toBe(1);
  });

  it('once by two services of a bot that share the connection, and once by two bots one after the other', async () => {
    const request = system.request();
    const pipeline = system.pipeline();
    const all = await Promise.all([1, 2, 3].map(() => pipeline.trigger(request)));
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
    expect(await system.pipeline().trigger(request)).toEqual(all[0]);
    expect(system.fake.started()).toBe(1);
  });

  it('again after a failed attempt with the same key', async () => {
    const request = system.request();
    const pipeline = system.pipeline();
    system.fake.trouble('5xx');
    await expect(pipeline.trigger(request)).rejects.toMatchObject({ code: 'PIPELINE_UNAVAILABLE', sent: 'no' });
    system.fake.trouble(null);
    await pipeline.trigger(request);
    expect(system.fake.started()).toBe(1);
  });

  it('with whatever somebody types, as a value and as nothing else', async () => {
    const pipeline = system.pipeline({ inputs: { ...DEFAULT_INPUTS, version: '{input.note}' } });
    const line = fc.string({ unit: 'binary', maxLength: 60 }).filter((text) => !/\p{Cc}|\p{Cs}/u.test(text));
    await fc.assert(
      fc.asyncProperty(line, async (note) => {
        const before = system.fake.world.runs.length;
        const request = system.request({ inputs: { note } });
        await pipeline.trigger(request);
        expect(system.fake.world.runs.slice(before)).toMatchObject([
          { values: { version: note, key: request.key, environment: 'prod', sha: request.sha } },
        ]);
      }),
      { numRuns: 40 },
    );
  });
});

describe('a pipeline is found', () => {
  it('by its exact name only, also where the server ignores the filter', async () => {
    const request = system.request();
    const pipeline = system.pipeline();
    await pipeline.trigger(request);
    const { runs } = system.fake.world;
    expect(await pipeline.findByKey(request.key.slice(0, -1))).toBeNull();
    for (const odd of ['', '../x', `${request.key}\n`, 'A'.repeat(20)])
      expect(await pipeline.findByKey(odd)).toBeNull();
    const [run] = runs;
    if (run) run.name = `shipmate ${request.key} again`;
    expect(await pipeline.findByKey(request.key)).toBeNull();
    system.fake.knobs.filtersNames = false;
    expect(await pipeline.findByKey(request.key)).toBeNull();
  });

  it('the oldest one, should there be two', async () => {
    const request = system.request();
    const pipeline = system.pipeline();
    const first = await pipeline.trigger(request);
    const { runs } = system.fake.world;
    const [run] = runs;
    if (run) runs.push({ ...run, id: run.id + 1_000 });
    expect(await pipeline.findByKey(request.key)).toEqual(first);
  });
});

describe('what GitLab refuses is explained', () => {
  const cases: [string, () => unknown, Record<string, unknown>, RegExp][] = [
    ['an unknown project', () => null, { gitlab: 'acme/nothing' }, /sees no project acme\/nothing\. Correct `gitlab`/],
    ['an unknown branch', () => null, { ref: 'gone' }, /no branch gone\. Correct `ref`/],
    [
      'a branch that is protected',
      () => (system.fake.knobs.canPush = false),
      {},
      /no right to run pipelines on the protected branch main/,
    ],
    [
      'an unknown input',
      () => null,
      { inputs: { ...DEFAULT_INPUTS, colour: 'red' } },
      /no input named colour\. Add it under spec\.inputs/,
    ],
    ['a missing input', () => null, { inputs: { key: '{key}' } }, /needs an input named version\. Add it to `inputs`/],
    ['no inputs at all', () => (system.fake.knobs.file = 'workflow: {}\n'), {}, /declares no inputs/],
    [
      'anything else',
      () => (system.fake.knobs.file = null),
      {},
      /did not start a pipeline on main .*Missing CI config file/,
    ],
  ];
  it.each(cases)('%s', async (_name, prepare, deploy, words) => {
    prepare();
    await expect(system.pipeline(deploy).trigger(system.request())).rejects.toEqual(rejected(words));
    expect(system.fake.started()).toBe(0);
  });

  it('a project without a branch', async () => {
    system.fake.knobs.defaultBranch = null;
    await expect(system.pipeline().trigger(system.request())).rejects.toEqual(rejected(/no default branch/));
  });
});

describe('when no answer comes', () => {
  /** A server that answers as it is told, in order; null cuts the connection. */
  async function server(answers: ({ status: number; body: string; headers?: Record<string, string> } | null)[]) {
    const asked: string[] = [];
    const listener = createServer(async (req, res) => {
      for await (const _ of req);
      asked.push(`${req.method} ${req.url}`);
      const answer = answers.shift();
      if (!answer) return void res.destroy();
      res.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers });
      res.end(answer.body);
    });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
    return {
      url,
      asked,
      close: () => {
        listener.closeAllConnections();
        return new Promise((resolve) => listener.close(resolve));
      },
    };
  }
  const none = { status: 200, body: '[]' };

  it.each([
    [502, 'unknown'],
    [504, 'unknown'],
    [500, 'unknown'],
    [503, 'no'],
    [429, 'no'],
  ])('%s to the start: sent is %s', async (status, sent) => {
    const { close, url } = await server([none, { status, body: '{}' }]);
    const trigger = system.pipeline({ ref: 'main' }, { url }).trigger(system.request());
    await expect(trigger).rejects.toMatchObject({ code: 'PIPELINE_UNAVAILABLE', retryable: true, sent });
    await close();
  });

  it('tells apart what was cut before and after it was sent', async () => {
    const { asked, close, url } = await server([none, null]);
    const pipeline = system.pipeline({ ref: 'main' }, { url });
    await expect(pipeline.trigger(system.request())).rejects.toMatchObject({ sent: 'unknown' });
    // A start is never repeated; a look is, once.
    expect(asked.filter((each) => each.startsWith('POST'))).toHaveLength(1);
    await close();
    await expect(pipeline.trigger(system.request())).rejects.toMatchObject({
      code: 'PIPELINE_UNAVAILABLE',
      sent: 'no',
      message: expect.stringMatching(/can't be reached. Check `url`/),
    });
  });

  it('repeats a look whose connection was closed under it', async () => {
    const { asked, close, url } = await server([null, none]);
    expect(await system.pipeline({}, { url }).findByKey('a-key-that-is-none')).toBeNull();
    expect(asked).toHaveLength(2);
    await close();
  });

  it.each([
    ['a page of a proxy', { status: 404, body: '<html>not here</html>' }, 'PIPELINE_UNAVAILABLE', /not understood/],
    ['another page', { status: 200, body: '<html>sign in</html>' }, 'PIPELINE_UNAVAILABLE', /not understood/],
    ['another shape', { status: 200, body: '{"id":"x"}' }, 'PIPELINE_UNAVAILABLE', /not understood/],
    [
      'a redirect',
      { status: 302, body: '', headers: { location: 'https://elsewhere' } },
      'PIPELINE_REJECTED',
      /elsewhere/,
    ],
    ['a really missing run', { status: 404, body: '{"message":"404 Not found"}' }, 'PIPELINE_LOST', /no such pipeline/],
  ])('takes %s for what it is', async (_name, answer, code, message) => {
    const { close, url } = await server([answer]);
    await expect(system.pipeline({}, { url }).status({ id: '7' })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    await close();
  });

  it('shows no token that GitLab repeats, however long its words are', async () => {
    const { token } = system.fake.config.connection as { token: string };
    const words = `${'x'.repeat(290)}${token} and glpat-abcdefghij0123456789.01.abcd1234 ${'y'.repeat(500)}`;
    const { close, url } = await server([none, { status: 400, body: JSON.stringify({ message: { base: [words] } }) }]);
    const error: Error = await system
      .pipeline({ ref: 'main' }, { url })
      .trigger(system.request())
      .then(
        () => new Error('it did not fail'),
        (reason: Error) => reason,
      );
    expect(error.message).toContain('xxx');
    expect(error.message).not.toContain(token.slice(0, 8));
    expect(error.message).not.toContain('abcd1234');
    await close();
  });
});

it('works below a path', async () => {
  const below = await openGitlab({ path: '/tools/gitlab' });
  const pipeline = below.pipeline();
  const run = await pipeline.trigger(below.request());
  expect((await end(pipeline, run)).state).toBe('succeeded');
  expect(below.fake.requests().every((each) => each.includes('/tools/gitlab/api/v4/'))).toBe(true);
  await below.close();
});
