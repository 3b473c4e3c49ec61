// The example's history: what each commit changes, from the files in base/. An edit is [find, replace]; setup fails
// when `find` is not there exactly once, so that a change of base/ cannot silently lose a commit.

const ANA = { name: 'Ana Ruiz', email: 'ana@example.com' };
const BEN = { name: 'Ben Okafor', email: 'ben@example.com' };
const MEI = { name: 'Mei Tanaka', email: 'mei@example.com' };

const release = (from, to, date, author = ANA) => ({
  subject: `Release ${to}`,
  author,
  date,
  tag: to,
  edits: { 'package.json': [[`"version": "${from}"`, `"version": "${to}"`]] },
});

export const commits = [
  {
    subject: 'Show the catalogue as a page and as JSON',
    author: ANA,
    date: '2026-09-01T09:12:00Z',
    add: [
      'package.json',
      'README.md',
      'catalog.mjs',
      'page.mjs',
      'log.mjs',
      'server.mjs',
      'checkout.mjs',
      'payment.mjs',
      'traffic.mjs',
    ],
  },
  { subject: 'Build the style sheet and a manifest', author: BEN, date: '2026-09-02T14:40:00Z', add: ['build.mjs'] },
  {
    subject: 'Smoke test: start on a spare port, ask what a shopper would',
    author: MEI,
    date: '2026-09-03T08:05:00Z',
    add: ['smoke.mjs'],
  },
  release('0.9.0', '1.0.0', '2026-09-03T16:30:00Z'),

  {
    subject: 'Try a payment twice before the order is given up',
    author: BEN,
    date: '2026-09-14T10:21:00Z',
    edits: { 'payment.mjs': [['for (const attempt of [1])', 'for (const attempt of [1, 2])']] },
  },
  {
    subject: 'Prices with their currency',
    author: MEI,
    date: '2026-09-15T11:02:00Z',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: source text of the example
    edits: { 'page.mjs': [['return (cents / 100).toFixed(2);', 'return `€ ${(cents / 100).toFixed(2)}`;']] },
  },
  {
    subject: 'Search the catalogue with /products?q=',
    author: ANA,
    date: '2026-09-16T13:47:00Z',
    edits: {
      'catalog.mjs': [
        [
          'export function findProduct',
          `export function searchProducts(text) {
  const wanted = text.trim().toLowerCase();
  return products.filter((product) => product.name.toLowerCase().includes(wanted));
}

export function findProduct`,
        ],
      ],
      'server.mjs': [
        ["import { products } from './catalog.mjs';", "import { searchProducts } from './catalog.mjs';"],
        [
          "const { pathname } = new URL(request.url, 'http://localhost');",
          "const { pathname, searchParams } = new URL(request.url, 'http://localhost');",
        ],
        ['body: products };', "body: searchProducts(searchParams.get('q') ?? '') };"],
      ],
      'smoke.mjs': [
        [
          "  check('checkout total'",
          "  check('search', (await (await get('/products?q=lamp')).json()).length, 1);\n  check('checkout total'",
        ],
      ],
    },
  },
  release('1.0.0', '1.1.0', '2026-09-17T09:00:00Z', BEN),

  {
    subject: 'Vouchers at checkout: SAIL10 takes ten per cent off',
    author: MEI,
    date: '2026-10-05T09:33:00Z',
    edits: {
      'checkout.mjs': [
        ['/** The order for a cart', 'const VOUCHERS = { SAIL10: 0.1, CREW25: 0.25 };\n\n/** The order for a cart'],
        [
          '  return { total };',
          `  if (cart.voucher !== undefined) {
    const discount = VOUCHERS[cart.voucher];
    if (discount === undefined) throw new RangeError('this voucher is not valid');
    total -= Math.floor(total * discount);
  }
  return { total };`,
        ],
      ],
    },
  },
  {
    subject: 'Smoke test: check out with a voucher',
    author: MEI,
    date: '2026-10-05T10:10:00Z',
    edits: {
      'smoke.mjs': [
        [
          '3998);\n',
          `3998);
  const reduced = await order({ items: [{ id: 'rope', quantity: 3 }], voucher: 'SAIL10' });
  check('checkout total with voucher', reduced.total, 5398);
`,
        ],
      ],
    },
  },
  {
    subject: 'Shoppers of the example use vouchers too',
    author: BEN,
    date: '2026-10-06T15:18:00Z',
    edits: { 'traffic.mjs': [["{ id: 'rope', quantity: 3 }] }", "{ id: 'rope', quantity: 3 }], voucher: 'SAIL10' }"]] },
  },
  release('1.1.0', '1.2.0', '2026-10-07T08:45:00Z', MEI),

  {
    subject: 'Round voucher discounts in favour of the shopper',
    author: BEN,
    date: '2026-10-12T16:52:00Z',
    // The mistake of 1.2.1: the discount is rounded up to whole euros instead of whole cents.
    edits: {
      'checkout.mjs': [
        ['total -= Math.floor(total * discount);', 'total -= Math.ceil((total * discount) / 100) * 100;'],
      ],
    },
  },
  release('1.2.0', '1.2.1', '2026-10-12T17:05:00Z', BEN),

  {
    subject: 'Fix checkout total: discounts round to cents, not to euros',
    author: ANA,
    date: '2026-10-13T08:20:00Z',
    edits: {
      'checkout.mjs': [
        ['total -= Math.ceil((total * discount) / 100) * 100;', 'total -= Math.floor(total * discount);'],
      ],
    },
  },
  release('1.2.1', '1.2.2', '2026-10-13T08:31:00Z'),

  {
    subject: 'Orders get a number, and the log names it',
    author: MEI,
    date: '2026-10-20T12:14:00Z',
    edits: {
      'checkout.mjs': [
        ['/** The order for a cart', 'let orders = 1000;\n\n/** The order for a cart'],
        ['  return { total };', '  orders += 1;\n  return { number: orders, total };'],
      ],
      'payment.mjs': [
        ['{ attempt, amount: order.total }', '{ attempt, order: order.number, amount: order.total }'],
        [
          "log.error('payment timeout: order given up', { amount: order.total });",
          "log.error('payment timeout: order given up', { order: order.number, amount: order.total });",
        ],
      ],
      'server.mjs': [
        [
          "log.info('order placed', { total: order.total });",
          "log.info('order placed', { order: order.number, total: order.total });",
        ],
      ],
    },
  },
  {
    subject: 'Let browsers keep the product list for a minute',
    author: ANA,
    date: '2026-10-21T09:26:00Z',
    edits: {
      'server.mjs': [
        [
          "body: searchProducts(searchParams.get('q') ?? '') };",
          "body: searchProducts(searchParams.get('q') ?? ''), maxAge: 60 };",
        ],
        [
          "  response.writeHead(answer.status, { 'content-type': answer.html ? 'text/html; charset=utf-8' : 'application/json' });",
          `  response.writeHead(answer.status, {
    'content-type': answer.html ? 'text/html; charset=utf-8' : 'application/json',
    'cache-control': answer.maxAge ? \`max-age=\${answer.maxAge}\` : 'no-store',
  });`,
        ],
      ],
    },
  },
  release('1.2.2', '1.2.3', '2026-10-22T10:00:00Z', MEI),

  {
    subject: 'A calmer theme, readable at night',
    author: MEI,
    date: '2026-11-09T10:44:00Z',
    edits: {
      'page.mjs': [
        [
          "{ ink: '#16324f', paper: '#f4f1ea', accent: '#2a6f97' }",
          "{ ink: '#12302b', paper: '#eef4f0', accent: '#2f6f5e' }",
        ],
        [
          'font-size:.875rem;opacity:.7}`',
          'font-size:.875rem;opacity:.7}\n@media(prefers-color-scheme:dark){body{color:#e6efe9;background:#10201c}article{background:#1a302a}}`',
        ],
      ],
    },
  },
  {
    subject: 'Free shipping above 50 euros',
    author: BEN,
    date: '2026-11-10T14:09:00Z',
    edits: {
      'checkout.mjs': [
        [
          '  orders += 1;\n  return { number: orders, total };',
          '  orders += 1;\n  return { number: orders, total, shipping: total > 5000 ? 0 : 495 };',
        ],
      ],
      'smoke.mjs': [
        ['reduced.total, 5398);\n', "reduced.total, 5398);\n  check('free shipping', reduced.shipping, 0);\n"],
      ],
    },
  },
  release('1.2.3', '1.3.0', '2026-11-12T09:15:00Z'),
];
