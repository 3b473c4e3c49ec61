import type { LogSource } from '../../../src/monitoring/types.ts';
import type { Pipeline, TriggerRequest, VersionSource } from '../../../src/pipelines/types.ts';
import type { FakeCi } from '../../fakes/ci/types.ts';

/**
 * What an adapter brings to the contract suites: a file `<family>.<folder>.ts` in this folder that exports `harness`.
 * The suites find the files by name, and fail for an adapter's folder in src/ that has none.
 */
export interface PipelineHarness {
  family: 'pipeline';
  /** A fresh system with a pipeline on it, for service "storefront". */
  open(): Promise<{
    pipeline: Pipeline;
    /** Another instance on the same system, as after a restart of the bot. */
    reopen(): Pipeline;
    /**
     * Makes the next runs end well, fail, go on until they are cancelled, or ask one gate and end well when it is
     * approved and badly when it is rejected; the last only where the pipeline has gates.
     */
    behave(how: 'succeed' | 'fail' | 'hang' | 'ask'): void;
    /** How many runs the system has really started. */
    started(): Promise<number>;
    /** A valid request; the key is new each time. */
    request(): TriggerRequest;
    /** The fake vendor behind it, for a pipeline that is driven over HTTP. */
    fake?: FakeCi;
    close(): Promise<void>;
  }>;
}

export interface VersionsHarness {
  family: 'versions';
  /** What this source can't do, with the reason in a comment beside it. */
  without?: readonly 'compare'[];
  /** A source with 1.0.0, 1.1.0 and 1.10.0, made in this order, two commits between each of them. */
  open(): Promise<{
    source: VersionSource;
    shas: Record<'1.0.0' | '1.1.0' | '1.10.0', string>;
    /** Lets 1.1.0 name the commit of 1.10.0. */
    moveTag(): Promise<void>;
    /** Makes the system unreachable. */
    breakIt(): Promise<void>;
    close(): Promise<void>;
  }>;
}

export interface LogsHarness {
  family: 'logs';
  open(): Promise<{
    source: LogSource;
    /** Adds lines of service "storefront" in "staging", in the order of their time. */
    write(lines: readonly { time: string; level: string; text: string }[]): Promise<void>;
    breakIt(): Promise<void>;
    close(): Promise<void>;
  }>;
}

export type Harness = PipelineHarness | VersionsHarness | LogsHarness;
