import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { errorOf, type Opened, open, untilOver } from './helpers.ts';

let system: Opened;
beforeEach(async () => {
  system = await open();
});
afterEach(async () => {
  await system.close();
  expect(system.fake.unknown()).toEqual([]);
});

const posted = (end = '/runs') => system.fake.bodies.filter(({ path }) => path.endsWith(end)).map(({ body }) => body);
const asked = (word: string) => system.fake.requests().filter((each) => each.includes(word)).length;

describe('starting a run', () => {
  it('sends the parameters, and nothing else', async () => {
    const request = system.request();
    await system.pipeline().trigger(request);
    expect(posted()).toEqual([
      {
        templateParameters: {
          version: '1.1.0',
          sha: system.fake.shas['1.1.0'],
          environment: 'Staging',
          shipmateKey: request.key,
        },
      },
    ]);
  });

  it('runs from the version’s tag, pinned to the commit that was approved', async () => {
    const { fake, pipeline, request } = system;
    const versioned = pipeline({ ref: 'refs/tags/{version}', skip: ['Prepare'] });
    fake.moveTag('1.1.0', '1.10.0');
    const run = await versioned.trigger(request());
    expect(posted()).toMatchObject([
      {
        resources: { repositories: { self: { refName: 'refs/tags/1.1.0', version: fake.shas['1.1.0'] } } },
        stagesToSkip: ['Prepare'],
      },
    ]);
    expect((await versioned.status(run)).sha).toBe(fake.shas['1.1.0']);
  });

  it('tells by its tag which commit it deployed: a pipeline that took another one is seen', async () => {
    const { fake, pipeline, request } = system;
    const run = await pipeline().trigger(request());
    expect((await pipeline().status(run)).sha).toBeUndefined();
    await untilOver(pipeline(), run);
    expect((await pipeline().status(run)).sha).toBe(fake.shas['1.1.0']);
    fake.runs.find(Number(run.id)).tags = [`shipmate-sha-${fake.shas['1.0.0']}`];
    expect((await pipeline().status(run)).sha).toBe(fake.shas['1.0.0']);
  });

  it('names the parameter that the YAML does not have, and what to do', async () => {
    delete system.fake.yaml.parameters.shipmateKey;
    const error = await errorOf(system.pipeline().trigger(system.request()));
    expect(error).toMatchObject({ code: 'PIPELINE_REJECTED', sent: 'no', retryable: false });
    expect(error.message).toBe(
      'The pipeline "deploy-storefront" has no parameter named shipmateKey. Add it under `parameters:` in its YAML (type: string), or correct `parameters` of the service.',
    );
  });

  it.each([
    [{ ref: 'refs/heads/gone' }, /refs\/heads\/gone/],
    [{ skip: ['Nowhere'] }, /Stage Nowhere is not found/],
    [{ environments: {} }, /'environment' parameter value 'staging' is not a valid value/],
    [{ pipeline: 'gone' }, /no pipeline "gone" in the project Web Shop.*Correct `pipeline`/],
    [{ pipeline: 43 }, /no pipeline 43 in the project Web Shop/],
    [{ 'azure-devops': 'Gone' }, /no project "Gone".*Correct `azure-devops`/],
    [{ 'azure-devops': 'Gone', pipeline: 42 }, /no project "Gone"/],
  ])('says what is wrong with %j', async (config, words) => {
    const error = await errorOf(system.pipeline(config).trigger(system.request()));
    expect(error).toMatchObject({ code: 'PIPELINE_REJECTED', sent: 'no' });
    expect(error.message).toMatch(words);
    expect(system.fake.started()).toBe(0);
  });

  it('asks for the id where a name is not unique', async () => {
    const same = (id: number, path: string) => ({ id, name: 'deploy-storefront', path });
    const body = { value: [same(1, '\\web'), same(2, '\\api'), { id: 3, name: 'deploy-storefront-2', path: '\\' }] };
    system.fake.instead.set('/definitions', { status: 200, body });
    const { message } = await errorOf(system.pipeline().trigger(system.request()));
    expect(message).toMatch(/2 pipelines named "deploy-storefront".*1 in \\web, 2 in \\api/);
  });

  it('does not take a name for a pattern', async () => {
    const body = { value: [{ id: 1, name: 'deploy-storefront', path: '\\' }] };
    system.fake.instead.set('/definitions', { status: 200, body });
    const { message } = await errorOf(system.pipeline({ pipeline: 'deploy*' }).trigger(system.request()));
    expect(message).toMatch(/no pipeline "deploy\*"/);
  });

  it('looks a name up once, and again when it was made anew', async () => {
    const pipeline = system.pipeline();
    await pipeline.trigger(system.request());
    await pipeline.trigger(system.request());
    expect(asked('/definitions')).toBe(1);
    system.fake.instead.set('/runs', { status: 404, body: { message: 'gone', typeKey: 'PipelineNotFoundException' } });
    await errorOf(pipeline.trigger(system.request()));
    await pipeline.trigger(system.request());
    expect(asked('/definitions')).toBe(2);
  });

  it('starts nothing for a key that belongs to another environment or commit', async () => {
    const request = system.request();
    await system.pipeline().trigger(request);
    for (const other of [{ environment: 'production' }, { sha: system.fake.shas['1.0.0'] }])
      expect(await errorOf(system.pipeline().trigger({ ...request, ...other }))).toMatchObject({
        code: 'PIPELINE_REJECTED',
        message: expect.stringMatching(/already; nothing else was started/),
      });
    expect(system.fake.started()).toBe(1);
  });

  it('belongs to one service', async () => {
    const error = await errorOf(system.pipeline().trigger(system.request({ service: 'billing' })));
    expect(error).toMatchObject({ code: 'PIPELINE_REJECTED' });
    expect(
      await errorOf(system.pipeline().dryRun?.(system.request({ service: 'billing' })) ?? Promise.resolve()),
    ).toMatchObject({
      code: 'PIPELINE_REJECTED',
    });
    expect(system.fake.requests()).toEqual([]);
  });

  it('lets a second call wait for the first, and forgets it when it is done', async () => {
    const { connection, pipeline, request } = system;
    const same = request();
    const both = [pipeline().trigger(same), pipeline().trigger(same)];
    const [first, second] = await Promise.all(both);
    expect(second).toEqual(first);
    expect(connection.starting.size).toBe(0);
    system.fake.trouble('denied');
    await errorOf(pipeline().trigger(request()));
    expect(connection.starting.size).toBe(0);
  });
});

describe('finding a run by its key', () => {
  const others = (count: number, more: object = {}) => {
    for (let index = 0; index < count; index += 1) {
      const run = system.fake.runs.start(
        { parameters: {}, sourceBranch: 'refs/heads/main', sourceVersion: '', by: 'x', reason: 'individualCI' },
        'hang',
      );
      Object.assign(run, { queueTime: new Date(Date.now() + 1000).toISOString() }, more);
    }
  };

  it('goes through all pages of a week', async () => {
    const request = system.request();
    const run = await system.pipeline().trigger(request);
    others(450);
    expect(await system.pipeline().findByKey(request.key)).toEqual(run);
    expect(asked('GET /acme/Web%20Shop/_apis/build/builds')).toBe(1 + 3);
  });

  it('is not certain among too many, and says so rather than to start a second one', async () => {
    others(2001);
    const error = await errorOf(system.pipeline().trigger(system.request()));
    expect(error).toMatchObject({ code: 'PIPELINE_UNAVAILABLE', sent: 'no' });
    expect(error.message).toMatch(/more than 2000 runs/);
    expect(system.fake.started()).toBe(0);
  });

  it('looks no further back than a week', async () => {
    await system.pipeline().findByKey(system.request().key);
    const since = Date.now() - Date.parse(system.fake.lastQuery.get('minTime') ?? '');
    expect(Math.round(since / 86_400_000)).toBe(7);
  });

  it('asks for a run by itself where the list leaves out its parameters, and only where it could be ours', async () => {
    system.fake.bareLists = true;
    const request = system.request();
    others(40);
    const run = await system.pipeline().trigger(request);
    others(3);
    const from = system.fake.requests().length;
    expect(await system.pipeline().findByKey(request.key)).toEqual(run);
    // Name, list, the one that was started by hand or by API.
    expect(system.fake.requests().length - from).toBe(3);
    expect(await system.pipeline().findByKey(system.request().key)).toBeNull();
  });

  it('takes no text for a key that is none', async () => {
    for (const key of ['', 'x', '../../x', 'A'.repeat(36)]) expect(await system.pipeline().findByKey(key)).toBeNull();
    expect(system.fake.requests()).toEqual([]);
  });
});

describe('a dry run', () => {
  it('asks for the preview, redacted and not endless', async () => {
    const { fake, pipeline, request } = system;
    const { lines } = (await pipeline().dryRun?.(request())) ?? { lines: [] };
    expect(lines).toEqual([
      'parameters: []',
      'stages:',
      '  - stage: Prepare',
      '  - stage: Deploy',
      expect.stringContaining('[redacted]'),
    ]);
    expect(posted('/preview')).toMatchObject([{ previewRun: true }]);
    fake.instead.set('/preview', { status: 200, body: { finalYaml: 'x\n'.repeat(1000) } });
    const long = (await pipeline().dryRun?.(request())) ?? { lines: [] };
    expect(long.lines).toHaveLength(201);
    expect(long.lines.at(-1)).toBe('... and 800 more lines');
    expect(fake.started()).toBe(0);
  });

  it('is refused with what is wrong', async () => {
    const { pipeline, request } = system;
    const error = await errorOf(pipeline({ skip: ['Nowhere'] }).dryRun?.(request()) ?? Promise.resolve());
    expect(error).toMatchObject({ code: 'PIPELINE_REJECTED' });
    expect(error.message).toMatch(/Stage Nowhere is not found/);
  });
});

describe('checks', () => {
  it.each([
    [{ pipeline: 'gone' }, /no pipeline "gone"/],
    [{ pipeline: 43 }, /no pipeline 43/],
    [{ 'azure-devops': 'Gone' }, /no project "Gone"/],
    [{ parameters: { key: '{key}' } }, /no parameter named key/],
  ])('of %j find what is wrong', async (config, words) => {
    expect(await system.pipeline(config).check()).toEqual([{ level: 'error', message: expect.stringMatching(words) }]);
    expect(system.fake.started()).toBe(0);
  });

  it('find the missing permission, and an unreachable vendor', async () => {
    system.fake.trouble('no-right');
    expect(await system.pipeline().check()).toEqual([
      { level: 'error', message: expect.stringMatching(/"Queue builds"/) },
    ]);
    system.fake.trouble('5xx');
    expect(await system.pipeline().check()).toEqual([{ level: 'error', message: expect.stringMatching(/is away/) }]);
  });

  it('do not take a value that only the check uses for a mistake', async () => {
    expect(await system.pipeline({ environments: {} }).check()).toEqual([]);
    expect(await system.pipeline({ ref: 'refs/tags/{version}' }).check()).toEqual([]);
  });
});
