// Problems for people: what went wrong, what to do, and the button that does it.

import { connect, providerName } from './accounts.js';
import { Problem } from './api.js';
import { asText, button, duration, el, foreign, list } from './dom.js';

/** The button that connects a provider's account, or connects it again after its consent ended. */
export const connectButton = (provider, again) =>
  button(['Connect ', foreign(providerName(provider)), again && ' again'], () => connect(provider), {
    class: 'small',
    'data-test': 'connect',
    'data-provider': provider,
  });

/** A problem as a notice. With `dismiss` it has a button that calls it. */
export function problemView(error, dismiss) {
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
          el('li', {}, entry?.pointer && [foreign(entry.pointer, { class: 'mono' }), ': '], foreign(entry?.detail ?? entry)),
        ),
      ),
    p.retry_after_ms > 0 && el('p', {}, `Try again in ${duration(p.retry_after_ms)}.`),
    fine && el('p', { class: 'fine' }, foreign(fine)),
    (provider || explained || dismiss) &&
      el(
        'div',
        { class: 'row' },
        provider && connectButton(provider, p.code === 'reauth-required'),
        explained && el('a', { href: p.type, target: '_blank', rel: 'noopener' }, 'What this means'),
        dismiss && el('button', { type: 'button', class: 'small', onclick: dismiss }, 'Dismiss'),
      ),
  );
}

/** Shows a problem in a slot, in place of an earlier one. With `focus` it gets the focus, since the person waits for it. */
export function showProblem(slot, error, { focus = false } = {}) {
  // The key form is open already.
  if (error.status === 401) return;
  const view = problemView(error, () => {
    slot.replaceChildren();
    document.querySelector('main').focus();
  });
  slot.replaceChildren(view);
  if (focus) view.focus();
}
