const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * Milliseconds of a span like "30s", "15m", "4h" or "7d"; null for anything else. Strict on purpose: a library that reads
 * "-5m" or "2 hours ago" as a span would turn a slip of the pen into a rule.
 */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,6})([smhd])$/i.exec(text.trim());
  const unit = UNITS[match?.[2]?.toLowerCase() ?? ''];
  const count = Number(match?.[1]);
  return match && unit !== undefined && count > 0 ? count * unit : null;
}

/** A span for people: "3 min 4 s", "2 h 5 min", "45 s". */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return hours % 24 === 0 ? `${hours / 24} d` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
