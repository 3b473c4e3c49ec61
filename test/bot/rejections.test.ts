import { Writable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { createRejections } from '../../src/bot/rejections.ts';
import { createLogger, createRedactor } from '../../src/logger.ts';
import { createMemoryStore } from '../helpers/memory-store.ts';

const stream = new Writable({ write: (_chunk, _encoding, done) => done() });
const logger = createLogger({ level: 'error', redact: createRedactor(), stream });

describe('requests that were turned away', () => {
  it('get a line each; a flood is counted, by code, and loses nothing', async () => {
    let clock = 1_000_000;
    const store = createMemoryStore();
    const rejections = createRejections({ store, logger, now: () => new Date(clock) });
    for (let n = 0; n < 250; n += 1)
      rejections.add(n % 2 === 0 ? 'TRUST_TENANT' : 'TRUST_TOKEN_MISSING', { remoteAddress: '10.0.0.1' });
    await rejections.flush();
    const { audit } = store.snapshot();
    const single = audit.filter(({ details }) => details?.more === undefined);
    expect(single).toHaveLength(100);
    const counted = audit.filter(({ details }) => details?.more !== undefined);
    expect(counted.map(({ code, details }) => [code, details?.more])).toEqual([
      ['TRUST_TENANT', 75],
      ['TRUST_TOKEN_MISSING', 75],
    ]);
    // A minute later there are single lines again.
    clock += 61_000;
    rejections.add('TRUST_ISSUER', { remoteAddress: '10.0.0.1' });
    await rejections.flush();
    expect(store.snapshot().audit.at(-1)).toMatchObject({
      code: 'TRUST_ISSUER',
      details: { remoteAddress: '10.0.0.1' },
    });
    for (const entry of store.snapshot().audit)
      expect(entry).toMatchObject({ action: 'trust.reject', outcome: 'refused', actor: { id: '' } });
  });

  it('that can not be written do no harm', async () => {
    const store = createMemoryStore();
    const rejections = createRejections({ store, logger, now: () => new Date() });
    store.breakWith(new Error('disk full'));
    rejections.add('TRUST_TENANT', { remoteAddress: '' });
    await rejections.flush();
    store.breakWith(null);
    rejections.add('TRUST_TENANT', { remoteAddress: '' });
    await rejections.flush();
    expect(store.snapshot().audit).toHaveLength(1);
  });
});
