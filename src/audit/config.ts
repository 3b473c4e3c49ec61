import { isIP } from 'node:net';
import { z } from 'zod';
import { parseDuration } from '../durations.ts';

const HOUR_MS = 3_600_000;

const file = z
  .string()
  .min(1)
  .refine((text) => !text.includes('\0'), 'must not contain a NUL character');

const host = z
  .string()
  .max(253)
  .refine(
    (text) =>
      isIP(text) > 0 || /^[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?)*\.?$/i.test(text),
    'write a host name or an address, without a port',
  );

/** Relative paths start at the configuration file's folder. */
export const auditConfig = z.strictObject({
  file: file.optional().describe('Every entry is also written to this file, as JSON lines'),
  syslog: z
    .strictObject({
      host,
      port: z.int().min(1).max(65_535).default(6514),
      servername: host
        .refine((name) => isIP(name) === 0, 'write a name, not an address')
        .optional()
        .describe('Name in its certificate. Default: host'),
      ca: file.optional().describe("File (PEM) with the authorities to trust. Default: Node's own"),
      cert: file.optional().describe('File (PEM) with a client certificate'),
      key: file.optional().describe('File (PEM) with its key'),
    })
    .refine(({ cert, key }) => (cert === undefined) === (key === undefined), 'cert and key belong together')
    .optional()
    .describe('Every entry is also sent to this server: syslog over TLS (RFC 5425)'),
  anchor: z
    .strictObject({
      channel: z.string().min(1).optional().describe('Name of the channel where anchors are posted'),
      file: file.optional().describe('File to which anchors are appended'),
      every: z
        .string()
        .refine((text) => (parseDuration(text) ?? 0) >= HOUR_MS, 'write a time like 4h or 1d, at least 1h')
        .default('24h'),
    })
    .refine((given) => given.channel !== undefined || given.file !== undefined, 'name a channel, a file, or both')
    .optional()
    .describe('Where the newest entry is told now and then, so that missing entries show'),
});

export type AuditConfig = z.infer<typeof auditConfig>;
