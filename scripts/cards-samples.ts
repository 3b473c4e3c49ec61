import { readdirSync, readFileSync } from 'node:fs';
import { type Cards, createCards } from '../src/cards/index.ts';
import type { Card, DeploymentInput, SignAction, StatusInput } from '../src/cards/types.ts';

/** One case of a card's sample data, drawn. */
export interface Sample {
  /** Name of the card, as of its files in cards/. */
  card: string;
  title: string;
  input: unknown;
  rendered: Card;
}

const FOLDER = new URL('../cards/', import.meta.url);

/** Builds the card `name` (of cards/NAME.template.json) from a sample's input, whose dates are text. */
export function drawSample(cards: Cards, name: string, input: unknown): Card {
  switch (name) {
    case 'deploy-form':
      return cards.deployForm(input as Parameters<Cards['deployForm']>[0]);
    case 'deploy-confirm':
      return cards.deployConfirm(input as Parameters<Cards['deployConfirm']>[0]);
    case 'deployment': {
      const given = input as DeploymentInput;
      return cards.deployment({ ...given, now: new Date(given.now) });
    }
    case 'logs-form':
      return cards.logsForm(input as Parameters<Cards['logsForm']>[0]);
    case 'logs':
      return cards.logs(input as Parameters<Cards['logs']>[0]);
    case 'status': {
      const given = input as StatusInput;
      return cards.status({ ...given, now: new Date(given.now) });
    }
    case 'history':
      return cards.history(input as Parameters<Cards['history']>[0]);
    case 'whoami':
      return cards.whoami(input as Parameters<Cards['whoami']>[0]);
    case 'help':
      return cards.help(input as Parameters<Cards['help']>[0]);
    case 'welcome':
      return cards.welcome();
    case 'why':
      return cards.why(input as Parameters<Cards['why']>[0]);
    case 'inbox':
      return cards.inbox(input as Parameters<Cards['inbox']>[0]);
    case 'command-form':
      return cards.commandForm(input as Parameters<Cards['commandForm']>[0]);
    case 'notice':
      return cards.notice(input as Parameters<Cards['notice']>[0]);
    default:
      throw new Error(`cards/${name}.data.json belongs to no card: add it to drawSample.`);
  }
}

/** Names of the cards that have a template. */
export function cardNames(): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.template.json'))
    .map((file) => file.slice(0, -'.template.json'.length))
    .sort();
}

/** A card's sample data: the empty, the usual and the worst case, and what else is worth a look. */
export function sampleInputs(card: string): { title: string; input: unknown }[] {
  return JSON.parse(readFileSync(new URL(`${card}.data.json`, FOLDER), 'utf8')) as { title: string; input: unknown }[];
}

/** Every case of every card's sample data, drawn. */
export function drawSamples(sign: SignAction = sampleSign): Sample[] {
  const cards = createCards({ sign });
  return cardNames().flatMap((card) =>
    sampleInputs(card).map(({ title, input }) => ({ card, title, input, rendered: drawSample(cards, card, input) })),
  );
}

/** As long as a real token, so that sizes are honest. */
function sampleSign(verb: string, bind: Record<string, string> = {}): string {
  const token = { verb, bind, nonce: 'n'.repeat(22), expires: 1_795_000_000, mac: 'm'.repeat(43) };
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}
