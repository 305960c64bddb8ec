// Elements, text and time. What the API says is only ever set as text, never as markup.

export const $ = (id) => document.getElementById(id);

/** What the parts of the page tell each other: `catalogue`, `job-ended`, `key`. */
export const bus = new EventTarget();
export const tell = (what, detail) => bus.dispatchEvent(new CustomEvent(what, { detail }));

/** Makes an element. `on*` props are listeners, other props attributes; strings become text. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...present(children));
  return node;
}

/** The children that are there; `cond && node` may leave a hole. */
export const present = (children) =>
  children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== '');

/** Text that came from elsewhere, kept apart from the direction of what stands around it. */
export const foreign = (text, props = {}) =>
  el('span', { dir: 'auto', ...props, class: `foreign ${props.class ?? ''}`.trim() }, visible(asText(text)));

/** Characters that turn the order of what is read, as an address must not, are shown by name. */
export const visible = (text) => text.replace(/[\u202a-\u202e\u2066-\u2069]/g, (c) => `⟨U+${c.charCodeAt(0).toString(16).toUpperCase()}⟩`);

export const asText = (value) => (typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value, null, 2));
export const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
export const list = (value) => (Array.isArray(value) ? value : value === undefined || value === null ? [] : [value]);
export const count = (n, noun) => `${n} ${noun}${n === 1 ? '' : 's'}`;

export function same(a, b) {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => same(item, b[i]));
  if (isObject(a) && isObject(b)) {
    const keys = Object.keys(a);
    return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
  }
  return a === b;
}

/** A mail in a line. */
export function summary({ subject, to }) {
  const names = list(to).map(asText);
  const who = names.length > 2 ? `${names[0]} and ${names.length - 1} more` : names.join(' and ');
  return { subject: asText(subject) || '(no subject)', who };
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export function time(text) {
  const date = new Date(text);
  if (Number.isNaN(date.valueOf())) return foreign(text);
  const today = date.toDateString() === new Date().toDateString();
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: today ? undefined : 'medium', timeStyle: 'medium' });
  return el('time', { datetime: date.toISOString(), title: date.toISOString() }, format.format(date));
}

export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.round(ms / 1000);
  return s < 60
    ? `${s} s`
    : s < 3600
      ? `${Math.floor(s / 60)} min ${s % 60} s`
      : `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

export function pairs(rows, className = 'pairs') {
  return el(
    'dl',
    { class: className },
    rows
      .filter((row) => row && row[1] !== undefined && row[1] !== null && row[1] !== false)
      .flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]),
  );
}

/** A longer text that scrolls, and that the keyboard can scroll. */
export const source = (text, label, props = {}) => el('pre', { tabindex: '0', role: 'group', 'aria-label': label, ...props }, asText(text));

/** Says something to those who listen to the page rather than look at it. */
export function announce(text) {
  $('announcer').textContent = text;
}

/** A button whose work may take a while: it does nothing more while that goes on, and keeps the focus. */
export function button(label, work, props = {}) {
  return busyWhile(el('button', { type: 'button', ...props }, label), work);
}

export function busyWhile(node, work) {
  node.addEventListener('click', async () => {
    if (node.getAttribute('aria-disabled') === 'true') return;
    node.setAttribute('aria-disabled', 'true');
    try {
      await work(node);
    } finally {
      node.removeAttribute('aria-disabled');
    }
  });
  return node;
}

let ids = 0;
/** An id for an element that another one refers to. */
export const freshId = (what) => {
  ids += 1;
  return `${what}-${ids}`;
};
