// Elements, text and time. Text from the API is only ever set as text, never as markup.

import { copyButton, el, present } from '/assets/el.js';

export { copyButton, el, present };

export const $ = (id) => document.getElementById(id);

/** Events between the parts of the page: `accounts`, `catalogue`, `planned`, `edit-again`, `job-ended`, `key-wanted`, `unreachable`, `back`. */
export const bus = new EventTarget();
export const tell = (what, detail) => bus.dispatchEvent(new CustomEvent(what, { detail }));

/** Text from elsewhere, isolated from the direction of the text around it. */
export const foreign = (text, props = {}) =>
  el('span', { dir: 'auto', ...props, class: `foreign ${props.class ?? ''}`.trim() }, visible(asText(text)));

/** Shows characters that change the reading direction by their code, so that they cannot disguise an address. */
export const visible = (text) =>
  text.replace(
    /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (c) => `⟨U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`,
  );

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

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export function time(text) {
  const date = new Date(text);
  if (Number.isNaN(date.valueOf())) return foreign(text);
  const now = new Date();
  const today = date.toDateString() === now.toDateString();
  // Of a time to come the weekday matters more than the second.
  const year = date.getFullYear() === now.getFullYear() ? undefined : 'numeric';
  const ahead = { weekday: 'short', day: 'numeric', month: 'short', year, hour: '2-digit', minute: '2-digit' };
  const past = { dateStyle: today ? undefined : 'medium', timeStyle: 'medium' };
  const format = new Intl.DateTimeFormat(undefined, !today && date > now ? ahead : past);
  return el('time', { datetime: date.toISOString(), title: date.toISOString() }, format.format(date));
}

/** A time as the clock of its own zone shows it, with its weekday; null if the text is none. */
export function wallTime(text) {
  const date = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(text) ? new Date(`${text}Z`) : new Date(Number.NaN);
  if (Number.isNaN(date.valueOf())) return null;
  const parts = { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' };
  const format = new Intl.DateTimeFormat(undefined, { ...parts, timeZone: 'UTC' });
  return el('time', { datetime: text, title: text }, format.format(date));
}

/** A time in a list, where there is little room: the hour of today, else the day. */
export function shortTime(text) {
  const date = new Date(text);
  if (Number.isNaN(date.valueOf())) return foreign(text);
  const today = date.toDateString() === new Date().toDateString();
  const format = new Intl.DateTimeFormat(undefined, today ? { hour: '2-digit', minute: '2-digit' } : { day: 'numeric', month: 'short' });
  return el('time', { datetime: date.toISOString(), title: date.toISOString() }, format.format(date));
}

export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${Number((ms / 1000).toFixed(1))} s`;
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

/** A long text that scrolls, by keyboard too. */
export const source = (text, label, props = {}) => el('pre', { tabindex: '0', role: 'group', 'aria-label': label, ...props }, asText(text));

/** The exact text that goes out, written once a person opens it. */
export function rawView(name, text, props = {}) {
  const node = el('details', {}, el('summary', {}, 'Raw ', foreign(name)));
  node.addEventListener('toggle', () => node.append(source(text, 'Raw', props)), { once: true });
  return node;
}

/** Tells screen readers. */
export function announce(text) {
  $('announcer').textContent = text;
}

/** A button whose work may take a while. Meanwhile it ignores clicks and keeps the focus. */
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
/** An id for an element that another element refers to. */
export const freshId = (what) => {
  ids += 1;
  return `${what}-${ids}`;
};
