// A text with markup by somebody else, as a person would read it: in a frame of its own, where nothing runs and nothing loads.

import { el, source, visible } from './dom.js';

const ELEMENTS =
  'b,blockquote,br,code,dd,div,dl,dt,em,h1,h2,h3,h4,h5,h6,hr,i,li,ol,p,pre,s,small,span,strong,sub,sup,table,tbody,td,th,thead,tr,u,ul'.split(
    ',',
  );
const HIDDEN =
  /<!--[\s\S]*?(?:-->|$)|<(script|style|title|template|noscript|textarea|xmp|iframe|svg|math)\b[\s\S]*?(?:<\/\1[\s/]*>|$)|<![^>]*>/gi;
const TAG = /<(\/?)([a-z][a-z0-9]*)((?:"[^"]*"|'[^']*'|[^"'>])*)>/gi;
const PAPER = 'body { font: 15px/1.5 system-ui, sans-serif; margin: 12px; color: #1b1d22; background: #fff; overflow-wrap: anywhere }';

/** The markup without attributes, and with the address of each link behind its text. The browser's own sanitizer comes after it. */
function plain(html) {
  let link = '';
  return html.replace(HIDDEN, '').replace(TAG, (_, slash, tag, attributes) => {
    const name = tag.toLowerCase();
    if (name !== 'a') return ELEMENTS.includes(name) ? `<${slash}${name}>` : '';
    const told = slash && link ? ` &lt;${link}&gt;` : '';
    link = slash
      ? ''
      : (/\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/i.exec(attributes)?.slice(1).find(Boolean) ?? '').replace(/[<>]/g, '');
    return slash ? `</u>${told}` : '<u>';
  });
}

/** The markup as a person reads it; its source in a browser that cannot clean it. */
export function htmlView(html, label) {
  if (!Element.prototype.setHTML) return source(html, label);
  const { body } = document.implementation.createHTMLDocument();
  body.setHTML(visible(plain(html)), { sanitizer: { elements: ELEMENTS, attributes: [] } });
  const frame = el('iframe', { sandbox: 'allow-same-origin', title: label, width: '100%', height: '240', frameborder: '0' });
  frame.addEventListener('load', () => {
    const { contentDocument: page, contentWindow: window } = frame;
    const paper = new window.CSSStyleSheet();
    paper.replaceSync(PAPER);
    page.adoptedStyleSheets = [paper];
    page.body.replaceChildren(...page.importNode(body, true).childNodes);
  });
  // In a tree of its own, so that no rule or query of this page reaches into it.
  const host = el('div', { class: 'paper', 'data-test': 'html' });
  host.attachShadow({ mode: 'open' }).append(frame);
  return host;
}
