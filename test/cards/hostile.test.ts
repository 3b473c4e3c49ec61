// biome-ignore-all lint/suspicious/noTemplateCurlyInString: bindings of card templates are what is tested
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { drawSample, sampleInputs } from '../../scripts/cards-samples.ts';
import { createCards } from '../../src/cards/index.ts';
import { cardBytes, MAX_CARD_BYTES } from '../../src/cards/render.ts';
import type { Card, LogsInput } from '../../src/cards/types.ts';
import { type Node, ofType, structure, texts } from './structure.ts';

const cards = createCards({ sign: (verb) => `token-of-${verb}` });
type Json = Record<string, unknown>;

function sample(card: string, title: string): Json {
  const found = sampleInputs(card).find((each) => each.title === title);
  if (!found) throw new Error(`cards/${card}.data.json has no case "${title}"`);
  return structuredClone(found.input) as Json;
}

/** What people and programs write, at its worst: each alone, mixed, repeated, and any UTF-16 at all. */
const nasty = fc.oneof(
  fc.constantFrom(
    '**bold** _it_ ~~gone~~ # head',
    '[link](https://evil.example) ![image](https://evil.example/x.png) https://evil.example',
    '- list\n- list\n\n1. one',
    '<at>Kim</at> </AT > < at id="0">',
    '${$root.actions} ${title} ${if(true, 1, 2)} ${',
    '{{DATE(2026-01-01T00:00:00Z)}} {{TIME(2026-01-01T00:00:00Z)}} {\u200b{DATE(2026-01-01T00:00:00Z)}}',
    '\u001b[31mred\u001b[0m \u001b]0;title\u0007 \u009b2J \u001b',
    '\u202egnp.exe\u202c \u2066x\u2069 \u200b\u200d\ufeff\u00ad',
    '\ud800 \udc00 \ud83d',
    '", "type": "Action.Submit", "x": "',
    '</script><script>alert(1)</script>',
    '`odd',
    '\u0000\u0001\r\n\t\u2028\u2029\u0085',
    `e${'\u0301'.repeat(200)}`,
    'x'.repeat(10_000),
    '\ud83d\udea2'.repeat(5_000),
    '"\\'.repeat(5_000),
    '',
    '   ',
  ),
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 100 }).map((units) => String.fromCharCode(...units)),
  fc.string({ maxLength: 30 }).map((text) => text.repeat(400)),
);
const mixed = fc.array(nasty, { minLength: 1, maxLength: 4 }).map((parts) => parts.join(' '));

/** What no shown text may hold. */
const ACTIVE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is left is what is tested
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|\{\{\s*(?:DATE|TIME)|<\s*\/?\s*at\b/i;

function expectInert(card: Card): void {
  expect(cardBytes(card.content)).toBeLessThanOrEqual(MAX_CARD_BYTES);
  for (const text of [...texts(withoutTimes(card.content)), card.summary]) {
    expect(text.isWellFormed()).toBe(true);
    expect(text).not.toMatch(ACTIVE);
  }
  for (const { node } of ofType(card.content, 'Action.Execute'))
    expect((node.data as Node).token).toBe(`token-of-${node.verb}`);
}

/** Our own times are macros of the client, in TextBlocks that bind nothing but times. */
function withoutTimes(content: unknown): unknown {
  const text = JSON.stringify(content);
  return JSON.parse(text.replace(/\{\{(?:DATE|TIME)\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ(?:, SHORT)?\)\}\}/g, 'TIME'));
}

describe('hostile text', () => {
  it('in log lines neither acts nor changes the card', () => {
    const input = { ...sample('logs', 'usual'), text: 'x', sharedBy: 'x' } as unknown as LogsInput;
    const base = input.lines.slice(0, 3);
    const benign = structure(cards.logs({ ...input, lines: base }).content);
    fc.assert(
      fc.property(fc.tuple(mixed, mixed, mixed), mixed, mixed, ([one, two, three], text, sharedBy) => {
        const written = [one, two, three];
        const lines = base.map((line, index) => ({ ...line, text: written[index] ?? '' }));
        const card = cards.logs({ ...input, lines, text: `x${text}`, sharedBy: `x${sharedBy}` });
        expectInert(card);
        expect(structure(card.content)).toEqual(benign);
      }),
      { numRuns: 200 },
    );
  });

  it('in commit subjects, reasons, names and output neither acts nor changes the card', () => {
    for (const title of [
      'awaiting_approval, approvals',
      'failed, requester',
      'running, channel',
      'succeeded, requester',
      'rejected, requester',
    ]) {
      const shape = (write: () => string): Card => {
        const input = sample('deployment', title);
        const view = input.view as Json;
        const it = view.deployment as Json;
        it.reason = write();
        (it.requestedBy as Json).name = write();
        for (const change of it.changes as Json[]) change.subject = write();
        for (const vote of it.votes as Json[]) {
          (vote.person as Json).name = write();
          if (vote.reason) vote.reason = write();
        }
        for (const stage of it.stages as Json[]) stage.name = write();
        it.tail = (it.tail as string[]).map(write);
        if (it.problem) (it.problem as Json).message = write();
        return drawSample(cards, 'deployment', input);
      };
      const benign = structure(shape(() => 'fine').content);
      fc.assert(
        fc.property(fc.array(mixed, { minLength: 3, maxLength: 8 }), (written) => {
          let turn = 0;
          const card = shape(() => `a${written[turn++ % written.length]}`);
          expectInert(card);
          expect(structure(card.content)).toEqual(benign);
        }),
        { numRuns: 60 },
      );
    }
  });

  it('in what a confirmation shows neither acts nor changes the card', () => {
    const shape = (write: () => string): Card => {
      const input = sample('deploy-confirm', 'usual: production asks for approval');
      input.reason = write();
      for (const change of input.changes as Json[]) change.subject = write();
      return drawSample(cards, 'deploy-confirm', input);
    };
    const benign = structure(shape(() => 'fine').content);
    fc.assert(
      fc.property(mixed, mixed, (one, two) => {
        let turn = 0;
        const card = shape(() => `a${turn++ % 2 === 0 ? one : two}`);
        expectInert(card);
        expect(structure(card.content)).toEqual(benign);
      }),
      { numRuns: 100 },
    );
  });

  it('never acts in a notice or as a version, a service or a group', () => {
    fc.assert(
      fc.property(mixed, mixed, mixed, (one, two, three) => {
        expectInert(
          cards.notice({
            tone: 'warning',
            title: `x${one}`,
            message: two,
            next: three,
            options: [one, two],
            code: 'INTERNAL',
          }),
        );
        expectInert(
          cards.whoami({
            name: one,
            id: two,
            groups: [three, one],
            roles: [two],
            rights: [{ service: one, environment: two, permissions: [three] }],
            general: [three],
          }),
        );
        const versions = [one, two, '1.2.3'].map((name) => ({ name, sha: three }));
        const form = cards.deployForm({
          services: [one, 'storefront'],
          service: 'storefront',
          environments: [two, 'staging'],
          versions,
          version: one,
          reason: three,
          problem: { ok: false, code: 'VERSION_UNKNOWN', message: one, next: two, options: [three] },
        });
        expectInert(form);
        expect(JSON.stringify(form.content)).toContain('"value":"1.2.3"');
      }),
      { numRuns: 150 },
    );
  });

  it('is shown as text, not dropped', () => {
    const text =
      '**bold** ${x} [link](https://evil.example) <at>Kim</at> {{DATE(2026-01-01T00:00:00Z)}} \u001b[31mred\u001b[0m';
    const card = cards.logs({
      service: 's',
      environment: 'e',
      since: '15m',
      limit: 1,
      lines: [{ time: '', text }],
      shareable: false,
      bind: {},
    });
    expect(texts(card.content)).toContain(
      '**bold** ${x} [link](https://evil.example) ‹at>Kim‹/at> { {DATE(2026-01-01T00:00:00Z)}} red',
    );
  });
});

describe('too much', () => {
  it('of log lines is cut at the old end and said', () => {
    const lines = Array.from({ length: 1000 }, (_, index) => ({
      time: '2026-11-24T12:00:00Z',
      level: 'info' as const,
      text: `${index} ${'"\\'.repeat(5_000)}`,
    }));
    const card = cards.logs({
      service: 's',
      environment: 'e',
      since: '15m',
      limit: 1000,
      lines,
      shareable: true,
      bind: {},
    });
    expect(cardBytes(card.content)).toBeLessThanOrEqual(MAX_CARD_BYTES);
    const shown = texts(card.content).filter((text) => /^\d+ "/.test(text));
    expect(shown.length).toBeGreaterThan(10);
    expect(shown.at(-1)).toMatch(/^999 /);
    expect(texts(card.content)).toContain(`${1000 - shown.length} earlier lines are not shown here: download them all`);
  });

  it('of anything else still makes a card', () => {
    const long = 'Donaudampfschifffahrt"\\'.repeat(500);
    const many = Array.from({ length: 2_000 }, (_, index) => `${index} ${long}`);
    const drawn = [
      cards.deployForm({
        services: many,
        environments: many,
        versions: many.map((name) => ({ name, sha: name })),
        reason: long,
      }),
      cards.deployForm({
        services: many.map((_, index) => `service-${index}`),
        service: 'service-1999',
        environments: ['staging'],
        versions: [],
      }),
      cards.whoami({
        name: long,
        id: long,
        groups: many,
        roles: many,
        rights: many.map((service) => ({ service, environment: long, permissions: many })),
        general: many,
      }),
      cards.status({
        now: new Date(0),
        rows: many.map((service) => ({
          service,
          environment: long,
          production: true,
          version: long,
          source: 'asked',
          problem: long,
          drift: { deployed: long },
          last: null,
          current: null,
        })),
      }),
      cards.help({ commands: many.map((name) => ({ name, summary: name, example: name })) }),
      cards.notice({ tone: 'info', title: long, message: long, options: many }),
    ];
    for (const card of drawn) {
      expectInert(card);
      expect(card.content.body).toEqual(expect.arrayContaining([expect.anything()]));
    }
    const [, picked] = drawn;
    expect(ofType(picked?.content, 'Input.ChoiceSet')[0]?.node.value).toBe('service-1999');
    expect(texts(picked?.content).join(' ')).toMatch(/\d+ more services are not in the list/);
  });
});
