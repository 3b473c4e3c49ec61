import { createRequire } from 'node:module';

/** Walks over card JSON, for the tests of all cards. */

export type Node = Record<string, unknown>;

/** Every object in the card, with where it stands; a fallback is walked too. */
export function* nodes(value: unknown, path = ''): Generator<{ node: Node; path: string }> {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) yield* nodes(item, `${path}[${index}]`);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  yield { node: value as Node, path };
  for (const [key, item] of Object.entries(value)) yield* nodes(item, `${path}.${key}`);
}

export function ofType(card: unknown, type: string): { node: Node; path: string }[] {
  return [...nodes(card)].filter(({ node }) => node.type === type);
}

/**
 * The card without what people wrote: the texts of runs, the words for screen readers, titles and values. What is left
 * must be the same whatever they wrote.
 */
export function structure(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(structure);
  if (typeof value !== 'object' || value === null) return value;
  const node = value as Node;
  return Object.fromEntries(
    Object.entries(node).map(([key, item]) => {
      if (key === 'speak' || key === 'fallbackText' || key === 'token') return [key, typeof item];
      if (key === 'text' && node.type === 'TextRun') return [key, typeof item];
      return [key, structure(item)];
    }),
  );
}

/** All text that a client would show or say. */
export function texts(card: unknown): string[] {
  const shown = new Set(['text', 'title', 'speak', 'fallbackText', 'label', 'placeholder', 'errorMessage']);
  return [...nodes(card)].flatMap(({ node }) =>
    Object.entries(node).flatMap(([key, item]) => (shown.has(key) && typeof item === 'string' ? [item] : [])),
  );
}

interface Context {
  readonly eventCount: number;
  getEventAt(index: number): { message: string };
}
// Required by a name that the compiler doesn't follow: the package's types are sources that our settings refuse.
const PACKAGE: string = 'adaptivecards';
const renderer = createRequire(import.meta.url)(PACKAGE) as {
  AdaptiveCard: new () => { parse(card: unknown, context: Context): void };
  SerializationContext: new () => Context;
};

/** What Microsoft's Adaptive Cards library finds wrong with a card; empty when it is valid. */
export function complaints(card: unknown): string[] {
  const context = new renderer.SerializationContext();
  new renderer.AdaptiveCard().parse(card, context);
  return Array.from({ length: context.eventCount }, (_, index) => context.getEventAt(index).message);
}
