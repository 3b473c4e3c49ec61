import { createReadStream, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { verifyChain } from '../audit/chain.ts';
import { type Comparison, createComparison, type SinkComparison, type Span } from '../audit/compare.ts';
import { CSV_HEADER, toCsv, toJsonl } from '../audit/export.ts';
import type { AuditBreak, AuditEntry, AuditHead } from '../audit/types.ts';
import { type LoadedConfig, loadConfig } from '../config.ts';
import { ShipmateError } from '../errors.ts';
import { createRedactor } from '../logger.ts';
import { createStore } from '../store/index.ts';
import type { Store } from '../store/types.ts';
import { quietLogger } from './log.ts';
import { readOptions } from './options.ts';
import { type CliCommand, type ExitCode, type Io, UsageError } from './types.ts';

const PAGE = 500;
/** Breaks that are printed one by one. */
const SHOWN = 50;

export const auditCommand: CliCommand = {
  summary: 'Verify or export the audit, straight from the store.',
  usage: `
shipmate audit verify [--config shipmate.yaml] [--anchor file] [--against file]...
shipmate audit export [--config shipmate.yaml] [--since time] [--until time] [--format jsonl|csv]

  --anchor   heads that were kept elsewhere: the file of audit.anchor, a line that verify printed, or posts from the
             channel. Every one is checked. What is missing at the end of the chain shows only against an anchor or a sink.
  --against  compares each entry with what a sink has: the file of audit.file, or where the syslog server writes.
             For rotated files, or one of each replica, say it several times.
  --since    from this time on, --until before it: 2026-11-01 or 2026-11-01T08:00:00Z (a date is midnight UTC)
  --format   default: jsonl

Both work without the bot. The embedded store has one owner at a time: stop the bot first. Exits with 1 when an entry
was changed, removed or reordered, or the end is missing. What a sink lacks is told, and is no reason. With npm, use
"npm run -s shipmate -- audit export > file", so that npm's own lines stay out of the file.`,
  async run(args, io) {
    const [what, ...rest] = args;
    if (what === 'verify') return verify(rest, io);
    if (what === 'export') return exportEntries(rest, io);
    throw new UsageError(what === undefined ? 'Say audit verify or audit export.' : `There is no "audit ${what}".`);
  },
};

const CONFIG = { config: { type: 'string', default: 'shipmate.yaml' } } as const;

async function verify(args: readonly string[], io: Io): Promise<ExitCode> {
  const { values } = readOptions(args, {
    ...CONFIG,
    anchor: { type: 'string' },
    against: { type: 'string', multiple: true },
  });
  const anchors = values.anchor === undefined ? [] : readAnchors(path.resolve(io.cwd, values.anchor), io);
  // Before the store: what is in a sink by now is in the store when that is read, also while the bot runs.
  const comparison = values.against === undefined ? null : await readSink(values.against, io);
  return withStore(values.config, io, async (store) => {
    const kept = await store.transaction((tx) => tx.audit.head());
    const entries = pages(store, {});
    const result = await verifyChain(comparison ? watched(entries, comparison) : entries, anchors);
    const { breaks, head } = result;
    // The store keeps its head beside the entries: whoever only deletes rows is seen without an anchor too.
    if (kept.seq > head.seq && !breaks.some(({ kind }) => kind === 'truncated'))
      breaks.push({ kind: 'truncated', afterSeq: head.seq });
    const compared = comparison?.finish() ?? null;
    if (compared && compared.entries === 0)
      throw new ShipmateError('ARGUMENT_INVALID', `There is no audit entry in ${values.against?.join(', ')}.`);
    tell(breaks.map(describe), io);
    if (compared) tellSink(compared, io);
    const ok = breaks.length === 0 && (compared?.ok ?? true);
    const unstreamed = compared ? spansText(compared.missing.newer) : '';
    if (ok) {
      await io.out(`${result.entries} entries, unbroken.\nhead ${head.seq} ${head.hash}\n`);
      if (compared)
        await io.out(`${compared.entries} in the sink${unstreamed === '' ? '' : `, not there yet: ${unstreamed}`}.\n`);
      return 0;
    }
    if (breaks.length > 0) io.err(`${result.entries} entries; the chain is broken.\n`);
    if (compared && !compared.ok) io.err(`${result.entries} entries; the sink was given others.\n`);
    if (unstreamed !== '') io.err(`not in the sink yet: ${unstreamed}\n`);
    return 1;
  });
}

async function* watched(entries: AsyncIterable<AuditEntry>, comparison: Comparison): AsyncGenerator<AuditEntry> {
  for await (const entry of entries) {
    comparison.see(entry);
    yield entry;
  }
}

async function readSink(files: readonly string[], io: Io): Promise<Comparison> {
  const comparison = createComparison();
  for (const file of files)
    try {
      await comparison.read(file, createReadStream(path.resolve(io.cwd, file)));
    } catch (error) {
      throw new ShipmateError('ARGUMENT_INVALID', `The sink's file ${file} can not be read.`, { cause: error });
    }
  return comparison;
}

function tell(lines: readonly string[], io: Io): void {
  for (const line of lines.slice(0, SHOWN)) io.err(`${line}\n`);
  if (lines.length > SHOWN) io.err(`and ${lines.length - SHOWN} more\n`);
}

function tellSink({ breaks, disagreeing, half, missing, newest, unsound }: SinkComparison, io: Io): void {
  const lies: Readonly<Record<AuditBreak['kind'], string>> = {
    changed: 'the sink has it otherwise',
    removed: 'the sink has it',
    reordered: 'it lies at another place in the store',
    truncated: `the sink has entries up to ${newest}`,
  };
  tell(
    breaks.map((each) => `${describe(each)}: ${lies[each.kind]}`),
    io,
  );
  tell(
    disagreeing.map((seq) => `entry ${seq} is in the sink more than once, and not the same`),
    io,
  );
  tellPlaces(half, ({ file, line }) => `line ${line} of ${file} holds half an entry, or what is none; passed over`, io);
  tellPlaces(
    unsound,
    ({ file, line, seq }) => `line ${line} of ${file}, entry ${seq}, was changed in the sink: its hash does not fit`,
    io,
  );
  for (const [spans, where] of [
    [missing.older, 'before its first'],
    [missing.between, 'though later ones are there'],
  ] as const)
    if (spans.length > 0) io.err(`not in the sink, ${where}: ${spansText(spans)}\n`);
}

function tellPlaces<P>(found: { count: number; places: P[] }, line: (place: P) => string, io: Io): void {
  for (const place of found.places) io.err(`${line(place)}\n`);
  if (found.count > found.places.length) io.err(`and ${found.count - found.places.length} more\n`);
}

/** "entry 7, entries 9 to 12", or nothing. */
function spansText(spans: readonly Span[]): string {
  const texts = spans
    .slice(0, SHOWN)
    .map(({ seq, through }) => (seq === through ? `entry ${seq}` : `entries ${seq} to ${through}`));
  return [...texts, ...(spans.length > SHOWN ? [`and ${spans.length - SHOWN} more`] : [])].join(', ');
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

const ANCHOR = /(?:^|\s|"seq"\s*:\s*)(\d{1,15})(?:,?\s+|\s*,\s*"hash"\s*:\s*")([0-9a-f]{64})\b/g;

/** Every "head 42 <hash>", as verify and the anchors write it, "entry 42, <hash>" as it is posted, or JSON with seq and hash. */
function readAnchors(file: string, io: Io): AuditHead[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ShipmateError('ARGUMENT_INVALID', `The anchor ${file} can not be read.`, { cause: error });
  }
  const anchors = [...text.matchAll(ANCHOR)].map(([, seq, hash]) => ({ seq: Number(seq), hash: hash ?? '' }));
  if (anchors.length === 0)
    throw new ShipmateError(
      'ARGUMENT_INVALID',
      `${file} is no anchor: it should hold lines "head <number> <hash>", as verify prints them.`,
    );
  const cut = text
    .split('\n')
    .flatMap((line, index) => (/^\s*head\b/.test(line) && line.search(ANCHOR) < 0 ? [index + 1] : []));
  tell(
    cut.map((line) => `line ${line} of ${path.basename(file)} holds no whole anchor; passed over`),
    io,
  );
  return anchors;
}

function readTime(option: string, text: string): Date {
  const iso = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2}))?$/.test(text);
  const time = new Date(text);
  if (iso && !Number.isNaN(time.getTime())) return time;
  throw new UsageError(`${option} is a time like 2026-11-01 or 2026-11-01T08:00:00Z, not "${text}".`);
}
