import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { verifyChain } from '../../src/audit/chain.ts';
import type { AuditRecord } from '../../src/audit/types.ts';
import type { Deployment, Vote } from '../../src/deploys/types.ts';
import type { NewDeployment, Store, Tx } from '../../src/store/types.ts';
import { deployment, person } from '../helpers/deployments.ts';
import { createMemoryStore, describeStore, openTestStore } from '../helpers/store.ts';

async function open(kind: 'memory' | 'pglite' | 'postgres'): Promise<{ store: Store; close(): Promise<void> }> {
  if (kind !== 'memory') return openTestStore(kind);
  const store = createMemoryStore();
  return { store, close: () => store.stop() };
}

let number = 0;
/** A service of its own for each test, so that one database serves them all. */
function fresh(more: Partial<Deployment> = {}): NewDeployment {
  number += 1;
  const { id: _, revision: __, votes: ___, ...rest } = deployment({ service: `service-${number}`, ...more });
  return { ...rest, origin: more.origin ?? `message:${number}` };
}

const LATER = new Date('2099-01-01T00:00:00.000Z');
const RECORD: AuditRecord = { actor: person('dana'), action: 'test', outcome: 'done', code: 'OK' };
const fifty = Array.from({ length: 50 }, (_, index) => index);

for (const kind of ['memory', 'pglite', 'postgres'] as const)
  describeStore(kind, 'store', () => {
    let bench: Awaited<ReturnType<typeof open>>;
    let store: Store;
    const tx = <T>(fn: (tx: Tx) => Promise<T>) => store.transaction(fn);
    const insert = async (wanted: NewDeployment): Promise<Deployment> => {
      const result = await tx((t) => t.deployments.insert(wanted));
      if (result.kind !== 'inserted') throw new Error(`not inserted: ${result.kind}`);
      return result.deployment;
    };
    beforeAll(async () => {
      bench = await open(kind);
      store = bench.store;
    }, 60_000);
    afterAll(() => bench.close(), 20_000);

    it('is healthy', async () => {
      expect(store.kind).toBe(kind);
      expect(await store.health()).toBeNull();
    });

    describe('claims', () => {
      it('lets exactly one of fifty have a key', async () => {
        const won = await Promise.all(fifty.map(() => tx((t) => t.claims.claim('race', LATER))));
        expect(won.filter(Boolean)).toHaveLength(1);
      });
      it('gives a key back when its transaction is rolled back', async () => {
        const failed = tx(async (t) => {
          expect(await t.claims.claim('rolled-back', LATER)).toBe(true);
          throw new Error('no');
        });
        await expect(failed).rejects.toThrow('no');
        expect(await tx((t) => t.claims.claim('rolled-back', LATER))).toBe(true);
        expect(await tx((t) => t.claims.claim('rolled-back', LATER))).toBe(false);
      });
    });

    describe('a deployment', () => {
      it('is read back as it was written', async () => {
        const wanted = fresh({
          state: 'awaiting_approval',
          approval: { groups: ['g'], count: 2, expiresAt: LATER.toISOString() },
          changes: [{ sha: 'c'.repeat(40), subject: 'Say "hello" to \u{1f6a2} & <b>\\n' }],
          changesTotal: 7,
          reason: "it's time",
          run: { id: 'r1', url: 'http://127.0.0.1/r1' },
          problem: { code: 'PIPELINE_FAILED', message: 'x' },
          stages: [{ name: 'build', state: 'running' }],
        });
        const inserted = await insert(wanted);
        expect(inserted).toEqual({ ...wanted, id: expect.stringMatching(/^\d+$/), revision: 1, votes: [] });
        expect(await tx((t) => t.deployments.get(inserted.id))).toEqual(inserted);
        expect(await tx((t) => t.deployments.byOrigin(wanted.origin))).toEqual(inserted);
      });
      it('survives text that a database does not take', async () => {
        const inserted = await insert(fresh({ tail: ['nul \0 lone \ud800 end'] }));
        const change = await tx((t) =>
          t.deployments.change(inserted.id, { from: ['queued'] }, { tail: ['again \0 \udfff'] }),
        );
        expect(change).toMatchObject({ kind: 'changed', deployment: { tail: [expect.stringMatching(/^again /)] } });
        await tx((t) =>
          t.outbox.put({
            key: `nul:${inserted.id}`,
            conversation: 'c',
            payload: { kind: 'message', text: 'a\0b\ud800' },
          }),
        );
        expect(await tx((t) => t.outbox.get(`nul:${inserted.id}`))).not.toBeNull();
      });
      it('is null when it is not there', async () => {
        for (const id of ['999999999', 'abc', '', "1'; drop table deployments", '1e3', '-1'])
          expect(await tx((t) => t.deployments.get(id))).toBeNull();
        expect(await tx((t) => t.deployments.byOrigin('nothing'))).toBeNull();
        expect(await tx((t) => t.deployments.change('abc', { from: ['queued'] }, {}))).toEqual({ kind: 'stale' });
      });
      it('comes once from one origin', async () => {
        const first = await insert(fresh({ state: 'awaiting_approval' }));
        const again = await tx((t) => t.deployments.insert(fresh({ origin: first.origin })));
        expect(again).toMatchObject({ kind: 'duplicate', deployment: { id: first.id } });
      });
      it('says duplicate, not busy, to a repeated click on what holds the environment itself', async () => {
        const first = await insert(fresh());
        const again = await tx((t) => t.deployments.insert(fresh({ origin: first.origin, service: first.service })));
        expect(again).toMatchObject({ kind: 'duplicate', deployment: { id: first.id } });
      });
      it('is refused while another holds the environment, and names it', async () => {
        const first = await insert(fresh());
        const second = await tx((t) => t.deployments.insert(fresh({ service: first.service })));
        expect(second).toMatchObject({ kind: 'busy', deployment: { id: first.id } });
        const elsewhere = await tx((t) =>
          t.deployments.insert(fresh({ service: first.service, environment: 'staging' })),
        );
        expect(elsewhere.kind).toBe('inserted');
      });
      it('may wait for approval beside one that runs', async () => {
        const first = await insert(fresh());
        await insert(fresh({ service: first.service, state: 'awaiting_approval' }));
      });
      it('lets exactly one of fifty have an environment', async () => {
        const { service } = fresh();
        const results = await Promise.all(fifty.map(() => tx((t) => t.deployments.insert(fresh({ service })))));
        expect(results.filter((each) => each.kind === 'inserted')).toHaveLength(1);
        expect(results.filter((each) => each.kind === 'busy')).toHaveLength(49);
      });
      it('lets exactly one of fifty redeliveries through', async () => {
        const wanted = fresh({ state: 'awaiting_approval' });
        const results = await Promise.all(fifty.map(() => tx((t) => t.deployments.insert(wanted))));
        expect(results.filter((each) => each.kind === 'inserted')).toHaveLength(1);
        expect(new Set(results.map((each) => each.deployment.id)).size).toBe(1);
      });
    });

    describe('a change', () => {
      it('is made by exactly one of fifty', async () => {
        const { id } = await insert(fresh());
        const results = await Promise.all(
          fifty.map(() => tx((t) => t.deployments.change(id, { from: ['queued'] }, { state: 'running' }))),
        );
        expect(results.filter((each) => each.kind === 'changed')).toHaveLength(1);
        expect(results.filter((each) => each.kind === 'stale')).toHaveLength(49);
      });
      it('is fenced by the revision and by the state', async () => {
        const { id } = await insert(fresh());
        const change = (fence: Parameters<Tx['deployments']['change']>[1]) =>
          tx((t) => t.deployments.change(id, fence, { tail: ['x'] }));
        expect(await change({ from: ['queued'], revision: 1 })).toMatchObject({ deployment: { revision: 2 } });
        expect(await change({ from: ['queued'], revision: 1 })).toEqual({ kind: 'stale' });
        expect(await change({ from: ['running', 'attention'], revision: 2 })).toEqual({ kind: 'stale' });
        expect(await change({ from: ['running', 'queued'], revision: 2 })).toMatchObject({
          deployment: { revision: 3 },
        });
      });
      it('leaves what it does not name', async () => {
        const before = await insert(fresh({ tail: ['kept'] }));
        await tx((t) =>
          t.deployments.change(before.id, { from: ['queued'] }, { problem: null, triggerStartedAt: 'T' }),
        );
        const after = await tx((t) => t.deployments.get(before.id));
        expect(after).toEqual({ ...before, triggerStartedAt: 'T', revision: 2 });
      });
      it('that would hold a held environment is busy, and the rest of its transaction stays', async () => {
        const holder = await insert(fresh());
        const { service } = holder;
        const waiting = await insert(fresh({ service, state: 'awaiting_approval' }));
        const result = await tx(async (t) => {
          await t.settings.set(`busy:${service}`, 'before');
          const changed = await t.deployments.change(waiting.id, { from: ['awaiting_approval'] }, { state: 'queued' });
          await t.claims.claim(`busy:${service}`, LATER);
          return changed;
        });
        expect(result).toMatchObject({ kind: 'busy', deployment: { id: holder.id } });
        expect(await tx((t) => t.settings.get(`busy:${service}`))).toBe('before');
        expect(await tx((t) => t.claims.claim(`busy:${service}`, LATER))).toBe(false);
        expect(await tx((t) => t.deployments.get(waiting.id))).toEqual(waiting);
      });
      it('of two that wait, only one gets the environment', async () => {
        const { service } = fresh();
        const ids: string[] = [];
        for (let each = 0; each < 10; each += 1)
          ids.push((await insert(fresh({ service, state: 'awaiting_approval' }))).id);
        const results = await Promise.all(
          ids.map((id) => tx((t) => t.deployments.change(id, { from: ['awaiting_approval'] }, { state: 'queued' }))),
        );
        expect(results.filter((each) => each.kind === 'changed')).toHaveLength(1);
        expect(results.filter((each) => each.kind === 'busy')).toHaveLength(9);
      });
    });

    describe('votes', () => {
      const vote = (name: string): Vote => ({
        person: person(name),
        decision: 'approve',
        at: '2026-11-24T12:00:00.000Z',
      });
      it('count once per person, of fifty at once', async () => {
        const { id } = await insert(fresh({ state: 'awaiting_approval' }));
        const counted = await Promise.all(fifty.map(() => tx((t) => t.deployments.vote(id, vote('alex')))));
        expect(counted.filter(Boolean)).toHaveLength(1);
        expect((await tx((t) => t.deployments.get(id)))?.votes).toEqual([vote('alex')]);
      });
      it('of fifty people are all there, and each sees how many were before it', async () => {
        const { id } = await insert(fresh({ state: 'awaiting_approval' }));
        const seen = await Promise.all(
          fifty.map((each) =>
            tx(async (t) => {
              await t.deployments.vote(id, vote(`p${each}`));
              return (await t.deployments.get(id))?.votes.length;
            }),
          ),
        );
        expect(seen.toSorted((a = 0, b = 0) => a - b)).toEqual(fifty.map((each) => each + 1));
      });
      it('come with a change, in the order they were given', async () => {
        const { id } = await insert(fresh({ state: 'awaiting_approval' }));
        for (const name of ['zoe', 'alex', 'mia']) await tx((t) => t.deployments.vote(id, vote(name)));
        const changed = await tx((t) => t.deployments.change(id, { from: ['awaiting_approval'] }, { state: 'queued' }));
        expect(changed).toMatchObject({ deployment: { votes: [vote('zoe'), vote('alex'), vote('mia')] } });
        const [listed] = await tx((t) => t.deployments.list({ states: ['queued'], limit: 1 }));
        expect(listed?.votes).toHaveLength(3);
      });
    });

    describe('what is asked of deployments', () => {
      it('names the holder, of every state that holds', async () => {
        for (const state of ['queued', 'running', 'attention'] as const) {
          const { id, service } = await insert(fresh({ state }));
          expect(await tx((t) => t.deployments.holder(service, 'production'))).toMatchObject({ id });
        }
        for (const state of ['awaiting_approval', 'succeeded', 'failed', 'blocked'] as const) {
          const { service } = await insert(fresh({ state }));
          expect(await tx((t) => t.deployments.holder(service, 'production'))).toBeNull();
        }
      });
      it('lists newest first, by every filter', async () => {
        const { service } = fresh();
        const states = ['succeeded', 'failed', 'succeeded', 'rejected'] as const;
        const ids: string[] = [];
        for (const state of states) ids.unshift((await insert(fresh({ service, state }))).id);
        await insert(fresh({ service, environment: 'staging', state: 'failed' }));
        const list = async (filter: Partial<Parameters<Tx['deployments']['list']>[0]>) =>
          (await tx((t) => t.deployments.list({ service, environment: 'production', limit: 10, ...filter }))).map(
            ({ id }) => id,
          );
        expect(await list({})).toEqual(ids);
        expect(await list({ limit: 2 })).toEqual(ids.slice(0, 2));
        expect(await list({ states: ['failed', 'rejected'] })).toEqual([ids[0], ids[2]]);
        expect(await list({ states: [] })).toEqual([]);
        expect(await tx((t) => t.deployments.list({ service, limit: 10 }))).toHaveLength(5);
      });
      it('sorts ids as numbers', async () => {
        const { service } = fresh();
        for (let each = 0; each < 12; each += 1) await insert(fresh({ service, state: 'failed' }));
        const ids = (await tx((t) => t.deployments.list({ service, limit: 20 }))).map(({ id }) => Number(id));
        expect(ids).toEqual(ids.toSorted((a, b) => b - a));
      });
      it('finds where a rollback goes', async () => {
        const { service } = fresh();
        const good = (version: string, more: Partial<Deployment> = {}) =>
          insert(fresh({ service, state: 'succeeded', version, sha: version.repeat(40), fromSha: null, ...more }));
        const target = async (exceptSha: string | null) =>
          (await tx((t) => t.deployments.rollbackTarget(service, 'production', exceptSha)))?.version ?? null;
        const last = async () => (await tx((t) => t.deployments.lastSucceeded(service, 'production')))?.version ?? null;
        expect(await target(null)).toBeNull();
        expect(await last()).toBeNull();
        await good('1');
        expect(await target('1'.repeat(40))).toBeNull();
        await good('2');
        await good('3');
        await insert(fresh({ service, state: 'failed', version: '9', sha: '9'.repeat(40) }));
        await good('8', { environment: 'staging' });
        expect(await last()).toBe('3');
        expect(await target('3'.repeat(40))).toBe('2');
        expect(await target(null)).toBe('3');
        // Rolled back from 3 to 2: what was left behind is not where the next one goes.
        await good('2', { kind: 'rollback', fromSha: '3'.repeat(40) });
        expect(await last()).toBe('2');
        expect(await target('2'.repeat(40))).toBe('1');
        // Until it is deployed again.
        await good('3', { fromSha: '2'.repeat(40) });
        await good('4', { fromSha: '3'.repeat(40) });
        expect(await target('4'.repeat(40))).toBe('3');
      });
      it('goes by what ended last, when an older one was approved after a newer one', async () => {
        const { service } = fresh();
        const good = (version: string, day: number, more: Partial<Deployment> = {}) =>
          insert(
            fresh({
              service,
              state: 'succeeded',
              version,
              sha: version.repeat(40),
              finishedAt: new Date(Date.UTC(2030, 0, day)).toISOString(),
              ...more,
            }),
          );
        await good('1', 1);
        await good('2', 3);
        await good('3', 2);
        const ask = (exceptSha: string) => tx((t) => t.deployments.rollbackTarget(service, 'production', exceptSha));
        expect(await tx((t) => t.deployments.lastSucceeded(service, 'production'))).toMatchObject({ version: '2' });
        expect(await ask('2'.repeat(40))).toMatchObject({ version: '3' });
        // Left behind before it succeeded anew: fine again.
        await good('3', 4, { kind: 'rollback', fromSha: '2'.repeat(40) });
        await good('2', 5, { fromSha: '3'.repeat(40) });
        await good('4', 6);
        expect(await ask('4'.repeat(40))).toMatchObject({ version: '2' });
      });
      it('goes by when they ended, not by their number', async () => {
        const { service } = fresh();
        const at = (hour: number) => `2026-11-24T${hour}:00:00.000Z`;
        const good = (sha: string, finishedAt: string, more: Partial<Deployment> = {}) =>
          insert(fresh({ service, state: 'succeeded', sha, finishedAt, ...more }));
        await good('approved late', at(15));
        await good('first', at(11));
        await good('second', at(13));
        const last = await tx((t) => t.deployments.lastSucceeded(service, 'production'));
        expect(last?.sha).toBe('approved late');
        const target = await tx((t) => t.deployments.rollbackTarget(service, 'production', 'approved late'));
        expect(target?.sha).toBe('second');
      });
      it('does not take a failed rollback for one', async () => {
        const { service } = fresh();
        await insert(fresh({ service, state: 'succeeded', sha: 'a'.repeat(40) }));
        await insert(
          fresh({ service, state: 'failed', kind: 'rollback', fromSha: 'a'.repeat(40), sha: 'c'.repeat(40) }),
        );
        expect(await tx((t) => t.deployments.rollbackTarget(service, 'production', 'z'))).not.toBeNull();
      });
    });

    describe('the audit', () => {
      it('is one chain over concurrent writers', async () => {
        const before = (await tx((t) => t.audit.head())).seq;
        const written = await Promise.all(
          fifty.map((each) => tx((t) => t.audit.append({ ...RECORD, version: `${each}` }, new Date()))),
        );
        expect(written.map(({ seq }) => seq).toSorted((a, b) => a - b)).toEqual(fifty.map((each) => before + each + 1));
        const all = await tx((t) => t.audit.page({ after: 0, limit: 1_000 }));
        const head = await tx((t) => t.audit.head());
        expect(await verifyChain(all, head)).toEqual({ ok: true, entries: before + 50, head, breaks: [] });
      });
      it('has no gap after a rollback', async () => {
        const head = await tx((t) => t.audit.head());
        await expect(
          tx(async (t) => {
            await t.audit.append(RECORD, new Date());
            throw new Error('no');
          }),
        ).rejects.toThrow('no');
        expect(await tx((t) => t.audit.head())).toEqual(head);
        expect(await tx((t) => t.audit.append(RECORD, new Date()))).toMatchObject({
          seq: head.seq + 1,
          prevHash: head.hash,
        });
      });
      it('is read in pages and by time', async () => {
        const { seq } = await tx((t) => t.audit.head());
        const at = (day: number) => new Date(Date.UTC(2030, 0, day));
        for (const day of [1, 2, 3, 4]) await tx((t) => t.audit.append(RECORD, at(day)));
        const page = async (options: Partial<Parameters<Tx['audit']['page']>[0]>) =>
          (await tx((t) => t.audit.page({ after: seq, limit: 10, ...options }))).map((entry) => entry.seq - seq);
        expect(await page({})).toEqual([1, 2, 3, 4]);
        expect(await page({ after: seq + 1, limit: 2 })).toEqual([2, 3]);
        expect(await page({ since: at(2), until: at(4) })).toEqual([2, 3]);
        expect(await page({ after: seq + 4 })).toEqual([]);
      });
    });

    describe('the outbox', () => {
      const payload = { kind: 'message', text: 'hi' } as const;
      const put = (key: string, more: { activityId?: string } = {}) =>
        tx((t) => t.outbox.put({ key, conversation: 'a:1', payload, ...more }));
      const get = (key: string) => tx((t) => t.outbox.get(key));
      it('counts versions and keeps the highest that was sent', async () => {
        await put('v');
        await put('v');
        expect(await get('v')).toEqual({
          key: 'v',
          conversation: 'a:1',
          activityId: null,
          payload,
          version: 2,
          sentVersion: 0,
          posting: false,
          dead: null,
        });
        await tx((t) => t.outbox.sent('v', { version: 2, activityId: 'x' }));
        await tx((t) => t.outbox.sent('v', { version: 1, activityId: 'x' }));
        expect(await get('v')).toMatchObject({ sentVersion: 2, activityId: 'x', posting: false });
        await put('v');
        expect(await get('v')).toMatchObject({ version: 3, sentVersion: 2, activityId: 'x' });
      });
      it('posts once, of fifty that begin', async () => {
        await put('post');
        const began = await Promise.all(fifty.map(() => tx((t) => t.outbox.beginPost('post'))));
        expect(began.filter(Boolean)).toHaveLength(1);
        await tx((t) => t.outbox.abandonPost('post'));
        expect(await tx((t) => t.outbox.beginPost('post'))).toBe(true);
        await tx((t) => t.outbox.sent('post', { version: 1, activityId: 'x' }));
        expect(await tx((t) => t.outbox.beginPost('post'))).toBe(false);
        await tx((t) => t.outbox.forget('post'));
        expect(await get('post')).toMatchObject({ activityId: null, sentVersion: 0, posting: false });
        expect(await tx((t) => t.outbox.beginPost('post'))).toBe(true);
        expect(await tx((t) => t.outbox.beginPost('nothing'))).toBe(false);
      });
      it('takes over an activity that is there', async () => {
        await put('form', { activityId: 'f1' });
        expect(await tx((t) => t.outbox.beginPost('form'))).toBe(false);
        await put('form');
        expect(await get('form')).toMatchObject({ activityId: 'f1' });
      });
      it('lists by a prefix, without wildcards', async () => {
        for (const key of ['list:1:b', 'list:1:a', 'list:10:a', 'list_1:a']) await put(key);
        expect((await tx((t) => t.outbox.list('list:1:'))).map(({ key }) => key)).toEqual(['list:1:a', 'list:1:b']);
        expect(await tx((t) => t.outbox.list('list%'))).toEqual([]);
      });
      it('remembers what is dead', async () => {
        await put('dead');
        await tx((t) => t.outbox.kill('dead', 'gone'));
        expect(await get('dead')).toMatchObject({ dead: 'gone' });
        expect(await get('nothing')).toBeNull();
      });
    });

    describe('conversations and settings', () => {
      const ref = (conversationId: string, more: object = {}) => ({
        conversationId,
        kind: 'personal' as const,
        serviceUrl: 'http://127.0.0.1:1/',
        channelId: 'msteams',
        tenantId: 't',
        bot: { id: '28:b', name: 'Shipmate' },
        ...more,
      });
      it('are kept, refreshed, killed and revived', async () => {
        await tx((t) => t.references.save(ref('r1', { personId: 'p1' })));
        await tx((t) => t.references.save(ref('r1', { personId: 'p1', serviceUrl: 'http://127.0.0.1:2/' })));
        expect(await tx((t) => t.references.get('r1'))).toEqual(
          ref('r1', { personId: 'p1', serviceUrl: 'http://127.0.0.1:2/' }),
        );
        expect(await tx((t) => t.references.personal('p1'))).toMatchObject({ conversationId: 'r1' });
        await tx((t) => t.references.kill('r1', 'left'));
        expect(await tx((t) => t.references.get('r1'))).toMatchObject({ dead: 'left' });
        await tx((t) => t.references.save(ref('r2')));
        expect(await tx((t) => t.references.any())).toEqual(ref('r2'));
        await tx((t) => t.references.save(ref('r1', { personId: 'p1' })));
        expect(await tx((t) => t.references.get('r1'))).toEqual(ref('r1', { personId: 'p1' }));
        expect(await tx((t) => t.references.any())).toMatchObject({ conversationId: 'r1' });
        expect(await tx((t) => t.references.get('nothing'))).toBeNull();
        expect(await tx((t) => t.references.personal('nobody'))).toBeNull();
      });
      it('agree on one value, of fifty that offer theirs', async () => {
        const got = await Promise.all(fifty.map((each) => tx((t) => t.settings.getOrSet('agreed', `v${each}`))));
        expect(new Set(got).size).toBe(1);
        expect(await tx((t) => t.settings.get('agreed'))).toBe(got[0]);
        await tx((t) => t.settings.set('agreed', 'other'));
        expect(await tx((t) => t.settings.getOrSet('agreed', 'mine'))).toBe('other');
        expect(await tx((t) => t.settings.get('nothing'))).toBeNull();
      });
    });

    it('outlives transactions that lock in opposite orders', async () => {
      const [a, b] = [await insert(fresh({ state: 'failed' })), await insert(fresh({ state: 'failed' }))];
      const both = (first: string, second: string) =>
        tx(async (t) => {
          await t.deployments.change(first, { from: ['failed'] }, { tail: [] });
          await new Promise((resolve) => setTimeout(resolve, 20));
          await t.deployments.change(second, { from: ['failed'] }, { tail: [] });
        });
      await Promise.all([both(a.id, b.id), both(b.id, a.id)]);
      expect((await store.read((t) => t.deployments.get(a.id)))?.revision).toBe(3);
    });

    it('reads what was committed', async () => {
      const { id, origin, service } = await insert(fresh());
      expect(await store.read((t) => t.deployments.byOrigin(origin))).toMatchObject({ id });
      expect(await store.read((t) => t.deployments.holder(service, 'production'))).toMatchObject({ id });
      expect(await store.read((t) => t.settings.get('nothing'))).toBeNull();
    });

    it('leaves nothing of a transaction that throws', async () => {
      const { id, service } = await insert(fresh({ state: 'awaiting_approval' }));
      const before = await tx(async (t) => [await t.audit.head(), await t.deployments.get(id)]);
      const other = fresh();
      await expect(
        tx(async (t) => {
          await t.claims.claim(`all:${id}`, LATER);
          await t.deployments.insert(other);
          await t.deployments.vote(id, { person: person('alex'), decision: 'approve', at: '' });
          await t.deployments.change(id, { from: ['awaiting_approval'] }, { state: 'queued' });
          await t.audit.append(RECORD, new Date());
          await t.outbox.put({ key: `all:${id}`, conversation: 'c', payload: { kind: 'message', text: 'x' } });
          await t.references.save({
            conversationId: `all:${id}`,
            kind: 'channel',
            serviceUrl: '',
            channelId: '',
            tenantId: '',
            bot: { id: '', name: '' },
          });
          await t.settings.set(`all:${id}`, 'x');
          throw new RangeError('the last step failed');
        }),
      ).rejects.toThrow(new RangeError('the last step failed'));
      await tx(async (t) => {
        expect([await t.audit.head(), await t.deployments.get(id)]).toEqual(before);
        expect(await t.deployments.byOrigin(other.origin)).toBeNull();
        expect(await t.deployments.holder(service, 'production')).toBeNull();
        expect(await t.outbox.get(`all:${id}`)).toBeNull();
        expect(await t.references.get(`all:${id}`)).toBeNull();
        expect(await t.settings.get(`all:${id}`)).toBeNull();
        expect(await t.claims.claim(`all:${id}`, LATER)).toBe(true);
      });
    });

    it('does not let what a caller changes into the store', async () => {
      const { id } = await insert(fresh());
      const read = await tx((t) => t.deployments.get(id));
      read?.tail.push('leaked');
      expect((await tx((t) => t.deployments.get(id)))?.tail).toEqual([]);
    });
  });
