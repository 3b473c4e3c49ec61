import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';

const root = path.resolve(import.meta.dirname, '..', '..');
const artifacts = path.join(root, 'artifacts', 'e2e');

/** Ports that nobody has, in a row where asked for. */
async function freePorts(inARow: number): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const first = 20_000 + Math.floor(Math.random() * 20_000);
    const free = await Promise.all(Array.from({ length: inARow }, (_, index) => isFree(first + index)));
    if (free.every(Boolean)) return first;
  }
  throw new Error('no free ports');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

export interface Playground {
  data: string;
  bot: number;
  production: number;
  staging: number;
  deployer: string;
  approver: string;
  output(): string;
  /** Ctrl-C, as a person would; the exit code. */
  stop(): Promise<number | null>;
  /** Starts again on the same data and ports. */
  restart(): Promise<void>;
  remove(): void;
}

/** The very script that people run, on ports and a folder of its own. */
export async function startPlayground(): Promise<Playground> {
  const data = mkdtempSync(path.join(os.tmpdir(), 'shipmate-e2e-'));
  const [bot, clients, shop] = [await freePorts(1), await freePorts(2), await freePorts(2)];
  let output = '';
  let child: ChildProcess;
  const start = async () => {
    child = spawn(process.execPath, [path.join(root, 'scripts', 'playground.ts')], {
      cwd: root,
      env: {
        ...process.env,
        NODE_OPTIONS: '',
        PORT: String(bot),
        PLAYGROUND_PORT: String(clients),
        STOREFRONT_PORT: String(shop),
        SHIPMATE_DATA: data,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    output = '';
    const read = (chunk: Buffer) => {
      output += chunk.toString('utf8');
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    await until(() => {
      if (child.exitCode !== null) throw new Error(`the playground ended:\n${output}`);
      return output.includes('Ctrl-C stops all of it');
    }, 60_000);
  };
  await start();
  const stop = async () => {
    if (child.exitCode !== null) return child.exitCode;
    const over = new Promise<number | null>((resolve) => child.once('exit', resolve));
    child.kill('SIGINT');
    return over;
  };
  return {
    data,
    bot,
    staging: shop,
    production: shop + 1,
    deployer: `http://127.0.0.1:${clients}`,
    approver: `http://127.0.0.1:${clients + 1}`,
    output: () => output,
    stop,
    restart: start,
    remove: () => rmSync(data, { recursive: true, force: true }),
  };
}

export async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms in vain`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

let shots = 0;

/** One person's client. Places and buttons by the names that a person sees. */
export class Client {
  readonly page: Page;
  readonly name: string;

  private constructor(page: Page, name: string) {
    this.page = page;
    this.name = name;
  }

  static async open(browser: Browser, url: string, name: string): Promise<Client> {
    const page = await browser.newPage({ viewport: { width: 1280, height: 1000 } });
    page.setDefaultTimeout(15_000);
    await page.goto(url);
    await page.getByLabel('Personal Chat').waitFor();
    return new Client(page, name);
  }

  /** "Personal Chat", or a channel as "Team - channel". */
  async goTo(place: string): Promise<void> {
    await this.page.getByLabel(place, { exact: true }).click();
    await this.page.locator('[contenteditable=true][role=textbox]').first().waitFor();
  }

  /** Types into the personal chat. */
  async say(text: string): Promise<void> {
    await this.page.locator('[contenteditable=true][role=textbox]').first().click();
    await this.page.keyboard.type(text);
    await this.page.keyboard.press('Enter');
  }

  /** A new post in a channel, after a mention of the bot. */
  async post(text: string): Promise<void> {
    await this.page.locator('[contenteditable=true][role=textbox]').first().click();
    await this.page.keyboard.type('@');
    await this.page.getByRole('menuitem', { name: 'Shipmate' }).first().click();
    await this.page.keyboard.type(` ${text}`);
    await this.page.getByRole('button', { name: 'Post', exact: true }).click();
  }

  /** The newest card that shows this text. */
  card(text: string | RegExp): Locator {
    const order = this.page.locator('.ac-adaptiveCard').filter({ hasText: text });
    return order.last();
  }

  async sees(text: string | RegExp, timeout = 20_000): Promise<void> {
    await this.page.getByText(text).last().waitFor({ timeout });
  }

  async press(button: string, within?: Locator): Promise<void> {
    await (within ?? this.page).getByRole('button', { name: button, exact: true }).last().click();
  }

  /** Fills a text input of a card: its own value setter is not heard, keys are. */
  async fill(card: Locator, label: string | RegExp, text: string): Promise<void> {
    await card.getByLabel(label).click();
    await this.page.keyboard.type(text);
  }

  /** Opens a choice set and takes an option. */
  async choose(card: Locator, label: string, option: string): Promise<void> {
    await card.getByRole('combobox', { name: label }).click();
    // A version is followed by its date.
    await this.page.getByRole('option', { name: new RegExp(`^${option.replaceAll('.', '\\.')}(?:\\s|$)`) }).click();
  }

  async screenshot(name: string): Promise<void> {
    mkdirSync(artifacts, { recursive: true });
    shots += 1;
    await this.page.waitForTimeout(250);
    await this.page.screenshot({
      path: path.join(artifacts, `${String(shots).padStart(2, '0')}-${this.name}-${name}.png`),
    });
  }
}
