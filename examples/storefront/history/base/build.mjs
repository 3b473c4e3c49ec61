import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { styles } from './page.mjs';

// What is shipped: the style sheet under a name that changes with its content, and a list of every file's hash.
const root = new URL('.', import.meta.url);
const out = new URL('build/', root);
const hash = (data) => createHash('sha256').update(data).digest('hex').slice(0, 16);

mkdirSync(out, { recursive: true });
const css = styles();
writeFileSync(new URL(`styles-${hash(css)}.css`, out), css);
const sources = readdirSync(root).filter((name) => name.endsWith('.mjs'));
const manifest = Object.fromEntries(sources.map((name) => [name, hash(readFileSync(new URL(name, root)))]));
writeFileSync(new URL('manifest.json', out), `${JSON.stringify(manifest, null, 2)}\n`);
console.log(`${sources.length} modules, style sheet ${css.length} bytes`);
