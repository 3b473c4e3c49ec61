/**
 * `npm run package -- --app-id GUID --domain bot.example.com` makes appPackage/build/shipmate.zip, ready to upload to
 * Teams: the manifest filled in and checked against Microsoft's schema (offline), and both icons checked.
 */
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ManifestUtil, type TeamsAppManifest } from '@microsoft/teams-manifest';
import { PNG } from 'pngjs';
import yazl from 'yazl';

const FOLDER = new URL('../appPackage/', import.meta.url);
const USAGE = `npm run package -- --app-id GUID --domain bot.example.com
    [--developer "Your organisation"] [--website URL] [--privacy URL] [--terms URL] [--version 1.2.3] [--out FILE]`;

export interface PackageOptions {
  /** Application (client) id of the bot's app registration. */
  appId: string;
  /** Host name under which Teams reaches the bot, without scheme, port or path. */
  domain: string;
  developer?: string;
  /** Pages about your installation; the bot's own address when left out. */
  website?: string;
  privacy?: string;
  terms?: string;
  /** Of the package; Shipmate's own when left out. Teams takes an update only with a higher one. */
  version?: string;
}

/** Something about the options or the files that a person has to mend; the message says what. */
export class PackageError extends Error {
  override readonly name = 'PackageError';
}

/** The manifest with the placeholders filled in and checked. @throws PackageError */
export async function fillManifest(options: PackageOptions): Promise<Record<string, unknown>> {
  const values = checkOptions(options);
  const template: unknown = JSON.parse(readText('manifest.json'));
  const manifest = fill(template, values) as Record<string, unknown>;
  const left = JSON.stringify(manifest).match(/\{\{\w*\}\}/);
  if (left) throw new PackageError(`appPackage/manifest.json has a placeholder that I don't know: ${left[0]}`);
  const problems = await ManifestUtil.validateManifestAgainstSchema<TeamsAppManifest>(
    manifest as unknown as TeamsAppManifest,
    JSON.parse(readText('MicrosoftTeams.v1.29.schema.json')),
  );
  if (problems.length > 0)
    throw new PackageError(
      `The manifest doesn't match Microsoft's schema 1.29:\n${problems.map((each) => `  ${each.trim()}`).join('\n')}`,
    );
  return manifest;
}

function checkOptions(options: PackageOptions): Record<string, string> {
  const { appId, domain, version } = options;
  if (!/^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(appId) || /^[0-]+$/.test(appId))
    throw new PackageError(
      `"${appId}" is no app id: give --app-id the Application (client) id of the bot's app registration, a GUID.`,
    );
  const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
  if (domain.length > 253 || !new RegExp(`^(?:${label}\\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])$`, 'i').test(domain))
    throw new PackageError(
      `"${domain}" is no host name: give --domain the bot's public name alone, like bot.example.com (no https://, no port, no path).`,
    );
  if (version !== undefined && !/^\d{1,9}\.\d{1,9}\.\d{1,9}$/.test(version))
    throw new PackageError(`"${version}" is no version: write it like 1.2.3.`);
  const home = `https://${domain.toLowerCase()}`;
  const own = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  const page = (name: string, url: string | undefined): string => {
    if (url === undefined) return home;
    if (!URL.canParse(url) || new URL(url).protocol !== 'https:')
      throw new PackageError(`--${name} must be an https:// address, not "${url}".`);
    return url;
  };
  return {
    APP_ID: appId.toLowerCase(),
    DOMAIN: domain.toLowerCase(),
    DEVELOPER: options.developer ?? 'Shipmate',
    WEBSITE: page('website', options.website),
    PRIVACY: page('privacy', options.privacy),
    TERMS: page('terms', options.terms),
    VERSION: version ?? own.version,
  };
}

function fill(value: unknown, values: Record<string, string>): unknown {
  if (typeof value === 'string') return value.replace(/\{\{(\w+)\}\}/g, (whole, name: string) => values[name] ?? whole);
  if (Array.isArray(value)) return value.map((item) => fill(item, values));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item, values)]));
}

function readText(name: string): string {
  return readFileSync(new URL(name, FOLDER), 'utf8');
}

/**
 * Checks an icon against Teams' rules, which its schema doesn't hold: sizes, an opaque colour icon, and an outline of
 * nothing but white and transparent.
 * @throws PackageError
 */
export function checkIcon(kind: 'color' | 'outline', file: Buffer): void {
  const wanted = kind === 'color' ? 192 : 32;
  let png: PNG;
  try {
    png = PNG.sync.read(file);
  } catch (cause) {
    throw new PackageError(`The ${kind} icon is no PNG file.`, { cause });
  }
  if (png.width !== wanted || png.height !== wanted)
    throw new PackageError(`The ${kind} icon is ${png.width} x ${png.height}; Teams wants ${wanted} x ${wanted}.`);
  let transparent = 0;
  let coloured = 0;
  for (let at = 0; at < png.data.length; at += 4) {
    const [red, green, blue, alpha] = png.data.subarray(at, at + 4);
    if (alpha !== 255) transparent += 1;
    if (alpha !== 0 && (red !== 255 || green !== 255 || blue !== 255)) coloured += 1;
  }
  if (kind === 'color' && transparent > 0)
    throw new PackageError('The color icon has transparent pixels; Teams wants it opaque.');
  if (kind === 'outline' && coloured > 0)
    throw new PackageError('The outline icon has pixels that are not white; Teams wants white on transparent.');
  if (kind === 'outline' && (transparent === 0 || transparent === wanted ** 2))
    throw new PackageError('The outline icon shows nothing: it must be white on transparent.');
}

/** Writes the zip and returns its manifest. @throws PackageError */
export async function writePackage(options: PackageOptions, out: string): Promise<Record<string, unknown>> {
  const manifest = await fillManifest(options);
  const icons = (['color', 'outline'] as const).map((kind) => {
    const file = readFileSync(new URL(`${kind}.png`, FOLDER));
    checkIcon(kind, file);
    return { name: `${kind}.png`, file };
  });
  const zip = new yazl.ZipFile();
  // A fixed time: the same input makes the same file.
  const made = { mtime: new Date(2026, 0, 1), mode: 0o100644 };
  zip.addBuffer(Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`), 'manifest.json', made);
  for (const { name, file } of icons) zip.addBuffer(file, name, made);
  zip.end();
  mkdirSync(dirname(out), { recursive: true });
  await pipeline(zip.outputStream, createWriteStream(out));
  return manifest;
}

async function main(): Promise<void> {
  const option = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      'app-id': option,
      domain: option,
      developer: option,
      website: option,
      privacy: option,
      terms: option,
      version: option,
      out: option,
    },
  });
  const { 'app-id': appId, domain, out = fileURLToPath(new URL('build/shipmate.zip', FOLDER)), ...rest } = values;
  if (appId === undefined || domain === undefined)
    throw new PackageError(`--app-id and --domain are needed:\n  ${USAGE}`);
  const manifest = await writePackage({ appId, domain, ...rest }, out);
  console.log(`${out}: Shipmate ${String(manifest.version)} for ${domain}, checked against manifest schema 1.29`);
  console.log('Upload it in the Teams admin center (Manage apps), or in Teams: Apps, Manage your apps, Upload an app.');
  if (rest.privacy === undefined || rest.terms === undefined)
    console.log(
      'Its pages about privacy and terms are the bot’s own address: give --privacy and --terms to name yours.',
    );
}

if (import.meta.main)
  main().catch((error: unknown) => {
    const mendable = error instanceof PackageError || (error instanceof TypeError && 'code' in error);
    console.error(mendable ? (error as Error).message : error);
    process.exitCode = 1;
  });
