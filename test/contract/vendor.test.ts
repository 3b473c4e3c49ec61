import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { PipelineError } from '../../src/errors.ts';
import type { RunRef, RunStatus } from '../../src/pipelines/types.ts';
import type { FakeCi, Trouble } from '../fakes/ci/types.ts';
import { until } from './harness/deps.ts';
import { findHarnesses } from './harness/find.ts';
import type { PipelineHarness } from './harness/types.ts';
import { connect } from './harness/vendor.ts';

/** What holds for every pipeline that is driven over HTTP: trouble on the way, webhooks, runs that chat did not start. */

const opened = await Promise.all(
  (await findHarnesses('pipeline')).map(async (each) => {
    const system = await each.harness.open();
    const isVendor = system.fake !== undefined;
    await system.close();
    return { ...each, isVendor };
  }),
);
const vendors = opened.filter(({ isVendor }) => isVendor);

it('there are vendors', () => {
  expect(vendors.length).toBeGreaterThan(0);
});

interface Delivery {
  headers: IncomingHttpHeaders;
  body: Buffer;
}

describe.each(vendors)('vendor $name', ({ harness, name }) => {
  let system: Awaited<ReturnType<PipelineHarness['open']>>;
  let fake: FakeCi;
  let seen: unknown[];
  let listener: Server;
  let deliveries: Delivery[];
  beforeEach(async () => {
    system = await harness.open();
    if (!system.fake) throw new Error('no fake');
    fake = system.fake;
    seen = [];
    deliveries = [];
    listener = createServer(async (req, res) => {
      const chunks: Buffer[] = [];
      for await (const chunk of req) chunks.push(chunk as Buffer);
      deliveries.push({ headers: req.headers, body: Buffer.concat(chunks) });
      // In two steps: restify, where it is loaded, changes writeHead.
      res.writeHead(202);
      res.end();
    });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  });
  afterEach(async () => {
    const secrets = fake.secrets();
    await system.close();
    listener.closeAllConnections();
    await new Promise((resolve) => listener.close(resolve));
    // Planted secrets: in nothing that a person could see.
    const shown = JSON.stringify(seen);
    expect(secrets.length).toBeGreaterThan(0);
    expect(secrets.filter((secret) => shown.includes(secret))).toEqual([]);
  });

  /** Remembers what could reach a card, for the search at the end. */
  const see = <T>(value: T): T => {
    seen.push(value);
    return value;
  };
  const fails = async (work: Promise<unknown>): Promise<PipelineError> => {
    const error = await work.then(
      () => new Error('it did not fail'),
      (reason: unknown) => reason,
    );
    if (!(error instanceof PipelineError)) throw error;
    see([error.message, error.stack]);
    return error;
  };
  const over = ({ state }: RunStatus) => state !== 'queued' && state !== 'running';
  const end = async (run: RunRef, pipeline = system.pipeline) => see(await until(() => pipeline.status(run), over));

  describe('when something goes wrong on the way', () => {
    it('finds a run whose answer was lost, and starts no second one', async () => {
      fake.trouble('cut');
      const request = system.request();
      const run = await system.pipeline.trigger(request).catch(async (error: unknown) => {
        expect(error).toMatchObject({ sent: 'unknown' });
        fake.trouble(null);
        return until(
          () => system.reopen().findByKey(request.key),
          (found) => found !== null,
        );
      });
      if (run === null) throw new Error('not found');
      fake.trouble(null);
      expect((await end(run)).state).toBe('succeeded');
      expect(fake.started()).toBe(1);
    });

    it.each<Trouble>(['429', '429-bare'])('is patient or says that it may be tried again: %s', async (trouble) => {
      fake.trouble(trouble);
      const request = system.request();
      const first = await system.pipeline.trigger(request).catch((error: unknown) => error);
      if (first instanceof Error) {
        expect(first).toMatchObject({ code: 'PIPELINE_UNAVAILABLE', retryable: true, sent: 'no' });
        see(first.message);
        fake.trouble(null);
        await system.pipeline.trigger(request);
      }
      expect(fake.started()).toBe(1);
    });

    it('says that the vendor is away, and may be asked again', async () => {
      const run = await system.pipeline.trigger(system.request());
      fake.trouble('5xx');
      expect(await fails(system.pipeline.status(run))).toMatchObject({ code: 'PIPELINE_UNAVAILABLE', retryable: true });
      expect(await fails(system.pipeline.trigger(system.request()))).toMatchObject({ code: 'PIPELINE_UNAVAILABLE' });
      fake.trouble(null);
      expect((await end(run)).state).toBe('succeeded');
    });

    it('works with a slow vendor', async () => {
      fake.trouble('slow');
      const run = await system.pipeline.trigger(system.request());
      expect((await end(run)).state).toBe('succeeded');
    });

    it('renews what has expired', async () => {
      const run = await system.pipeline.trigger(system.request());
      fake.trouble('expired');
      expect((await end(run)).state).toBe('succeeded');
    });

    it('says what to do when the credentials are refused', async () => {
      fake.trouble('denied');
      const error = await fails(system.pipeline.trigger(system.request()));
      expect(error).toMatchObject({ code: 'PIPELINE_REJECTED', retryable: false, sent: 'no' });
      const findings = see([...(await system.pipeline.check()), ...(await checkConnection())]);
      expect(findings).toContainEqual(expect.objectContaining({ level: 'error' }));
      expect(fake.started()).toBe(0);
    });

    it('says which right is missing', async () => {
      fake.trouble('no-right');
      const error = await fails(system.pipeline.trigger(system.request()));
      expect(error).toMatchObject({ code: 'PIPELINE_REJECTED', retryable: false, sent: 'no' });
      expect(error.message).toMatch(/right|permission|role|scope/i);
      expect(fake.started()).toBe(0);
    });

    const checkConnection = async () => {
      const { close, connection } = connect(fake.kind, fake.config.connection);
      try {
        return await connection.check();
      } finally {
        await close();
      }
    };
  });

  it('hides what the log of a run prints by mistake, and shows the end of the failing step', async () => {
    fake.behave('fail');
    const run = await system.pipeline.trigger(system.request());
    expect((await end(run)).state).toBe('failed');
    const lines = see(await system.pipeline.logs(run, { lines: 50 }));
    expect(lines.join('\n')).toContain('it is broken');
  });

  it('asks no more often than it says, and less when nothing changes', async () => {
    expect(system.pipeline.pollMs).toBeLessThanOrEqual(60_000);
    fake.behave('hang');
    const run = await system.pipeline.trigger(system.request());
    await until(
      () => system.pipeline.status(run),
      ({ state }) => state === 'running',
    );
    const before = fake.requests().length;
    await system.pipeline.status(run);
    // One look is a few requests, however long the project's history is.
    expect(fake.requests().length - before).toBeLessThanOrEqual(4);
    await system.pipeline.cancel(run);
  });

  describe('a second attempt', () => {
    it('is there exactly where it says so', () => {
      expect(typeof system.pipeline.rerun).toBe(system.pipeline.capabilities.rerun ? 'function' : 'undefined');
      expect(typeof system.pipeline.dryRun).toBe(system.pipeline.capabilities.dryRun ? 'function' : 'undefined');
    });

    it('goes on from what failed, once', async () => {
      const { pipeline } = system;
      if (!pipeline.rerun) return;
      fake.behave('fail');
      const run = await pipeline.trigger(system.request());
      expect((await end(run)).state).toBe('failed');
      fake.behave('succeed');
      const again = await pipeline.rerun(run);
      expect(await system.reopen().rerun?.(run)).toEqual(again);
      expect((await end(again)).state).toBe('succeeded');
      expect(fake.started()).toBe(1);
    });

    it('refuses to let one go on that ended well', async () => {
      const { pipeline } = system;
      if (!pipeline.rerun) return;
      const run = await pipeline.trigger(system.request());
      await end(run);
      expect(await fails(pipeline.rerun(run))).toMatchObject({ code: 'PIPELINE_REJECTED' });
    });

    it('tells what it would do, and does nothing', async () => {
      const { pipeline } = system;
      if (!pipeline.dryRun) return;
      const { lines } = see(await pipeline.dryRun(system.request()));
      expect(lines.length).toBeGreaterThan(0);
      expect(fake.started()).toBe(0);
    });
  });

  describe('runs that chat did not start', () => {
    const since = new Date(Date.now() - 3_600_000);

    it('are listed with who started them, and are not ours', async () => {
      if (!system.pipeline.recent) return;
      const ours = await system.pipeline.trigger(system.request());
      const id = fake.foreign({ environment: 'production', version: '1.10.0', by: 'octo-ana' });
      const found = see(
        await until(
          () => system.pipeline.recent?.({ since }) ?? Promise.resolve([]),
          (runs) => runs.some(({ run }) => run.id === id),
        ),
      );
      const run = found.find((each) => each.run.id === id);
      expect(run).toMatchObject({ environment: 'production', startedBy: expect.stringContaining('octo-ana') });
      expect(run?.sha ?? fake.shas['1.10.0']).toBe(fake.shas['1.10.0']);
      expect(run?.gate).toBeUndefined();
      expect(Date.parse(run?.startedAt ?? '')).toBeGreaterThan(since.getTime());
      // One of ours may be listed too: by the id that we know.
      for (const each of found) expect([id, ours.id]).toContain(each.run.id);
      expect(await system.pipeline.recent({ since: new Date(Date.now() + 3_600_000) })).toEqual([]);
    });

    it.each([true, false])('wait for us, and are answered with the name of a person: %s', async (approved) => {
      const { pipeline } = system;
      if (!pipeline.recent || !pipeline.capabilities.gates) return;
      const id = fake.foreign({ environment: 'production', version: '1.10.0', by: 'octo-ana', ask: true });
      const [found] = await until(
        () => pipeline.recent?.({ since }) ?? Promise.resolve([]),
        ([first]) => first?.gate !== undefined,
      );
      expect(found).toMatchObject({ run: { id }, environment: 'production', gate: { environment: 'production' } });
      if (!found?.gate) throw new Error('it does not wait');
      await pipeline.answer?.(found.run, found.gate.id, { approved, by: 'Robin Ek' });
      expect((await end(found.run)).state).toBe(approved ? 'succeeded' : 'failed');
      expect(fake.answers()).toEqual([{ run: id, approved, comment: expect.stringContaining('Robin Ek') }]);
    });
  });

  describe('webhooks', () => {
    const connection = () => connect(fake.kind, fake.config.connection);
    const receive = async (): Promise<Delivery[]> => {
      fake.webhooksTo(`http://127.0.0.1:${(listener.address() as AddressInfo).port}/api/pipelines/${name}`);
      const run = await system.pipeline.trigger(system.request());
      await end(run);
      await until(
        async () => deliveries,
        (all) => all.length > 0,
      );
      return deliveries;
    };
    const has = async () => {
      const { close, connection: made } = connection();
      await close();
      return made.webhook !== undefined;
    };

    it('are believed when they are signed, and name the run', async () => {
      if (!(await has())) return;
      fake.webhooksTo(`http://127.0.0.1:${(listener.address() as AddressInfo).port}/`);
      const run = await system.pipeline.trigger(system.request());
      await end(run);
      const { close, connection: made } = connection();
      const verdicts = await until(
        async () => deliveries.map((delivery) => made.webhook?.({ ...delivery, now: new Date() })),
        (all) => all.some((verdict) => verdict?.ok && verdict.runs.includes(run.id)),
      );
      await close();
      for (const verdict of verdicts)
        expect(verdict).toMatchObject({ ok: true, delivery: expect.stringMatching(/.{8}/) });
      const ids = verdicts.flatMap((verdict) => (verdict?.ok ? [verdict.delivery] : []));
      expect(new Set(ids).size).toBe(ids.length);
    });

    it('are the same delivery when they come twice', async () => {
      if (!(await has())) return;
      fake.webhooks('twice');
      await receive();
      await until(
        async () => deliveries,
        (all) => all.length >= 2,
      );
      const { close, connection: made } = connection();
      const ids = deliveries
        .map((delivery) => made.webhook?.({ ...delivery, now: new Date() }))
        .map((each) => each?.ok && each.delivery);
      await close();
      expect(new Set(ids).size).toBeLessThan(ids.length);
    });

    it('are refused without a signature, with a wrong one, and with another body', async () => {
      if (!(await has())) return;
      const [first] = await receive();
      if (!first) throw new Error('nothing came');
      const { close, connection: made } = connection();
      const now = new Date();
      const signature = Object.keys(first.headers).filter((header) => /signature|token|authorization/.test(header));
      expect(signature.length).toBeGreaterThan(0);
      const without = Object.fromEntries(
        Object.entries(first.headers).filter(([header]) => !signature.includes(header)),
      );
      expect(made.webhook?.({ headers: without, body: first.body, now })).toEqual({
        ok: false,
        code: 'WEBHOOK_UNSIGNED',
      });
      const wrong = {
        ...first.headers,
        ...Object.fromEntries(signature.map((header) => [header, `${first.headers[header]}x`])),
      };
      expect(made.webhook?.({ headers: wrong, body: first.body, now })).toEqual({ ok: false, code: 'WEBHOOK_FORGED' });
      for (const odd of ['', 'null', '[]', '{', '"x"'].map((text) => Buffer.from(text))) {
        const verdict = made.webhook?.({ headers: first.headers, body: odd, now });
        expect(verdict).toMatchObject({ ok: false });
      }
      await close();
    });
  });
});
