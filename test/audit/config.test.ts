import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { auditConfig } from '../../src/audit/config.ts';
import { createSinks } from '../../src/audit/sinks/index.ts';
import { silentLogger } from '../contract/harness/deps.ts';

const problemsOf = (given: unknown) =>
  auditConfig.safeParse(given).error?.issues.map(({ message, path: at }) => `${at.join('.')}: ${message}`) ?? [];

describe('the configuration of the audit', () => {
  it('needs nothing, and fills in what is usual', () => {
    expect(auditConfig.parse({})).toEqual({});
    expect(
      auditConfig.parse({ file: './audit.jsonl', syslog: { host: 'logs.corp' }, anchor: { channel: 'audit' } }),
    ).toEqual({
      file: './audit.jsonl',
      syslog: { host: 'logs.corp', port: 6514 },
      anchor: { channel: 'audit', every: '24h' },
    });
  });
  it.each([
    [{ files: './a' }],
    [{ syslog: { host: 'a', protocol: 'udp' } }],
    [{ anchor: { file: './a', each: '1h' } }],
    [{ file: '' }],
    [{ file: 'a\0' }],
    [{ syslog: {} }],
    [{ syslog: { host: 'logs.corp:6514' } }],
    [{ syslog: { host: 'https://logs.corp' } }],
    [{ syslog: { host: 'logs.corp', port: 0 } }],
    [{ syslog: { host: 'logs.corp', cert: './cert.pem' } }],
    [{ syslog: { host: '10.0.0.1', servername: '10.0.0.1' } }],
    [{ anchor: {} }],
    [{ anchor: { every: '2h' } }],
    [{ anchor: { file: './a', every: '59m' } }],
    [{ anchor: { file: './a', every: 'daily' } }],
  ])('refuses %j', (given) => {
    expect(problemsOf(given)).toHaveLength(1);
  });
  it.each([
    [{ syslog: { host: '10.0.0.1', servername: 'logs.corp' } }],
    [{ syslog: { host: '::1' } }],
    [{ syslog: { host: 'logs.corp.', cert: './cert.pem', key: './key.pem' } }],
    [{ anchor: { file: './a', every: '1h' } }],
  ])('takes %j', (given) => {
    expect(problemsOf(given)).toEqual([]);
  });
});

describe('the sinks', () => {
  it('are those that are configured, with paths from the folder of the configuration', async () => {
    const baseDir = await mkdtemp(path.join(tmpdir(), 'shipmate-sinks-'));
    const make = (given: unknown) => createSinks(auditConfig.parse(given), { baseDir, logger: silentLogger });
    try {
      expect(createSinks(undefined, { baseDir, logger: silentLogger })).toEqual([]);
      expect(make({ anchor: { file: './anchors' } })).toEqual([]);
      const names = make({ file: 'logs/audit.jsonl', syslog: { host: 'logs.corp' } }).map(({ name }) => name);
      expect(names).toEqual([`file:${baseDir}/logs/audit.jsonl`, 'syslog:logs.corp:6514']);
      // A certificate that is not there shows at the start, not in the log of the night.
      expect(() => make({ syslog: { host: 'logs.corp', ca: './ca.pem' } })).toThrow(
        expect.objectContaining({
          code: 'CONFIG_INVALID',
          message: `audit.syslog.ca: ${baseDir}/ca.pem can't be read.`,
        }),
      );
      await writeFile(path.join(baseDir, 'ca.pem'), '');
      expect(make({ syslog: { host: 'logs.corp', ca: './ca.pem' } })).toHaveLength(1);
    } finally {
      await rm(baseDir, { recursive: true });
    }
  });
});
