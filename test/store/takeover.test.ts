import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { expect, it } from '@jest/globals';
import { describeStore, openTestStore } from '../helpers/store.ts';

for (const kind of ['pglite', 'postgres'] as const)
  describeStore(kind, 'a job whose process is killed', () => {
    it('is done by another process, about ten seconds after the last sign of life', async () => {
      const { close, dataDir, reopen, store, url } = await openTestStore(kind);
      let child: ReturnType<typeof spawn> | null = null;
      try {
        await store.transaction((tx) => tx.jobs.send('deploy.trigger', { id: '42' }));
        // The embedded store has one owner at a time.
        if (kind === 'pglite') await store.stop();
        const { NODE_OPTIONS: _, ...env } = process.env;
        child = spawn(
          process.execPath,
          [path.join(import.meta.dirname, 'holder.ts'), dataDir, ...(url === undefined ? [] : [url])],
          { env, stdio: ['ignore', 'pipe', 'inherit'] },
        );
        if (!child.stdout) throw new Error('no output');
        expect(String((await once(child.stdout, 'data'))[0])).toBe('42\n');
        child.kill('SIGKILL');
        await once(child, 'exit');
        const killed = performance.now();

        const heir = kind === 'pglite' ? await reopen() : store;
        const done = new Promise<string>((resolve) => heir.work('deploy.trigger', async ({ id }) => resolve(id)));
        await heir.start();
        expect(await done).toBe('42');
        expect(performance.now() - killed).toBeLessThan(20_000);
      } finally {
        child?.kill('SIGKILL');
        await close();
      }
    }, 60_000);
  });
