/**
 * `npm run cards` draws every sample of every card into one page that one can open, artifacts/cards/index.html, with
 * the Adaptive Cards renderer and colours like Teams'; `--screenshots` also writes a PNG per card and theme, and
 * `--only NAME` does that for one card.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { cardBytes } from '../src/cards/render.ts';
import { LOOKS, page } from './cards-page.ts';
import { cardNames, drawSamples, type Sample } from './cards-samples.ts';

const CHROMIUM = '/usr/bin/chromium';
// Debian's chromium in a container, without what it would ask the network for.
const FLAGS =
  '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'.split(
    ' ',
  );

const { values } = parseArgs({
  options: { screenshots: { type: 'boolean', default: false }, only: { type: 'string' } },
});
const folder = fileURLToPath(new URL('../artifacts/cards/', import.meta.url));
mkdirSync(folder, { recursive: true });

const samples = drawSamples();
const renderer = readFileSync(
  createRequire(import.meta.url).resolve('adaptivecards/dist/adaptivecards.min.js'),
  'utf8',
);
const file = `${folder}index.html`;
writeFileSync(file, page(samples, renderer));
const heaviest = samples.reduce((most, sample) =>
  cardBytes(sample.rendered.content) > cardBytes(most.rendered.content) ? sample : most,
);
console.log(
  `${samples.length} samples of ${new Set(samples.map(({ card }) => card)).size} cards, the heaviest ${Math.ceil(cardBytes(heaviest.rendered.content) / 1024)} KB (${heaviest.card}: ${heaviest.title})`,
);
console.log(`Open ${file}`);
if (values.screenshots) await screenshots(samples);

if (values.only !== undefined && !cardNames().includes(values.only))
  throw new Error(`There is no card "${values.only}"; there are ${cardNames().join(', ')}.`);

async function screenshots(all: readonly Sample[]): Promise<void> {
  const { chromium } = await import('playwright-core');
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS }).catch((cause: unknown) => {
    throw new Error(`Screenshots need Chromium at ${CHROMIUM}: apt-get install chromium`, { cause });
  });
  try {
    const tab = await browser.newPage({
      viewport: { width: 1400, height: 1000 },
      deviceScaleFactor: 1,
      locale: 'en-GB',
      timezoneId: 'Europe/Berlin',
    });
    tab.on('pageerror', (error) => {
      console.error(`In the page: ${error.message}`);
      process.exitCode = 1;
    });
    await tab.goto(pathToFileURL(file).href);
    for (const card of new Set(all.map((sample) => sample.card))) {
      if (values.only !== undefined && values.only !== card) continue;
      for (const look of LOOKS) {
        await tab.evaluate(([name, theme]) => Reflect.get(globalThis, 'show')(name, theme), [card, look.name] as const);
        await tab.locator('main').screenshot({ path: `${folder}${card}-${look.name}.png` });
      }
    }
    console.log(`Screenshots are in ${folder}`);
  } finally {
    await browser.close();
  }
}
