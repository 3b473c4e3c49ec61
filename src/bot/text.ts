/** What a message says to the bot, and text that goes into Teams' markdown. No botbuilder here: plain strings. */

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' };

interface MentionLike {
  type?: unknown;
  text?: unknown;
  mentioned?: { id?: unknown };
}

/**
 * The command in a message: without mentions of the bot, HTML and odd spaces. The SDK's own removeRecipientMention
 * strips only the first mention, leaves "&nbsp;" and throws on null text. Never throws.
 */
export function commandText(activity: { text?: unknown; entities?: unknown; recipient?: { id?: unknown } }): string {
  if (typeof activity.text !== 'string') return '';
  let text = activity.text.slice(0, 30_000);
  const entities: MentionLike[] = Array.isArray(activity.entities) ? activity.entities : [];
  for (const entity of entities) {
    if (typeof entity !== 'object' || entity === null || entity.type !== 'mention') continue;
    if (entity.mentioned?.id !== activity.recipient?.id || typeof entity.text !== 'string' || entity.text === '')
      continue;
    text = text.replaceAll(entity.text, ' ');
  }
  return decode(text.replace(/<br\s*\/?>|<\/?(?:p|div|span|at)(?:\s[^>]*)?>/gi, ' '))
    .replace(/[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad]/g, '')
    .replace(/[\s\u00a0]+/g, ' ')
    .trim();
}

function decode(text: string): string {
  return text.replace(/&(?:#(\d{1,6})|#x([0-9a-f]{1,5})|([a-z]{2,6}));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES[String(name).toLowerCase()] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code > 31 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff) ? String.fromCodePoint(code) : ' ';
  });
}

/**
 * Text of unknown origin for a markdown message: nothing in it formats, links or mentions. Control, bidi and
 * zero-width characters go.
 */
export function plain(text: string): string {
  return [...text]
    .filter((char) => !/[\p{Cc}\p{Cf}]/u.test(char) || char === '\n')
    .join('')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/([\\`*_~[\]()#|!])/g, '\\$1')
    .replace(/(https?|ftp|mailto):/gi, '$1\u200b:'); // a bare address would become a link
}
