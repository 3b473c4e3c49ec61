import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { commandText, plain } from '../../src/bot/text.ts';

const bot = { id: '28:bot', name: 'Shipmate' };
const mention = (text: string, id = bot.id) => ({ type: 'mention', text, mentioned: { id, name: 'x' } });

describe('commandText', () => {
  it.each([
    ['<at>Shipmate</at> /deploy version=1.2.3', [mention('<at>Shipmate</at>')], '/deploy version=1.2.3'],
    ['<at>Shipmate</at>&nbsp;/deploy&nbsp;version=1.2.3\n', [mention('<at>Shipmate</at>')], '/deploy version=1.2.3'],
    ['<p><at>Shipmate</at> deploy <at>Shipmate</at></p>', [mention('<at>Shipmate</at>')], 'deploy'],
    ['deploy\u00a0storefront \u200b1.2.3', [], 'deploy storefront 1.2.3'],
    ['logs text=&quot;a &lt; b&quot; &amp;c &#65;&#x42;', [], 'logs text="a < b" &c AB'],
    ['<div>help</div>', [], 'help'],
  ])('%j', (text, entities, expected) => {
    expect(commandText({ text, entities, recipient: bot })).toBe(expected);
  });

  it("keeps the name in somebody else's mention", () => {
    expect(
      commandText({ text: 'hi <at>Kim</at>', entities: [mention('<at>Kim</at>', '29:kim')], recipient: bot }),
    ).toBe('hi Kim');
  });

  it.each([null, undefined, 5, {}, []])('text %j and odd entities give an empty command', (text) => {
    expect(commandText({ text, entities: [null, 3, { type: 'mention' }, { type: 'mention', text: null }] })).toBe('');
  });
});

describe('plain', () => {
  it('leaves nothing that formats, links or mentions', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
        const safe = plain(text);
        expect(safe).not.toMatch(/<|(?<!\\)[*_`[\]~]|[\u202a-\u202e]/u);
      }),
    );
  });
  it('breaks bare links and at-tags', () => {
    const safe = plain('see https://evil.example <at>all</at>');
    expect(safe).not.toContain('https://');
    expect(safe).not.toContain('<at>');
  });
});
