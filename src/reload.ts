import { type FSWatcher, watch } from 'node:fs';
import path from 'node:path';
import type { LoadedConfig } from './config/types.ts';
import type { Logger } from './logger.ts';

/** A file is written in several steps by most editors: it is read when it was left alone for so long. */
const SETTLE_MS = 500;

/** What a running bot can not change: a start reads it. */
const FIXED = [
  ['mode', 'mode'],
  ['tenants', 'tenant'],
  ['appId', 'bot'],
  ['credentials', 'credentials'],
  ['playgroundClients', 'playground.clients'],
  ['store', 'store'],
  ['audit', 'audit'],
  ['dataDir', 'data'],
  ['port', 'ports.public'],
  ['internalPort', 'ports.internal'],
  ['logLevel', 'LOG_LEVEL'],
  ['proxy', 'HTTPS_PROXY'],
] as const satisfies readonly (readonly [keyof LoadedConfig, string])[];

/** Keys of the file that differ and need a restart. */
export function needsRestart(before: LoadedConfig, after: LoadedConfig): string[] {
  return FIXED.filter(([key]) => JSON.stringify(before[key]) !== JSON.stringify(after[key])).map(([, name]) => name);
}

/**
 * Calls `changed` once the configuration's files have been left alone after a change. Folders are watched, not files: a
 * file that is replaced (editors, Kubernetes' ConfigMaps) is another file afterwards.
 */
export function watchFiles(files: () => readonly string[], changed: () => void, logger: Logger): { close(): void } {
  const folders = new Set(files().map((file) => path.dirname(file)));
  let timer: NodeJS.Timeout | undefined;
  const touched = () => {
    clearTimeout(timer);
    timer = setTimeout(changed, SETTLE_MS);
    timer.unref();
  };
  const watchers: FSWatcher[] = [...folders].flatMap((folder) => {
    try {
      const watcher = watch(folder, { persistent: false }, touched);
      watcher.on('error', (error) => logger.warn('a configuration folder is no longer watched', { folder, error }));
      return [watcher];
    } catch (error) {
      logger.warn('a configuration folder can not be watched; SIGHUP reloads', { folder, error });
      return [];
    }
  });
  return {
    close() {
      clearTimeout(timer);
      for (const watcher of watchers) watcher.close();
    },
  };
}
