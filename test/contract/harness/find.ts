import { readdir } from 'node:fs/promises';
import type { Harness } from './types.ts';

const HERE = new URL('.', import.meta.url);
const SOURCES = new URL('../../../src/', import.meta.url);

/** Every harness of a family with the name of its adapter's folder. */
export async function findHarnesses<F extends Harness['family']>(
  family: F,
): Promise<{ name: string; harness: Extract<Harness, { family: F }> }[]> {
  const files = (await readdir(HERE)).filter((file) => file.startsWith(`${family}.`) && file.endsWith('.ts')).sort();
  return Promise.all(
    files.map(async (file) => {
      const { harness } = (await import(new URL(file, HERE).href)) as { harness: Extract<Harness, { family: F }> };
      return { name: file.split('.')[1] ?? '', harness };
    }),
  );
}

/** Adapter folders of src/pipelines or src/monitoring that no harness covers. */
export async function uncoveredFolders(root: 'pipelines' | 'monitoring', families: readonly Harness['family'][]) {
  const entries = await readdir(new URL(`${root}/`, SOURCES), { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const found = await Promise.all(families.map((family) => findHarnesses(family)));
  const covered = new Set(found.flat().map(({ name }) => name));
  return folders.filter((folder) => !covered.has(folder));
}
