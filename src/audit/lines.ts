import { type FileHandle, open, stat } from 'node:fs/promises';
import path from 'node:path';

const NEWLINE = 0x0a;
/** A log rotation between opening and writing is rare, and twice in a row rarer. */
const ATTEMPTS = 3;

/** A file that lines are only ever added to. One append at a time. */
export interface LineFile {
  /**
   * Resolves when all lines are on the disk, under the file's name. After an error none, some or all are there, the last
   * one perhaps by half; the next append begins a new line. `replaced` is true when another file was found under the name
   * than the one written to before. Throws what the file system says.
   */
  append(lines: readonly string[]): Promise<{ replaced: boolean }>;
  close(): Promise<void>;
}

/** `file` is absolute; it is made (0600) when it is not there, its folder is not. Nothing is opened before the first append. */
export function openLines(file: string): LineFile {
  let handle: FileHandle | null = null;

  const close = async (): Promise<void> => {
    const closing = handle;
    handle = null;
    await closing?.close();
  };

  const reopen = async (): Promise<FileHandle> => {
    await close();
    handle = await open(file, 'a+', 0o600);
    if (!(await handle.stat()).isFile()) throw new Error(`${file} is no ordinary file`);
    // A new file is not lasting before its name is.
    const folder = await open(path.dirname(file), 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
    return handle;
  };

  return {
    async append(lines) {
      const text = lines.map((line) => `${line}\n`).join('');
      let replaced = false;
      try {
        for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
          const known = handle;
          const current = known && (await isNamed(known, file)) ? known : await reopen();
          replaced ||= known !== null && current !== known;
          await current.appendFile((await endsWithin(current)) ? `\n${text}` : text);
          await current.datasync();
          // Moved away while it was written: whoever moved it may have copied it before. Twice is better than not at all.
          if (await isNamed(current, file)) return { replaced };
        }
        throw new Error(`${file} is replaced again and again`);
      } catch (error) {
        // What is known of it may be wrong now.
        await close().catch(() => undefined);
        throw error;
      }
    },
    close,
  };
}

/** Whether the name still leads to this very file. */
async function isNamed(handle: FileHandle, file: string): Promise<boolean> {
  try {
    const [opened, named] = await Promise.all([handle.stat({ bigint: true }), stat(file, { bigint: true })]);
    return opened.ino === named.ino && opened.dev === named.dev;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** Whether the last line has no end. Looked at each time: another process may have died while it wrote to the file. */
async function endsWithin(handle: FileHandle): Promise<boolean> {
  const { size } = await handle.stat();
  if (size === 0) return false;
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
  return bytesRead === 1 && buffer[0] !== NEWLINE;
}
