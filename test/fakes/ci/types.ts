/**
 * What every strict fake of a CI vendor offers, so that the contract suite and the whole-bot tests are the same for all of
 * them. The fake is an HTTP server on loopback, written from the vendor's published API description: it refuses what the
 * vendor refuses (unknown fields, missing api-versions, wrong types, wrong credentials), and counts what it was asked.
 *
 * It has one project with service "storefront": versions 1.0.0, 1.1.0 and 1.10.0 as in the contract of version sources
 * (two commits between each of them by "Ana Ruiz", subjects "Work for 1.1.0", "Release 1.1.0"), one deploy workflow, and
 * environments "staging" and "production" (named otherwise at the vendor where that is usual; the mapping is in `deploy`).
 */
export interface FakeCi {
  /** http://127.0.0.1:<port> */
  url: string;
  /** Kind under `deploy:`, and key under `connections:`. */
  kind: string;
  /** What stands in shipmate.yaml; strings only where YAML has strings. Secrets stand in it as they are. */
  config: {
    connection: Record<string, unknown>;
    deploy: Record<string, unknown>;
    versions: Record<string, unknown>;
  };
  /** Commits by version. */
  shas: Record<'1.0.0' | '1.1.0' | '1.10.0', string>;
  /** Every secret that was planted: credentials, tokens that the fake gave out, what the run's log prints by mistake. */
  secrets(): readonly string[];
  /**
   * How the next runs go: end well (through two stages at least, about 300 ms), fail in the last stage with the line "it
   * is broken" in its log, go on until cancelled, or wait at the vendor's guard of the environment until it is answered.
   */
  behave(how: 'succeed' | 'fail' | 'hang' | 'ask'): void;
  /** What goes wrong from now on; null: nothing. */
  trouble(what: Trouble | null): void;
  /** Where webhooks go: the whole URL; null (the start): nowhere. */
  webhooksTo(url: string | null): void;
  /** How webhooks go from now on. */
  webhooks(manner: 'once' | 'never' | 'twice' | 'late'): void;
  /** Runs that really began, a re-run not counted. */
  started(): number;
  /** Requests so far, by method and path without query, newest last. */
  requests(): readonly string[];
  /** A run that chat did not start, for a version; with `ask` it waits at the guard of the environment. Gives its id as in RunRef. */
  foreign(options: {
    environment: 'staging' | 'production';
    version: '1.1.0' | '1.10.0';
    by: string;
    ask?: boolean;
  }): string;
  /** What the vendor's guard was answered: who is in the comment, as the vendor would show it. */
  answers(): readonly { run: string; approved: boolean; comment: string }[];
  /** Lets a version name another commit from now on. */
  moveTag(version: '1.1.0', to: '1.10.0'): void;
  close(): Promise<void>;
}

export type Trouble =
  /** Every answer takes 400 ms. */
  | 'slow'
  /** 502 for everything. */
  | '5xx'
  /** 429 (or the vendor's form of it) with Retry-After: 1, for the next two requests. */
  | '429'
  /** The same without Retry-After. */
  | '429-bare'
  /** The next trigger is taken, and its connection cut before the answer. */
  | 'cut'
  /** Tokens that were given out expire now; static ones stay. */
  | 'expired'
  /** Credentials are refused from now on. */
  | 'denied'
  /** A right is missing: what triggers is refused, what reads is not. */
  | 'no-right';

export type CreateFakeCi = () => Promise<FakeCi>;
