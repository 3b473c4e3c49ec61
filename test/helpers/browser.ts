import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const CHROMIUM = '/usr/bin/chromium';

export function hasBrowser(): boolean {
  const there = existsSync(CHROMIUM);
  if (!there && process.env.REQUIRE_PEERS === '1') throw new Error(`${CHROMIUM} is missing: apt-get install chromium`);
  return there;
}

/** Debian's Chromium, without anything that asks the network. */
export function launchBrowser(): Promise<Browser> {
  const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'];
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', ...quiet],
  });
}
