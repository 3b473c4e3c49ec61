import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PNG } from 'pngjs';
import { colorIcon, outlineIcon } from '../scripts/icons.ts';
import { checkIcon, fillManifest, PackageError, writePackage } from '../scripts/package.ts';

const appId = '11111111-2222-4333-8444-555555555555';
const options = { appId, domain: 'bot.example.com' };
const file = (name: string) => readFileSync(new URL(`../appPackage/${name}`, import.meta.url));

/** Names and contents of a zip's files, from its central directory. */
function unzip(zip: Buffer): Map<string, Buffer> {
  const end = zip.lastIndexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06]));
  const files = new Map<string, Buffer>();
  let at = zip.readUInt32LE(end + 16);
  for (let count = zip.readUInt16LE(end + 10); count > 0; count -= 1) {
    const [method, packed] = [zip.readUInt16LE(at + 10), zip.readUInt32LE(at + 20)];
    const [nameLength, extra, comment] = [
      zip.readUInt16LE(at + 28),
      zip.readUInt16LE(at + 30),
      zip.readUInt16LE(at + 32),
    ];
    const local = zip.readUInt32LE(at + 42);
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    const content = zip.subarray(start, start + packed);
    files.set(zip.toString('utf8', at + 46, at + 46 + nameLength), method === 0 ? content : inflateRawSync(content));
    at += 46 + nameLength + extra + comment;
  }
  return files;
}

describe('the manifest', () => {
  it('is filled in and matches the schema that it names', async () => {
    const manifest = await fillManifest({
      ...options,
      appId: appId.toUpperCase(),
      domain: 'Bot.Example.com',
      version: '2.3.4',
      privacy: 'https://example.com/privacy',
    });
    expect(manifest).toMatchObject({
      manifestVersion: '1.29',
      id: appId,
      version: '2.3.4',
      bots: [{ botId: appId, scopes: ['team', 'personal', 'groupChat'] }],
      validDomains: ['bot.example.com'],
      developer: { websiteUrl: 'https://bot.example.com', privacyUrl: 'https://example.com/privacy' },
      supportsChannelFeatures: 'tier1',
    });
    expect(JSON.stringify(manifest)).not.toMatch(/\{\{|"authorization"|"webApplicationInfo"|"permissions"/);
  });

  it('keeps to Teams’ limits and names the commands for mentions and slashes', async () => {
    const manifest = (await fillManifest(options)) as {
      name: { short: string };
      description: { short: string; full: string };
      bots: {
        commandLists: { triggers: string[]; scopes: string[]; commands: { title: string; description: string }[] }[];
      }[];
    };
    expect(manifest.name.short.length).toBeLessThanOrEqual(30);
    expect(manifest.description.short.length).toBeLessThanOrEqual(80);
    const lists = manifest.bots[0]?.commandLists ?? [];
    expect(lists.length).toBeLessThanOrEqual(3);
    expect(lists[0]).toMatchObject({ triggers: ['mention', 'slash'], scopes: ['team', 'personal', 'groupChat'] });
    expect(lists[0]?.commands.map(({ title }) => title)).toEqual([
      'deploy',
      'logs',
      'status',
      'history',
      'rollback',
      'whoami',
      'help',
    ]);
  });

  it.each([
    [{ appId: 'abc' }, /no app id.*GUID/],
    [{ appId: '00000000-0000-0000-0000-000000000000' }, /no app id/],
    [{ appId: `${appId} ` }, /no app id/],
    [{ domain: 'https://bot.example.com' }, /no host name.*no https:/],
    [{ domain: 'bot.example.com:443' }, /no host name/],
    [{ domain: 'bot.example.com/api' }, /no host name/],
    [{ domain: 'localhost' }, /no host name/],
    [{ domain: '10.0.0.1' }, /no host name/],
    [{ domain: '*.example.com' }, /no host name/],
    [{ version: '1.2' }, /no version.*1\.2\.3/],
    [{ privacy: 'http://example.com' }, /--privacy must be an https/],
    [{ terms: 'terms' }, /--terms must be an https/],
    [{ developer: 'x'.repeat(33) }, /doesn't match Microsoft's schema[\s\S]*developer\/name.*32/],
  ])('%j is refused with words that help', async (wrong, words) => {
    const refused = fillManifest({ ...options, ...wrong });
    await expect(refused).rejects.toThrow(PackageError);
    await expect(refused).rejects.toThrow(words);
  });
});

describe('the package', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'shipmate-package-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('holds the manifest and both icons, and nothing else', async () => {
    const out = join(folder, 'new', 'shipmate.zip');
    const manifest = await writePackage(options, out);
    const files = unzip(readFileSync(out));
    expect([...files.keys()]).toEqual(['manifest.json', 'color.png', 'outline.png']);
    expect(JSON.parse(String(files.get('manifest.json')))).toEqual(manifest);
    expect(files.get('color.png')?.equals(file('color.png'))).toBe(true);
    expect(files.get('outline.png')?.equals(file('outline.png'))).toBe(true);
  });

  it('is the same file each time', async () => {
    const outs = [join(folder, 'a.zip'), join(folder, 'b.zip')] as const;
    for (const out of outs) await writePackage(options, out);
    expect(readFileSync(outs[0]).equals(readFileSync(outs[1]))).toBe(true);
  });
});

describe('the icons', () => {
  it('are the ones that scripts/icons.ts draws', () => {
    const pixels = (png: Buffer) => PNG.sync.read(png).data.toString('base64');
    expect(pixels(file('color.png'))).toBe(pixels(colorIcon()));
    expect(pixels(file('outline.png'))).toBe(pixels(outlineIcon()));
  });

  it('are what Teams wants', () => {
    checkIcon('color', file('color.png'));
    checkIcon('outline', file('outline.png'));
  });

  const plain = (size: number, rgba: readonly number[]) => {
    const png = new PNG({ width: size, height: size });
    for (let at = 0; at < png.data.length; at += 4) png.data.set(rgba, at);
    return PNG.sync.write(png);
  };

  it.each([
    ['color', Buffer.from('no picture'), /no PNG/],
    ['color', plain(96, [1, 2, 3, 255]), /96 x 96; Teams wants 192 x 192/],
    ['color', plain(192, [1, 2, 3, 254]), /opaque/],
    ['outline', plain(64, [255, 255, 255, 0]), /32 x 32/],
    ['outline', plain(32, [255, 254, 255, 128]), /not white/],
    ['outline', plain(32, [255, 255, 255, 255]), /shows nothing/],
    ['outline', plain(32, [0, 0, 0, 0]), /shows nothing/],
  ] as const)('%s that breaks a rule is refused', (kind, png, words) => {
    expect(() => checkIcon(kind, png)).toThrow(words);
  });
});
