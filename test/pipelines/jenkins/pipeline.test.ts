import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { asJenkins } from '../../../src/pipelines/jenkins/connection.ts';
import { linkOf } from '../../../src/pipelines/jenkins/runs.ts';
import { until } from '../../contract/harness/deps.ts';
import { connect } from '../../contract/harness/vendor.ts';
import { JOB } from '../../fakes/jenkins/model.ts';
import { lastParameters, type Opened, open } from './harness.ts';

let system: Opened;
beforeEach(async () => {
  system = await open();
});
afterEach(() => system.close());

const messageOf = (work: Promise<unknown>) =>
  work.then(
    () => 'it did not fail',
    (error: Error) => error.message,
  );

describe('what is sent', () => {
  it('is every parameter, with the environment as Jenkins names it', async () => {
    const request = system.request({ environment: 'production' });
    await system.pipeline.trigger(request);
    expect(lastParameters(system.fake)).toEqual({
      VERSION: '1.1.0',
      SHA: request.sha,
      ENVIRONMENT: 'prod',
      SHIPMATE_KEY: request.key,
    });
    expect(system.fake.unknown()).toEqual([]);
  });

  it('are inputs of a command, each as one value whatever is in it', async () => {
    const note = '&VERSION=9.9.9 "quoted" %00 <b> ${x}';
    system.fake.model.definitions.push({ name: 'NOTE', type: 'StringParameterDefinition' });
    const pipeline = system.another({
      parameters: { VERSION: '{version}', K: '{key}', NOTE: 'note: {input.note}{input.none}' },
    });
    system.fake.model.definitions.push({ name: 'K', type: 'StringParameterDefinition' });
    await pipeline.trigger(system.request({ inputs: { note } }));
    expect(lastParameters(system.fake)).toMatchObject({ VERSION: '1.1.0', NOTE: `note: ${note}` });
  });

  it('asks for a few pages only, and for none that is not there', async () => {
    const before = system.fake.requests().length;
    const run = await system.pipeline.trigger(system.request());
    expect(system.fake.requests().slice(before)).toEqual([
      'GET /jenkins/queue/api/json',
      `GET /jenkins/job/deploy/job/storefront/api/json`,
      `POST /jenkins/job/deploy/job/storefront/buildWithParameters`,
    ]);
    await system.end(run);
    expect(system.fake.unknown()).toEqual([]);
  });
});

describe('what is not sent', () => {
  const posts = () => system.fake.requests().filter((each) => each.startsWith('POST'));
  it('is the same trigger a second time, by this bot or another', async () => {
    const request = system.request();
    const refs = await Promise.all([1, 2, 3].map(() => system.pipeline.trigger(request)));
    await system.another().trigger(request);
    expect(new Set(refs.map(({ id }) => id)).size).toBe(1);
    expect(posts()).toHaveLength(1);
  });
  it('is a stop for a build that is over', async () => {
    const run = await system.pipeline.trigger(system.request());
    await system.end(run);
    await system.pipeline.cancel(run);
    expect(posts()).toHaveLength(1);
  });
});

describe('a job that would not do what was asked', () => {
  it('lacks a parameter, which Jenkins would drop without a word', async () => {
    system.fake.model.definitions = system.fake.model.definitions.filter(({ name }) => name !== 'SHIPMATE_KEY');
    const words = `The job ${JOB} has no parameter named SHIPMATE_KEY. Add it to "parameters" of its Jenkinsfile`;
    await expect(system.pipeline.trigger(system.request())).rejects.toMatchObject({
      code: 'PIPELINE_REJECTED',
      sent: 'no',
      retryable: false,
      message: expect.stringContaining(words),
    });
    expect(await system.pipeline.check()).toEqual([{ level: 'error', message: expect.stringContaining(words) }]);
    expect(system.fake.model.queue).toEqual([]);
  });

  it('lacks several', async () => {
    system.fake.model.definitions = [{ name: 'VERSION', type: 'StringParameterDefinition' }];
    expect(await messageOf(system.pipeline.trigger(system.request()))).toContain(
      'no parameters named SHA, ENVIRONMENT and SHIPMATE_KEY. Add them',
    );
  });

  it('has a choice without the value', async () => {
    expect(await messageOf(system.pipeline.trigger(system.request({ environment: 'qa' })))).toBe(
      `The parameter ENVIRONMENT of the job ${JOB} is a choice, and "qa" is none of its values. Add it to the choices in the Jenkinsfile, or map the name with "environments".`,
    );
    expect(system.fake.requests().filter((each) => each.startsWith('POST'))).toEqual([]);
  });

  it('has a checkbox for a text', async () => {
    const [version] = system.fake.model.definitions;
    if (version) version.type = 'BooleanParameterDefinition';
    expect(await messageOf(system.pipeline.trigger(system.request()))).toContain(
      'is a checkbox, and can not be "1.1.0"',
    );
  });

  it('is disabled', async () => {
    system.fake.model.buildable = false;
    expect(await messageOf(system.pipeline.trigger(system.request()))).toBe(
      `The job ${JOB} is disabled in Jenkins. Enable it there.`,
    );
  });

  it('is not there', async () => {
    const pipeline = system.another({ jenkins: 'deploy/gone' });
    const words = 'Jenkins has no job deploy/gone, or shipmate has no right Job/Read there.';
    expect(await messageOf(pipeline.trigger(system.request()))).toContain(words);
    expect(await pipeline.check()).toEqual([{ level: 'error', message: expect.stringContaining(words) }]);
  });

  it('is warned of: no commit, no environment, no plugin', async () => {
    system.fake.model.hasRestApi = false;
    const pipeline = system.another({ parameters: { VERSION: '{version}', SHIPMATE_KEY: '{key}' } });
    const findings = await pipeline.check();
    expect(findings.map(({ level }) => level)).toEqual(['warning', 'warning', 'warning']);
    expect(findings.map(({ message }) => message)).toEqual([
      expect.stringContaining('pipeline-rest-api'),
      expect.stringContaining('{sha}'),
      expect.stringContaining('{environment}'),
    ]);
    // What a declared command needs not.
    system.fake.model.hasRestApi = true;
    const command = system.another({ parameters: { SHIPMATE_KEY: '{key}', VERSION: '{input.cache}' } });
    expect(await command.check()).toEqual([]);
  });
});

describe('where a run is', () => {
  it('is the queue, then a build, also for a bot that was restarted in between', async () => {
    system.fake.model.quietMs = 400;
    const run = await system.pipeline.trigger(system.request());
    const restarted = system.another();
    expect(await system.pipeline.status(run)).toEqual({ state: 'queued', stages: [], tail: [] });
    expect(await restarted.status(run)).toEqual({ state: 'queued', stages: [], tail: [] });
    const status = await system.end(run, restarted);
    expect(status).toMatchObject({ state: 'succeeded', sha: system.fake.shas['1.1.0'] });
    expect(status.url).toBe(`${system.fake.url}/jenkins/job/deploy/job/storefront/8/`);
  });

  it('is known when Jenkins has forgotten its place in the queue', async () => {
    const run = await system.pipeline.trigger(system.request());
    await until(
      async () => system.fake.model.builds.length,
      (count) => count === 1,
    );
    system.fake.model.queue.length = 0;
    expect((await system.pipeline.status(run)).state).toBe('running');
  });

  it('is nowhere when it was taken out of the queue', async () => {
    system.fake.model.quietMs = 5_000;
    const run = await system.pipeline.trigger(system.request());
    await system.pipeline.cancel(run);
    expect(await system.pipeline.status(run)).toMatchObject({ state: 'cancelled' });
    await system.pipeline.cancel(run);
    expect(system.fake.started()).toBe(0);
    // After a restart nobody knows it any more.
    await expect(system.another().status(run)).rejects.toMatchObject({ code: 'PIPELINE_LOST' });
  });

  it('may not be left without the right to cancel', async () => {
    system.fake.model.quietMs = 5_000;
    const waiting = await system.pipeline.trigger(system.request());
    system.fake.trouble('no-right');
    expect(await messageOf(system.pipeline.cancel(waiting))).toContain('Grant shipmate the right Job/Cancel');
    system.fake.trouble(null);
    system.fake.behave('hang');
    system.fake.model.quietMs = 1;
    const running = await system.pipeline.trigger(system.request());
    await until(
      () => system.pipeline.status(running),
      ({ state }) => state === 'running',
    );
    system.fake.trouble('no-right');
    expect(await messageOf(system.pipeline.cancel(running))).toContain('has no right Job/Cancel');
  });

  it('is the first build with its key: a person who repeats one repeats its key', async () => {
    const run = await system.pipeline.trigger(system.request());
    await system.end(run);
    const [first] = system.fake.model.builds;
    if (!first) throw new Error('no build');
    system.fake.behave('fail');
    system.fake.model.begin(first.parameters, 99, 'octo-ana', true);
    expect((await system.another().status(run)).state).toBe('succeeded');
  });

  it('is lost when the build was deleted, or its number is another one’s now', async () => {
    const run = await system.pipeline.trigger(system.request());
    await system.end(run);
    const [build] = system.fake.model.builds;
    if (!build) throw new Error('no build');
    build.parameters = { ...build.parameters, SHIPMATE_KEY: 'another-key-of-somebody' };
    await expect(system.pipeline.status(run)).rejects.toMatchObject({ code: 'PIPELINE_LOST' });
    system.fake.model.builds.length = 0;
    await expect(system.pipeline.status(run)).rejects.toMatchObject({ code: 'PIPELINE_LOST' });
    await expect(system.pipeline.cancel(run)).rejects.toMatchObject({ code: 'PIPELINE_LOST' });
    await expect(system.pipeline.logs(run, { lines: 1 })).rejects.toMatchObject({ code: 'PIPELINE_LOST' });
  });

  it.each(['deploy/other#1', `${JOB}#0`, `${JOB}#1/../2`, 'key:A', 'key:../../etc', '8', '', 'key:'])(
    'is not asked for under an id that is none: %s',
    async (id) => {
      await expect(system.pipeline.status({ id })).rejects.toMatchObject({ code: 'PIPELINE_LOST' });
      expect(system.fake.requests()).toEqual([]);
    },
  );

  it('is found among five hundred builds', async () => {
    const run = await system.pipeline.trigger(system.request());
    await system.end(run);
    const [oldest] = system.fake.model.builds;
    if (!oldest) throw new Error('no build');
    const others = Array.from({ length: 300 }, (_, index) => ({
      ...oldest,
      number: oldest.number + 300 - index,
      parameters: { VERSION: 'x' },
    }));
    system.fake.model.builds.unshift(...others);
    expect((await system.another().status(run)).state).toBe('succeeded');
    expect(await system.another().findByKey(run.id.slice('key:'.length))).toEqual(run);
  });
});

describe('how a run went', () => {
  it('shows the step that failed, not what was done after it', async () => {
    system.fake.behave('fail');
    const run = await system.pipeline.trigger(system.request());
    const status = await system.end(run);
    expect(status.error).toBe('The stage Deploy failed: script returned exit code 1');
    expect(status.tail.at(-1)).toBe('it is broken');
    expect(status.tail.join('\n')).toContain('deploying 1.1.0 to stage <staging & co>');
    expect(status.stages.map(({ name, state }) => `${name} ${state}`)).toEqual(['Checkout succeeded', 'Deploy failed']);
    for (const stage of status.stages) expect(Date.parse(stage.finishedAt ?? '')).toBeGreaterThan(1e12);
  });

  it('has one stage where the job is no Pipeline', async () => {
    system.fake.model.isPipeline = false;
    const run = await system.pipeline.trigger(system.request());
    expect(await system.end(run)).toMatchObject({
      state: 'succeeded',
      stages: [{ name: 'build', state: 'succeeded', startedAt: expect.any(String) }],
    });
    expect(await system.pipeline.check()).toEqual([]);
  });

  it.each([
    ['UNSTABLE', [], 'failed', /unstable/],
    ['NOT_BUILT', [], 'cancelled', /NOT_BUILT/],
    ['FAILURE', [], 'failed', /failed/],
    ['ABORTED', [], 'cancelled', null],
    ['ABORTED', ['jenkins.model.CauseOfInterruption$UserInterruption'], 'cancelled', null],
    [
      'ABORTED',
      ['jenkins.model.X', 'org.jenkinsci.plugins.workflow.steps.TimeoutStepExecution$ExceededTimeout'],
      'failed',
      /in words/,
    ],
    ['ABORTED', ['org.jenkinsci.plugins.workflow.support.steps.input.Rejection'], 'failed', /in words/],
  ] as const)('is told from the result %s with %j', async (result, causes, state, error) => {
    const run = await system.pipeline.trigger(system.request());
    await system.end(run);
    const [build] = system.fake.model.builds;
    if (!build) throw new Error('no build');
    build.result = result;
    for (const stage of build.stages) stage.status = result === 'UNSTABLE' ? 'UNSTABLE' : 'SUCCESS';
    build.interruptions = causes.map((_class) => ({ _class, shortDescription: 'in words' }));
    const status = await system.pipeline.status(run);
    expect(status.state).toBe(state);
    if (error) expect(status.error).toMatch(error);
    else expect(status.error).toBeUndefined();
  });

  it.each(['javascript:alert(1)', 'https://ci.example.com/"><b>', '//ci.example.com', '', null])(
    'has no link that is none: %s',
    (url) => {
      expect(linkOf({ number: 1, timestamp: 0, url })).toBeUndefined();
    },
  );

  it('says no commit where the Jenkinsfile says none', async () => {
    const run = await system.pipeline.trigger(system.request());
    await system.end(run);
    const [build] = system.fake.model.builds;
    if (!build) throw new Error('no build');
    build.description = 'shipmate-sha: $(id) and more';
    expect((await system.pipeline.status(run)).sha).toBeUndefined();
  });
});

describe('when Jenkins is not as it should be', () => {
  async function check(changes: Record<string, unknown>) {
    const { close, connection } = connect('jenkins', { ...system.fake.config.connection, ...changes });
    const findings = await connection.check();
    await close();
    return findings.map(({ level, message }) => `${level}: ${message}`);
  }

  it('says so in words', async () => {
    expect(await check({ user: 'somebody' })).toEqual([
      expect.stringMatching(/^error: Jenkins refused the API token of somebody \(401\)\. Make a new one/),
    ]);
    expect(await check({ url: `${system.fake.url}/elsewhere` })).toEqual([expect.stringMatching(/no page \/me/)]);
    expect(await check({ url: 'http://127.0.0.1:9' })).toEqual([expect.stringMatching(/can not be reached/)]);
    expect(await check({})).toEqual([]);
  });

  it('says that nothing was sent when there was no way there', async () => {
    const other = await open({ connection: { url: 'http://127.0.0.1:9' } });
    const { client } = asJenkins(other.connection);
    await expect(client.post('/x')).rejects.toMatchObject({ sent: 'no', retryable: true });
    await other.close();
  });

  it('is asked less often for a minute after it said that it was too much', async () => {
    let now = Date.parse('2026-11-25T10:00:00Z');
    const other = await open({ now: () => new Date(now) });
    const calm = other.pipeline.pollMs;
    other.fake.trouble('429-bare');
    const { client } = asJenkins(other.connection);
    await expect(client.post('/queue/cancelItem', { id: '1' })).rejects.toMatchObject({ sent: 'no' });
    expect(other.pipeline.pollMs).toBeGreaterThan(3 * calm);
    now += 61_000;
    expect(other.pipeline.pollMs).toBe(calm);
    await other.close();
  });
});
