// biome-ignore-all lint/suspicious/noTemplateCurlyInString: bindings of card templates are what is tested
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { cardNames, drawSamples, sampleInputs } from '../../scripts/cards-samples.ts';
import { cardBytes, MAX_CARD_BYTES } from '../../src/cards/render.ts';
import { VERBS } from '../../src/cards/types.ts';
import { DEPLOYMENT_STATES } from '../../src/deploys/types.ts';
import { complaints, type Node, nodes, ofType } from './structure.ts';

const samples = drawSamples();
/** Elements that Adaptive Cards 1.5 doesn't have: they need a fallback. */
const NEWER = /^(Badge|ProgressBar|ProgressRing|CodeBlock|Icon|Chart\..*|Carousel|Rating|CompoundButton)$/;
const KNOWN =
  /^(AdaptiveCard|TextBlock|RichTextBlock|TextRun|Container|Column|ColumnSet|ActionSet|Table|TableRow|TableCell|Input\.(Text|Number|ChoiceSet)|Action\.(Execute|Submit|ShowCard|OpenUrl|ToggleVisibility))$/;

describe('the samples', () => {
  it('are there for every card: empty or usual, and worst where there is data', () => {
    for (const card of cardNames()) {
      const titles = sampleInputs(card).map(({ title }) => title);
      expect(titles.length).toBeGreaterThan(0);
      expect(titles.some((title) => /^(empty|usual)/.test(title))).toBe(true);
      if (card !== 'welcome') expect(titles.some((title) => title.startsWith('worst'))).toBe(true);
      expect(new Set(titles).size).toBe(titles.length);
    }
  });

  it('show a deployment in every state to every audience', () => {
    const titles = sampleInputs('deployment').map(({ title }) => title);
    for (const state of DEPLOYMENT_STATES)
      for (const audience of ['requester', 'approvals', 'channel']) expect(titles).toContain(`${state}, ${audience}`);
  });
});

describe.each(samples.map((sample) => [`${sample.card}: ${sample.title}`, sample] as const))('%s', (_name, sample) => {
  const { content, summary } = sample.rendered;

  it('is a valid Adaptive Card 1.5', () => {
    expect(content).toMatchObject({ type: 'AdaptiveCard', version: '1.5' });
    // The library is older than ProgressBar, which therefore has a fallback.
    expect(complaints(content).filter((message) => !/^Unknown element type "ProgressBar"/.test(message))).toEqual([]);
    // Not an element: Teams reads it in an input, clients that don't know it leave it out.
    for (const { node, path } of nodes(content))
      if (typeof node.type === 'string' && !(node.type === 'Data.Query' && path.endsWith('choices.data')))
        expect(`${path} ${node.type}`).toMatch(NEWER.test(node.type) ? /./ : new RegExp(` ${KNOWN.source.slice(1)}`));
  });

  it('weighs at most 80 KB as UTF-16', () => {
    expect(cardBytes(content)).toBe(Buffer.byteLength(JSON.stringify(content), 'utf16le'));
    expect(cardBytes(content)).toBeLessThanOrEqual(MAX_CARD_BYTES);
  });

  it('has no binding left, no null, and no template key', () => {
    const written = JSON.stringify(sample.input);
    if (!written.includes('${')) expect(JSON.stringify(content)).not.toContain('${');
    for (const { node } of nodes(content))
      for (const [key, value] of Object.entries(node)) {
        expect(key).not.toMatch(/^\$(?!schema)/);
        expect(value).not.toBeNull();
      }
  });

  it('speaks, and has words for clients that cannot show it and for notifications', () => {
    expect(content.speak).toEqual(expect.stringMatching(/\S/));
    expect(content.fallbackText).toEqual(expect.stringMatching(/\S/));
    expect(summary).toMatch(/^[^\n]{3,}$/);
  });

  it('has a signed token, a known verb and a Submit fallback in every Execute', () => {
    for (const { node, path } of ofType(content, 'Action.Execute')) {
      const data = node.data as Node;
      expect(VERBS).toContain(node.verb);
      expect(data.token).toEqual(expect.stringMatching(/^[\w-]{20,}$/));
      if (path.startsWith('.refresh')) continue;
      expect(node.title).toEqual(expect.stringMatching(/\S/));
      expect(node.fallback).toEqual({
        type: 'Action.Submit',
        title: node.title,
        style: node.style,
        associatedInputs: node.associatedInputs,
        data: { verb: node.verb, token: data.token },
      });
    }
  });

  it('has a fallback beside every newer element', () => {
    for (const { node } of nodes(content))
      if (typeof node.type === 'string' && NEWER.test(node.type))
        expect(node.fallback).toEqual(expect.objectContaining({ type: expect.stringMatching(KNOWN) }));
  });

  it('has at most one positive and one destructive action, and at most six', () => {
    const actions = ofType(content, 'Action.Execute').map(({ node }) => node.style);
    expect(actions.filter((style) => style === 'positive').length).toBeLessThanOrEqual(1);
    expect(actions.filter((style) => style === 'destructive').length).toBeLessThanOrEqual(1);
    expect((content.actions as unknown[]).length).toBeLessThanOrEqual(6);
  });

  it('has at most one attention container and five facts', () => {
    const containers = ofType(content, 'Container').filter(({ node }) => node.style === 'attention');
    expect(containers.length).toBeLessThanOrEqual(1);
    const facts = [...nodes(content)].filter(({ node }) => node.type === 'Column' && node.width === '84px');
    expect(facts.length).toBeLessThanOrEqual(5);
  });

  it('labels every input, once, and says what a required one wants', () => {
    const inputs = [...nodes(content)].map(({ node }) => node).filter(({ type }) => String(type).startsWith('Input.'));
    const ids = inputs.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(inputs.length).toBeLessThanOrEqual(6);
    for (const input of inputs) {
      expect(input.label).toEqual(expect.stringMatching(/\S/));
      if (input.isRequired) expect(input.errorMessage).toEqual(expect.stringMatching(/\S/));
      if (input.type === 'Input.ChoiceSet') {
        const choices = input.choices as Node[];
        expect(input.style).toBe(choices.length > 15 || 'choices.data' in input ? 'filtered' : 'compact');
        expect(input.value === '' || choices.some(({ value }) => value === input.value)).toBe(true);
      }
    }
  });
});

describe('the templates', () => {
  /** What a TextBlock may bind: our own words and times. Everything else goes into TextRuns, where markdown is inert. */
  const OURS = new Set(['label', 'at', 'after', 'changesLabel']);

  it.each(cardNames())('%s binds text from outside in TextRuns only', (card) => {
    const template: unknown = JSON.parse(
      readFileSync(new URL(`../../cards/${card}.template.json`, import.meta.url), 'utf8'),
    );
    for (const { node, path } of nodes(template)) {
      if (node.type === 'TextBlock')
        for (const [, name] of String(node.text).matchAll(/\$\{([^}]*)\}/g))
          expect(`${path} ${OURS.has(String(name))} ${name}`).toMatch(/ true /);
      // A FactSet's values and a choice's expanded titles are markdown too.
      expect(node.type).not.toBe('FactSet');
      expect(node.style).not.toBe('expanded');
      if (node.type === 'RichTextBlock' && typeof node.inlines === 'string')
        expect(node.inlines).toMatch(/^\$\{\w+\}$/);
    }
  });

  it('bring no mentions', () => {
    for (const { rendered } of samples) expect(JSON.stringify(rendered.content)).not.toMatch(/"entities"|<at>/);
  });
});
