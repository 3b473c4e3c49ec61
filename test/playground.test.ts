import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { clientFile, references, shipmateYaml } from '../scripts/playground/files.ts';
import { CLIENTS, PEOPLE } from '../scripts/playground/people.ts';
import { loadConfig } from '../src/config.ts';

const root = path.resolve(import.meta.dirname, '..');

describe('npm run playground', () => {
  let server: net.Server;
  let data: string;
  beforeEach(async () => {
    data = mkdtempSync(path.join(os.tmpdir(), 'shipmate-playground-'));
    server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(async () => {
    await new Promise((resolve) => server.close(resolve));
    rmSync(data, { recursive: true, force: true });
  });

  it.each(['PORT', 'PLAYGROUND_PORT'])('says which port is taken and which setting moves it: %s', (variable) => {
    const { port } = server.address() as AddressInfo;
    const free = { PORT: '1', PLAYGROUND_PORT: '1' };
    const env = {
      ...process.env,
      NODE_OPTIONS: '',
      ...free,
      PORT: '39781',
      PLAYGROUND_PORT: '39790',
      [variable]: String(port),
      SHIPMATE_DATA: data,
    };
    const result = spawnSync(process.execPath, ['scripts/playground.ts'], {
      cwd: root,
      env,
      encoding: 'utf8',
      timeout: 15_000,
    });
    expect(result.status).toBe(1);
    expect(result.stderr).toBe(
      `Port ${port} is taken by another program. Stop that one, or choose another with ${variable}.\n`,
    );
  });

  it('refuses a port that is none', () => {
    const result = spawnSync(process.execPath, ['scripts/playground.ts'], {
      cwd: root,
      env: { ...process.env, NODE_OPTIONS: '', PORT: 'x' },
      encoding: 'utf8',
      timeout: 15_000,
    });
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(/PORT is "x"/);
  });
});

describe('what is written from the one list of people', () => {
  it('gives each client five others, and ids that differ', () => {
    const files = CLIENTS.map(
      (client) =>
        parse(clientFile(client)) as {
          users: unknown[];
          currentUser: { aadObjectId: string };
          team: { id: string; channels: { id: string }[] };
          personalChat: { id: string };
          groupChat: { id: string };
        },
    );
    for (const file of files) expect(file.users).toHaveLength(5);
    const ids = files.flatMap((file) => [
      file.personalChat.id,
      file.groupChat.id,
      file.team.id,
      ...file.team.channels.map(({ id }) => id),
    ]);
    expect(new Set(ids).size).toBe(ids.length);
    expect(new Set(PEOPLE.map(({ id }) => id)).size).toBe(PEOPLE.length);
  });

  it('is a configuration that loads, and whose channels are known', () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'shipmate-yaml-'));
    const file = path.join(folder, 'shipmate.yaml');
    writeFileSync(
      file,
      shipmateYaml({
        storefront: folder,
        deployProgram: 'deploy.mjs',
        node: process.execPath,
        clients: ['http://localhost:1', 'http://localhost:2'],
        versionUrls: {},
      }),
    );
    const config = loadConfig(file, {});
    expect(config).toMatchObject({ mode: 'playground', host: '127.0.0.1', appId: null, internalPort: null });
    const known = references(['http://localhost:1', 'http://localhost:2']).map(({ conversationId }) => conversationId);
    expect(known).toEqual(expect.arrayContaining(Object.values(config.channels)));
    rmSync(folder, { recursive: true });
  });
});
