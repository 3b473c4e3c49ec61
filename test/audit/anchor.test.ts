import { appendFile, mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type AnchorDeps, createAnchors } from '../../src/audit/anchor.ts';
import { verifyChain } from '../../src/audit/chain.ts';
import { createMemoryStore, type MemoryStore } from '../helpers/store.ts';
import { append, entriesOf, linesOf } from './harness.ts';

const HOUR = 3_600_000;
const NOON = Date.parse('2026-11-24T12:00:00.000Z');

let folder: string;
let file: string;
let store: MemoryStore;
let time: number;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'shipmate-anchor-'));
  file = path.join(folder, 'anchors');
  store = createMemoryStore();
  time = NOON;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const anchorsWith = (more: Partial<AnchorDeps> = {}) =>
  createAnchors({ store, every: HOUR, now: () => new Date(time), ...more });
const told = async () => (await linesOf(file)).map((line) => line.replace(/[0-9a-f]{64}/, '#'));
const post: AnchorDeps['post'] = async (tx, text) => {
  await tx.settings.set(`post:${text}`, '');
};
const posted = () =>
  Object.keys(store.snapshot().settings)
    .filter((key) => key.startsWith('post:'))
    .map((key) => key.slice(5));

describe('an anchor', () => {
  it('tells the newest entry in the file, to the channel and in the audit', async () => {
    await append(store, 3);
    const [, , third] = await entriesOf(store);
    const anchor = await anchorsWith({ file, post }).anchor();
    expect(anchor).toEqual({
      seq: 3,
      hash: third?.hash,
      at: '2026-11-24T12:00:00.000Z',
      text: `Audit anchor: entry 3, ${third?.hash}`,
    });
    expect(await readFile(file, 'utf8')).toBe(`head 3 ${third?.hash} 2026-11-24T12:00:00.000Z\n`);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(posted()).toEqual([anchor?.text]);
    const entries = await entriesOf(store);
    expect(entries[3]).toMatchObject({
      seq: 4,
      actor: { id: 'system' },
      action: 'audit.anchor',
      outcome: 'done',
      code: 'AUDIT_ANCHORED',
      details: { seq: 3, hash: third?.hash },
    });
    expect(await verifyChain(entries, anchor ?? [])).toMatchObject({ ok: true });
  });

  it('is made once per period, by whichever replica comes first', async () => {
    await append(store, 2);
    const replicas = Array.from({ length: 4 }, () => anchorsWith({ file, post }));
    const made = await Promise.all(replicas.map((each) => each.anchor()));
    expect(made.filter((each) => each !== null)).toHaveLength(1);
    time += HOUR - 1;
    for (const each of replicas) expect(await each.anchor()).toBeNull();
    time += 1;
    for (const each of replicas) await each.anchor();
    time += 5 * HOUR + 7;
    await replicas[3]?.anchor();
    expect(await told()).toEqual([
      'head 2 # 2026-11-24T12:00:00.000Z',
      'head 3 # 2026-11-24T13:00:00.000Z',
      'head 4 # 2026-11-24T18:00:00.007Z',
    ]);
    expect(posted()).toHaveLength(3);
    expect(await entriesOf(store)).toHaveLength(5);
  });

  it('waits for the first entry', async () => {
    expect(await anchorsWith({ file }).anchor()).toBeNull();
    await append(store, 1);
    expect(await anchorsWith({ file }).anchor()).toMatchObject({ seq: 1 });
  });

  it('needs no file and no channel', async () => {
    await append(store, 1);
    expect(await anchorsWith().anchor()).toMatchObject({ seq: 1 });
    expect(await anchorsWith().anchor()).toBeNull();
  });

  it('is not told when its transaction fails, and made by the next call', async () => {
    await append(store, 1);
    const failing: AnchorDeps['post'] = () => Promise.reject(new Error('no such channel'));
    await expect(anchorsWith({ file, post: failing }).anchor()).rejects.toThrow('no such channel');
    await expect(readFile(file)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await entriesOf(store)).toHaveLength(1);
    expect(await anchorsWith({ file, post }).anchor()).toMatchObject({ seq: 1 });
    expect(await told()).toHaveLength(1);
  });

  it('comes into the file later when that could not be written, once', async () => {
    const later = path.join(folder, 'mount', 'anchors');
    await append(store, 1);
    const anchors = anchorsWith({ file: later, post });
    await expect(anchors.anchor()).rejects.toMatchObject({ code: 'ENOENT' });
    expect(posted()).toHaveLength(1);
    await mkdir(path.dirname(later));
    // The replica that made it may be about to write.
    time += 59_000;
    expect(await anchors.anchor()).toBeNull();
    await expect(readFile(later)).rejects.toMatchObject({ code: 'ENOENT' });
    time += 1_000;
    for (let call = 0; call < 3; call += 1) expect(await anchors.anchor()).toBeNull();
    expect(await linesOf(later)).toEqual([expect.stringMatching(/^head 1 [0-9a-f]{64} 2026-11-24T12:00:00\.000Z$/)]);
    expect(posted()).toHaveLength(1);
  });

  it('comes into the file later when the process died before it wrote', async () => {
    await append(store, 1);
    // What is left then: everything but the line, and the note that it was written.
    await anchorsWith().anchor();
    time += 10 * 60_000;
    expect(await anchorsWith({ file }).anchor()).toBeNull();
    expect(await told()).toEqual(['head 1 # 2026-11-24T12:00:00.000Z']);
  });

  it('begins a new line after half a line', async () => {
    await append(store, 1);
    await appendFile(file, 'head 47');
    await anchorsWith({ file }).anchor();
    expect(await told()).toEqual(['head 47', 'head 1 # 2026-11-24T12:00:00.000Z']);
  });
});
