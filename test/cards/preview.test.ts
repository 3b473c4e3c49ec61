import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Browser, chromium, type Page } from 'playwright-core';
import { LOOKS, page } from '../../scripts/cards-page.ts';
import { cardNames, drawSamples } from '../../scripts/cards-samples.ts';

const CHROMIUM = '/usr/bin/chromium';
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const samples = drawSamples();
const renderer = readFileSync(
  createRequire(import.meta.url).resolve('adaptivecards/dist/adaptivecards.min.js'),
  'utf8',
);

describe('the preview page', () => {
  it('is one page that loads nothing from outside and holds every sample', () => {
    const html = page(samples, renderer);
    expect(html).not.toMatch(/<(?:script|img|link|iframe)[^>]*\s(?:src|href)=/i);
    for (const { title } of samples) expect(html).toContain(JSON.stringify(title).replaceAll('<', '\\u003c'));
  });
});

const peer = existsSync(CHROMIUM) || process.env.REQUIRE_PEERS === '1';
(peer ? describe : describe.skip)(`in Chromium (needs ${CHROMIUM}: apt-get install chromium)`, () => {
  let folder: string;
  let browser: Browser;
  let tab: Page;
  const errors: string[] = [];
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'shipmate-cards-'));
    const file = join(folder, 'index.html');
    writeFileSync(file, page(samples, renderer));
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    tab = await browser.newPage({ viewport: { width: 1400, height: 1000 } });
    tab.on('pageerror', (error) => errors.push(error.message));
    await tab.goto(pathToFileURL(file).href);
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(LOOKS.map(({ name }) => name))('every card is drawn, %s, and nothing sticks out of it', async (look) => {
    for (const card of cardNames()) {
      const found = await tab.evaluate(
        ([name, theme]) => {
          Reflect.get(globalThis, 'show')(name, theme);
          const page = Reflect.get(globalThis, 'document') as {
            querySelectorAll(
              selector: string,
            ): Iterable<{ scrollWidth: number; clientWidth: number; clientHeight: number; textContent: string }>;
          };
          return [...page.querySelectorAll('.card')].map(({ clientHeight, clientWidth, textContent, scrollWidth }) => ({
            clientHeight,
            sticksOut: scrollWidth - clientWidth,
            textContent,
          }));
        },
        [card, look] as const,
      );
      expect(found).toHaveLength(samples.filter((sample) => sample.card === card).length);
      for (const { clientHeight, textContent, sticksOut } of found) {
        expect(clientHeight).toBeGreaterThan(50);
        expect(sticksOut).toBeLessThanOrEqual(0);
        // The client's own macros were replaced: ours are well-formed, and no one else's got through.
        expect(textContent).not.toMatch(/\{\{(?:DATE|TIME)/);
      }
    }
    expect(errors).toEqual([]);
  });
});
