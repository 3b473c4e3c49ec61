/**
 * The whole thing on one machine, with no account: the bot with its embedded store, a real service with two
 * environments, and two Teams-like clients. Ctrl-C stops all of it; the next start finds what was there.
 *
 * PORT (3978), PLAYGROUND_PORT (56150, the second client one above), STOREFRONT_PORT (4101, production one above) and
 * SHIPMATE_DATA (.shipmate/playground) may be set.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { clientFile, references, shipmateYaml } from './playground/files.ts';
import { CLIENTS, PEOPLE } from './playground/people.ts';
import { assertFree, assertLoopback, type Child, startChild, stopChild, Trouble } from './playground/processes.ts';

const root = path.resolve(import.meta.dirname, '..');
const { env } = process;

interface Ports {
  bot: number;
  clients: readonly [number, number];
  staging: number;
  production: number;
}

function portFrom(variable: string, fallback: number): number {
  const port = Number(env[variable] ?? fallback);
  if (!Number.isInteger(port) || port < 1 || port > 65_534)
    throw new Trouble(`${variable} is "${env[variable]}", which is no port number.`);
  return port;
}

async function main(): Promise<void> {
  const first = portFrom('PLAYGROUND_PORT', 56_150);
  const shop = portFrom('STOREFRONT_PORT', 4_101);
  const ports: Ports = {
    bot: portFrom('PORT', 3_978),
    clients: [first, first + 1],
    staging: shop,
    production: shop + 1,
  };
  const data = path.resolve(env.SHIPMATE_DATA ?? path.join(root, '.shipmate', 'playground'));
  const storefront = path.join(data, 'storefront');
  const example = (program: string, ...more: string[]) =>
    execFileSync(process.execPath, [path.join(root, 'examples', 'storefront', program), '--dir', storefront, ...more], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });

  await assertFree(ports.bot, 'PORT');
  for (const port of ports.clients) await assertFree(port, 'PLAYGROUND_PORT');
  mkdirSync(data, { recursive: true });
  // A storefront that an earlier start left behind is ours to stop; on these ports nobody else may be.
  try {
    example('stop.mjs');
  } catch {
    // there is none yet
  }
  await assertFree(ports.staging, 'STOREFRONT_PORT');
  await assertFree(ports.production, 'STOREFRONT_PORT');

  const children: Child[] = [];
  let stopping: Promise<void> | null = null;
  const stop = (code: number): Promise<void> => {
    stopping ??= (async () => {
      for (const child of [...children].reverse()) await stopChild(child);
      try {
        example('stop.mjs');
      } catch {
        // setup did not come so far
      }
      process.exitCode = code;
    })();
    return stopping;
  };
  const onExit = (child: Child) => {
    if (stopping) return;
    console.error(`\n${child.name} ended unexpectedly:\n${child.tail()}`);
    void stop(1);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      if (!stopping) console.log('\nStopping…');
      void stop(0);
    });

  try {
    console.log('Making the storefront (the first time takes some seconds)…');
    example('setup.mjs', '--staging-port', String(ports.staging), '--production-port', String(ports.production));
    example('start.mjs');
    const connectors = ports.clients.map((port) => `http://localhost:${port}`);
    const config = path.join(data, 'shipmate.yaml');
    const seeds = path.join(data, 'references.json');
    writeFileSync(
      config,
      shipmateYaml({
        storefront,
        deployProgram: path.join(root, 'examples', 'storefront', 'deploy.mjs'),
        node: process.execPath,
        clients: connectors,
        versionUrls: {
          staging: `http://127.0.0.1:${ports.staging}/version`,
          production: `http://127.0.0.1:${ports.production}/version`,
        },
      }),
    );
    writeFileSync(seeds, JSON.stringify(references(connectors), null, 2));

    const bot = startChild(
      'The bot',
      [path.join(root, 'src', 'index.ts'), '--config', config, '--seed-references', seeds],
      {
        cwd: root,
        env: { ...env, PORT: String(ports.bot), SHIPMATE_DATA: data, NODE_NO_WARNINGS: '1' },
        onLine: (line) => console.log(line),
        onExit,
      },
    );
    children.push(bot);
    for (const [index, client] of CLIENTS.entries())
      children.push(startClient(client, ports.clients[index] ?? 0, ports.bot, data, onExit));
    await bot.said(/playground mode/);
    for (const [index, port] of ports.clients.entries()) await assertListening(children[index + 1], port);
    assertLoopback(ports.bot, 'The bot');
    greet(ports, data, config);
  } catch (error) {
    console.error(error instanceof Trouble ? `\n${error.message}` : error);
    await stop(1);
  }
}

function startClient(
  client: (typeof CLIENTS)[number],
  port: number,
  botPort: number,
  data: string,
  onExit: (child: Child) => void,
): Child {
  const folder = path.join(data, 'clients', client.person);
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, '.m365agentsplayground.yml'), clientFile(client));
  const program = createRequire(import.meta.url).resolve('@microsoft/m365agentsplayground/cli.js');
  const args = ['--require', path.join(root, 'scripts', 'playground', 'loopback.cjs'), program];
  // No token is asked for, no browser is opened, nothing is reported to Microsoft.
  const flags = ['-e', `http://127.0.0.1:${botPort}/api/messages`, '-c', 'msteams', '-p', String(port), '--dt'];
  return startChild(`The client of ${client.person}`, [...args, ...flags], {
    cwd: folder,
    env: { ...env, TEAMSAPPTESTER_BROWSER: 'none' },
    onExit,
  });
}

/** The client takes a random port when its own is taken, and says nothing of it. */
async function assertListening(child: Child | undefined, port: number): Promise<void> {
  const match = await child?.said(/Listening on (\d+)/);
  if (Number(match?.[1]) !== port)
    throw new Trouble(
      `Port ${port} is taken by another program. Stop that one, or choose another with PLAYGROUND_PORT.`,
    );
  assertLoopback(port, child?.name ?? 'A client');
}

function greet(ports: Ports, data: string, config: string): void {
  const who = (index: 0 | 1) => {
    const person = PEOPLE.find(({ key }) => key === CLIENTS[index].person);
    return `http://127.0.0.1:${ports.clients[index]}  ${person?.given} (${person?.does}); team channel "${CLIENTS[index].channel.name}"`;
  };
  console.log(`
Ready. Open both in a browser:

  ${who(0)}
  ${who(1)}

First, as Dana in the personal chat:    /deploy version=1.2.3 environment=production
Then, as Alex in the approvals channel: press "Approve 1.2.3 for production"
And see it:                             curl http://127.0.0.1:${ports.production}/version

  staging     http://127.0.0.1:${ports.staging}
  production  http://127.0.0.1:${ports.production}
  data        ${data}
  config      ${config}

Ctrl-C stops all of it; the next start finds what was there. Afterwards, the audit:

  npx shipmate audit verify --config ${path.relative(process.cwd(), config)}`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Trouble ? error.message : error);
  process.exitCode = 1;
});
