/** A time that comes again every week or every day, as minutes of the day; `weekday` 1 (Monday) to 7. */
export interface ClockTime {
  weekday?: number;
  minute: number;
}

interface Written {
  zone: string;
  /** Why, for people. Untrusted text. */
  reason?: string;
  /** As written, for people. */
  label: string;
}

/**
 * A span of time in a named zone, once or again and again. Written by people as two points (`from`, `to`: "Fri 15:00",
 * "22:00" or "2026-12-20 18:00") or as a cron expression with a length. Dates are local, "2026-12-20T18:00".
 */
export type Window = Written &
  (
    | { kind: 'clock'; from: ClockTime; to: ClockTime }
    | { kind: 'dates'; from: string; to: string }
    | { kind: 'cron'; cron: string; forMs: number }
  );

/** One time that a window is open; `to` is the first moment after it. */
export interface Span {
  from: Date;
  to: Date;
}
