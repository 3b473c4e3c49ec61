import { products } from './catalog.mjs';

const THEME = { ink: '#16324f', paper: '#f4f1ea', accent: '#2a6f97' };

export function styles() {
  return `body{margin:0;font:16px/1.5 system-ui,sans-serif;color:${THEME.ink};background:${THEME.paper}}
header{padding:2rem 1.5rem;background:${THEME.accent};color:#fff}
header h1{margin:0;font-size:1.75rem}
main{display:grid;gap:1rem;padding:1.5rem;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr))}
article{padding:1rem;background:#fff;border-radius:.5rem}
article h2{margin:0;font-size:1rem}
article p{margin:.25rem 0 0}
footer{padding:0 1.5rem 2rem;font-size:.875rem;opacity:.7}`;
}

function price(cents) {
  return (cents / 100).toFixed(2);
}

/** The shop as HTML; `running` is what /version answers. */
export function page(running) {
  const items = products
    .map((product) => `<article><h2>${product.name}</h2><p>${price(product.price)}</p></article>`)
    .join('\n');
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Harbour Shop</title><style>${styles()}</style></head>
<body>
<header><h1>Harbour Shop</h1></header>
<main>
${items}
</main>
<footer>storefront ${running.version} (${running.sha.slice(0, 7)}) on ${running.environment}</footer>
</body>
</html>
`;
}
