import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { verifyChain } from '../../src/audit/chain.ts';
import { createStore } from '../../src/store/index.ts';
import type { Store } from '../../src/store/types.ts';
import { silentLogger } from '../contract/harness/deps.ts';

/** A disk of its own, small enough to be filled. Needs root, as CI has it; elsewhere the test is listed as skipped. */
function smallDisk(): string | null {
  const folder = mkdtempSync(path.join(tmpdir(), 'shipmate-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=120m', 'tmpfs', folder], { stdio: 'ignore' });
    return folder;
  } catch {
    rmSync(folder, { recursive: true });
    return null;
  }
}

const disk = smallDisk();
const describeDisk = disk === null ? describe.skip : describe;

/** An audit entry that takes some room. */
const write = (store: Store, number: number) =>
  store.transaction((tx) =>
    tx.audit.append(
      {
        actor: { id: 'x', tenantId: 't', name: 'Dana' },
        action: 'deploy.request',
        outcome: 'done',
        code: 'OK',
        details: { number, pad: 'x'.repeat(20_000) },
      },
      new Date(),
    ),
  );

describeDisk('a disk that is full (needs root, to make one)', () => {
  const folder = disk ?? '';
  const filler = path.join(folder, 'filler');
  let store: Store;
  beforeAll(async () => {
    store = await createStore({ dataDir: path.join(folder, 'data'), logger: silentLogger });
  }, 60_000);
  afterAll(async () => {
    await store?.stop();
    if (disk !== null) {
      execFileSync('umount', [disk], { stdio: 'ignore' });
      rmSync(disk, { recursive: true });
    }
  });

  it('acknowledges nothing that was not stored, says so, and goes on when there is room again', async () => {
    const stored = [await write(store, 0)];
    const file = openSync(filler, 'w');
    const block = Buffer.alloc(65_536, 1);
    expect(() => {
      for (;;) writeSync(file, block);
    }).toThrow(/ENOSPC/);
    closeSync(file);
    let refused: unknown = null;
    for (let number = 1; refused === null && number < 5_000; number += 1)
      await write(store, number).then(
        (entry) => stored.push(entry),
        (error: unknown) => {
          refused = error;
        },
      );
    expect(refused).toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true });
    expect(await store.health()).toMatch(/No space left|space/i);

    rmSync(filler);
    stored.push(await write(store, 9_000));
    expect(await store.health()).toBeNull();
    await store.stop();
    store = await createStore({ dataDir: path.join(folder, 'data'), logger: silentLogger });
    const kept = await store.read((tx) => tx.audit.page({ after: 0, limit: 10_000 }));
    expect(kept.map(({ hash }) => hash)).toEqual(stored.map(({ hash }) => hash));
    expect((await verifyChain(kept)).ok).toBe(true);
  }, 60_000);
});
