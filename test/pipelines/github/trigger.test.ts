import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { keyInTitle } from '../../../src/pipelines/github/trigger.ts';
import { openSystem, type System } from './helpers.ts';

let system: System;
beforeEach(async () => {
  system = await openSystem();
});
afterEach(() => system.close());

const refused = (message: RegExp) =>
  expect.objectContaining({
    code: 'PIPELINE_REJECTED',
    sent: 'no',
    retryable: false,
    message: expect.stringMatching(message),
  });

describe('starting a workflow', () => {
  it('passes what is configured, and nothing that a strict server refuses', async () => {
    const { fake } = system;
    const { pipeline } = system.other({
      deploy: { inputs: { version: '{version}', sha: '{sha}', environment: '{environment}', key: '{key}' } },
    });
    const request = system.request({ environment: 'production' });
    const run = await pipeline.trigger(request);
    const sent = fake.exchanges().find(({ template }) => template.endsWith('/dispatches'));
    expect(sent?.body).toEqual({
      ref: 'main',
      inputs: { version: '1.1.0', sha: request.sha, environment: 'Production', key: request.key },
      return_run_details: true,
    });
    expect(run).toEqual({
      id: expect.stringMatching(/^\d+$/),
      url: `${fake.url}/acme/storefront/actions/runs/${run.id}`,
    });
    await pipeline.status(run);
    expect(fake.complaints()).toEqual([]);
  });

  it('passes inputs of a declared command as values', async () => {
    const { fake } = system;
    fake.world.inputs.note = { required: false };
    const { pipeline } = system.other({
      deploy: {
        inputs: {
          version: '{version}',
          sha: '{sha}',
          environment: '{environment}',
          key: '{key}',
          note: 'said: {input.note}',
        },
      },
    });
    const hostile = '${{ github.token }} "; rm -rf / # {key}';
    await pipeline.trigger(system.request({ inputs: { note: hostile } }));
    const sent = fake.exchanges().find(({ template }) => template.endsWith('/dispatches'));
    expect(sent?.body).toMatchObject({ inputs: { note: `said: ${hostile}` } });
  });

  it.each<[string, (world: System['fake']['world']) => void, RegExp]>([
    [
      'an input that the workflow does not have',
      (world) => {
        delete world.inputs.sha;
      },
      /deploy\.yml has no input named sha\. Add it under on\.workflow_dispatch\.inputs on main/,
    ],
    [
      'an input that is missing',
      (world) => {
        world.inputs.region = { required: true };
      },
      /requires the input region\. Add it to "inputs"/,
    ],
    [
      'a workflow that is disabled',
      (world) => {
        world.workflowState = 'disabled_manually';
      },
      /is disabled\. Enable it/,
    ],
    [
      'a right that is missing',
      (world) => {
        world.permissions.actions = 'read';
      },
      /It needs the permission actions: write\./,
    ],
    [
      'an App that is not installed',
      (world) => {
        world.installed = false;
      },
      /the App has no right to see it.*installed on the repository/,
    ],
    [
      'an App that is suspended',
      (world) => {
        world.suspended = true;
      },
      /suspended/,
    ],
  ])('says what to do about %s', async (_what, change, message) => {
    change(system.fake.world);
    await expect(system.pipeline.trigger(system.request())).rejects.toEqual(refused(message));
    expect(system.fake.started()).toBe(0);
  });

  it.each([
    [{ workflow: 'other.yml' }, /has it|no workflow other\.yml|does not have it/],
    [{ ref: 'release' }, /has no branch release\. Correct "ref"/],
    [{ github: 'acme/shopfront' }, /has moved\. Correct the name of the repository/],
    [{ github: 'acme/other' }, /does not have it, or the App has no right/],
  ])('says what to do about wrong names: %j', async (deploy, message) => {
    const { pipeline } = system.other({ deploy });
    await expect(pipeline.trigger(system.request())).rejects.toEqual(refused(message));
  });

  it('does not start twice after a lost answer, however often it is asked', async () => {
    const { fake, pipeline } = system;
    const request = system.request();
    fake.trouble('cut');
    fake.world.hiddenMs = 400;
    await expect(pipeline.trigger(request)).rejects.toMatchObject({ code: 'PIPELINE_UNAVAILABLE', sent: 'unknown' });
    await expect(pipeline.trigger(request)).rejects.toMatchObject({ code: 'PIPELINE_UNAVAILABLE', sent: 'unknown' });
    await new Promise((resolve) => setTimeout(resolve, 450));
    const run = await pipeline.trigger(request);
    expect(await pipeline.findByKey(request.key)).toEqual(run);
    expect(fake.started()).toBe(1);
  });

  it('knows that nothing was sent when there is nobody to send to', async () => {
    const { pipeline } = system.other({ connection: { url: 'http://127.0.0.1:9/api/v3' } });
    await expect(pipeline.trigger(system.request())).rejects.toMatchObject({
      code: 'PIPELINE_UNAVAILABLE',
      sent: 'no',
      retryable: true,
      message: expect.stringContaining('127.0.0.1 can not be reached'),
    });
  });

  it('takes a run that is not shown yet for one that is queued', async () => {
    system.fake.world.hiddenMs = 300;
    const run = await system.pipeline.trigger(system.request());
    expect(await system.pipeline.status(run)).toMatchObject({ state: 'queued', stages: [] });
    expect(await system.pipeline.logs(run, { lines: 5 })).toEqual([]);
    await expect(system.other().pipeline.status(run)).rejects.toMatchObject({ code: 'PIPELINE_LOST' });
    expect((await system.end(run)).state).toBe('succeeded');
  });
});

describe('finding a run by its key', () => {
  it('looks through many runs, page by page', async () => {
    const { fake } = system;
    const request = system.request();
    const run = await system.pipeline.trigger(request);
    const other = system.other().pipeline;
    for (let count = 0; count < 120; count += 1)
      fake.world.runs.set(count + 1, {
        ...structuredClone([...fake.world.runs.values()][0]),
        id: count + 1,
        title: 'Deploy',
      } as never);
    expect(await other.findByKey(request.key)).toEqual(run);
    expect(fake.requests().filter((each) => each.endsWith('/runs')).length).toBeLessThanOrEqual(1 + 3);
  });

  it('keeps to the first of two runs with the same key, to our branch, and to dispatches', async () => {
    const { fake, pipeline } = system;
    fake.world.branches.set('feature', { sha: fake.shas['1.0.0'], protected: false });
    const request = system.request();
    const run = await pipeline.trigger(request);
    const [own] = [...fake.world.runs.values()];
    if (!own) throw new Error('no run');
    // Somebody who may push does everything to be taken for it: earlier, elsewhere, and once more.
    const { runs } = fake.world;
    runs.clear();
    runs.set(1, { ...own, id: 1, event: 'push' });
    runs.set(2, { ...own, id: 2, branch: 'feature' });
    runs.set(own.id, own);
    runs.set(3, { ...own, id: 3 });
    expect(await system.other().pipeline.findByKey(request.key)).toEqual(run);
    expect(await system.other().pipeline.trigger(request)).toEqual(run);
  });

  it('finds nothing for what is no key', async () => {
    const before = system.fake.requests().length;
    for (const odd of ['', '[x]', 'a', '../../x', 'x'.repeat(80)])
      expect(await system.pipeline.findByKey(odd)).toBeNull();
    expect(system.fake.requests().length).toBe(before);
  });

  it('reads a key from the end of a name only', () => {
    expect(keyInTitle('Deploy 1.1.0 to staging [key-1234]')).toBe('key-1234');
    expect(keyInTitle('Deploy [key-1234] to staging')).toBeNull();
    fc.assert(
      fc.property(fc.string(), fc.stringMatching(/^[a-z0-9][a-z0-9-]{7,63}$/), (text, key) => {
        expect(keyInTitle(`${text} [${key}]`)).toBe(key);
        const found = keyInTitle(text);
        expect(found === null || text.endsWith(`[${found}]`)).toBe(true);
      }),
    );
  });
});

describe('a server that does not tell the run', () => {
  it.each(['3.17.4', '3.19.0'])(
    '%s is asked in the old way, and the run found by its name',
    async (installedVersion) => {
      const old = await openSystem({ installedVersion });
      try {
        old.fake.world.hiddenMs = 300;
        const request = old.request();
        const run = await old.pipeline.trigger(request);
        expect(await old.pipeline.findByKey(request.key)).toEqual(run);
        expect((await old.end(run)).state).toBe('succeeded');
        expect(old.fake.started()).toBe(1);
        expect(old.fake.complaints()).toEqual([]);
      } finally {
        await old.close();
      }
    },
  );

  it('3.20 tells it', async () => {
    const newer = await openSystem({ installedVersion: '3.20.1' });
    try {
      await newer.pipeline.trigger(newer.request());
      const sent = newer.fake.exchanges().find(({ template }) => template.endsWith('/dispatches'));
      expect(sent).toMatchObject({ status: 200, body: { return_run_details: true } });
    } finally {
      await newer.close();
    }
  });

  it('leaves a doubt when the workflow has no run-name, and says so', async () => {
    const old = await openSystem({ installedVersion: '3.18.0' });
    try {
      old.fake.world.runName = 'Deploy';
      await expect(old.pipeline.trigger(old.request())).rejects.toMatchObject({
        code: 'PIPELINE_UNAVAILABLE',
        sent: 'unknown',
        message: expect.stringContaining('run-name: Deploy ${{ inputs.version }}'),
      });
    } finally {
      await old.close();
    }
  });
});
