import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { verifyChain } from '../audit/chain.ts';
import { CSV_HEADER, toCsv, toJsonl } from '../audit/export.ts';
import type { AuditBreak, AuditEntry } from '../audit/types.ts';
import { type LoadedConfig, loadConfig } from '../config.ts';
import { ShipmateError } from '../errors.ts';
import { createRedactor } from '../logger.ts';
import { createStore } from '../store/index.ts';
import type { Store } from '../store/types.ts';
import { quietLogger } from './log.ts';
import { readOptions } from './options.ts';
import { type CliCommand, type ExitCode, type Io, UsageError } from './types.ts';

type Head = { seq: number; hash: string };

const PAGE = 500;
/** Breaks that are printed one by one. */
const SHOWN = 50;

export const auditCommand: CliCommand = {
  summary: 'Verify or export the audit, straight from the store.',
  usage: `
shipmate audit verify [--config shipmate.yaml] [--anchor file]
shipmate audit export [--config shipmate.yaml] [--since time] [--until time] [--format jsonl|csv]

  --anchor  a head that was kept elsewhere: the line that verify printed then. What is missing at the end of the
            chain shows only against it.
  --since   from this time on, --until before it: 2026-11-01 or 2026-11-01T08:00:00Z (a date is midnight UTC)
  --format  default: jsonl

Both work without the bot. The embedded store has one owner at a time: stop the bot first. Exits with 1 when an entry
was changed, removed or reordered. With npm, use "npm run -s shipmate -- audit export > file", so that npm's own lines
stay out of the file.`,
  async run(args, io) {
    const [what, ...rest] = args;
    if (what === 'verify') return verify(rest, io);
    if (what === 'export') return exportEntries(rest, io);
    throw new UsageError(what === undefined ? 'Say audit verify or audit export.' : `There is no "audit ${what}".`);
  },
};

const CONFIG = { config: { type: 'string', default: 'shipmate.yaml' } } as const;

async function verify(args: readonly string[], io: Io): Promise<ExitCode> {
  const { values } = readOptions(args, { ...CONFIG, anchor: { type: 'string' } });
  const anchor = values.anchor === undefined ? undefined : readAnchor(path.resolve(io.cwd, values.anchor));
  return withStore(values.config, io, async (store) => {
    const kept = await store.transaction((tx) => tx.audit.head());
    const { breaks, entries, head } = await verifyChain(pages(store, {}), anchor);
    // The store keeps its head beside the entries: whoever only deletes rows is seen without an anchor too.
    if (kept.seq > head.seq && !breaks.some(({ kind }) => kind === 'truncated'))
      breaks.push({ kind: 'truncated', afterSeq: head.seq });
    if (breaks.length === 0) {
      await io.out(`${entries} entries, unbroken.\nhead ${head.seq} ${head.hash}\n`);
      return 0;
    }
    for (const each of breaks.slice(0, SHOWN)) io.err(`${describe(each)}\n`);
    if (breaks.length > SHOWN) io.err(`and ${breaks.length - SHOWN} more\n`);
    io.err(`${entries} entries; the chain is broken.\n`);
    return 1;
  });
}

function describe(each: AuditBreak): string {
  if (each.kind === 'truncated') return `entries after ${each.afterSeq} are missing`;
  if (each.kind === 'removed' && each.through !== undefined)
    return `entries ${each.seq} to ${each.through} were removed`;
  return `entry ${each.seq} was ${each.kind}`;
}

async function exportEntries(args: readonly string[], io: Io): Promise<ExitCode> {
  const { values } = readOptions(args, {
    ...CONFIG,
    since: { type: 'string' },
    until: { type: 'string' },
    format: { type: 'string', default: 'jsonl' },
  });
  const { format } = values;
  if (format !== 'jsonl' && format !== 'csv') throw new UsageError(`--format is jsonl or csv, not "${format}".`);
  const since = values.since === undefined ? undefined : readTime('--since', values.since);
  const until = values.until === undefined ? undefined : readTime('--until', values.until);
  return withStore(values.config, io, async (store) => {
    // RFC 4180 ends lines with CR LF.
    if (format === 'csv') await io.out(`${CSV_HEADER}\r\n`);
    for await (const entry of pages(store, { ...(since ? { since } : {}), ...(until ? { until } : {}) }))
      await io.out(format === 'csv' ? `${toCsv(entry)}\r\n` : `${toJsonl(entry)}\n`);
    return 0;
  });
}

async function* pages(store: Store, range: { since?: Date; until?: Date }): AsyncGenerator<AuditEntry> {
  let after = 0;
  for (;;) {
    const page = await store.transaction((tx) => tx.audit.page({ ...range, after, limit: PAGE }));
    yield* page;
    const last = page.at(-1);
    // A row may claim a lower number than the one it was read after; asking again from there would never end.
    if (page.length < PAGE || !last || last.seq <= after) return;
    after = last.seq;
  }
}

async function withStore(file: string, io: Io, work: (store: Store) => Promise<ExitCode>): Promise<ExitCode> {
  const config = loadConfig(path.resolve(io.cwd, file), io.env);
  const store = await openStore(config, io);
  try {
    return await work(store);
  } finally {
    await store.stop();
  }
}

async function openStore(config: LoadedConfig, io: Io): Promise<Store> {
  // Opening would make an empty store, and an empty audit is unbroken.
  if (config.store === null && !existsSync(path.join(config.dataDir, 'pgdata')))
    throw new ShipmateError(
      'STORE_UNAVAILABLE',
      `There is no store in ${config.dataDir}. Is SHIPMATE_DATA, or data: in the configuration, the same as the bot's?`,
    );
  const logger = quietLogger(io, createRedactor(config.secrets));
  try {
    return await createStore({
      dataDir: config.dataDir,
      logger,
      ...(config.store === null ? {} : { url: config.store }),
    });
  } catch (error) {
    if (error instanceof ShipmateError && error.code === 'STORE_IN_USE')
      throw new ShipmateError(
        'STORE_IN_USE',
        `The bot is running on this store, and the embedded store has one owner at a time: stop the bot first, or use PostgreSQL. ${error.message}`,
        { cause: error },
      );
    throw error;
  }
}

/** "head 42 <hash>" as verify prints it, or JSON with seq and hash. */
function readAnchor(file: string): Head {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ShipmateError('ARGUMENT_INVALID', `The anchor ${file} can not be read.`, { cause: error });
  }
  const [, seq, hash] = /(?:^|\s|"seq"\s*:\s*)(\d{1,15})(?:\s+|\s*,\s*"hash"\s*:\s*")([0-9a-f]{64})\b/.exec(text) ?? [];
  if (seq === undefined || hash === undefined)
    throw new ShipmateError(
      'ARGUMENT_INVALID',
      `${file} is no anchor: it should hold the line "head <number> <hash>" that verify printed.`,
    );
  return { seq: Number(seq), hash };
}

function readTime(option: string, text: string): Date {
  const iso = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2}))?$/.test(text);
  const time = new Date(text);
  if (iso && !Number.isNaN(time.getTime())) return time;
  throw new UsageError(`${option} is a time like 2026-11-01 or 2026-11-01T08:00:00Z, not "${text}".`);
}
