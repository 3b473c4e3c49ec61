import type { ConnectionAdapter } from '../connections.ts';
import { connections as monitoring } from '../monitoring/index.ts';
import { connections as pipelines } from '../pipelines/index.ts';

/** Every kind of connection that there is: a system that both runs deploys and watches has one. */
export const connectionKinds: Readonly<Record<string, ConnectionAdapter>> = { ...pipelines, ...monitoring };
