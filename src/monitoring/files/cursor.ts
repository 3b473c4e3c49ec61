import { z } from 'zod';
import { ShipmateError } from '../../errors.ts';

/**
 * A place in a set of files: which way it leads, and per file (by its id) the byte where reading goes on. It holds
 * while files grow and are renamed. A forged one can only point to other bytes of the same files.
 */
export interface Cursor {
  towards: 'older' | 'newer';
  offsets: ReadonlyMap<string, number>;
}

const shape = z.strictObject({
  to: z.enum(['older', 'newer']),
  at: z.record(z.string().regex(/^[0-9a-z]{1,14}$/), z.int().min(0)),
});

export function writeCursor({ towards, offsets }: Cursor): string {
  return Buffer.from(JSON.stringify({ to: towards, at: Object.fromEntries(offsets) })).toString('base64url');
}

/** @throws ShipmateError ARGUMENT_INVALID */
export function readCursor(text: string): Cursor {
  try {
    const { to, at } = shape.parse(JSON.parse(Buffer.from(text.slice(0, 4000), 'base64url').toString('utf8')));
    return { towards: to, offsets: new Map(Object.entries(at)) };
  } catch (cause) {
    throw new ShipmateError('ARGUMENT_INVALID', 'This page of the logs can’t be found again. Ask for the logs anew.', {
      cause,
    });
  }
}
