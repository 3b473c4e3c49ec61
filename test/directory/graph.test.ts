import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Person } from '../../src/access/types.ts';
import { createGraphDirectory, type GraphOptions } from '../../src/directory/graph/index.ts';
import { DirectoryError } from '../../src/errors.ts';
import { createHttp, type Http } from '../../src/http.ts';
import { silentLogger } from '../contract/harness/deps.ts';
import { type FakeGraph, type Fault, startFakeGraph } from '../fakes/graph/index.ts';

const ID = '30000000-0000-4000-8000-000000000001';
const group = (number: number) => `40000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
const ana: Person = { id: ID, tenantId: 't', name: 'Ana' };
const MINUTE = 60_000;

let graph: FakeGraph;
let http: Http;
let time: number;
beforeEach(async () => {
  graph = await startFakeGraph([{ id: ID, groups: [group(1)] }]);
  http = createHttp();
  time = Date.now();
});
afterEach(async () => {
  await graph.close();
  await http.close();
});
const open = (more: Partial<GraphOptions> = {}) =>
  createGraphDirectory({
    credential: graph.credential,
    http,
    logger: silentLogger,
    baseUrl: graph.url,
    now: () => time,
    ...more,
  });

describe('what is sent', () => {
  it('is twenty ids at a time, each once, and none that is malformed', async () => {
    const groups = Array.from({ length: 45 }, (_, at) => group(at));
    const found = await open().memberOf(ana, [...groups, group(1).toUpperCase(), 'no-guid', '', `${group(2)}'`]);
    expect(found).toEqual(new Set([group(1), group(1).toUpperCase()]));
    expect(graph.requests.map(({ ids }) => ids).sort()).toEqual([20, 20, 5]);
    expect(new Set(graph.requests.map(({ path }) => path))).toEqual(new Set([`/v1.0/users/${ID}/checkMemberGroups`]));
  });
  it('is nothing about nobody, or about no group', async () => {
    const directory = open();
    expect(await directory.memberOf({ ...ana, id: '../../applications' }, [group(1)])).toEqual(new Set());
    expect(await directory.memberOf(ana, ['no-guid'])).toEqual(new Set());
    expect(await directory.isGuest?.({ ...ana, id: 'x' })).toBe(false);
    expect(graph.requests).toEqual([]);
    expect(graph.credential.calls).toBe(0);
  });
  it('goes with one token for all, asked for once', async () => {
    const directory = open();
    await Promise.all([
      directory.memberOf(ana, [group(1)]),
      directory.memberOf(ana, [group(2)]),
      directory.isGuest?.(ana),
    ]);
    await directory.memberOf(ana, [group(1)], { fresh: true });
    expect(graph.credential.calls).toBe(1);
  });
  it('goes with a new token after the old one was refused', async () => {
    const directory = open();
    await directory.memberOf(ana, [group(1)]);
    graph.revoke();
    await expect(directory.memberOf(ana, [group(1)], { fresh: true })).rejects.toBeInstanceOf(DirectoryError);
    expect(await directory.memberOf(ana, [group(1)], { fresh: true })).toEqual(new Set([group(1)]));
  });
  it('goes with a new token when the old one runs out', async () => {
    const directory = open();
    await directory.memberOf(ana, [group(1)]);
    time += 59.5 * MINUTE;
    await directory.memberOf(ana, [group(1)]);
    expect(graph.credential.calls).toBe(2);
  });
});

describe('what is remembered', () => {
  it('is five minutes old at most, also when more is asked for', async () => {
    const directory = open({ cacheMs: 60 * MINUTE });
    expect(await directory.memberOf(ana, [group(1)])).toEqual(new Set([group(1)]));
    graph.set({ id: ID, groups: [] });
    time += 4 * MINUTE;
    expect(await directory.memberOf(ana, [group(1), group(2)])).toEqual(new Set([group(1)]));
    expect(graph.requests.map(({ ids }) => ids)).toEqual([1, 1]);
    time += MINUTE;
    expect(await directory.memberOf(ana, [group(1)])).toEqual(new Set());
  });
  it('is never what a fresh question gets', async () => {
    const directory = open();
    await directory.memberOf(ana, [group(1)]);
    graph.set({ id: ID, groups: [] });
    expect(await directory.memberOf(ana, [group(1)])).toEqual(new Set([group(1)]));
    expect(await directory.memberOf(ana, [group(1)], { fresh: true })).toEqual(new Set());
    // And what the fresh one got is known from now on.
    expect(await directory.memberOf(ana, [group(1)])).toEqual(new Set());
    expect(graph.requests).toHaveLength(2);
  });
  it('is asked for once at a time', async () => {
    const directory = open();
    const answers = await Promise.all(Array.from({ length: 20 }, () => directory.memberOf(ana, [group(1)])));
    expect(answers).toEqual(Array(20).fill(new Set([group(1)])));
    expect(graph.requests).toHaveLength(1);
  });
  it('is not joined by a fresh question', async () => {
    const directory = open();
    let release = () => {};
    graph.gate = new Promise((resolve) => {
      release = resolve;
    });
    const old = directory.memberOf(ana, [group(1)]);
    const fresh = directory.memberOf(ana, [group(1)], { fresh: true });
    release();
    await Promise.all([old, fresh]);
    expect(graph.requests).toHaveLength(2);
  });
  it('is not a failure', async () => {
    const directory = open();
    graph.faults.push({ status: 403 });
    await expect(directory.memberOf(ana, [group(1)])).rejects.toBeInstanceOf(DirectoryError);
    expect(await directory.memberOf(ana, [group(1)])).toEqual(new Set([group(1)]));
  });
});

describe('a guest', () => {
  it('is who the tenant says is one', async () => {
    const directory = open();
    const guest = async (userType: 'Member' | 'Guest' | null) => {
      graph.set({ id: ID, groups: [group(1)], userType });
      return directory.isGuest?.(ana, { fresh: true });
    };
    expect([await guest('Guest'), await guest('Member'), await guest(null)]).toEqual([true, false, false]);
    expect(graph.requests[0]?.path).toBe(`/v1.0/users/${ID}?$select=userType`);
    expect(await directory.isGuest?.({ ...ana, id: group(9) })).toBe(false);
  });
  it('is remembered like groups, and asked for again when it has to be fresh', async () => {
    const directory = open();
    expect(await directory.isGuest?.(ana)).toBe(false);
    graph.set({ id: ID, groups: [], userType: 'Guest' });
    expect(await directory.isGuest?.(ana)).toBe(false);
    expect(await directory.isGuest?.(ana, { fresh: true })).toBe(true);
    graph.set({ id: ID, groups: [] });
    time += 4 * MINUTE;
    expect(await directory.isGuest?.(ana)).toBe(true);
    time += MINUTE;
    expect(await directory.isGuest?.(ana)).toBe(false);
  });
});

describe('when Graph does not answer', () => {
  const asked = (fault: Fault, timeoutMs = 300) => {
    graph.always = fault;
    const directory = open({ timeoutMs });
    return Promise.all(
      [() => directory.memberOf(ana, [group(1)], { fresh: true }), () => directory.isGuest?.(ana, { fresh: true })].map(
        (ask) => ask()?.then(String, (error: unknown) => error),
      ),
    );
  };
  it.each<[string, Fault, string]>([
    ['401', { status: 401 }, 'did not accept the credentials'],
    ['403', { status: 403 }, 'lacks GroupMember.Read.All or User.Read.All'],
    ['400', { status: 400 }, 'answered 400'],
    ['500', { status: 500, body: '<html>secret internals</html>' }, 'answered 500'],
    ['200 and no JSON', { status: 200, body: '<html>' }, 'answered 200'],
    ['200 and something else', { status: 200, body: '{"value":[1],"userType":7}' }, 'answered 200'],
    ['429 for long', { status: 429, headers: { 'retry-after': '30' } }, 'in time'],
    ['a hung connection', 'hang', 'in time'],
  ])('%s is an error, never an answer', async (_what, fault, message) => {
    const started = performance.now();
    for (const error of await asked(fault)) {
      expect(error).toBeInstanceOf(DirectoryError);
      expect((error as Error).message).toContain(message);
      expect((error as Error).message).not.toContain('secret internals');
    }
    expect(performance.now() - started).toBeLessThan(1500);
  });

  it.each<[string, Fault]>([
    ['429 with Retry-After', { status: 429, headers: { 'retry-after': '0' } }],
    ['429 without it', { status: 429 }],
    ['503', { status: 503 }],
    ['a dropped connection', 'drop'],
  ])('%s is asked again, once or twice', async (_what, fault) => {
    graph.faults.push(fault);
    expect(await open().memberOf(ana, [group(1)])).toEqual(new Set([group(1)]));
    expect(graph.requests).toHaveLength(2);
    graph.always = fault;
    await expect(open().memberOf(ana, [group(1)])).rejects.toBeInstanceOf(DirectoryError);
    expect(graph.requests.length).toBeLessThanOrEqual(5);
  });

  it('one failed part of a long list is a failure of all', async () => {
    graph.faults.push({ status: 200, body: '{"value":[]}' }, { status: 403 });
    const groups = Array.from({ length: 60 }, (_, at) => group(at));
    await expect(open().memberOf(ana, groups)).rejects.toBeInstanceOf(DirectoryError);
  });

  it('waits three seconds and no longer', async () => {
    graph.always = 'hang';
    const started = performance.now();
    await expect(open().memberOf(ana, [group(1)], { fresh: true })).rejects.toBeInstanceOf(DirectoryError);
    const took = performance.now() - started;
    expect(took).toBeGreaterThan(2500);
    expect(took).toBeLessThan(4000);
  });

  it.each(['refuse', 'hang'] as const)('nor do credentials that %s', async (how) => {
    graph.credential[how] = true;
    const error = await open({ timeoutMs: 100 })
      .memberOf(ana, [group(1)])
      .catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(DirectoryError);
    expect((error as Error).message).toContain('could not sign in');
    expect((error as Error).message).not.toContain('AADSTS');
    expect(graph.requests).toEqual([]);
  });
});

describe('check', () => {
  it('names the missing right, once', async () => {
    expect(await open().check()).toEqual([]);
    graph.always = { status: 403 };
    expect(await open().check()).toEqual([{ level: 'error', message: expect.stringContaining('admin consent') }]);
    graph.always = 'hang';
    expect(await open({ timeoutMs: 50 }).check()).toEqual([
      { level: 'error', message: 'Microsoft Graph did not answer. It did not answer in time.' },
    ]);
  });
});
