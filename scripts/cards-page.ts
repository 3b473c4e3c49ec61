import type { Sample } from './cards-samples.ts';

/** Colours and width of one way to look at the cards. */
export interface Look {
  name: 'light' | 'dark' | 'contrast' | 'narrow';
  width: number;
  page: string;
  card: string;
  border: string;
  text: string;
  subtle: string;
  input: string;
  colours: { accent: string; good: string; warning: string; attention: string };
  /** Backgrounds of styled containers. */
  fills: { emphasis: string; accent: string; good: string; warning: string; attention: string };
  button: { primary: string; primaryText: string };
}

const LIGHT: Omit<Look, 'name' | 'width'> = {
  page: '#f5f5f5',
  card: '#ffffff',
  border: '#e0e0e0',
  text: '#242424',
  subtle: '#616161',
  input: '#ffffff',
  colours: { accent: '#5b5fc7', good: '#107c10', warning: '#8f4e00', attention: '#c4314b' },
  fills: { emphasis: '#f5f5f5', accent: '#e8ebfa', good: '#e7f2da', warning: '#fbf6d9', attention: '#fcf4f6' },
  button: { primary: '#5b5fc7', primaryText: '#ffffff' },
};

/** As near to Teams as its published colours allow: default, dark, high contrast, and a phone's width. */
export const LOOKS: readonly Look[] = [
  { name: 'light', width: 520, ...LIGHT },
  {
    name: 'dark',
    width: 520,
    page: '#1f1f1f',
    card: '#292929',
    border: '#3d3d3d',
    text: '#ffffff',
    subtle: '#adadad',
    input: '#1f1f1f',
    colours: { accent: '#9299f7', good: '#92c353', warning: '#f8d22a', attention: '#f9526b' },
    fills: { emphasis: '#1f1f1f', accent: '#2f2f4a', good: '#0d2e0d', warning: '#463100', attention: '#3e1f25' },
    button: { primary: '#5b5fc7', primaryText: '#ffffff' },
  },
  {
    name: 'contrast',
    width: 520,
    page: '#000000',
    card: '#000000',
    border: '#ffffff',
    text: '#ffffff',
    subtle: '#ffffff',
    input: '#000000',
    colours: { accent: '#1aebff', good: '#3ff23f', warning: '#ffff01', attention: '#ffa5a5' },
    fills: { emphasis: '#000000', accent: '#000000', good: '#000000', warning: '#000000', attention: '#000000' },
    button: { primary: '#1aebff', primaryText: '#000000' },
  },
  { name: 'narrow', width: 320, ...LIGHT },
];

function hostConfig(look: Look): unknown {
  const colours = { default: look.text, dark: look.text, light: look.text, ...look.colours };
  const foregroundColors = Object.fromEntries(
    Object.entries(colours).map(([name, colour]) => [
      name,
      { default: colour, subtle: name === 'default' ? look.subtle : colour },
    ]),
  );
  const container = (backgroundColor: string) => ({ backgroundColor, foregroundColors });
  return {
    fontFamily: "'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif",
    spacing: { small: 8, default: 12, medium: 16, large: 20, extraLarge: 24, padding: 16 },
    separator: { lineThickness: 1, lineColor: look.border },
    fontTypes: {
      default: {
        fontSizes: { small: 12, default: 14, medium: 14, large: 18, extraLarge: 24 },
        fontWeights: { lighter: 300, default: 400, bolder: 600 },
      },
      monospace: {
        fontFamily: "Consolas, 'DejaVu Sans Mono', monospace",
        fontSizes: { small: 12, default: 14, medium: 14, large: 18, extraLarge: 24 },
        fontWeights: { lighter: 300, default: 400, bolder: 600 },
      },
    },
    containerStyles: {
      default: container(look.card),
      emphasis: container(look.fills.emphasis),
      accent: container(look.fills.accent),
      good: container(look.fills.good),
      warning: container(look.fills.warning),
      attention: container(look.fills.attention),
    },
    imageSizes: { small: 32, medium: 52, large: 100 },
    actions: {
      maxActions: 6,
      spacing: 'default',
      buttonSpacing: 8,
      showCard: { actionMode: 'inline', inlineTopMargin: 16, style: 'emphasis' },
      actionsOrientation: 'horizontal',
      actionAlignment: 'left',
    },
    inputs: {
      label: {
        inputSpacing: 'small',
        requiredInputs: { weight: 'bolder', suffix: ' *', suffixColor: 'attention' },
        optionalInputs: { weight: 'bolder' },
      },
      errorMessage: { color: 'attention', spacing: 'small' },
    },
    supportsInteractivity: true,
  };
}

function css(): string {
  return `
*{box-sizing:border-box} body{margin:0;font:14px/1.4 'Segoe UI','Noto Sans','DejaVu Sans',sans-serif;background:#fff;color:#242424}
nav{display:flex;gap:8px;flex-wrap:wrap;padding:12px 20px;background:#fff;border-bottom:1px solid #e0e0e0}
nav button{font:inherit;padding:4px 12px;border:1px solid #d1d1d1;border-radius:4px;background:#fff;cursor:pointer}
nav button[aria-pressed=true]{background:#5b5fc7;color:#fff;border-color:#5b5fc7} nav span{flex-basis:100%;height:0}
main{padding:20px;display:flex;flex-wrap:wrap;gap:24px;align-items:flex-start;background:var(--page);color:var(--text)}
article{width:var(--width)} article.wide{width:max(var(--width),min(100%,var(--full)))}
h2{font-size:12px;font-weight:400;margin:0 0 6px;color:var(--subtle)}
.card{border:1px solid var(--border);border-radius:6px;overflow:hidden;background:var(--card)}
.ac-richTextBlock,.ac-textBlock{line-height:20px!important;overflow-wrap:anywhere}
.ac-pushButton{font:inherit;font-weight:600;min-height:32px;padding:5px 12px;border:1px solid var(--line);border-radius:4px;background:var(--card);color:var(--text);cursor:pointer}
.ac-actionSet{row-gap:8px;flex-wrap:wrap!important}
.ac-pushButton.style-positive{background:var(--primary);border-color:var(--primary);color:var(--primaryText)}
.ac-pushButton.style-destructive{border-color:var(--attention);color:var(--attention)}
.ac-input{font:inherit;width:100%;min-height:32px;padding:5px 10px;border:1px solid var(--line);border-radius:4px;background:var(--input);color:var(--text)}
.contrast .ac-container[style*=background],.contrast .ac-adaptiveCard .ac-container{outline:0}
`;
}

/** One self-contained page: every sample, and buttons for the card and the look. */
export function page(samples: readonly Sample[], renderer: string): string {
  const data = samples.map(({ card, title, rendered }) => ({
    card,
    title,
    content: rendered.content,
    summary: rendered.summary,
  }));
  const looks = LOOKS.map((look) => ({ ...look, hostConfig: hostConfig(look) }));
  // "<" would end the script element early.
  const json = (value: unknown) => JSON.stringify(value).replaceAll('<', '\\u003c');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Shipmate's cards</title><style>${css()}</style></head>
<body><nav></nav><main></main>
<script>${renderer.replaceAll('</script', '<\\/script')}</script>
<script>
const samples = ${json(data)};
const looks = ${json(looks)};
let chosen = { card: 'deployment', look: 'light' };
// What teams would show: markdown is left alone, since no card of ours relies on it.
AdaptiveCards.AdaptiveCard.onProcessMarkdown = (text, result) => {
  const box = document.createElement('div'); box.textContent = text;
  result.outputHtml = box.innerHTML; result.didProcess = true;
};
function draw(sample, look) {
  const article = document.createElement('article');
  const wide = sample.content.msteams && sample.content.msteams.width === 'Full' && look.name !== 'narrow';
  if (wide) article.className = 'wide';
  const title = document.createElement('h2');
  title.textContent = sample.title + ' · “' + sample.summary + '”';
  const box = document.createElement('div'); box.className = 'card';
  const card = new AdaptiveCards.AdaptiveCard();
  card.hostConfig = new AdaptiveCards.HostConfig(look.hostConfig);
  card.onExecuteAction = (action) => console.log(action.getJsonTypeName(), action.toJSON());
  card.parse(sample.content);
  const drawn = card.render();
  if (drawn) box.append(drawn);
  article.append(title, box);
  return article;
}
function show(card, name) {
  chosen = { card, look: name };
  const look = looks.find((each) => each.name === name);
  const main = document.querySelector('main');
  const vars = { page: look.page, card: look.card, border: look.border, line: look.name === 'contrast' ? '#ffffff' : look.subtle + '80', text: look.text, subtle: look.subtle, input: look.input,
    primary: look.button.primary, primaryText: look.button.primaryText, attention: look.colours.attention, width: look.width + 'px', full: '720px' };
  main.className = look.name;
  for (const [key, value] of Object.entries(vars)) main.style.setProperty('--' + key, value);
  main.replaceChildren(...samples.filter((sample) => sample.card === card).map((sample) => draw(sample, look)));
  const nav = document.querySelector('nav');
  const button = (text, pressed, act) => { const made = document.createElement('button'); made.textContent = text; made.ariaPressed = String(pressed); made.onclick = act; return made; };
  const line = document.createElement('span');
  nav.replaceChildren(...[...new Set(samples.map((sample) => sample.card))].map((each) => button(each, each === card, () => show(each, chosen.look))), line,
    ...looks.map((each) => button(each.name, each.name === name, () => show(chosen.card, each.name))));
}
globalThis.show = show;
show(chosen.card, chosen.look);
</script></body></html>
`;
}
