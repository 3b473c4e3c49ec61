import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { z } from 'zod';
import { ShipmateError } from '../errors.ts';
import { plain } from './text.ts';
import type { Card, SignAction } from './types.ts';

/**
 * One kind of card: its template's name (cards/NAME.template.json), the shape of what the template binds, and the
 * builder from the domain. `shrink` gives the same with less evidence, or null when there is nothing more to leave out.
 */
export interface CardDefinition<Input, Data extends { speak: string; fallbackText: string }> {
  readonly name: string;
  readonly schema: z.ZodType<Data>;
  build(input: Input, sign: SignAction): { data: Data; summary: string };
  shrink?(data: Data): Data | null;
}

/** Teams refuses messages of about 100 KB; counted as UTF-16. */
export const MAX_CARD_BYTES = 80 * 1024;

/** Bytes of a card's JSON as UTF-16, as Teams counts them. */
export function cardBytes(content: unknown): number {
  return JSON.stringify(content).length * 2;
}

/** A parsed template; expanding it evaluates only what stands in the template, never the data. */
export interface CardTemplate {
  expand(context: { $root: unknown }): unknown;
}

// Required by a name that the compiler doesn't follow: the package's types import the sources of another package,
// which our stricter settings refuse. This is all of it that is used.
const PACKAGE: string = 'adaptivecards-templating';
const { Template } = createRequire(import.meta.url)(PACKAGE) as { Template: new (json: object) => CardTemplate };

// src/cards/ and dist/cards/ are both two levels below the folder that has cards/.
const TEMPLATES = new URL('../../cards/', import.meta.url);

/** Parses a card's template: done once per card, since it costs many times an expansion. */
export function parseTemplate(json: object): CardTemplate {
  return new Template(json);
}

/** Reads and parses cards/NAME.template.json. @throws Error when it is missing or is no JSON */
export function loadTemplate(name: string): CardTemplate {
  return parseTemplate(JSON.parse(readFileSync(new URL(`${name}.template.json`, TEMPLATES), 'utf8')) as object);
}

/**
 * Fills a card's template. Data is checked first, because a missing key would print its own name, and expanded once,
 * because a second expansion would evaluate what people wrote. Too large a card loses evidence until it fits; one
 * that can't be made to fit becomes its fallback text.
 * @throws ShipmateError INTERNAL when the data doesn't match the card's schema (a bug, not an input)
 */
export function renderCard<Input, Data extends { speak: string; fallbackText: string }>(
  definition: CardDefinition<Input, Data>,
  template: CardTemplate,
  data: Data,
  summary: string,
): Card {
  const { name } = definition;
  for (let next: Data | null = data; next !== null; next = definition.shrink?.(next) ?? null) {
    const checked = definition.schema.safeParse(next);
    if (!checked.success)
      throw new ShipmateError('INTERNAL', `I couldn't draw the ${name} card. This is a bug: please report it.`, {
        cause: checked.error,
      });
    const expanded = template.expand({ $root: checked.data }) as Record<string, unknown>;
    // A property whose $data was an empty list comes out as null, which is no card JSON (`refresh`).
    const content = Object.fromEntries(Object.entries(expanded).filter(([, value]) => value !== null));
    if (cardBytes(content) <= MAX_CARD_BYTES) return { name, content, summary };
  }
  return { name, content: bare(plain(data.fallbackText, 1_000)), summary };
}

function bare(words: string): Record<string, unknown> {
  return {
    type: 'AdaptiveCard',
    $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
    version: '1.5',
    speak: words,
    fallbackText: words,
    body: [{ type: 'RichTextBlock', inlines: [{ type: 'TextRun', text: words }] }],
  };
}
