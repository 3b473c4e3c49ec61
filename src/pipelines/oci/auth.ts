/** How a registry wants to be asked: https://distribution.github.io/distribution/spec/auth/token/ and RFC 9110, 11.6.1. */
export type Challenge = { scheme: 'basic' } | { scheme: 'bearer'; realm: string; service: string | null };

/** The challenge in a WWW-Authenticate header that can be met, Bearer before Basic; null when there is none. */
export function parseChallenge(header: string | string[] | undefined): Challenge | null {
  const text = (Array.isArray(header) ? header.join(', ') : (header ?? '')).slice(0, 4000);
  const bearer = /(?:^|,)\s*bearer\s+(.*)$/i.exec(text)?.[1];
  if (bearer !== undefined) {
    const parameters = new Map<string, string>();
    // The first of a name: another challenge may follow.
    for (const [, name = '', value = ''] of bearer.matchAll(/([a-z_]+)="([^"]*)"/gi))
      if (!parameters.has(name.toLowerCase())) parameters.set(name.toLowerCase(), value);
    const realm = parameters.get('realm');
    if (realm !== undefined && URL.canParse(realm))
      return { scheme: 'bearer', realm, service: parameters.get('service') ?? null };
  }
  return /(?:^|,)\s*basic(?:\s|$)/i.test(text) ? { scheme: 'basic' } : null;
}

/** Where a page of tags goes on: the URL in a Link header with rel="next", on the same server; null when it is the last. */
export function nextPage(header: string | string[] | undefined, page: string): string | null {
  const text = Array.isArray(header) ? header.join(', ') : (header ?? '');
  const target = /<([^<>]{1,2000})>\s*;[^<]*\brel\s*=\s*"?next"?/i.exec(text)?.[1];
  if (target === undefined || !URL.canParse(target, page)) return null;
  const next = new URL(target, page);
  return next.origin === new URL(page).origin && next.href !== page ? next.href : null;
}
