// Problems for people: what went wrong, what to do, and the button that does it.

import { connect, providerName } from './accounts.js';
import { Problem } from './api.js';
import { asText, button, duration, el, foreign, list } from './dom.js';

/** A place inside an action, which the action's own card shows. */
const INSIDE = /\/params\/[^/]+/;

/** The button that connects a provider's account, or connects it again after its consent ended. */
export const connectButton = (provider, again) =>
  button(['Connect ', foreign(providerName(provider)), again && ' again'], () => connect(provider), {
    class: 'small',
    'data-test': 'connect',
    'data-provider': provider,
  });

/** The page that explains a code; only the text of what is no code. */
export const problemLink = (code, text = code) =>
  /^[a-z-]+$/.test(asText(code))
    ? el('a', { href: `/problems/${code}`, target: '_blank', rel: 'noopener', class: text === code ? 'mono' : '' }, text)
    : foreign(code, { class: 'mono' });

/** A problem as a notice, with a button for each of these that is given. */
export function problemView(error, { again, dismiss } = {}) {
  // Anything but a Problem is a bug of this page, so it goes to the console too.
  if (!(error instanceof Problem)) console.error(error);
  const p = error instanceof Problem ? error.fields : { title: 'This page failed', detail: String(error) };
  const provider = /^(?:https?:\/\/[^/]+)?\/oauth\/([a-z0-9_-]+)(?:\/|$)/.exec(asText(p.connect_url))?.[1];
  const explained = /^\/problems\/[a-z0-9-]+$/.test(asText(p.type));
  // The detail often tells a single place already.
  const places = list(p.errors).filter((entry) => entry?.detail !== p.detail);
  const fine = [
    p.status ? `HTTP ${asText(p.status)}` : null,
    p.code ? asText(p.code) : null,
    p.correlation_id ? `correlation id ${asText(p.correlation_id)}` : null,
  ]
    .filter(Boolean)
    .join(' · ');
  return el(
    'div',
    { class: 'notice bad', role: 'alert', tabindex: '-1', 'data-test': 'error', 'data-code': p.code && asText(p.code) },
    el('strong', {}, foreign(p.title)),
    p.detail && el('p', {}, foreign(p.detail)),
    places.length > 0 &&
      el(
        'ul',
        {},
        places.map((entry) =>
          el(
            'li',
            {},
            !INSIDE.test(entry?.pointer) && entry?.pointer && [foreign(entry.pointer, { class: 'mono' }), ': '],
            foreign(entry?.detail ?? entry),
          ),
        ),
      ),
    p.retry_after_ms > 0 && el('p', {}, `Try again in ${duration(p.retry_after_ms)}.`),
    (provider || again || explained || dismiss) &&
      el(
        'div',
        { class: 'row' },
        provider && connectButton(provider, p.code === 'reauth-required'),
        again && button('Try again', again, { class: 'small' }),
        explained && problemLink(p.type.split('/').pop(), 'What this means'),
        dismiss && el('button', { type: 'button', class: 'small', onclick: dismiss }, 'Dismiss'),
      ),
    fine &&
      el(
        'details',
        { class: 'fine' },
        el('summary', {}, 'Details'),
        el('p', {}, foreign(fine)),
        places.map((entry) => INSIDE.test(entry?.pointer) && el('p', {}, foreign(entry.pointer, { class: 'mono' }))),
      ),
  );
}

/** Shows a problem in a slot, in place of an earlier one. With `focus` it gets the focus, since the person waits for it. */
export function showProblem(slot, error, { again, focus = false } = {}) {
  // The key form is open already.
  if (error.status === 401) return;
  const clear = () => slot.replaceChildren();
  const view = problemView(error, {
    again:
      again &&
      error.passing &&
      (() => {
        clear();
        return again();
      }),
    dismiss: () => {
      clear();
      document.querySelector('main').focus();
    },
  });
  slot.replaceChildren(view);
  if (focus) view.focus();
}
