import { describe, expect, it } from '@jest/globals';
import { verifyChain } from '../../src/audit/chain.ts';
import { openTestStore } from '../helpers/store.ts';
import { startWriter } from './child.ts';

describe('a process that is killed while it writes', () => {
  it('loses nothing that it acknowledged, and leaves a store that opens', async () => {
    const { close, dataDir, reopen, store } = await openTestStore('pglite');
    try {
      await store.stop();
      const acknowledged: number[] = [];
      for (let round = 0; round < 3; round += 1) {
        const writer = startWriter(dataDir);
        try {
          await writer.until(5 + round * 7);
        } finally {
          await writer.kill();
        }
        acknowledged.push(...writer.acknowledged);
      }
      const again = await reopen();
      const { entries, head, kept } = await again.transaction(async (tx) => ({
        entries: await tx.audit.page({ after: 0, limit: 10_000 }),
        head: await tx.audit.head(),
        kept: await Promise.all(acknowledged.map((number) => tx.settings.get(`row:${number}`))),
      }));
      expect(acknowledged.length).toBeGreaterThanOrEqual(36);
      expect(kept.every((value) => value === 'x'.repeat(200))).toBe(true);
      expect(head.seq).toBeGreaterThanOrEqual(Math.max(...acknowledged));
      expect(await verifyChain(entries, head)).toMatchObject({ ok: true, entries: head.seq });
      // Their jobs are there too.
      const jobs = new Set<string>();
      again.work('deploy.trigger', async ({ id }) => void jobs.add(id));
      await again.start();
      while (jobs.size < head.seq) await new Promise((resolve) => setTimeout(resolve, 20));
      expect(acknowledged.every((number) => jobs.has(String(number)))).toBe(true);
    } finally {
      await close();
    }
  }, 90_000);

  it('keeps a second process out while it lives', async () => {
    const { close, dataDir, reopen, store } = await openTestStore('pglite');
    try {
      await store.stop();
      const writer = startWriter(dataDir);
      try {
        await writer.ready;
        await expect(reopen()).rejects.toMatchObject({
          code: 'STORE_IN_USE',
          message: expect.stringContaining(`process ${writer.child.pid}.`),
        });
        await writer.until(1);
      } finally {
        await writer.kill();
      }
      const again = await reopen();
      expect(await again.health()).toBeNull();
    } finally {
      await close();
    }
  }, 60_000);
});
