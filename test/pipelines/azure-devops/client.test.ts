import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { PipelineError } from '../../../src/errors.ts';
import { azureConnection } from '../../../src/pipelines/azure-devops/connection.ts';
import { createPace } from '../../../src/pipelines/azure-devops/pace.ts';
import { pipelineDeps } from '../../contract/harness/deps.ts';
import { errorOf, type Opened, open, untilOver } from './helpers.ts';

describe('talking to Azure DevOps', () => {
  let system: Opened;
  beforeEach(async () => {
    system = await open();
  });
  afterEach(async () => {
    await system.close();
    expect(system.fake.unknown()).toEqual([]);
  });

  const html = '<!DOCTYPE html><html><body>Sign in</body></html>';
  const failing = async (answer: object, end = '/runs') => {
    system.fake.instead.set(end, { status: 200, ...answer });
    return errorOf(system.pipeline().trigger(system.request()));
  };

  it.each([
    ['a page with 200', { status: 200, html }],
    ['a redirect to the sign-in page', { status: 302, html, headers: { location: 'https://login.example.com/' } }],
    ['203', { status: 203, html }],
    ['401 without a word', { status: 401 }],
  ])('asks for one new token after %s, and goes on', async (_name, answer) => {
    const { entra, fake, pipeline, request } = system;
    fake.instead.set('/runs', answer);
    await pipeline().trigger(request());
    expect(entra.asked).toBe(2);
    expect(fake.started()).toBe(1);
  });

  it('says what to do when the new token is refused too, and asks for no third', async () => {
    system.fake.trouble('denied');
    const error = await errorOf(system.pipeline().trigger(system.request()));
    expect(error).toMatchObject({ code: 'PIPELINE_REJECTED', sent: 'no', retryable: false });
    expect(error.message).toMatch(/does not take the bot's Entra identity\. Add it there under Organization settings/);
    expect(system.entra.asked).toBe(2);
  });

  it('keeps a token until five minutes before its end, and asks once for all who come', async () => {
    const { clock, connection, entra } = system;
    await Promise.all([connection.check(), connection.check(), connection.check()]);
    expect(entra.asked).toBe(1);
    clock.offset = 54 * 60_000;
    await connection.check();
    expect(entra.asked).toBe(1);
    clock.offset = 56 * 60_000;
    await connection.check();
    expect(entra.asked).toBe(2);
  });

  it('says what is missing without an identity, and when Entra gives nothing', async () => {
    const none = await system.connect({}, { entraToken: null }).check();
    expect(none).toEqual([{ level: 'error', message: expect.stringMatching(/no Entra identity.*Set `token`/) }]);
    const broken = system.connect({}, { entraToken: () => Promise.reject(new Error('AADSTS700016')) });
    expect(await broken.check()).toEqual([{ level: 'error', message: expect.stringMatching(/got no token/) }]);
  });

  it('says that there is no such organization', async () => {
    const url = `${system.fake.url}/acne`;
    expect(await system.connect({ url }).check()).toEqual([
      {
        level: 'error',
        message: `There is no organization or collection at ${url}. Correct \`url\` of the connection.`,
      },
    ]);
    expect(system.fake.unknown()).toHaveLength(1);
    (system.fake.unknown() as string[]).pop();
  });

  it.each([
    [500, 'unknown'],
    [502, 'unknown'],
    [503, 'no'],
    [504, 'unknown'],
  ])('knows what %i on a trigger means: sent %s', async (status, sent) => {
    expect(await failing({ status, body: { message: 'TF1: oops' } })).toMatchObject({
      code: 'PIPELINE_UNAVAILABLE',
      retryable: true,
      sent,
      message: expect.stringMatching(/^Azure DevOps \(127\.0\.0\.1:\d+\) is away or has a fault.*TF1: oops/),
    });
  });

  it('reads again after a bad moment, but starts nothing again', async () => {
    const { fake, pipeline, request } = system;
    fake.instead.set('/builds', { status: 503 });
    await pipeline().trigger(request());
    expect(fake.requests().filter((each) => each.startsWith('GET') && each.endsWith('/builds'))).toHaveLength(2);
    await failing({ status: 503 });
    expect(fake.requests().filter((each) => each.startsWith('POST'))).toHaveLength(2);
    expect(fake.started()).toBe(1);
  });

  it('does not believe an answer that it does not understand: the run may have begun', async () => {
    for (const body of [{}, { id: 'x' }, [], null, 'text'])
      expect(await failing({ body })).toMatchObject({ code: 'PIPELINE_UNAVAILABLE', sent: 'unknown' });
    system.fake.instead.set('/builds', { status: 200, body: { value: [{ id: 1 }] } });
    const error = await errorOf(system.pipeline().findByKey(system.request().key));
    expect(error).toMatchObject({ code: 'PIPELINE_UNAVAILABLE', sent: 'no' });
    expect(error.message).toMatch(/not understood/);
  });

  it('says which permission is missing, in the vendor’s words too', async () => {
    system.fake.trouble('no-right');
    const { message } = await errorOf(system.pipeline().trigger(system.request()));
    expect(message).toMatch(/lacks the permission "Queue builds", and "Edit queue build configuration"/);
    expect(message).toContain('TF215106');
  });

  it('shows no secret that the vendor puts into its words', async () => {
    const [token = '', password = ''] = system.fake.secrets();
    const message = `bad\u001b[31m value ${token} and ${password}\nsecond line ${'x'.repeat(2000)}`;
    const error = await failing({ status: 400, body: { message, typeKey: 'PipelineValidationException' } });
    expect(error).toMatchObject({ code: 'PIPELINE_REJECTED', sent: 'no' });
    expect(error.message).not.toContain(token);
    expect(error.message).not.toContain(password);
    expect(error.message).toContain('second line');
    expect(error.message.length).toBeLessThan(700);
  });

  it('knows that nothing was sent where nobody listens', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    const { port } = silent.address() as AddressInfo;
    await new Promise((resolve) => silent.close(resolve));
    const connection = system.connect({ url: `http://127.0.0.1:${port}/acme` });
    const pipeline = system.pipeline({ pipeline: 42 }, { ...pipelineDeps('/nowhere'), connection });
    const error = await errorOf(pipeline.trigger(system.request()));
    expect(error).toMatchObject({ code: 'PIPELINE_UNAVAILABLE', retryable: true, sent: 'no' });
    expect(error.message).toMatch(/can not be reached/);
  });

  it('is bound to a connection of its own kind', () => {
    for (const other of [undefined, { kind: 'github', check: async () => [] }]) {
      expect(() => azureConnection(other)).toThrow(/connections\.azure-devops/);
      expect(() => azureConnection(other)).not.toThrow(PipelineError);
    }
  });

  it('slows down when the vendor’s limit is near', async () => {
    const { clock, connection, fake, pipeline } = system;
    const { client } = connection;
    const looked = async (headers: Record<string, string>) => {
      fake.headers = headers;
      await connection.check();
      return client.pollMs;
    };
    const usual = await looked({});
    expect(usual).toBeGreaterThanOrEqual(3000);
    expect(usual).toBeLessThanOrEqual(5000);
    expect(await looked({ 'x-ratelimit-remaining': '150', 'x-ratelimit-limit': '200' })).toBe(usual);
    const near = await looked({ 'x-ratelimit-remaining': '10', 'x-ratelimit-limit': '200' });
    expect(near).toBeGreaterThan(usual);
    const over = await looked({ 'x-ratelimit-delay': '1.5', 'retry-after': '2' });
    expect(over).toBeGreaterThan(near);
    expect(pipeline().pollMs).toBe(over);
    expect(await looked({ 'x-ratelimit-remaining': '10', 'x-ratelimit-limit': '200' })).toBe(over);
    expect(await looked({})).toBe(over);
    clock.offset = 6 * 60_000;
    expect(await looked({})).toBe(usual);
  });

  it('waits no longer than a minute, whatever it is told', () => {
    const pace = createPace(() => new Date());
    const see = (headers: Record<string, string>, status = 200) =>
      pace.see({ status, headers, text: '', json: () => undefined });
    see({ 'retry-after': '86400' }, 429);
    expect(pace.pollMs).toBe(60_000);
    for (const text of ['', 'x', '-1', 'NaN']) see({ 'retry-after': text, 'x-ratelimit-remaining': text });
    expect(pace.pollMs).toBeLessThanOrEqual(60_000);
  });
});

describe('a server with a collection and a personal access token', () => {
  let system: Opened;
  beforeEach(async () => {
    system = await open({ pat: true, collection: '/tfs/DefaultCollection' });
  });
  afterEach(() => system.close());

  it('is spoken to below its path, with the token as the password of nobody', async () => {
    const { connection, entra, fake, pipeline, request } = system;
    expect(await connection.check()).toEqual([]);
    const run = await pipeline().trigger(request());
    expect(run.url).toBe(`${fake.url}/tfs/DefaultCollection/Web%20Shop/_build/results?buildId=${run.id}`);
    expect((await untilOver(pipeline(), run)).state).toBe('succeeded');
    for (const each of fake.requests()) expect(each).toMatch(/^\w+ \/tfs\/DefaultCollection\/(?:Web%20Shop\/)?_apis\//);
    expect(entra.asked).toBe(0);
  });

  it('says that the token is refused, and does not try again', async () => {
    system.fake.trouble('denied');
    const error = await errorOf(system.pipeline().findByKey(system.request().key));
    expect(error.message).toMatch(/refuses the personal access token.*TF400813/);
    expect(system.fake.requests()).toHaveLength(1);
  });

  it('is warned of in the cloud, where a person’s token has no place', async () => {
    const findings = await system
      .connect(
        { url: 'https://dev.azure.com/acme' },
        {
          http: () =>
            ({
              ...system.connect,
              request: () => Promise.reject(new PipelineError('PIPELINE_UNAVAILABLE', 'x')),
            }) as never,
        },
      )
      .check();
    expect(findings[0]).toEqual({
      level: 'warning',
      message: expect.stringMatching(/belongs to a person and expires/),
    });
  });

  it('takes certificates from a file beside the configuration', () => {
    const asked: (string | undefined)[] = [];
    const http = (options?: { ca?: string }) => {
      asked.push(options?.ca);
      return {} as never;
    };
    system.connect({ ca: 'certs/corp.pem' }, { baseDir: '/etc/shipmate', http });
    system.connect({}, { http });
    expect(asked).toEqual(['/etc/shipmate/certs/corp.pem', undefined]);
  });
});
