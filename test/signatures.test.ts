import { createHmac } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createSigner } from '../src/signatures.ts';

const now = new Date('2026-11-24T12:00:00Z');
const signer = createSigner('a secret');
const FORGED = { ok: false, code: 'ACTION_FORGED' };

describe('a token', () => {
  it('brings its payload back, with a number that is used once', () => {
    const first = signer.verify('action', signer.sign('action', { v: 'approve', id: '7' }), now);
    const second = signer.verify('action', signer.sign('action', { v: 'approve', id: '7' }), now);
    expect(first).toEqual({
      ok: true,
      payload: { v: 'approve', id: '7', n: expect.stringMatching(/^[0-9a-f-]{36}$/) },
    });
    expect(second).not.toEqual(first);
  });

  it('is safe in a URL', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.string()), (payload) =>
        /^[\w-]+\.[\w-]{43}$/.test(signer.sign('link', payload)),
      ),
    );
  });

  it('ends when it says', () => {
    const token = signer.sign('link', { q: '1' }, { expiresAt: new Date(now.getTime() + 1000) });
    expect(signer.verify('link', token, new Date(now.getTime() + 999))).toMatchObject({
      ok: true,
      payload: { q: '1' },
    });
    expect(signer.verify('link', token, new Date(now.getTime() + 1000))).toEqual({ ok: false, code: 'ACTION_EXPIRED' });
  });

  it('has an end that the payload can not move', () => {
    const token = signer.sign('link', { exp: '99999999999999' }, { expiresAt: now });
    expect(signer.verify('link', token, now)).toEqual({ ok: false, code: 'ACTION_EXPIRED' });
  });

  it('is none of another purpose or another secret', () => {
    const token = signer.sign('action', { id: '7' });
    expect(signer.verify('link', token, now)).toEqual(FORGED);
    expect(createSigner('another').verify('action', token, now)).toEqual(FORGED);
  });

  it('is forged by any change of a character', () => {
    const token = signer.sign('action', { id: '7' });
    for (let at = 0; at < token.length; at += 1)
      for (const other of ['A', 'B', '_', '.', '=', ' ', '\u0141']) {
        const changed = `${token.slice(0, at)}${other}${token.slice(at + 1)}`;
        if (changed !== token) expect(signer.verify('action', changed, now)).toEqual(FORGED);
      }
    for (const more of ['=', '.', '.x', ' ', 'A']) expect(signer.verify('action', token + more, now)).toEqual(FORGED);
  });

  it('is never an exception', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => !signer.verify('action', text, now).ok));
    for (const text of ['', '.', '..', 'a.b', 'x'.repeat(100_000)])
      expect(signer.verify('action', text, now)).toEqual(FORGED);
  });

  it('is never an exception when the signature is right and the body is not ours', () => {
    const key = createHmac('sha256', 'a secret').update('shipmate action').digest();
    const mac = (body: string) => createHmac('sha256', key).update(body).digest('base64url');
    for (const content of ['no json', '7', 'null', '"x"', '[]']) {
      const body = Buffer.from(content).toString('base64url');
      expect(signer.verify('action', `${body}.${mac(body)}`, now)).toEqual(FORGED);
    }
  });
});
